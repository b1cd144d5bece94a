# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate knows of the robot and of the graph around it."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import joint_positions, stamp_ns
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.rules import farthest, Situation
from kinema4d_ros.nodes.trajectory_gate.ticket import Ticket
from kinema4d_ros.robot import Robot

_NS = 1e-9


class _Reading(NamedTuple):
    position: float     # [rad or m]
    stamp_ns: int       # ROS time of the measurement
    arrival: float      # steady time [s]


class GateState:
    """
    Robot, joints and neighbours, as they are when asked. `joints_changed` is told of news.

    What is asked about joints takes first what has come of them since the last look.
    """

    def __init__(self, node, front_action: str, joints_changed: Callable[[], None],
                 relayed: Callable):
        """
        Listen to robot_description and joint_states.

        :param relayed: wraps a callback that the gate's own group does not call, so that a failure
            of ours cancels first.
        """
        self._node, self._front_action = node, front_action
        self._joints_changed = joints_changed
        self.controller = self.verdicts = None      # set by the node: its other ports
        self.robot: Robot | None = None
        self._joints: dict[str, _Reading] = {}
        self._complaint = ''
        self._lock = threading.Lock()
        # Neither parsing nor quick joints may hold up a cancel.
        node.create_subscription(String, 'robot_description', relayed(self._take_robot),
                                 qos.ROBOT_DESCRIPTION,
                                 callback_group=MutuallyExclusiveCallbackGroup())
        self._joint_states = node.create_subscription(
            JointState, 'joint_states', relayed(self._take_joints), qos.JOINT_STATES,
            callback_group=NotForExecutor())
        self._subscription_thread: SubscriptionThread | None = None

    def start(self) -> None:
        """
        Begin to take joint_states, in a thread beside the executor.

        Should that ever come to nothing, the joints grow stale, and what moves is cancelled.
        """
        self._subscription_thread = SubscriptionThread(self._joint_states)

    def close(self) -> None:
        """Listen no more."""
        self._subscription_thread.close()

    # ------------------------------------------------------------------ received

    def _take_robot(self, message: String) -> None:
        try:
            self.robot = Robot.from_urdf(message.data)
        except Exception as error:   # foreseen or not: the old one is no longer what is there
            self.robot = None
            self._node.get_logger().error(f'robot_description is refused: {error}')

    def _take_joints(self, message: JointState) -> None:
        try:
            positions = joint_positions(message)
        except Kinema4DError as error:
            if str(error) != self._complaint:
                self._node.get_logger().warning(f'joint_states: {error}')
            self._complaint = str(error)
            return
        now, stamp = time.monotonic(), stamp_ns(message.header.stamp) or self.now_ns()
        with self._lock:
            for name, position in positions.items():
                self._joints[name] = _Reading(position, stamp, now)
        self._joints_changed()

    # ------------------------------------------------------------------ asked

    def now_ns(self) -> int:
        """Return the ROS time."""
        return self._node.get_clock().now().nanoseconds

    def positions(self, names: Iterable[str]) -> dict[str, float]:
        """Return the last known position [rad or m] of each joint of the robot that has one."""
        self._subscription_thread.catch_up()
        wanted = set(names) | set(self.robot.joint_names if self.robot is not None else ())
        with self._lock:
            return {name: self._joints[name].position for name in wanted if name in self._joints}

    def newest(self, names: Iterable[str]) -> tuple[dict[str, float], int]:
        """Return positions of `names` and the newest of their stamps [ns]."""
        with self._lock:
            readings = {name: self._joints[name] for name in names if name in self._joints}
        return ({name: reading.position for name, reading in readings.items()},
                max((reading.stamp_ns for reading in readings.values()), default=0))

    @property
    def newest_stamp_ns(self) -> int:
        """ROS time of the newest measurement of any joint; 0 when there is none."""
        with self._lock:
            return max((reading.stamp_ns for reading in self._joints.values()), default=0)

    def joints_problem(self, names: Iterable[str], max_age: float) -> str:
        """Return why the joints of a trajectory are not known now, or ''; `max_age` [s]."""
        self._subscription_thread.catch_up()
        now, now_ns = time.monotonic(), self.now_ns()
        for name in names:
            with self._lock:
                reading = self._joints.get(name)
            if reading is None:
                return f'joint_states have not told where {name} is'
            age = max(now - reading.arrival, abs(now_ns - reading.stamp_ns) * _NS)
            if age > max_age:
                return f'joint_states of {name} are {age:.2f} s off, limit {max_age} s'
        return ''

    def controller_problem(self) -> str:
        """Return what is wrong with the controller as the graph shows it, or ''."""
        action = self.controller.action
        servers = self._node.count_publishers(f'{action}/_action/status')
        if servers > 1:
            return f'{servers} nodes offer {action}'
        if servers == 0 or not self.controller.is_ready:
            return f'the controller is not there: nobody offers {action}'
        return ''

    def gate_problem(self) -> str:
        """Return whether this gate has a double, or ''."""
        name = self._node.get_name(), self._node.get_namespace()
        if self._node.get_node_names_and_namespaces().count(name) > 1 \
                or self._node.count_publishers(f'{self._front_action}/_action/status') > 1:
            return f'there is more than one {self._node.get_fully_qualified_name()}; end one'
        return ''

    def situation(self, ticket: Ticket) -> Situation:
        """Return what a decision about `ticket` is to be based on."""
        names = ticket.trajectory.joint_names if ticket.trajectory is not None else ()
        # Before the positions, which are then as new as what is found fresh, or newer.
        joints_problem = self.joints_problem(names, ticket.values['max_joint_age'])
        joint, moved = farthest(names, ticket.start, self.positions({*names, *ticket.start}))
        robot = self.robot
        return Situation(
            now_ns=self.now_ns(), robot_hash='' if robot is None else robot.description_hash,
            gate_problem=self.gate_problem(), controller_problem=self.controller_problem(),
            shadow_sim_problem=self.verdicts.problem(),
            joints_problem=joints_problem,
            moved=moved, moved_joint=joint)
