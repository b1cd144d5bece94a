# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The side of the gate that clients and operators see."""
from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from rclpy.action import CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.deferred_action_server import DeferredActionServer
from kinema4d_ros.bridge.rclpy_compat import RCLError
from kinema4d_ros.gate.commands import AnswerOperator, EndGoal
from kinema4d_ros.gate.events import (ClientCancelled, GoalEnd, OperatorActed, OperatorAction,
                                      TrajectorySubmitted)
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher
from kinema4d_ros.nodes.trajectory_gate.messages import request_from_bytes, request_from_goal
from kinema4d_ros.srv import Decide

_RESULT_TIMEOUT = 60      # [s] a result is kept for a client that asks late


class GoalServer:
    """The action ~/follow_joint_trajectory, the topic ~/joint_trajectory, and the services."""

    def __init__(self, node: Node, group: CallbackGroup, dispatcher: Dispatcher, *, topic: bool):
        """
        Offer the action and the services, and subscribe to the topic.

        :param group: the gate's callback group, in which all of it is served by one thread.
        :param topic: whether there is a topic.
        """
        self._node, self._dispatcher = node, dispatcher
        self._numbers = itertools.count(1)
        self._goals: dict[int, ServerGoalHandle] = {}
        self._number_of: dict[bytes, int] = {}      # goal id -> number, while it has not ended
        self.action = node.resolve_topic_name('~/follow_joint_trajectory')
        self._server = DeferredActionServer(
            node, FollowJointTrajectory, '~/follow_joint_trajectory',
            handle_accepted_callback=dispatcher.guarded(self._accept),
            cancel_callback=dispatcher.relayed(self._cancel), callback_group=group,
            result_timeout=_RESULT_TIMEOUT)
        if topic:
            # Raw: what is published behind the gate are the very bytes that came.
            node.create_subscription(
                JointTrajectory, '~/joint_trajectory', dispatcher.guarded(self._take),
                qos.TRAJECTORY, raw=True, callback_group=group)
        for action in OperatorAction:
            node.create_service(Decide, f'~/{action}', self._service(action),
                                callback_group=group)

    @property
    def is_idle(self) -> bool:
        """Whether every client has the result of its goal."""
        return not self._goals

    def why_doubled(self) -> str | None:
        """Return why this gate is not the only one of its name."""
        node = self._node
        name = node.get_name(), node.get_namespace()
        if node.get_node_names_and_namespaces().count(name) > 1 \
                or node.count_publishers(f'{self.action}/_action/status') > 1:
            return f'there is more than one {node.get_fully_qualified_name()}; end one'
        return None

    # ------------------------------------------------------------------ to the gate

    def _take(self, raw: bytes) -> None:
        self._dispatcher.handle(TrajectorySubmitted(request_from_bytes(next(self._numbers), raw)))

    def _accept(self, goal: ServerGoalHandle) -> None:
        """Take every goal: only an accepted goal can carry a reason for its refusal."""
        number = next(self._numbers)
        self._goals[number], self._number_of[bytes(goal.goal_id.uuid)] = goal, number
        self._dispatcher.handle(TrajectorySubmitted(
            request_from_goal(number, goal.request, uuid=goal.goal_id)))

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        number = self._number_of.get(bytes(goal.goal_id.uuid))
        if number is not None:
            # Later: rclpy makes the goal CANCELING just after this callback.
            self._dispatcher.post(ClientCancelled(number))
        return CancelResponse.ACCEPT

    def _service(self, action: OperatorAction
                 ) -> Callable[[Decide.Request, Decide.Response], Decide.Response]:
        def decide(request: Decide.Request, response: Decide.Response) -> None:
            for command in self._dispatcher.handle(
                    OperatorActed(action, request.trajectory_hash)):
                if isinstance(command, AnswerOperator):
                    response.success, response.message = command.success, command.sentence
            how = 'done' if response.success else 'refused'
            self._node.get_logger().info(f'service {action}: {how}: {response.message}')

        def serve(request: Decide.Request, response: Decide.Response) -> Decide.Response:
            response.success, response.message = False, 'the gate failed; its log says why'
            self._dispatcher.guarded(decide)(request, response)
            return response
        return serve

    # ------------------------------------------------------------------ to the client

    def executing(self, number: int) -> None:
        """Have the client see that its goal is executed."""
        goal = self._goals.get(number)
        if goal is not None:
            _execute(goal)

    def publish_feedback(self, number: int, feedback: FollowJointTrajectory.Feedback) -> None:
        """Relay the controller's feedback."""
        goal = self._goals.get(number)
        if goal is not None and goal.is_active:
            goal.publish_feedback(feedback)

    def end(self, command: EndGoal) -> None:
        """Send a client the result of its goal; nothing for one that came by topic."""
        goal = self._goals.pop(command.number, None)
        if goal is not None:
            self._number_of.pop(bytes(goal.goal_id.uuid), None)
            self._server.finish_now(goal, lambda goal: _end(goal, command))


def _end(goal: ServerGoalHandle, command: EndGoal) -> FollowJointTrajectory.Result:
    """Set the end of a goal, and return its result."""
    how = command.how
    if how is GoalEnd.CANCEL and not goal.is_cancel_requested:
        how = GoalEnd.ABORT      # CANCELED is legal only for a goal that its client cancelled
    if how is not GoalEnd.CANCEL:
        _execute(goal)           # it must be executing, if only to be aborted
    {GoalEnd.SUCCEED: goal.succeed, GoalEnd.ABORT: goal.abort,
     GoalEnd.CANCEL: goal.canceled}[how]()
    return FollowJointTrajectory.Result(error_code=command.error_code,
                                        error_string=command.error_string)


def _execute(goal: ServerGoalHandle) -> None:
    """Make an accepted goal an executing one; one that is executing or cancelled stays so."""
    if goal.status == GoalStatus.STATUS_ACCEPTED:
        with contextlib.suppress(RCLError):      # it was cancelled just now
            goal.execute()
