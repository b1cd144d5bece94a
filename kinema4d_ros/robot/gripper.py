# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find the gripper of a robot from the names and the structure of its URDF."""
from __future__ import annotations

import re
from collections.abc import Sequence

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot.description import Joint, JointType
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import Gripper

_FINGER = re.compile(r'finger|jaw|knuckle|fingertip|claw|gripper', re.IGNORECASE)
_WRIST = re.compile(r'wrist|roll|pitch|yaw', re.IGNORECASE)
_MOST_JOINTS = 12     # commanded and mimic joints of one gripper; more is a hand


def find_gripper(robot: Robot, *, finger_links: Sequence[str] | None = None) -> Gripper | None:
    """
    Find the links that grasp, the joints that move them, and the palm that they hang on.

    A gripper is a link (the palm) that carries two or more moving branches whose links or joints
    are named like fingers, or one such branch next to a jaw that does not move; where no names
    say so, a link that carries two sliding links at the end of an arm. Where several
    links qualify (two arms), the first in the order of ``robot.link_names`` is taken.

    :param finger_links: the finger links, where the names say nothing.
    :return: None when the robot has no gripper.
    :raises RobotDescriptionError: when a link of `finger_links` does not exist or does not move.
    """
    if finger_links is not None:
        return _given(robot, tuple(finger_links))
    return next(iter(find_grippers(robot)), None)


def find_grippers(robot: Robot) -> tuple[Gripper, ...]:
    """
    Find all grippers of a robot, as `find_gripper` does.

    :return: those with two or more moving fingers, in the order of ``robot.link_names``, then
        those with one jaw.
    """
    found: dict[bool, list[Gripper]] = {False: [], True: []}
    taken: set[str] = set()
    for palm in robot.link_names:
        branches = [branch for joint in _children(robot, palm)
                    if (branch := _finger_branch(robot, joint))]
        moving = [branch for branch in branches if _moves(branch)]
        joints = [joint for branch in moving for joint in branch
                  if joint.type is not JointType.FIXED]
        # A single moving branch called 'gripper' may be a wrist that carries the whole gripper:
        # a jaw is the last joint, and not named like a wrist.
        jaw = len(moving) == 1 and len(joints) == 1 and not _WRIST.search(joints[0].name)
        if (len(moving) >= 2 or jaw) and len(joints) <= _MOST_JOINTS:
            links = [joint.child for branch in moving for joint in branch]
            solid = [link for link in links
                     if robot.links[link].visuals or robot.links[link].collisions]
            gripper = Gripper(palm, tuple(solid or links), _commanded(robot, joints))
            if palm not in taken:     # not a finger of a larger one
                found[jaw].append(gripper)
                taken |= set(links)
    return (*found[False], *found[True]) or _sliding_pairs(robot)


def _sliding_pairs(robot: Robot) -> tuple[Gripper, ...]:
    """Return the links that carry two sliding links and nothing else that moves, as grippers."""
    found = []
    for palm in robot.link_names:
        moving = [joint for joint in _children(robot, palm) if joint.type is not JointType.FIXED]
        if len(moving) == 2 and robot.path(palm) and all(
                joint.type is JointType.PRISMATIC and not _children(robot, joint.child)
                for joint in moving):
            found.append(Gripper(palm, tuple(joint.child for joint in moving),
                                 _commanded(robot, moving)))
    return tuple(found)


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


def _given(robot: Robot, links: tuple[str, ...]) -> Gripper:
    """Build the gripper from links that the user names."""
    unknown = [link for link in links if link not in robot.links]
    if unknown or not links:
        raise RobotDescriptionError(
            f'finger links {", ".join(unknown) or "()"} are not links of the robot; choose from '
            f'{", ".join(robot.link_names)}')
    paths = [robot.path(link) for link in links]
    for link, path in zip(links, paths, strict=True):
        if all(joint.type is JointType.FIXED for joint in path):
            raise RobotDescriptionError(
                f'finger link "{link}" does not move; name a link behind a movable joint')
    # The palm is the last link that the ways to all fingers have in common.
    shared = [joints[0] for joints in zip(*paths, strict=False) if len(set(joints)) == 1]
    if len(links) == 1 or len(shared) == min(map(len, paths)):
        moving = [joint for joint in paths[0] if joint.type is not JointType.FIXED]
        palm = moving[-1].parent
        beyond = [joint for path in paths for joint in path[path.index(moving[-1]):]] \
            if all(moving[-1] in path for path in paths) else list(paths[0])
    else:
        palm = shared[-1].child if shared else robot.root_link
        beyond = [joint for path in paths for joint in path[len(shared):]]
    return Gripper(palm, links, _commanded(robot, beyond))


def _children(robot: Robot, link: str) -> list[Joint]:
    return [joint for joint in robot.joints.values() if joint.parent == link]


def _finger_branch(robot: Robot, joint: Joint) -> list[Joint]:
    """Return all joints from `joint` outwards, [] when it is not named like a finger."""
    if not (_FINGER.search(joint.child) or _FINGER.search(joint.name)):
        return []
    branch, stack = [], [joint]
    while stack:
        joint = stack.pop()
        branch.append(joint)
        stack.extend(_children(robot, joint.child))
    return branch


def _moves(branch: list[Joint]) -> bool:
    """Return whether the branch starts with a movable joint, as a finger does."""
    return branch[0].type is not JointType.FIXED


def _commanded(robot: Robot, joints: Sequence[Joint]) -> tuple[str, ...]:
    """Return the joints to command: mimic joints are replaced by whom they follow."""
    names = []
    for joint in joints:
        while joint.mimic is not None:
            joint = robot.joints[joint.mimic.joint]
        if joint.type is not JointType.FIXED:
            names.append(joint.name)
    return tuple(dict.fromkeys(names))


def finger_joints(robot: Robot) -> frozenset[str]:
    """
    Return the joints that move nothing but fingers, of all grippers, those that mimic among them.

    Those of `find_gripper` are among them; another is one if it or the link behind it is named
    like a finger and everything that it carries is too.
    """
    gripper = find_gripper(robot)
    found = set() if gripper is None else set(gripper.finger_joints)
    for name in robot.joint_names:
        joint = robot.joints[name]
        branch = [] if _WRIST.search(name) else _finger_branch(robot, joint)
        if branch and all(_FINGER.search(each.name) or _FINGER.search(each.child)
                          for each in branch if each.type is not JointType.FIXED):
            found.add(name)
    return frozenset(found | {joint.name for joint in robot.joints.values()
                              if joint.mimic is not None and joint.mimic.joint in found})
