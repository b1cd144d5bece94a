# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serves a policy to clients of openpi and RoboArena."""
from __future__ import annotations

import asyncio
import concurrent.futures
import hmac
import http
import ipaddress
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, cast, Protocol

import numpy as np

from kinema4d_ros.errors import ConfigurationError, Kinema4DError, PolicyError
from kinema4d_ros.policy.types import Policy
from kinema4d_ros.policy.wire.codec import LIMITS, pack, unpack
from kinema4d_ros.policy.wire.keys import ObservationKeys
from kinema4d_ros.policy.wire.server_config import PolicyServerConfig
from kinema4d_ros.policy.wire.structure import Limits
from kinema4d_ros.policy.wire.translator import FINISHED, Translator
from kinema4d_ros.robot.robot import Robot

_START_TIMEOUT = 10.0       # [s] until the port is open


class Session(Protocol):
    """What answers one client, from its connection to its end."""

    def metadata(self) -> Mapping[str, Any]:
        """Return the first frame; what it raises is told to the client."""

    def infer(self, request: Mapping[str, Any]) -> Any:
        """Return the answer to a request; what it raises is told to the client."""

    def reset(self, request: Mapping[str, Any]) -> None:
        """Begin anew."""

    def close(self) -> None:
        """Forget the client."""


class PolicySession:
    """Answers a client with the chunks of a policy."""

    def __init__(self, policy: Policy, translator: Translator, seed: int = 0,
                 metadata: Mapping[str, Any] | None = None,
                 taken: list[PolicySession] | None = None) -> None:
        """
        Answer by `policy`, in the keys of `translator`; `seed` where a client states none.

        :param taken: what answers the client whose task the policy is in, if any, where several
            share it; None where the policy is of this client alone.
        """
        self._taken = taken
        self._policy, self._translator, self._seed = policy, translator, seed
        self._metadata = dict(metadata or {})
        self._instruction: str | None = None

    def metadata(self) -> Mapping[str, Any]:
        """Return what the policy's owner says of it."""
        return self._metadata

    def infer(self, request: Mapping[str, Any]) -> Any:
        """Return a chunk; another instruction begins a task anew."""
        observation = self._translator.observation(request)
        if observation.instruction != self._instruction:
            self._begin(observation.instruction, self._seed)
        chunk = np.asarray(self._policy.act(observation), np.float32)
        # an empty chunk alone is what a broken server sends, too
        return {'actions': chunk} if len(chunk) else {'actions': chunk, FINISHED: True}

    def reset(self, request: Mapping[str, Any]) -> None:
        """Begin a task anew."""
        prompt, seed = request.get('prompt', self._instruction or ''), request.get('seed', 0)
        if not isinstance(prompt, str) or not isinstance(seed, (int, np.integer)):
            raise PolicyError('a reset has a prompt that is a text and a seed that is a number')
        self._begin(prompt, int(seed))

    def _begin(self, instruction: str, seed: int) -> None:
        if self._taken is not None:
            if self._taken and self._taken[0] is not self:
                raise PolicyError('another client is in a task with this policy, which has one '
                                  'memory; let it disconnect first, or serve a policy for each '
                                  'client: serve_policy(lambda: make_policy(), ...)')
            self._taken[:] = [self]
        self._policy.reset(instruction, seed)
        self._instruction = instruction

    def close(self) -> None:
        """Let another client have the policy."""
        if self._taken and self._taken[0] is self:
            self._taken.clear()


