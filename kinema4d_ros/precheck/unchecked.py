# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What of a robot no check can know: links without a shape, and pairs that are left out."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.precheck.verdict import NO_SHAPE, not_checked
from kinema4d_ros.types import Finding, FindingCode, Severity

if TYPE_CHECKING:
    from kinema4d_ros.robot import Robot, SelfCollision

_STILL = 1e-6     # [m] and of a rotation matrix; what changes less does not move


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
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.INFO,
            f'{", ".join(bare)} would move and has no shape, so what it touches is not checked',
            link=bare[0]))
    pairs = [pair for pair in checker.overlapping if _part(checker.robot, T_base_link, *pair)]
    if pairs:
        (one, other), more = pairs[0], len(pairs) - 1
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.INFO,
            f"whether '{one}' and '{other}' touch is not checked, since their shapes overlap in "
            'most poses' + (f' (and {more} more pair{"s" if more > 1 else ""})' if more else ''),
            link=one, other=other))
    return found


def _moving(robot: Robot, T_base_link: np.ndarray) -> set[str]:
    spread = np.ptp(T_base_link, axis=0).max(axis=(1, 2))
    return {link for link, value in zip(robot.link_names, spread) if value > _STILL}


def _part(robot: Robot, T_base_link: np.ndarray, one: str, other: str) -> bool:
    """Return whether two links move against each other."""
    T_base_one, T_base_other = (T_base_link[:, robot.link_names.index(link)]
                                for link in (one, other))
    return bool(np.ptp(np.linalg.inv(T_base_one) @ T_base_other, axis=0).max() > _STILL)
