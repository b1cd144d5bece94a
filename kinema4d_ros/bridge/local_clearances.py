# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The free space around a robot to and from messages of this package."""
from __future__ import annotations

from geometry_msgs.msg import Point
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import stamp_ns, time_message
from kinema4d_ros.msg import LinkSpace as LinkSpaceMessage
from kinema4d_ros.msg import LocalClearance as LocalClearanceMessage
from kinema4d_ros.types import LinkSpace, LocalClearance


def local_clearance_message(clearance: LocalClearance, frame: str) -> LocalClearanceMessage:
    """
    Return the message of a local clearance.

    :param frame: root link of the robot.
    """
    return LocalClearanceMessage(
        header=Header(stamp=time_message(clearance.stamp_ns), frame_id=frame),
        robot_hash=clearance.robot_hash, problem=clearance.problem,
        joint_names=list(clearance.joint_positions),
        joint_positions=[float(value) for value in clearance.joint_positions.values()],
        links=[LinkSpaceMessage(
            link=each.link, held=each.held, low=_point(each.low), high=_point(each.high),
            space=float(each.space), touch=float(each.touch), touch_speed=float(each.touch_speed),
            reason=each.reason) for each in clearance.links])


def local_clearance_from_message(message: LocalClearanceMessage) -> LocalClearance:
    """Return what a message says; one that contradicts itself has a problem and no space."""
    problem = message.problem
    if not problem and len(message.joint_names) != len(message.joint_positions):
        problem = f'it names {len(message.joint_names)} joints and has ' \
                  f'{len(message.joint_positions)} positions'
    return LocalClearance(
        stamp_ns(message.header.stamp), message.robot_hash,
        dict(zip(message.joint_names, message.joint_positions)),
        () if problem else tuple(LinkSpace(
            each.link, _corner(each.low), _corner(each.high), each.space, each.touch,
            each.touch_speed, each.held, each.reason) for each in message.links), problem)


def _point(corner: tuple[float, float, float]) -> Point:
    x, y, z = map(float, corner)
    return Point(x=x, y=y, z=z)


def _corner(point: Point) -> tuple[float, float, float]:
    return point.x, point.y, point.z
