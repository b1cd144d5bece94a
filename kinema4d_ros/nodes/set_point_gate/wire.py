# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set points as they come, as positions or velocities of joints, and those of the gate's own."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kinema4d_ros.bridge.motion import duration_message, duration_seconds, stamp_ns
from kinema4d_ros.bridge.quick_messages import read_float64_array
from kinema4d_ros.gate.set_points import cubic_overshoot, SetPointKind
from kinema4d_ros.nodes.set_point_gate.cartesian import PoseWire, TwistWire
from kinema4d_ros.nodes.set_point_gate.set_point import SetPoint, Wire
from kinema4d_ros.robot import Robot

_LATE = 0.1          # [s] that a header may be ahead
_OWN_TIME = 0.1      # [s] in which a trajectory of our own is to get there
_LONGEST = 1.0       # [s] that a set point may last; longer ones are trajectories


class ArrayWire:
    """Float64MultiArray of positions or velocities, in the order of the controller's joints."""

    message, input, output = Float64MultiArray, '~/commands', 'commands'

    def read(self, raw: bytes, live: np.ndarray | None, now_ns: int) -> SetPoint:
        """Return the numbers."""
        return SetPoint(read_float64_array(raw))

    def relayed(self) -> None:
        """Keep nothing: what is written needs no more than joints."""

    def write(self, own: np.ndarray, share: float, live: np.ndarray | None) -> Any:
        """Return a message of these numbers."""
        return Float64MultiArray(data=own.tolist())


class TrajectoryWire:
    """JointTrajectory of one point, as servoing nodes send."""

    message, input, output = JointTrajectory, '~/joint_trajectory', 'joint_trajectory'

    def __init__(self, joints: Sequence[str]) -> None:
        """Take the joints of the controller."""
        self._joints = tuple(joints)

    def read(self, raw: bytes, live: np.ndarray | None, now_ns: int) -> SetPoint:
        """Return the point, whatever order the joints have in it."""
        message = deserialize_message(raw, JointTrajectory)
        if len(message.points) != 1:
            return SetPoint(f'it has {len(message.points)} points; one is relayed as a set point, '
                            'more are for trajectory_gate')
        point = message.points[0]
        names = list(message.joint_names)
        if sorted(names) != sorted(self._joints):
            return SetPoint(f'it moves {", ".join(names) or "no joint"}; the controller has '
                            f'{", ".join(self._joints)}')
        if len(point.positions) != len(names) or len(point.velocities) not in (0, len(names)):
            return SetPoint(f'it has {len(point.positions)} positions and '
                            f'{len(point.velocities)} velocities for {len(names)} joints')
        if any(point.accelerations) or any(point.effort):
            return SetPoint('it has accelerations or efforts, which nobody has checked')
        ahead = (stamp_ns(message.header.stamp) - now_ns) * 1e-9
        if ahead > _LATE:
            return SetPoint(f'it is to begin in {ahead:.2f} s')
        lasts = duration_seconds(point.time_from_start)
        if stamp_ns(message.header.stamp) and ahead < 0:    # what is over of it leaves less time
            lasts += ahead
            if lasts <= 0:
                return SetPoint(f'its time was over {-lasts:.2f} s ago')
        if lasts > _LONGEST:
            return SetPoint(f'it lasts {lasts:.2f} s, a set point {_LONGEST} s at most; longer '
                            'ones are for trajectory_gate')
        if lasts < 0 or not all(map(math.isfinite, point.velocities)):
            return SetPoint(f'its time {lasts} s or its velocities are no numbers to move by')
        order = [names.index(name) for name in self._joints]
        values = np.array(point.positions)[order]
        return SetPoint(values, lasts, cubic_overshoot(np.array(point.velocities)[order], lasts)
                        if len(point.velocities) else None)

    def relayed(self) -> None:
        """Keep nothing: what is written needs no more than joints."""

    def write(self, own: np.ndarray, share: float, live: np.ndarray | None) -> Any:
        """Return a trajectory of one point."""
        return JointTrajectory(joint_names=list(self._joints), points=[JointTrajectoryPoint(
            positions=own.tolist(), time_from_start=duration_message(_OWN_TIME))])


def topics_of(kind: SetPointKind) -> tuple[Any, str, str]:
    """Return message class, topic at the gate and topic below the controller of a kind."""
    wires: dict[SetPointKind, Any] = {
        SetPointKind.POSITION: ArrayWire, SetPointKind.VELOCITY: ArrayWire,
        SetPointKind.TRAJECTORY: TrajectoryWire, SetPointKind.POSE: PoseWire,
        SetPointKind.TWIST: TwistWire}
    wire = wires[kind]
    return wire.message, wire.input, wire.output


def wire_of(kind: SetPointKind, robot: Robot, joints: Sequence[str], tip_link: str) -> Wire:
    """
    Return the messages of a kind.

    :raises KinematicsError: `tip_link` cannot be moved.
    """
    match kind:
        case SetPointKind.TRAJECTORY:
            return TrajectoryWire(joints)
        case SetPointKind.POSE:
            return PoseWire(robot, joints, tip_link)
        case SetPointKind.TWIST:
            return TwistWire(robot, joints, tip_link)
    return ArrayWire()
