# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of shadow_sim for whoever waits for them in a thread of its own."""
from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge.motion import duration_message, stamp_ns, trajectory_message
from kinema4d_ros.bridge.rclpy_compat import SharedActionClient
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.errors import ObservationError
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.types import JointTrajectory, Status, Verdict

_SLACK = 1.0        # [s] that an answer may take to arrive after its deadline


class ShadowSimPrecheck:
    """A `PathPrecheck` by the action ~/precheck of shadow_sim, against the live scene."""

    def __init__(self, node: Node, name: str, timeout: Callable[[], float],
                 required_tiers: Callable[[], Collection[int]]) -> None:
        """
        Connect to shadow_sim.

        :param name: its node name, resolved.
        :param timeout: returns how long a verdict may take [s].
        :param required_tiers: returns the tiers that must have passed.
        """
        self._node, self._name = node, name
        self._timeout, self._required = timeout, required_tiers
        self._client = SharedActionClient(node, Precheck, f'{name}/precheck',
                                          callback_group=ReentrantCallbackGroup())
        self._ended = threading.Event()

    def why_missing(self) -> str | None:
        """Return why it cannot be asked; None where it can."""
        if self._client.server_is_ready():
            return None
        return f'there is no shadow_sim: no node offers {self._name}/precheck'

    def close(self) -> None:
        """End whatever waits."""
        self._ended.set()

    def __call__(self, paths: Sequence[JointTrajectory],
                 joints: Mapping[str, float]) -> Sequence[Verdict]:
        """
        Return a verdict on each path, from where shadow_sim sees the robot.

        Not in a callback of the only thread of an executor: it waits.

        :raises ObservationError: there is none, for the reason in the message.
        """
        end = time.monotonic() + self._timeout()
        result = self._ask(paths, end)
        if result.error_code == Precheck.Result.PREEMPTED:     # by the gate, or by another client
            result = self._ask(paths, end)
        if result.error_code != Precheck.Result.NONE:
            raise ObservationError(f'shadow_sim: {result.error_msg or result.error_code}')
        now = self._node.get_clock().now().nanoseconds
        return [self._checked(message, now) for message in result.verdicts]

    def _ask(self, paths: Sequence[JointTrajectory], end: float) -> Precheck.Result:
        if (missing := self.why_missing()) is not None:
            raise ObservationError(missing)
        left = max(end - time.monotonic(), 0.01)
        goal = Precheck.Goal(candidates=[trajectory_message(path) for path in paths],
                             deadline=duration_message(left), tiers=list(self._required()))
        handle = self._wait(self._client.send_goal_async(goal), end)
        if not handle.accepted:
            raise ObservationError('shadow_sim rejected the question')
        try:
            reply = self._wait(handle.get_result_async(), end + _SLACK)
        except ObservationError:
            handle.cancel_goal_async()
            raise
        if reply.result.error_code == Precheck.Result.NONE \
                and reply.status != GoalStatus.STATUS_SUCCEEDED:
            raise ObservationError(f'shadow_sim did not finish (goal status {reply.status})')
        return reply.result

    def _wait(self, future: Any, end: float) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while not done.wait(min(0.1, max(end - time.monotonic(), 0.0))):
            if self._ended.is_set():
                raise ObservationError('the node is shutting down')
            if time.monotonic() > end:
                raise ObservationError(f'shadow_sim gave no verdict within {self._timeout():g} s')
        return future.result()

    def _checked(self, message: VerdictMessage, now_ns: int) -> Verdict:
        """Return the verdict, UNSURE where its PASS is too old or rests on too little."""
        verdict = verdict_from_message(message)
        if not verdict.passed:
            return verdict
        lacking = sorted(set(self._required()) - set(verdict.tiers_passed))
        if lacking:
            return dataclasses.replace(
                verdict, status=Status.UNSURE, summary='shadow_sim passed it without tier '
                f'{", ".join(map(str, lacking))} (parameter required_tiers)')
        if stamp_ns(message.valid_until) < now_ns:
            return dataclasses.replace(verdict, status=Status.UNSURE,
                                       summary='the verdict was over when it came')
        return verdict
