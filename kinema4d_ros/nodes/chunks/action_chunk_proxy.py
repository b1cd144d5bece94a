# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node action_chunk_proxy: between a client of GetActionChunk and the policy's own service.

Requests go on as they came, and so does each answer whose chunk passed, without velocities and
accelerations, of which nothing was judged. Any service type will do
whose answer has a `chunk` of absolute joint targets, and a `message`; what else is in it is used
where it is there. It is no certified safety function.
"""
from __future__ import annotations

import importlib
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from std_msgs.msg import Float64MultiArray, Header

from kinema4d_ros.bridge.motion import joint_states
from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.errors import ConfigurationError, Kinema4DError, ObservationError, PolicyError
from kinema4d_ros.nodes.chunks.chunk_messages import (chunk_of, held_chunk, period_of,
                                                       positions_only)
from kinema4d_ros.nodes.chunks.parameters import ACTION_CHUNK_PROXY as TABLE
from kinema4d_ros.nodes.chunks.proxy_node import ProxyNode
from kinema4d_ros.policy.chunk_guard import Choice, ChunkMotion
from kinema4d_ros.policy.chunk_settings import ChunkMode

_OURS = 'held', 'verdict'       # fields that only our own type has


class ActionChunkProxy(ProxyNode):
    """Server to the client, and client to the policy; one request at a time."""

    def __init__(self) -> None:
        """
        Offer ~/get_action_chunk.

        :raises ConfigurationError: a parameter is missing or bad.
        """
        super().__init__('action_chunk_proxy', TABLE, 'policy')
        values = self.values
        kind = service_type(values['service_type'])
        self._ended = threading.Event()
        self._client = self.create_client(kind, values['service'],
                                          callback_group=ReentrantCallbackGroup())
        self.create_service(kind, '~/get_action_chunk', self._answer,
                            callback_group=MutuallyExclusiveCallbackGroup())
        self._service, offered = (self.resolve_service_name(name) for name in (
            values['service'], '~/get_action_chunk'))
        if self._service == offered:
            raise ConfigurationError(f"parameter 'service' is {values['service']!r}, which is this "
                                     "proxy itself; name the policy's own")
        self.get_logger().info(f'mode {values["mode"]}: call {offered} instead of '
                               f'{self._service}')

    def more_problems(self) -> list[str | None]:
        """Return why the policy cannot be asked."""
        return [None if self._client.service_is_ready()
                else f'nobody offers {self._service}']

    def quit(self) -> None:
        """Release what waits."""
        super().quit()
        self._ended.set()

    def _answer(self, request: Any, response: Any) -> Any:
        try:
            return self._checked(request)
        except Kinema4DError as error:      # there is no chunk, held or not
            self.get_logger().error(str(error))
            return refused(response, str(error))
        except Exception as error:          # no answer of a policy may end this node
            self.get_logger().error(traceback.format_exc())
            return refused(response, f'internal error: {type(error).__name__}: {error}')

    def _checked(self, request: Any) -> Any:
        asked, robot = time.monotonic(), self.live.robot()
        guard, joints = self.guard(robot), self.joints()
        if getattr(request, 'new_episode', False):
            guard.forget()
        answers = [self._ask(request)]
        if why := why_no_chunk(answers[0]):
            raise PolicyError(f'the policy has no chunk: {why}')

        def chunk(answer: Any) -> ChunkMotion:
            return chunk_of(answer, self.values['period'])

        def sample() -> ChunkMotion | None:
            try:
                answers.append(self._ask(request))
            except Kinema4DError:
                return None
            return why_no_chunk(answers[-1]) or chunk(answers[-1])

        first = chunk(answers[0])
        handover, frozen = None, getattr(request, 'frozen_prefix_steps', 0)
        period = period_of(answers[0], self.values['period'])
        if frozen and period:
            handover = asked + frozen * period
        told = joint_states(request.robot_state).positions \
            if getattr(request, 'robot_state', None) is not None else {}
        choice = guard.choose(first, joints, asked=asked, sample=sample, told={
            name: value for name, value in told.items() if name in joints}, handover=handover)
        unreadable = choice.index is not None and isinstance(chunk(answers[choice.index]), str)
        held = choice.index is None or unreadable
        self.report.chunk(choice, held)
        answer = answers[choice.best if choice.index is None else choice.index]
        if held:
            if self.values['on_refusal'] == 'error':
                return self._told(refused(answer, choice.verdict.summary), choice, True)
            names = list(answer.chunk.joint_names) if not unreadable else []
            answer.chunk = held_chunk(answer.chunk, guard.hold_positions(joints), names)
            answer.message = f'holds still: {choice.verdict.summary}'
            if hasattr(answer, 'policy_action_chunk'):      # it is not what will be executed
                answer.policy_action_chunk = Float64MultiArray()
        elif self.values['mode'] == ChunkMode.ENFORCE:
            answer.chunk = positions_only(answer.chunk)
        return self._told(answer, choice, held)

    def _told(self, answer: Any, choice: Choice, held: bool) -> Any:
        if all(hasattr(answer, name) for name in _OURS):
            answer.held = bool(held)
            answer.verdict = verdict_message(
                choice.verdict, Header(stamp=self.get_clock().now().to_msg()))
        return answer

    def _ask(self, request: Any) -> Any:
        """Return the policy's answer; raises PolicyError where none comes."""
        if not self._client.service_is_ready():
            raise PolicyError(f'nobody offers {self._service}: start the policy, or '
                              "correct parameter 'service'")
        future, done = self._client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: done.set())
        end = time.monotonic() + self.values['answer_timeout']
        while not done.wait(min(0.1, max(end - time.monotonic(), 0.0))):
            if self._ended.is_set() or time.monotonic() > end:
                self._client.remove_pending_request(future)
                if self._ended.is_set():
                    raise ObservationError('the node is shutting down')
                raise PolicyError(f'{self._service} gave no answer within '
                                  f'{self.values["answer_timeout"]:g} s')
        answer = future.result()
        if answer is None:
            raise PolicyError(f'{self._service} gave no answer')
        return answer