class PolicyServer:
    """
    A WebSocket server in threads of its own, which computes one answer at a time.

    A context manager, which closes it. ``GET /healthz`` answers OK while a policy computes, too.
    Pages in a browser cannot connect.
    """

    def __init__(self, session: Callable[[], Session], *, host: str = '127.0.0.1', port: int = 8000,
                 api_key: str = '', most_clients: int = 16, limits: Limits = LIMITS) -> None:
        """
        Open the port.

        :param session: called for each client that connects.
        :param port: 0 for any that is free; see `port`.
        :param api_key: that clients must show; '' for none, on this machine's own addresses only.
        :param most_clients: at a time; others are told that it is busy.
        :raises ConfigurationError: it cannot be opened, or is to be open to all.
        """
        if not api_key and not is_loopback(host):
            raise ConfigurationError(f'a policy server on {host} can be asked by other machines: '
                                     'give it an api_key, or the host 127.0.0.1')
        self._session, self._limits, self._api_key = session, limits, api_key
        self._most_clients, self._clients = most_clients, 0
        # Loop and computing in a thread each: one request is computed at a time, in their order.
        self._work = concurrent.futures.ThreadPoolExecutor(1, 'policy')
        self._opened: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self.host = host
        self._thread = threading.Thread(target=self._run, args=(host, port), daemon=True,
                                        name='policy server')
        self._thread.start()
        try:
            self.port = self._opened.result(_START_TIMEOUT)
        except (OSError, ImportError, concurrent.futures.TimeoutError) as error:
            self.close()
            raise ConfigurationError(f'no policy server can be opened on {host}:{port}: {error}'
                                     ) from error

    @property
    def address(self) -> str:
        """Where it is reached."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'ws://{host}:{self.port}'

    def __enter__(self) -> PolicyServer:
        """Return the server, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def wait(self) -> None:
        """Return when it is closed."""
        self._thread.join()

    def close(self) -> None:
        """Close all connections; an answer that is being computed is not waited for."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_START_TIMEOUT)
        self._work.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ in the loop's thread

    def _run(self, host: str, port: int) -> None:
        try:
            self._loop.run_until_complete(self._serve(host, port))
        except (OSError, ImportError) as error:
            self._opened.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, host: str, port: int) -> None:
        from websockets.asyncio.server import serve
        async with serve(self._answer_client, host, port, compression=None, origins=[None],
                         max_size=self._limits.most_bytes, max_queue=2, close_timeout=1.0,
                         process_request=self._admit) as server:
            self._opened.set_result(server.sockets[0].getsockname()[1])
            await self._ending.wait()

    def _admit(self, connection: Any, request: Any) -> Any:
        """Return the response of who is not let in, None for who is."""
        if request.path == '/healthz':
            return connection.respond(http.HTTPStatus.OK, 'OK\n')
        shown = request.headers.get('Authorization', '')
        if self._api_key and not hmac.compare_digest(shown.encode(),
                                                     f'Api-Key {self._api_key}'.encode()):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, 'a wrong or no api key\n')
        if self._clients >= self._most_clients:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, 'too many clients\n')
        return None

    async def _answer_client(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed
        session, self._clients = None, self._clients + 1
        try:
            if self._clients > self._most_clients:      # two came at once
                raise PolicyError('there are too many clients')
            session = await self._compute(self._session)
            first = await self._compute(session.metadata)
            await connection.send(pack(first))
            took, needs_endpoint = None, PolicyServerConfig.of(first) is not None
            async for frame in connection:
                started = time.monotonic()
                answer = await self._compute(self._answer, session, frame, took,
                                             needs_endpoint)
                await connection.send(answer)
                took = time.monotonic() - started
        except ConnectionClosed:
            pass
        except Exception as error:      # of whatever kind: its client hears it, and is let go
            await self._tell(connection, error)
        finally:
            self._clients -= 1
            if session is not None and not self._ending.is_set():
                await self._compute(session.close)

    async def _tell(self, connection: Any, error: Exception) -> None:
        from websockets.exceptions import ConnectionClosed
        told = f'{type(error).__name__}: {error}' if isinstance(error, Kinema4DError) \
            else ''.join(traceback.format_exception(error))
        try:
            await connection.send(told)
            await connection.close(1011, 'the reason is in the frame before')
        except ConnectionClosed:
            pass

    async def _compute(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._work, call, *arguments)

    # ------------------------------------------------------------------ in the computing thread

    def _answer(self, session: Session, frame: bytes | str, took: float | None,
                needs_endpoint: bool) -> bytes | str:
        if isinstance(frame, str):
            raise PolicyError('a request must be a binary frame of msgpack, got a text')
        request = unpack(frame, self._limits)
        if not isinstance(request, Mapping):
            raise PolicyError(f'a request must be a map, got {type(request).__name__}')
        if needs_endpoint or 'endpoint' in request:
            endpoint = request.get('endpoint')
            if endpoint not in ('infer', 'reset'):
                raise PolicyError(f'endpoint is {endpoint!r}, valid: infer, reset')
            request = {key: value for key, value in request.items() if key != 'endpoint'}
            if endpoint == 'reset':
                session.reset(request)
                return 'reset successful'
        started = time.monotonic()
        answer = session.infer(request)
        if isinstance(answer, Mapping):
            timing = {'infer_ms': 1000 * (time.monotonic() - started)}
            if took is not None:
                timing['prev_total_ms'] = 1000 * took
            answer = {'server_timing': timing, **answer}    # that of a server behind us stays
        return pack(answer)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def serve_policy(policy: Policy | Callable[[], Policy], keys: ObservationKeys, *,
                 robot: Robot | None = None, seed: int = 0,
                 metadata: Mapping[str, Any] | None = None,
                 config: PolicyServerConfig | None = None, **options: Any) -> PolicyServer:
    """
    Serve any `Policy`, as openpi's `serve_policy.py` does its own.

    A policy remembers where it is in its task, so one object serves one client at a time: until the
    client whose task it is in has gone, another one is told that it is taken.

    ::

        with serve_policy(my_policy, keys, port=8000) as server:
            server.wait()

    :param policy: for one client at a time; or what makes one (a class, say), called for each
        client, so that several are served at once. ``lambda: policy`` shares one that keeps
        nothing between calls.
    :param metadata: what clients are told first.
    :param config: of RoboArena, is added to it.
    :param options: of `PolicyServer`.
    """
    translator = Translator(keys, robot)
    first = dict(metadata or {}) | (config.metadata() if config is not None else {})
    is_one = hasattr(policy, 'act') and not isinstance(policy, type)      # a class makes them
    taken: list[PolicySession] | None = [] if is_one else None

    def session() -> PolicySession:
        of_client = cast(Policy, policy if taken is not None else cast(
            Callable[[], Policy], policy)())
        return PolicySession(of_client, translator, seed, first, taken)

    return PolicyServer(session, **options)
