# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A proxy between the server of a policy and the client of a robot, in the dialect of both.

Requests go on as they came, and so does each answer whose chunk passed, except for actions and
parts of numbers that nobody judged. One that did not pass comes with actions that hold the robot
still in place of its own, and says so under a key that clients ignore.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.chunk_check import CheckedChunk, ChunkChecker, VERDICT_KEY
from kinema4d_ros.policy.wire.client import Connection
from kinema4d_ros.policy.wire.codec import pack
from kinema4d_ros.policy.wire.server import PolicyServer
from kinema4d_ros.policy.wire.server_config import PolicyServerConfig
from kinema4d_ros.policy.wire.translator import Translator

Joints = Mapping[str, float]


class ProxySession:
    """Answers one client by a policy's server, each chunk checked."""

    def __init__(self, connection: Connection, checker: ChunkChecker, translator: Translator,
                 joints: Callable[[], Joints] | None = None,
                 on_checked: Callable[[CheckedChunk], None] = lambda checked: None) -> None:
        """
        Begin with a client.

        :param connection: to the policy's server; it is opened here and closed with the client.
        :param joints: returns where all joints of the robot are [rad or m]; None: where the
            client's requests say, which must then tell all of them.
        :param on_checked: called with each chunk.
        """
        self._connection, self._checker, self._translator = connection, checker, translator
        self._joints, self._on_checked = joints, on_checked
        self._is_roboarena = False
        self._first: bytes | None = None        # frame of the server, which its client has
        connection.why_refused = self._why_refused

    def metadata(self) -> Mapping[str, Any]:
        """Connect, and return the first frame of the policy's server."""
        first = self._connection.open()
        self._checker.reset()
        return first

    def _why_refused(self, metadata: Mapping[str, Any]) -> str | None:
        """Return why a server is not asked, be it one that the connection was made to anew."""
        config = PolicyServerConfig.of(metadata)
        if config is not None \
                and (why := config.why_not(self._checker.reader.form)) is not None:
            return why
        first = pack(metadata)
        if self._first not in (None, first):
            return ('it was started anew, and says other things of itself than its client was '
                    'told; connect again')
        self._is_roboarena, self._first = config is not None, first
        return None

    def reset(self, request: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._checker.reset()
        self._connection.ask({'endpoint': 'reset', **request}, text_is_answer=True)

    def infer(self, request: Mapping[str, Any]) -> Any:
        """
        Return an answer whose chunk may be executed.

        :raises PolicyError: the policy's server gave no answer; its client hears that as if it had
            asked the server itself.
        """
        asked = time.monotonic()
        told = self._translator.joints(request)
        joints = {**told, **self._joints()} if self._joints is not None else told
        sent = {'endpoint': 'infer', **request} if self._is_roboarena else request
        answers = [self._connection.ask(sent)]

        def sample() -> np.ndarray | str | None:
            try:
                answers.append(self._connection.ask(sent))
            except PolicyError:
                return None     # what there is already is judged
            return self._numbers(answers[-1])

        # RoboArena's clients execute all that they get, whatever the preset says of others.
        checked = self._checker.check(self._numbers(answers[0]), joints, asked=asked,
                                      executed=0 if self._is_roboarena else None,
                                      sample=sample, told=told)
        self._on_checked(checked)
        return self._answer(answers[checked.choice.index or 0], checked)

    def _numbers(self, answer: Any) -> np.ndarray | str:
        try:
            return self._translator.numbers(answer)
        except PolicyError as error:
            return str(error)

    def _answer(self, answer: Any, checked: CheckedChunk) -> Any:
        if not isinstance(answer, Mapping):     # RoboArena's bare array has no place for a verdict
            return np.asarray(checked.actions, np.float32) if checked.changed else answer
        mode = str(self._checker.guard.settings.mode)
        if not checked.changed:
            return {**answer, VERDICT_KEY: checked.told(mode)}
        changed: dict[str, Any] = {**answer, VERDICT_KEY: checked.told(mode)}
        place, (*path, last) = changed, self._translator.keys.actions
        for key in path:
            inner = place.get(key)
            place[key] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[key]
        place[last] = np.asarray(checked.actions, np.float32)
        return changed

    def close(self) -> None:
        """Let the server go."""
        self._connection.close()


def serve_proxy(address: str, checker: ChunkChecker, translator: Translator, *,
                joints: Callable[[], Joints] | None = None, server_api_key: str = '',
                timeout: float = 10.0, connect_timeout: float = 10.0,
                on_checked: Callable[[CheckedChunk], None] = lambda checked: None,
                **options: Any) -> PolicyServer:
    """
    Serve checked chunks of the policy at `address`, to one client at a time: there is one robot.

    :param joints: as of `ProxySession`.
    :param server_api_key: that the policy's server wants.
    :param timeout: [s] that it gets for an answer.
    :param options: of `PolicyServer`, such as port and api_key.
    :raises ConfigurationError: address or options are wrong; that there is no server yet is told to
        the client that asks.
    """
    def session() -> ProxySession:
        return ProxySession(
            Connection(address, api_key=server_api_key, timeout=timeout,
                       connect_timeout=connect_timeout), checker, translator, joints, on_checked)

    session()       # what is wrong with the address shows at once
    return PolicyServer(session, **{'most_clients': 1} | options)
