# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which links of a robot are its hand: what goes first into the scene."""
from __future__ import annotations

from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.types import Gripper


def hand_links_of(robot: Robot, gripper: Gripper | None) -> frozenset[str]:
    """
    Return the links that are fixed to the palm, and all that these carry.

    The wrist link that the hand is screwed to is one of them. A robot without a gripper has its
    hand at the end of each chain of joints.
    """
    if gripper is not None:
        ends = [gripper.palm_link]
    else:
        parents = {joint.parent for joint in robot.joints.values()}
        ends = [link for link in robot.link_names if link not in parents]
    roots = set()
    for end in ends:
        moving = [joint for joint in robot.path(end) if joint.type is not JointType.FIXED]
        if moving:
            roots.add(moving[-1].child)
    return frozenset(link for link in robot.link_names
                     if link in roots or any(joint.child in roots for joint in robot.path(link)))
