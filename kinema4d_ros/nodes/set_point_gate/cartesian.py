# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Set points of a link in space, judged as the joints that our own kinematics make of them.

What the controller behind makes of them may differ where the arm is redundant: the joints as they
are measured are judged with every set point, too.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, TwistStamped
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.transforms import matrix, transform_message
from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.nodes.set_point_gate.set_point import SetPoint
from kinema4d_ros.robot import InverseKinematics, JointType, PostureBound, Robot

_DAMPING = 1e-3     # of the inverse of the Jacobian [m or rad]
_MISSED = 0.05      # share of a twist that the joints may miss
_STALE = 0.5        # [s] that a stamp may be past: what was meant then is not meant now
_AHEAD = 0.1        # [s] that it may be ahead
_UNIT = 0.01        # by which the length of a quaternion may be off 1, as tf2 has it


class _Chain:
    """The joints that move a link."""

    def __init__(self, robot: Robot, joints: Sequence[str], tip_link: str) -> None:
        moving = [joint for joint in robot.path(tip_link) if joint.type is not JointType.FIXED] \
            if tip_link in robot.links else []
        if not moving or any(joint.mimic is not None for joint in moving):
            raise KinematicsError(f'tip_link is {tip_link!r}, which no joints of their own move; '
                                  f'the robot has the links {", ".join(robot.link_names)}')
        lacking = [joint.name for joint in moving if joint.name not in joints]
        if lacking:
            raise KinematicsError(f'{lacking[0]} moves {tip_link}, and is none of the '
                                  f"controller's joints {', '.join(joints)}")
        self.robot, self.joints, self.tip_link, self.moving = robot, joints, tip_link, moving
        self.columns = [robot.joint_names.index(name) for name in joints]
        self.bound = PostureBound(robot, ())
        self.tip = robot.link_names.index(tip_link)

    def jacobian(self, poses: np.ndarray) -> np.ndarray:
        """Return how the joints move the link, (6, n) [m and rad per rad or m], base frame."""
        out = np.zeros((6, len(self.joints)))
        for joint in self.moving:
            frame = poses[self.robot.link_names.index(joint.child)]
            axis = frame[:3, :3] @ joint.axis
            column = self.joints.index(joint.name)
            if joint.type is JointType.PRISMATIC:
                out[:3, column] = axis
            else:
                out[:3, column] = np.cross(axis, poses[self.tip, :3, 3] - frame[:3, 3])
                out[3:, column] = axis
        return out


def _why_not_now(header: Header, now_ns: int) -> str | None:
    """Return why a set point is not meant for now; one without a stamp is."""
    late = (now_ns - stamp_ns(header.stamp)) * 1e-9
    if not stamp_ns(header.stamp) or -_AHEAD <= late <= _STALE:
        return None
    return f'its stamp is {late:.2f} s in the past, limit {_STALE} s: it is late, or a clock is ' \
           'off' if late > 0 else f'its stamp is {-late:.2f} s ahead, limit {_AHEAD} s'


