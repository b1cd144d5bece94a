# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate knows of the robot: its description, its joints, and how fast it may go."""
from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.quick_messages import JointStateReader
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate import JointReading, JointTracker
from kinema4d_ros.robot import Robot

_SCALING_AGE = 2.0      # [s] that a speed scaling is believed


class LiveState:
    """
    The newest robot description and joint positions.

    joint_states are taken in a thread beside the executor. If that thread stops, the joints become
    stale, and what moves is cancelled.
    """

    def __init__(self, node: Node, on_joints: Callable[[], None],
                 relayed: Callable[[Callable[..., Any]], Callable[..., Any]],
                 speed_scaling: str = '', is_watched: Callable[[], bool] = lambda: True):
        """
        Listen to robot_description and joint_states.

        :param on_joints: called from the thread when joints came, once until the next snapshot.
        :param relayed: wraps a callback that the gate's own group does not call, so that a failure
            of ours cancels first.
        :param speed_scaling: topic of the share of the speed at which the robot moves; '' none.
        :param is_watched: whether somebody is to be told of joints: while nothing moves or waits,
            waking the gate 100 times a second would be most of its work.
        """
        self._node, self._on_joints, self._is_watched = node, on_joints, is_watched
        self._reader = JointStateReader()
        self.robot: Robot | None = None
        self._tracker = JointTracker()
        self._scaling = math.nan, -math.inf     # 0 to 1, and when it came
        self._is_reported = False
        self._snapshot_thread = 0
        self._last_problem = ''
        # Neither parsing nor quick joints may hold up a cancel.
        node.create_subscription(String, 'robot_description', relayed(self._take_robot),
                                 qos.ROBOT_DESCRIPTION,
                                 callback_group=MutuallyExclusiveCallbackGroup())
        self._threads = [SubscriptionThread(node.create_subscription(
            JointState, 'joint_states', relayed(self._take_joints), qos.JOINT_STATES,
            callback_group=NotForExecutor(), raw=True))]
        if speed_scaling:
            self._threads.append(SubscriptionThread(node.create_subscription(
                Float64, speed_scaling, relayed(self._take_scaling), qos.SPEED_SCALING,
                callback_group=NotForExecutor())))

    def close(self) -> None:
        """Take no more messages; the subscriptions may be destroyed after it."""
        for thread in self._threads:
            thread.close()

    def snapshot(self) -> Mapping[str, JointReading]:
        """Return where every joint is that was ever heard of, with all that has come so far."""
        self._is_reported, self._snapshot_thread = False, threading.get_ident()
        self._threads[0].catch_up()
        return self._tracker.readings

    @property
    def newest_stamp_ns(self) -> int:
        """ROS time of the newest measurement of any joint; 0 when there is none."""
        return max((reading.stamp_ns for reading in self._tracker.readings.values()), default=0)

    @property
    def speed_scaling(self) -> float | None:
        """The share of the speed at which the robot moves, 0 to 1; None where it tells none."""
        value, arrival = self._scaling
        return value if time.monotonic() - arrival < _SCALING_AGE else None

    def _take_robot(self, message: String) -> None:
        try:
            self.robot = Robot.from_urdf(message.data)
        except Exception as error:   # foreseen or not: the old one is no longer what is there
            self.robot = None
            self._node.get_logger().error(f'robot_description is refused: {error}')

    def _take_scaling(self, message: Float64) -> None:
        if math.isfinite(message.data):
            self._scaling = min(max(message.data / 100.0, 0.0), 1.0), time.monotonic()

    def _take_joints(self, raw: bytes) -> None:
        """Take joint states; one thread at a time, as SubscriptionThread has it."""
        try:
            stamp, states = self._reader.states(raw)
        except Kinema4DError as error:
            if str(error) != self._last_problem:
                self._node.get_logger().warning(f'joint_states: {error}')
            self._last_problem = str(error)
            return
        stamp = stamp or self._node.get_clock().now().nanoseconds
        self._tracker.take(states.positions, stamp, time.monotonic(), states.velocities)
        # Whoever takes a snapshot sees them anyway.
        if not self._is_reported and threading.get_ident() != self._snapshot_thread \
                and self._is_watched():
            self._is_reported = True
            self._on_joints()


class MotionClock:
    """
    Steady time; simulated time, which may run slower or faster, where the robot is simulated.

    It never steps back, whatever is done to the clock of ROS.
    """

    def __init__(self, node: Node) -> None:
        """Read the clock of `node`."""
        self._node = node
        self._last_ns, self._simulated = self._ros_ns(), 0.0
        self._was_simulated, self._offset = False, 0.0

    def now(self) -> float:
        """Return the time [s]; only differences mean anything."""
        is_simulated = self._node.get_clock().ros_time_is_active
        last_ns, self._last_ns = self._last_ns, self._ros_ns()
        if is_simulated:
            self._simulated += max(self._last_ns - last_ns, 0) * 1e-9
        value = self._simulated if is_simulated else time.monotonic()
        if is_simulated != self._was_simulated:      # the parameter was set while it runs
            self._offset += (time.monotonic() if is_simulated else self._simulated) - value
            self._was_simulated = is_simulated
        return value + self._offset

    def _ros_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
