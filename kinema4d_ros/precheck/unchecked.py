# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What of a robot no check can know: links without a shape, and pairs that are left out."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.precheck.verdict import NO_SHAPE, not_checked
from kinema4d_ros.robot import JointType
from kinema4d_ros.types import Finding, FindingCode, Severity

if TYPE_CHECKING:
    from kinema4d_ros.robot import Robot, SelfCollision

_STILL = 1e-6     # [m] and of a rotation matrix; what changes less does not move
_LONG = 0.1       # [m] a link between joints that are so far apart is a body, and no mere frame


def unreadable_links(unreadable: Mapping[str, str], against: str) -> list[Finding]:
    """
    Return one finding per link whose shape is there, but cannot be read: no PASS rests on it.

    :param unreadable: link -> why.
    :param against: what it is not checked against.
    """
    return [Finding(FindingCode.NOT_CHECKED, Severity.UNSURE,
                    f'{reason}; so the link is not checked against {against}', link=link)
            for link, reason in unreadable.items()]


def left_out(checker: SelfCollision, T_base_link: np.ndarray) -> list[Finding]:
    """
    Return what the check of links against each other leaves out of this motion.

    :param T_base_link: (T, L, 4, 4) float64 in the order of the robot's links.
    """
    if not checker.surfaces:
        return [not_checked(NO_SHAPE), *unreadable_links(checker.unreadable, 'other links')]
    found = unreadable_links(checker.unreadable, 'other links')
    moving = _moving(checker.robot, T_base_link)
    if bare := [link for link in checker.shapeless if link in moving]:
        found += _without_shape(checker.robot, bare)
    pairs = [pair for pair in checker.overlapping
             if moves_against(checker.robot, T_base_link, *pair)]
    if pairs:
        (one, other), more = pairs[0], len(pairs) - 1
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.INFO,
            f"whether '{one}' and '{other}' touch is not checked, since their shapes overlap in "
            'most poses' + (f' (and {more} more pair{"s" if more > 1 else ""})' if more else ''),
            link=one, other=other))
    return found


def _without_shape(robot: Robot, bare: list[str]) -> list[Finding]:
    """Return what it means that links without a shape move: long ones are bodies for certain."""
    reach = {link: _reach(robot, link) for link in bare}
    found = []
    if frames := [link for link in bare if reach[link] < _LONG]:
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.INFO,
            f'{", ".join(frames)} would move and has no shape, so what it touches is not checked',
            link=frames[0]))
    if bodies := [link for link in bare if reach[link] >= _LONG]:
        each = ', '.join(f"'{link}' ({100 * reach[link]:.0f} cm long)" for link in bodies)
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.UNSURE,
            f'{each} would move and has no shape in the robot description, so nobody knows what it '
            'touches: give it a <collision>', link=bodies[0],
            value=reach[bodies[0]], limit=_LONG, unit='m'))
    return found


def _reach(robot: Robot, link: str) -> float:
    """Return how far from a link's frame the frames are that it carries, or joins [m]."""
    farthest, open_ends = 0.0, [(link, np.eye(4))]
    while open_ends:
        parent, T_link_parent = open_ends.pop()
        for joint in robot.joints.values():
            if joint.parent != parent:
                continue
            T_link_joint = T_link_parent @ joint.T_parent_joint
            farthest = max(farthest, float(np.linalg.norm(T_link_joint[:3, 3])))
            if joint.type is JointType.FIXED:
                open_ends.append((joint.child, T_link_joint))
    return farthest


def _moving(robot: Robot, T_base_link: np.ndarray) -> set[str]:
    spread = np.ptp(T_base_link, axis=0).max(axis=(1, 2))
    return {link for link, value in zip(robot.link_names, spread) if value > _STILL}


def moves_against(robot: Robot, T_base_link: np.ndarray, one: str, other: str) -> bool:
    """Return whether two links move against each other."""
    T_base_one, T_base_other = (T_base_link[:, robot.link_names.index(link)]
                                for link in (one, other))
    return bool(np.ptp(np.linalg.inv(T_base_one) @ T_base_other, axis=0).max() > _STILL)
