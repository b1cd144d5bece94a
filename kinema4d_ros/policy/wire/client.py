# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy behind a WebSocket, in the dialect of openpi and RoboArena."""
from __future__ import annotations

import contextlib
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from socket import SO_SNDTIMEO, SOL_SOCKET
from types import TracebackType
from typing import Any

import numpy as np

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.action_chunks import ActionFormat
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.policy.wire.codec import LIMITS, pack, unpack
from kinema4d_ros.policy.wire.keys import ObservationKeys
from kinema4d_ros.policy.wire.server_config import PolicyServerConfig
from kinema4d_ros.policy.wire.structure import Limits
from kinema4d_ros.policy.wire.translator import FINISHED, Translator
from kinema4d_ros.robot.robot import Robot

_MOST_TRACEBACK = 2000      # [characters] of a server's traceback that go into an error
_CLOSE_TIMEOUT = 0.5        # [s]


def import_client() -> Any:
    """
    Return websockets' client for threads.

    :raises ConfigurationError: it is not installed.
    """
    try:
        import websockets.sync.client as client
    except ImportError as error:
        raise ConfigurationError('to speak with policies, websockets is needed: install the extra '
                                 '[policy]') from error
    return client


class Connection:
    """
    Questions and answers, one of each in turn; one thread at a time.

    After anything unexpected the connection is given up, since the next answer could be that to an
    older question; the next question then connects anew. No question is ever sent twice.
    """

    def __init__(self, address: str, *, api_key: str = '', timeout: float = 10.0,
                 connect_timeout: float = 10.0, limits: Limits = LIMITS) -> None:
        """
        Keep an address; nothing is sent yet.

        :param address: such as ``ws://localhost:8000``; without a scheme it is taken for ws.
        :param timeout: [s] from a question to its whole answer.
        :param connect_timeout: [s] until there is a connection, and then until its first frame.
        """
        self.address = address if '://' in address else f'ws://{address}'
        if not self.address.startswith(('ws://', 'wss://')):
            raise ConfigurationError(f'the address of the policy is {address!r}, it must be as '
                                     'ws://localhost:8000')
        self._api_key, self.timeout, self._connect_timeout = api_key, timeout, connect_timeout
        self._limits, self._socket = limits, None
        self.metadata: Mapping[str, Any] = {}
        self.connected = 0                      # how often it was
        #: why a server that says this of itself is not asked; of each connection, the later too
        self.why_refused: Callable[[Mapping[str, Any]], str | None] = lambda metadata: None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def open(self) -> Mapping[str, Any]:
        """
        Connect, unless it is, and return what the server says of itself.

        :raises PolicyError: there is no server, it does not speak as one, or `why_refused` says so.
        """
        if self._socket is not None:
            return self.metadata
        client = import_client()
        headers = {'Authorization': f'Api-Key {self._api_key}'} if self._api_key else None
        try:
            self._socket = client.connect(
                self.address, compression=None, additional_headers=headers, proxy=None,
                open_timeout=self._connect_timeout, close_timeout=_CLOSE_TIMEOUT,
                # a server that computes for long answers no ping; our own timeout decides
                ping_interval=None, max_size=self._limits.most_bytes, max_queue=2)
        except _errors(ValueError, EOFError) as error:
            raise PolicyError(f'the policy server {self.address} cannot be reached: '
                              f'{_words(error)}; start it, or correct the address') from error
        try:
            metadata = self._message(self._receive(self._connect_timeout, 'first frame'))
            if not isinstance(metadata, Mapping):
                raise PolicyError(f'the first frame of {self.address} is no description of the '
                                  'server: it speaks another protocol than that of openpi')
            if (why := self.why_refused(metadata)) is not None:
                raise PolicyError(f'the policy server {self.address}: {why}')
        except PolicyError:
            self.close()
            raise
        self.metadata = metadata
        self.connected += 1
        # websockets waits for ever where a server does not read, and its buffers are full.
        opened: Any = self._socket
        opened.socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack(
            'll', *map(int, divmod(self.timeout * 1e6, 1e6))))
        return metadata

    def ask(self, question: Mapping[str, Any], *, text_is_answer: bool = False) -> Any:
        """
        Send a question and return its answer.

        :param text_is_answer: whether a text is one, as RoboArena's to a reset; else it is the
            traceback of a server that failed.
        :raises PolicyError: no answer came, or none that can be read; what is wrong with it.
        """
        packed = pack(question)
        if self._socket is not None and (unasked := self._unasked()) is not None:
            self.close()
            if unasked:
                raise PolicyError(f'the policy server {self.address} sent a frame that nobody '
                                  'asked for, so its answers no longer belong to the questions; '
                                  'the next question connects anew')
        self.open()
        socket: Any = self._socket
        try:
            socket.send(packed)
            answer = self._receive(self.timeout, 'answer')
            return answer if text_is_answer and isinstance(answer, str) else self._message(answer)
        except _errors() as error:
            self.close()
            how = f'did not read for {self.timeout:g} s' if isinstance(
                error.__cause__, BlockingIOError) else f'is gone: {_words(error)}'
            raise PolicyError(f'the policy server {self.address} {how}; the '
                              'next question connects anew') from error
        except BaseException:
            self.close()        # whoever was interrupted left an answer behind, too
            raise

    def _unasked(self) -> bool | None:
        """Return whether something came that nobody asked for; False: it is gone, None: neither."""
        socket: Any = self._socket
        try:
            socket.recv(timeout=0)
        except TimeoutError:
            return None
        except _errors():
            return False
        return True

    def _receive(self, timeout: float, what: str) -> bytes | str:
        socket: Any = self._socket
        try:
            frame: bytes | str = socket.recv(timeout=timeout)
        except TimeoutError as error:
            raise PolicyError(f'the policy server {self.address} sent no {what} within '
                              f'{timeout:g} s; the next question connects anew') from error
        except _errors() as error:
            raise PolicyError(f'the policy server {self.address} closed the connection before its '
                              f'{what}: {_words(error)}; the next question connects anew'
                              ) from error
        return frame

    def _message(self, frame: bytes | str) -> Any:
        """Return what a frame says; a text is the traceback of the server."""
        if isinstance(frame, str):
            lines = frame.strip().splitlines() or ['an empty text']
            raise PolicyError(f'the policy server {self.address} failed: {lines[-1][:500]}\n'
                              f'{frame[-_MOST_TRACEBACK:]}')
        return unpack(frame, self._limits)

    def close(self) -> None:
        """Close it; another question opens it again."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(*_errors()):
                socket.close()


class PolicyClient:
    """
    A `Policy` that a server computes. One thread at a time; a context manager, which closes it.

    As openpi's client it takes the metadata first, and as RoboArena's it lets a server that
    describes itself (`config`) decide the size of pictures.
    """

    def __init__(self, address: str, action_format: ActionFormat, keys: ObservationKeys, *,
                 robot: Robot | None = None, api_key: str = '', timeout: float = 10.0,
                 connect_timeout: float = 10.0, limits: Limits = LIMITS) -> None:
        """
        Make a client; it connects when it is first asked, or by `connect`.

        :param address: such as ``ws://localhost:8000``.
        :param action_format: what the answered numbers mean.
        :param robot: as `Translator` needs it.
        :param timeout: [s] from a request to its whole answer.
        """
        self.action_format, self.keys = action_format, keys
        self._translator = Translator(keys, robot, limits)
        self.connection = Connection(address, api_key=api_key, timeout=timeout,
                                     connect_timeout=connect_timeout, limits=limits)
        self.connection.why_refused = self._why_refused
        self.config: PolicyServerConfig | None = None
        self.session = str(uuid.uuid4())
        self.latency = float('nan')     # [s] of the last answer

    def __enter__(self) -> PolicyClient:
        """Return the client, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def connect(self) -> Mapping[str, Any]:
        """
        Connect, unless it is, and return the server's metadata.

        :raises PolicyError: there is no server, or what it declares is not what we execute.
        """
        return self.connection.open()

    def _why_refused(self, metadata: Mapping[str, Any]) -> str | None:
        config = PolicyServerConfig.of(metadata)
        if config is not None and (why := config.why_not(self.action_format)) is not None:
            return why
        self.config = config
        return None

    def reset(self, instruction: str, seed: int) -> None:
        """
        Begin a task anew; RoboArena's servers are told, to others it is a new connection.

        :raises PolicyError: as `act`.
        """
        if self.config is None:
            self.close()        # what a server remembers, it remembers of a connection
        self.connect()
        self.session = str(uuid.uuid4())
        if self.config is not None:
            self.connection.ask({'endpoint': 'reset', 'prompt': instruction, 'seed': seed,
                                 'session_id': self.session}, text_is_answer=True)

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """
        Return the next chunk, (N, columns of `action_format`) float64.

        Of `keys.executed` actions at most: those that the robot's own client executes before it
        asks again. None where a policy that `serve_policy` serves has come to its end.

        :raises PolicyError: no answer came, or none that can be executed.
        """
        self.connect()
        size = self.config.image_resolution if self.config is not None else None
        answer = self.infer(self._translator.request(observation, self.session, size))
        if isinstance(answer, Mapping) and answer.get(FINISHED) is True:
            return np.zeros((0, self.action_format.widths[0]))
        chunk = self._translator.numbers(answer)
        return chunk[:self.keys.executed] if self.keys.executed else chunk

    def infer(self, request: Mapping[str, Any]) -> Any:
        """
        Return the answer to a request as it is on the wire.

        :raises PolicyError: as `act`.
        """
        self.connect()
        if self.config is not None:
            request = {'endpoint': 'infer', 'session_id': self.session, **request}
        started = time.monotonic()
        answer = self.connection.ask(request)
        self.latency = time.monotonic() - started
        return answer

    def close(self) -> None:
        """Close the connection; another request opens it again."""
        self.connection.close()


def _errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what a connection raises where it fails, and `others`."""
    from websockets.exceptions import WebSocketException
    return (OSError, WebSocketException, *others)


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:300]
