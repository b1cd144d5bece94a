# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a policy's own process asks before actions leave it: a callable, or another process."""
from __future__ import annotations

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import ConfigurationError, Kinema4DError

if TYPE_CHECKING:       # they need a robot's libraries, which an environment of LeRobot may lack
    from kinema4d_ros.policy.action_chunks import ActionReader
    from kinema4d_ros.types import JointTrajectory

#: (N, columns) actions, and the state (columns,) in the same numbers or None -> why they must not
#: be executed, None where they may
Check = Callable[[np.ndarray, np.ndarray | None], str | None]

_MOST_BYTES = 1 << 20
_MOST_NUMBERS = 100_000
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')


class Asker:
    """Asks with a deadline: an answer that is late, or no answer, is a refusal."""

    def __init__(self, check: Check, timeout: float) -> None:
        """
        Ask `check` in a thread of its own, for at most `timeout` [s].

        :raises ConfigurationError: the timeout is none.
        """
        if not (np.isfinite(timeout) and timeout > 0):
            raise ConfigurationError(f'timeout must be more than 0 s, got {timeout}')
        self._check, self._timeout = check, timeout
        self._pool = ThreadPoolExecutor(1, 'kinema4d-check')
        self._asked: Future[str | None] | None = None

    def why_held(self, actions: np.ndarray, state: np.ndarray | None) -> str | None:
        """Return why actions must not leave; None where they may."""
        actions = np.asarray(actions, np.float64)
        if actions.ndim != 2 or not actions.size or not np.isfinite(actions).all():
            return f'actions of shape {actions.shape} are not all finite numbers'
        if self._asked is not None and not self._asked.done():
            return 'the check of the actions before has not ended yet'
        self._asked = self._pool.submit(self._check, actions.copy(), state)
        try:
            answer = self._asked.result(self._timeout)
        except NotDone:
            return f'the check gave no answer in {self._timeout:g} s'
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was checked
            return f'the check failed: {type(error).__name__}: {error}'
        if answer is None or isinstance(answer, str):
            return answer
        return f'the check answered {type(answer).__name__}, and not a reason or None'

    def close(self) -> None:
        """Ask no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def as_check(reader: ActionReader, why_refused: Callable[[JointTrajectory, dict[str, float]],
                                                         str | None],
             rest: Callable[[], Mapping[str, float]] | None = None) -> Check:
    """
    Return a check of the motion that actions stand for.

    First it is seen whether the actions can mean what the reader's format says, then `why_refused`
    judges the trajectory, from a start by joint name.

    The state must have the columns of the actions, in absolute numbers, as LeRobot's
    `observation.state` has for arms that are commanded by joint positions.

    :param rest: returns where the joints are that the state does not tell [rad or m], by name;
        needed where there are any.
    :raises ConfigurationError: there are, and it is not given: they are not guessed.
    """
    from kinema4d_ros.policy.plausible import why_implausible

    form = reader.form
    told = {*form.joints, *(name for gripper in form.grippers for name in gripper.joints)}
    others = [name for name in reader.robot.joint_names if name not in told]
    if others and rest is None and not form.tip_link:
        raise ConfigurationError(
            f'the state does not tell where {", ".join(others)} is: name fingers as a gripper of '
            'the action format, or give as_check a callable `rest` that returns where they are')

    def check(actions: np.ndarray, state: np.ndarray | None) -> str | None:
        if form.tip_link or state is None or len(state) not in form.widths:
            return ('the state does not tell where the joints are: it must have the columns '
                    f'{", ".join(form.joints)} and those of grippers')
        arm, fingers = form.split(np.asarray(state, np.float64)[None])
        at = {} if rest is None else dict(rest())
        if unknown := [name for name in others if not np.isfinite(at.get(name, np.nan))]:
            return f'nobody tells where {", ".join(unknown)} is'
        start = {name: float(at[name]) for name in others}
        start |= dict(zip(form.joints, map(float, arm[0])))
        start |= {name: float(column[0]) for name, column in fingers.items()}
        try:
            return why_implausible(reader, actions, start) or \
                why_refused(reader.trajectory(actions, start), start)
        except Kinema4DError as error:
            return str(error)

    return check


class HttpCheck:
    """Asks a `CheckServer` in another process, in JSON; nothing is unpickled."""

    def __init__(self, url: str, timeout: float = 1.0, *, allow_remote: bool = False) -> None:
        """
        Ask at `url`, such as http://127.0.0.1:8090.

        :raises ConfigurationError: it is no address of HTTP, or not of this machine and not
            `allow_remote`.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == 'grpc' or parts.port == 8080 and parts.scheme not in ('http', 'https'):
            raise ConfigurationError(
                f'{url}: the gRPC of LeRobot\'s asynchronous inference carries pickles, which run '
                'whatever code they like when they are read; it is not spoken here')
        if parts.scheme not in ('http', 'https') or not parts.hostname:
            raise ConfigurationError(f'{url!r} is no address; write http://127.0.0.1:8090')
        if parts.hostname not in _LOOPBACK and not allow_remote:
            raise ConfigurationError(f'{url} is not on this machine; allow_remote permits it')
        self._url, self._timeout = url.rstrip('/') + '/check', timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, actions: np.ndarray, state: np.ndarray | None) -> str | None:
        """Return the server's reason; None where it passes."""
        body = json.dumps({'actions': np.asarray(actions, float).tolist(),
                           'state': None if state is None else np.asarray(state, float).tolist()})
        request = urllib.request.Request(self._url, body.encode(),
                                         {'Content-Type': 'application/json'})
        try:
            with self._opener.open(request, timeout=self._timeout) as reply:
                told = json.loads(reply.read(_MOST_BYTES))
        except (OSError, ValueError) as error:
            return f'{self._url} gives no answer: {error}'
        if not isinstance(told, dict) or not isinstance(told.get('passed'), bool):
            return f'{self._url} answers nothing that says whether it passed'
        return None if told['passed'] else str(told.get('reason') or 'refused without a reason')