def service_type(name: str) -> Any:
    """
    Return the class of a service type, such as ``kinema4d_ros/srv/GetActionChunk``.

    :raises ConfigurationError: it is not installed, or its answer has no chunk and message.
    """
    package, _, kind = name.partition('/srv/')
    try:
        found = getattr(importlib.import_module(f'{package}.srv'), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f'service_type is {name!r}, which is not installed here; it is '
                                 'written as kinema4d_ros/srv/GetActionChunk') from error
    fields = found.Response.get_fields_and_field_types()
    if (fields.get('chunk'), fields.get('message')) != ('trajectory_msgs/JointTrajectory',
                                                        'string'):
        raise ConfigurationError(f'service_type {name!r} has no chunk '
                                 '(trajectory_msgs/JointTrajectory) and message in its answer')
    return found


def why_no_chunk(answer: Any) -> str | None:
    """Return why an answer says that there is no chunk; None where there is one."""
    failed = getattr(answer, 'ok', True) is False \
        or getattr(answer, 'status', None) == getattr(type(answer), 'ERROR', object())
    return (answer.message or 'it says no more') if failed else None


def refused(answer: Any, reason: str) -> Any:
    """Return an answer that says that there is no chunk, in the words of its type."""
    refusal = type(answer)()
    refusal.message = reason
    if hasattr(refusal, 'ok'):
        refusal.ok = False
    if hasattr(type(refusal), 'ERROR'):
        refusal.status = type(refusal).ERROR
    return refusal


def make_node(on_end: Callable[[], Any]) -> ActionChunkProxy:
    """Return the node, which serves."""
    return ActionChunkProxy()