class PoseWire:
    """PoseStamped of a link, in the frame of the root link."""

    message, input, output = PoseStamped, '~/target_pose', 'target_pose'

    def __init__(self, robot: Robot, joints: Sequence[str], tip_link: str) -> None:
        """
        Take the chain to a link.

        :raises KinematicsError: the joints are not those that move it.
        """
        self._chain = _Chain(robot, tuple(joints), tip_link)
        self._ik = InverseKinematics(robot, tip_link)

    def read(self, raw: bytes, live: np.ndarray | None, now_ns: int) -> SetPoint:
        """Return the joints that bring the link there from where they are."""
        message, chain = deserialize_message(raw, PoseStamped), self._chain
        if message.header.frame_id != chain.robot.root_link:
            return SetPoint(f"it is in frame '{message.header.frame_id}'; poses are to be in that "
                            f"of the root link, '{chain.robot.root_link}'")
        if (why := _why_not_now(message.header, now_ns)) is not None:
            return SetPoint(why)
        if live is None:
            return SetPoint('where the joints are is not known')
        turn = message.pose.orientation
        length = math.hypot(turn.x, turn.y, turn.z, turn.w)
        if not abs(length - 1.0) <= _UNIT:
            return SetPoint(f'the length of its quaternion is {length:.3f} and not 1, of which '
                            'each controller makes something else')
        try:
            here = chain.bound.poses(live)[chain.tip]
            # The first one is where it is: no other posture is looked for than the one nearby.
            found = self._ik.solve(np.stack([here, matrix(message.pose)]), live)[1]
        except Exception as error:
            return SetPoint(f'no joints nearby bring {chain.tip_link} there: {error}')
        return SetPoint(found[chain.columns])

    def relayed(self) -> None:
        """Keep nothing: a pose of our own is made of joints."""

    def write(self, own: np.ndarray, share: float, live: np.ndarray | None) -> Any:
        """Return the pose of the link by these joints."""
        chain = self._chain
        joints = np.zeros(len(chain.robot.joint_names)) if live is None else live.copy()
        joints[chain.columns] = own
        there = transform_message(chain.bound.poses(joints)[chain.tip],
                                  Header(frame_id=chain.robot.root_link), chain.tip_link)
        place = there.transform.translation
        return PoseStamped(header=there.header, pose=Pose(
            position=Point(x=place.x, y=place.y, z=place.z),
            orientation=there.transform.rotation))


class TwistWire:
    """TwistStamped of a link, in the frame of the root link or of the link itself."""

    message, input, output = TwistStamped, '~/delta_twist_cmds', 'delta_twist_cmds'

    def __init__(self, robot: Robot, joints: Sequence[str], tip_link: str) -> None:
        """
        Take the chain to a link.

        :raises KinematicsError: the joints are not those that move it.
        """
        self._chain = _Chain(robot, tuple(joints), tip_link)
        self._read = self._last = TwistStamped()

    def read(self, raw: bytes, live: np.ndarray | None, now_ns: int) -> SetPoint:
        """Return the velocities of the joints that move the link so."""
        message, chain = deserialize_message(raw, TwistStamped), self._chain
        frame, robot = message.header.frame_id, chain.robot
        if frame not in (robot.root_link, chain.tip_link):
            return SetPoint(f"it is in frame '{frame}'; twists are to be in '{robot.root_link}' "
                            f"or '{chain.tip_link}'")
        linear, angular = message.twist.linear, message.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        if not np.isfinite(twist).all():
            return SetPoint('it has numbers that are none')
        if (why := _why_not_now(message.header, now_ns)) is not None:
            return SetPoint(why)
        if live is None:
            return SetPoint('where the joints are is not known')
        poses = chain.bound.poses(live)
        if frame == chain.tip_link:
            turn = poses[chain.tip, :3, :3]
            twist = np.concatenate([turn @ twist[:3], turn @ twist[3:]])
        jacobian = chain.jacobian(poses)
        found = jacobian.T @ np.linalg.solve(
            jacobian @ jacobian.T + _DAMPING**2 * np.eye(6), twist)
        missed = float(np.linalg.norm(jacobian @ found - twist))
        if missed > _MISSED * float(np.linalg.norm(twist)):
            return SetPoint('no velocities of the joints move the link so: it is at, or near, a '
                            'singularity')
        self._read = message
        return SetPoint(found)

    def relayed(self) -> None:
        """Take the twist that was read last for the one that is to be braked."""
        self._last = self._read

    def write(self, own: np.ndarray, share: float, live: np.ndarray | None) -> Any:
        """Return the twist that was relayed last, made slower."""
        twist = self._last.twist
        for part in (twist.linear, twist.angular):
            part.x, part.y, part.z = part.x * share, part.y * share, part.z * share
        return self._last
