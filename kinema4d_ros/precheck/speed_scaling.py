# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The share of its speed at which a motion that is too fast would pass."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.tier0.check import check_tier0
from kinema4d_ros.robot import is_blended_by_velocity, Robot
from kinema4d_ros.types import (Finding, FindingCode, JointTrajectory, Severity,
                                StartState)

SLOWEST = 0.05           # a smaller share of the speed is no help
_HALVINGS = 12
_STILL = 0.001           # [rad/s or m/s] slower joints stand still
_ROOM = 1 - 1e-3         # of the limit, so that the proposal does not fail by rounding
_OF_SPEED = frozenset((FindingCode.VELOCITY_LIMIT, FindingCode.ACCELERATION_LIMIT,
                       FindingCode.JERK_LIMIT))


def at_speed(trajectory: JointTrajectory, factor: float) -> JointTrajectory:
    """Return the same way at that share of the speed."""
    def scaled(values: np.ndarray | None, power: int) -> np.ndarray | None:
        return None if values is None else values * factor ** power
    return dataclasses.replace(
        trajectory, times=trajectory.times / factor,
        velocities=scaled(trajectory.velocities, 1),
        accelerations=scaled(trajectory.accelerations, 2))


def speed_factor(trajectory: JointTrajectory, robot: Robot, joint_positions: Mapping[str, float],
                 settings: Tier0Settings, findings: Sequence[Finding]) -> float | None:
    """
    Return the largest share of the speed at which nothing of `findings` would be left, or None.

    Velocity, acceleration, jerk and the speed of a touch shrink with the speed; the way stays the
    same, so whatever else speaks against a motion speaks against a slower one, too.

    :param joint_positions: live joints [rad or m]; with velocities where it is a StartState.
    :param findings: of all tiers.
    :return: from 0.05 to below 1; None when there is nothing against the motion, or something
        that slowness does not cure, or the robot moves already so that the way would be another.
    """
    against = [f for f in findings if f.severity > Severity.INFO]
    moving = StartState.of(joint_positions).velocities
    if is_blended_by_velocity(trajectory) and any(
            abs(moving.get(name, 0.0)) > _STILL for name in trajectory.joint_names):
        return None     # slower, it is blended for longer from the same velocity: another way
    if not against or not all(
            f.code in _OF_SPEED or touch_share(f) is not None for f in against):
        return None
    touch = min((share for share in map(touch_share, against) if share is not None), default=1.0)

    def passes(factor: float) -> bool:
        found = check_tier0(at_speed(trajectory, factor), robot, joint_positions, settings)
        return not any(f.severity > Severity.INFO for f in found)

    high = min(1.0, touch * _ROOM)
    if high >= SLOWEST and high < 1.0 and passes(high):
        return high
    low = SLOWEST
    if high <= low or not passes(low):
        return None
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def touch_share(finding: Finding) -> float | None:
    """Return the share of its speed at which a touch may happen, if a finding is about that."""
    if finding.code != FindingCode.CONTACT or finding.unit != 'm/s':
        return None
    return finding.limit / finding.value if finding.value and finding.limit is not None else None