class CheckServer:
    """Answers `HttpCheck` from loopback, one check at a time."""

    def __init__(self, check: Check, *, port: int = 8090) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0

            def do_POST(self) -> None:  # noqa: N802 - http.server calls it so
                try:
                    length = int(self.headers.get('Content-Length', -1))
                    if self.path != '/check' or not 0 < length <= _MOST_BYTES:
                        self.send_error(400, 'POST at most 1 MiB to /check')
                        return
                    actions, state = _numbers(json.loads(self.rfile.read(length)))
                except (ValueError, TypeError) as error:
                    self._reply(False, f'the request cannot be read: {error}')
                    return
                try:
                    with lock:
                        reason = check(actions, state)
                except Exception as error:  # noqa: BLE001 - it was not checked
                    reason = f'the check failed: {type(error).__name__}: {error}'
                self._reply(reason is None, reason)

            def _reply(self, passed: bool, reason: str | None) -> None:
                body = json.dumps({'passed': passed, 'reason': reason}).encode()
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Say nothing of each request."""

        self._server = ThreadingHTTPServer(('127.0.0.1', port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What `HttpCheck` is given."""
        return f'http://127.0.0.1:{self._server.server_address[1]}'

    def wait(self) -> None:
        """Wait until it is closed."""
        self._thread.join()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> CheckServer:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


def _numbers(told: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return actions and state of a request; raises ValueError, TypeError."""
    if not isinstance(told, dict):
        raise TypeError('it is no object')
    actions = np.array(told.get('actions'), np.float64)
    state = None if told.get('state') is None else np.array(told['state'], np.float64)
    if actions.ndim != 2 or not 0 < actions.size <= _MOST_NUMBERS or (
            state is not None and (state.ndim != 1 or state.size > _MOST_NUMBERS)):
        raise ValueError('actions must be rows of numbers, and state a list of them')
    if not np.isfinite(actions).all() or (state is not None and not np.isfinite(state).all()):
        raise ValueError('not all numbers are finite')
    return actions, state
