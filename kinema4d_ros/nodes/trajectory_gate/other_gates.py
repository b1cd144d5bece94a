# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gates of one robot tell each other of the motions that they forward."""
from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (duration_message, duration_seconds, stamp_ns, time_message,
                                        trajectory_from_message, trajectory_message)
from kinema4d_ros.gate import OtherMotions, ToldMotion
from kinema4d_ros.gate.commands import TellGates
from kinema4d_ros.gate.events import OthersChanged
from kinema4d_ros.msg import RobotMotion
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher
from kinema4d_ros.nodes.trajectory_gate.messages import submission_of
from kinema4d_ros.robot import Robot


class OtherGates:
    """
    Publishes the motions of this gate, and hears those of others that have the same robot.

    That is one with the same robot_description and the same joint_states. Called in the gate's
    callback group.
    """

    def __init__(self, node: Node, topic: str, group: CallbackGroup, dispatcher: Dispatcher,
                 robot: Callable[[], Robot | None]):
        """
        Connect to the other gates.

        :param robot: returns the robot that this gate has.
        """
        self._node, self._dispatcher, self._robot = node, dispatcher, robot
        self.name = node.get_fully_qualified_name()
        self._joint_states = node.resolve_topic_name('joint_states')
        self.motions = OtherMotions()
        self._messages: dict[int, JointTrajectory] = {}     # of motions that are not over
        self._publisher = node.create_publisher(RobotMotion, topic, qos.ROBOT_MOTIONS)
        node.create_subscription(RobotMotion, topic, dispatcher.guarded(self._take),
                                 qos.ROBOT_MOTIONS, callback_group=group)

    def tell(self, command: TellGates) -> None:
        """Tell the others of a motion."""
        robot, number = self._robot(), command.request.number
        message = RobotMotion(
            gate=self.name, robot_hash='' if robot is None else robot.description_hash,
            joint_states=self._joint_states, trajectory=number, over=command.over,
            sent=time_message(command.sent_ns), elapsed=duration_message(command.at),
            together=sorted(command.together))
        message.header.stamp = self._node.get_clock().now().to_msg()
        if command.over:
            self._messages.pop(number, None)
        elif command.request.trajectory is not None:
            if number not in self._messages:
                goal = submission_of(command.request).goal      # as it came
                self._messages[number] = trajectory_message(command.request.trajectory) \
                    if goal is None else goal.trajectory
            message.motion = self._messages[number]
        self._publisher.publish(message)

    def _take(self, message: RobotMotion) -> None:
        robot = self._robot()
        if message.gate == self.name or message.joint_states != self._joint_states \
                or robot is None or message.robot_hash != robot.description_hash:
            return
        sent = stamp_ns(message.sent)
        try:
            trajectory = trajectory_from_message(message.motion)
        except Exception as error:      # no other node may end this gate; nothing passes beside it
            self._node.get_logger().warning(
                f'{message.gate} tells of a motion that cannot be read: {error}',
                throttle_duration_sec=5.0)
            trajectory = trajectory_from_message(JointTrajectory())
        told = ToldMotion(
            f'{message.gate}#{message.trajectory}#{sent}', message.gate, trajectory, sent,
            duration_seconds(message.elapsed), message.over, tuple(message.together))
        if self.motions.take(told, time.monotonic()):
            self._dispatcher.handle(OthersChanged())
