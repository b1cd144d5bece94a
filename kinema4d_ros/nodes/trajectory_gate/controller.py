# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way to the controller: the only place of the package where a command leaves."""
from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from control_msgs.action import FollowJointTrajectory
from rclpy.action.client import ClientGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import KnownServer, owner
from kinema4d_ros.bridge.rclpy_compat import DirectActionClient
from kinema4d_ros.gate import GateRequest
from kinema4d_ros.gate.events import (ControllerAccepted, ControllerFinished, ControllerHeard,
                                      ControllerRejected, GoalEnd)
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher
from kinema4d_ros.nodes.trajectory_gate.messages import submission_of

_ENDS = {GoalStatus.STATUS_SUCCEEDED: GoalEnd.SUCCEED, GoalStatus.STATUS_CANCELED: GoalEnd.CANCEL}
_UNKNOWN = 4        # answers that it does not know a goal, after which that is taken for lost


@dataclass(eq=False)
class _Unanswered:
    """A goal that the controller has neither accepted nor rejected, as far as is heard."""

    request: GateRequest
    goal_id: UUID
    unknown: int = 0            # how often it said that it does not know it


class ControllerClient:
    """
    The action client, and the publisher where there is one.

    It is called in the callback group of its client: rclpy knows a request only after it was
    sent, and a quick answer must not come before that.
    """

    def __init__(self, node: Node, name: str, group: CallbackGroup, dispatcher: Dispatcher,
                 feedback: Callable[[int, FollowJointTrajectory.Feedback], None], *,
                 by_topic: bool):
        """
        Connect to the controller.

        :param name: the controller's node name, resolved.
        :param feedback: called with the number of a trajectory and the feedback on it.
        :param by_topic: whether what comes by topic goes on by topic.
        """
        self._node, self._dispatcher, self._feedback = node, dispatcher, feedback
        self._handles: dict[int, ClientGoalHandle] = {}     # accepted, and not ended
        self._unanswered: dict[int, _Unanswered] = {}
        self.action, self.topic = f'{name}/follow_joint_trajectory', f'{name}/joint_trajectory'
        self._client = DirectActionClient(node, FollowJointTrajectory, self.action,
                                          callback_group=group)
        self._server = KnownServer(self._client.server_is_ready, self._client.greet)
        # The result of a goal that nobody sent: the server answers that it knows none.
        self._ping = node.create_client(FollowJointTrajectory.Impl.GetResultService,
                                        f'{self.action}/_action/get_result', callback_group=group)
        self._pinged: Future | None = None
        self._publisher = node.create_publisher(
            JointTrajectory, self.topic, qos.TRAJECTORY) if by_topic else None

    def why_unavailable(self) -> str | None:
        """Return why nothing can be forwarded to the controller, as the graph shows it."""
        servers = self._count_servers()
        if servers > 1:
            return f'{servers} nodes offer {self.action}'
        if servers and not self._is_ready:
            return f'the controller is not there: a part of {self.action} or {self.topic} is not ' \
                   'connected (yet)'
        if servers == 0:
            return f'the controller is not there: nobody offers {self.action}'
        return None

    @property
    def is_gone(self) -> bool:
        """Whether no server of the controller's action is left at all."""
        return self._count_servers() == 0

    def _count_servers(self) -> int:
        return self._node.count_publishers(f'{self.action}/_action/status')

    @property
    def _is_ready(self) -> bool:
        """Whether a goal or a message would arrive."""
        if self._publisher is not None and not self._publisher.get_subscription_count():
            return False
        return self._server.is_known

    def look(self) -> None:
        """Get to know it; to be called again and again."""
        self._server.look()

    def forward(self, request: GateRequest) -> None:
        """Forward what came as it came."""
        submission, number = submission_of(request), request.number
        if request.source == 'topic' and self._publisher is not None:
            self._publisher.publish(submission.raw)
            self._dispatcher.post(ControllerAccepted(request, can_be_cancelled=False))
            return
        goal_id = submission.uuid or UUID(uuid=list(uuid.uuid4().bytes))
        self._unanswered[number] = _Unanswered(request, goal_id)
        future = self._client.send_goal_async(
            submission.goal, goal_uuid=goal_id, feedback_callback=self._dispatcher.guarded(
                lambda message: self._heard(number, message.feedback)))
        future.add_done_callback(self._dispatcher.guarded(
            lambda done: self._answered(request, done.result())))

    def _heard(self, number: int, feedback: FollowJointTrajectory.Feedback) -> None:
        if number in self._unanswered:      # who tells of it has taken it: the answer was lost
            goal = self._unanswered[number]
            self._answered(goal.request, self._client.handle_of(goal.goal_id))
        self._feedback(number, feedback)
        positions = feedback.desired.positions
        self._dispatcher.handle(ControllerHeard(
            number, dict(zip(feedback.joint_names, positions))
            if len(positions) == len(feedback.joint_names) else {}))

    def ping(self, number: int) -> None:
        """Ask for a sign of life; without any effect on what it does."""
        if not self._ping.service_is_ready():
            return
        request = FollowJointTrajectory.Impl.GetResultService.Request(
            goal_id=UUID(uuid=list(uuid.uuid4().bytes)))
        if self._pinged is not None and not self._pinged.done():
            self._ping.remove_pending_request(self._pinged)     # or they pile up
        self._pinged = self._ping.call_async(request)
        self._pinged.add_done_callback(self._dispatcher.in_group(
            lambda _: self._dispatcher.handle(ControllerHeard(number))))

    def _answered(self, request: GateRequest, handle: ClientGoalHandle) -> None:
        if self._unanswered.pop(request.number, None) is None:
            return      # feedback was quicker
        if not handle.accepted:
            self._dispatcher.handle(ControllerRejected(request.number))
            return
        self._handles[request.number] = handle
        handle.get_result_async().add_done_callback(self._dispatcher.guarded(
            lambda done: self._finished(request.number, done.result())))
        self._dispatcher.handle(ControllerAccepted(request))

    def _finished(self, number: int, reply: FollowJointTrajectory.Impl.GetResultService.Response
                  ) -> None:
        self._handles.pop(number, None)
        self._dispatcher.handle(ControllerFinished(
            number, _ENDS.get(reply.status, GoalEnd.ABORT), reply.result.error_code,
            reply.result.error_string))

    def cancel(self, number: int) -> None:
        """Ask the controller to stop, whether or not it has said that it took the goal."""
        if number in self._handles:
            self._handles[number].cancel_goal_async()
        elif number in self._unanswered:
            goal = self._unanswered[number]
            handle = self._client.handle_of(goal.goal_id)
            handle.cancel_goal_async().add_done_callback(self._dispatcher.guarded(
                lambda done: self._cancelled(goal, handle, done.result())))

    def _cancelled(self, goal: _Unanswered, handle: ClientGoalHandle,
                   reply: CancelGoal.Response) -> None:
        """Take what the controller says to the cancel of what it did not answer to."""
        if reply.return_code != CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID:
            self._answered(goal.request, handle)        # it has it, or had it
            return
        goal.unknown += 1
        if goal.unknown == _UNKNOWN:        # should it come all the same, it is cancelled
            self._dispatcher.handle(ControllerFinished(
                goal.request.number, GoalEnd.ABORT, FollowJointTrajectory.Result.INVALID_GOAL,
                'the controller never got it'))

    def cancel_all(self) -> None:
        """Ask the controller to stop all that it has of ours, the newest first."""
        for number in sorted({*self._handles, *self._unanswered}, reverse=True):
            try:
                self.cancel(number)
            except Exception:      # the others must be cancelled all the same
                self._node.get_logger().error(traceback.format_exc())

    def other_commanders(self) -> list[str]:
        """Return who else can command the controller: `name (what)` of each."""
        own = self._node.get_name(), self._node.get_namespace()
        found = []
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        clients = self._node.get_subscriptions_info_by_topic(f'{self.action}/_action/feedback')
        for infos, what in ((publishers, f'publishes {self.topic}'),
                            (clients, f'is a client of {self.action}')):
            for info in infos:
                if (info.node_name, info.node_namespace) != own:
                    found.append(f'{owner(info)} ({what})')
        return sorted(set(found))
