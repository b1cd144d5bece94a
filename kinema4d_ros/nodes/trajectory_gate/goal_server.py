# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The side of the gate that clients and operators see."""
from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import RCLError
from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.nodes.trajectory_gate.core import Gate
from kinema4d_ros.nodes.trajectory_gate.ticket import End, Result, Ticket, ticket_from_topic

_RESULT_TIMEOUT = 60      # [s] a result is kept for a client that asks late


class _Server(ActionServer):
    """An action server whose goals run without a thread that waits for their end."""

    def notify_execute(self, goal, execute_callback) -> None:
        """Nothing: the goal is executed elsewhere, and `finish` tells its end."""

    def finish(self, goal, execute_callback) -> None:
        """Have `execute_callback(goal)` set the end of the goal and return its result."""
        super().notify_execute(goal, execute_callback)


class Front:
    """The action ~/follow_joint_trajectory, the topic ~/joint_trajectory, and the services."""

    def __init__(self, node, gate: Gate, group, post: Callable, guarded: Callable,
                 relayed: Callable, *, topic: bool):
        """
        Open.

        :param group: the gate's callback group, in which services and topic are served.
        :param post: has a method of the gate called in that group.
        :param guarded: wraps a callback of that group, so that a failure of ours cancels first.
        :param relayed: does so for callbacks of other groups.
        :param topic: whether there is a topic.
        """
        self._gate, self._post = gate, post
        self._tickets: dict[bytes, Ticket] = {}
        self._early: set[bytes] = set()      # cancelled before their ticket was made
        self._lock = threading.Lock()
        self._server = _Server(
            node, FollowJointTrajectory, '~/follow_joint_trajectory', lambda _: None,
            handle_accepted_callback=relayed(self._accept),
            cancel_callback=relayed(self._cancel),
            callback_group=ReentrantCallbackGroup(), result_timeout=_RESULT_TIMEOUT)
        self._node = node
        if topic:
            # Raw: what is published behind the gate are the very bytes that came.
            node.create_subscription(
                JointTrajectory, '~/joint_trajectory',
                guarded(lambda raw: gate.submit(ticket_from_topic(raw))), qos.TRAJECTORY, raw=True,
                callback_group=group)
        for name, act in (('approve', lambda: gate.decide(True)),
                          ('deny', lambda: gate.decide(False)), ('override', gate.override)):
            node.create_service(Trigger, f'~/{name}', self._serve(name, act),
                                callback_group=group)

    def _serve(self, name: str, act: Callable[[], tuple[bool, str]]) -> Callable:
        def serve(_, response):
            response.success, response.message = act()
            words = 'done' if response.success else 'refused'
            self._node.get_logger().info(f'service {name}: {words}: {response.message}')
            return response
        return serve

    @property
    def is_idle(self) -> bool:
        """Whether every client has been told the end of its goal."""
        return not self._tickets

    def _accept(self, goal) -> None:
        """Take every goal: only an accepted goal can be told why it is refused."""
        def feedback(message) -> None:
            if goal.is_active:
                goal.publish_feedback(message)

        def forwarded() -> None:
            _execute(goal)

        ticket = Ticket(
            'action', goal.request, uuid=goal.goal_id, feedback=feedback, on_forwarded=forwarded,
            on_end=lambda how, result: self._server.finish(
                goal, lambda goal: self._end(goal, how, result)))
        key = bytes(goal.goal_id.uuid)
        with self._lock:
            self._tickets[key] = ticket
            early = key in self._early
            self._early.discard(key)
        self._post(self._gate.submit, ticket)
        if early:
            self._post(self._gate.cancel, ticket)

    def _cancel(self, goal) -> CancelResponse:
        key = bytes(goal.goal_id.uuid)
        with self._lock:
            ticket = self._tickets.get(key)
            if ticket is None and goal.is_active:
                self._early.add(key)
        if ticket is not None:
            self._post(self._gate.cancel, ticket)
        return CancelResponse.ACCEPT

    def _end(self, goal, how: End, result: Result) -> Result:
        if how is End.CANCEL:
            # rclpy makes the goal CANCELING just after it told us of the cancel.
            pause = threading.Event()
            for _ in range(200):
                if goal.is_cancel_requested:
                    break
                pause.wait(0.005)
        else:
            _execute(goal)       # it must be executing, if only to be aborted
        {End.SUCCEED: goal.succeed, End.ABORT: goal.abort, End.CANCEL: goal.canceled}[how]()
        with self._lock:
            self._tickets.pop(bytes(goal.goal_id.uuid), None)
        return result


def _execute(goal) -> None:
    """Make an accepted goal an executing one; one that is executing or cancelled stays so."""
    if goal.status == GoalStatus.STATUS_ACCEPTED:
        with contextlib.suppress(RCLError):      # it was cancelled just now
            goal.execute()
