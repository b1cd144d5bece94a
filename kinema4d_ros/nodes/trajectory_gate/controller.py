# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way to the controller: the only place of the package where a command leaves."""
from __future__ import annotations

from collections.abc import Callable

from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionClient
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import owner
from kinema4d_ros.nodes.trajectory_gate.ticket import Ticket


class Controller:
    """
    The action client, and the publisher where there is one.

    It is called in the callback group of its client: rclpy knows a request only after it was
    sent, and a quick answer must not come before that.
    """

    def __init__(self, node, name: str, group, execution, posted: Callable, *, by_topic: bool):
        """
        Connect.

        :param name: the controller's node name, resolved.
        :param execution: told `accepted`, `rejected` and `finished`.
        :param posted: returns a callback's deputy, which has it called in `group`: rclpy runs
            those of futures outside of any group.
        """
        self._node, self._execution, self._posted = node, execution, posted
        self.action, self.topic = f'{name}/follow_joint_trajectory', f'{name}/joint_trajectory'
        self._client = ActionClient(node, FollowJointTrajectory, self.action,
                                    callback_group=group)
        self._publisher = node.create_publisher(
            JointTrajectory, self.topic, qos.TRAJECTORY) if by_topic else None

    @property
    def is_ready(self) -> bool:
        """Whether a goal or a message would arrive."""
        if self._publisher is not None and not self._publisher.get_subscription_count():
            return False
        return self._client.server_is_ready()

    def send(self, ticket: Ticket) -> None:
        """Forward it as it came."""
        if ticket.source == 'topic' and self._publisher is not None:
            self._publisher.publish(ticket.raw)
            self._execution.accepted(ticket, None)
            return
        future = self._client.send_goal_async(
            ticket.goal, feedback_callback=lambda message: ticket.feedback(message.feedback),
            goal_uuid=ticket.uuid)
        future.add_done_callback(self._posted(lambda done: self._answered(ticket, done.result())))

    def _answered(self, ticket: Ticket, handle) -> None:
        if not handle.accepted:
            self._execution.rejected(ticket)
            return
        self._execution.accepted(ticket, handle)
        handle.get_result_async().add_done_callback(
            self._posted(lambda done: self._finished(ticket, done.result())))

    def _finished(self, ticket: Ticket, reply) -> None:
        self._execution.finished(
            ticket, reply.status == GoalStatus.STATUS_SUCCEEDED,
            reply.status == GoalStatus.STATUS_CANCELED, reply.result)

    def cancel(self, ticket: Ticket) -> None:
        """Ask the controller to stop; nothing happens while it has not taken the goal."""
        if ticket.handle is not None:
            ticket.handle.cancel_goal_async()

    def side_doors(self) -> list[str]:
        """Return who else can command the controller: `name (what)` of each."""
        own = self._node.get_name(), self._node.get_namespace()
        doors = []
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        clients = self._node.get_subscriptions_info_by_topic(f'{self.action}/_action/feedback')
        for infos, what in ((publishers, f'publishes {self.topic}'),
                            (clients, f'is a client of {self.action}')):
            for info in infos:
                if (info.node_name, info.node_namespace) != own:
                    doors.append(f'{owner(info)} ({what})')
        return sorted(set(doors))
