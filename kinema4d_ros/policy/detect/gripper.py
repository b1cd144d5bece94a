# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a column of a gripper means: its range, and which way it opens."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from kinema4d_ros.robot.gripper import find_gripper
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

_SLACK = 0.05
_APART = 0.005          # [m] between fingers, open and closed
_VARIES = 0.1           # of the way between open and closed
_LAGS = range(6)        # periods that fingers may be late
_LEVEL = 0.8            # confidence where only one end was ever seen


@dataclass(frozen=True)
class GripperGuess:
    """
    What a column of a gripper seems to mean.

    :param ends: the range of the numbers, such as (0, 1); None: unknown.
    :param opens_up: the higher number opens it; None: unknown.
    """

    ends: tuple[float, float] | None
    range_confidence: float
    range_reason: str
    opens_up: bool | None
    way_confidence: float
    way_reason: str


def ends_of(robot: Robot) -> dict[str, tuple[float, float]]:
    """
    Return the joints of the fingers, where each is when open and when closed [rad or m].

    Found by how far the fingers are apart at both ends of the joint's range. Empty where the robot
    has no gripper or that does not tell, as with one jaw; name the ends then.
    """
    gripper = find_gripper(robot)
    if gripper is None:
        return {}
    fk, out = ForwardKinematics(robot), {}
    places = [robot.link_names.index(link) for link in gripper.finger_links]
    for name in gripper.finger_joints:
        lower, upper = robot.limits[name].lower, robot.limits[name].upper
        if lower is None or upper is None or lower == upper:
            continue
        apart = []
        for value in (lower, upper):
            at = fk(robot.configuration({name: value})[None])[0, places, :3, 3]
            apart.append(float(np.linalg.norm(at[:, None] - at[None], axis=-1).max()))
        if abs(apart[0] - apart[1]) > _APART:
            out[name] = (upper, lower) if apart[1] > apart[0] else (lower, upper)
    return out


def guess_gripper(numbers: np.ndarray, robot: Robot, state: np.ndarray, after: np.ndarray | None,
                  ends: Mapping[str, tuple[float, float]]) -> GripperGuess:
    """
    Tell what a column means.

    :param numbers: (R, N).
    :param state: (R, J) [rad or m].
    :param after: (R, M, J) or None.
    :param ends: open and closed of the fingers' joints; empty: nobody knows.
    """
    opening, later = None, None
    if ends:
        opening = _opening(robot, state, ends)
        later = None if after is None else _opening(robot, after, ends)
    low, high = float(numbers.min()), float(numbers.max())
    fingers = _is_position(numbers, robot, state, after, ends)
    if fingers is not None:
        name, gap = fingers
        limits = sorted(ends[name])
        found: tuple[float, float] | None = (limits[0], limits[1])
        sure, why = 0.95, (f'the numbers are where {name} is, in its own unit (median '
                           f'{gap:.3g} away)')
    else:
        found, sure, why = _range(low, high, ends)
    if fingers is not None:
        opened, closed = ends[fingers[0]]
        return GripperGuess(found, sure, why, opened > closed, sure, why)
    up, sure_way, why_way = _way(numbers, opening, later, found)
    return GripperGuess(found, sure, why, up, sure_way, why_way)


def _opening(robot: Robot, positions: np.ndarray, ends: Mapping[str, tuple[float, float]]
             ) -> np.ndarray:
    """Return how far open it is, 0 to 1, over all but the last axis."""
    parts = [(positions[..., robot.joint_names.index(name)] - closed) / (opened - closed)
             for name, (opened, closed) in ends.items()]
    out: np.ndarray = np.clip(np.mean(parts, axis=0), 0.0, 1.0)
    return out


def _is_position(numbers: np.ndarray, robot: Robot, state: np.ndarray, after: np.ndarray | None,
                 ends: Mapping[str, tuple[float, float]]) -> tuple[str, float] | None:
    """Return the joint whose position the numbers are, if any, and how near they come."""
    for name, (opened, closed) in ends.items():
        span = abs(opened - closed)
        if not 0.2 < span / max(float(np.abs(numbers).max()), 1e-9) < 100.0 or \
                abs(span - 1.0) < 0.3:
            continue            # 0..1, or not of this size
        at = robot.joint_names.index(name)
        truth = state[:, at] if after is None else after[:, :numbers.shape[1], at].ravel()
        told = numbers[:, 0] if after is None else numbers[:, :after.shape[1]].ravel()
        gap = float(np.median(np.abs(truth - told)))
        inside = ((numbers >= min(opened, closed) - _SLACK * span)
                  & (numbers <= max(opened, closed) + _SLACK * span)).mean()
        if inside > 0.95 and gap < 0.1 * span and (np.ptp(told) > 0.1 * span
                                                   or abs(float(np.median(told))) > 0.3 * span):
            return name, gap
    return None


def _range(low: float, high: float, ends: Mapping[str, tuple[float, float]]
           ) -> tuple[tuple[float, float] | None, float, str]:
    seen = f'the numbers go from {low:.3g} to {high:.3g}'
    if low < -1 - _SLACK or high > 100 * (1 + _SLACK):
        if low >= -100 * (1 + _SLACK) and high <= 100 * (1 + _SLACK):
            return (-100.0, 100.0), 0.8, seen
        if low >= 0 and high <= 255:
            return (0.0, 255.0), 0.8, seen
        return None, 0.0, f'{seen}, which is no range that is known here'
    if high > 1 + _SLACK:
        return ((0.0, 100.0), 0.9 if high > 10 else 0.6, seen) if low >= -_SLACK else \
            (None, 0.0, f'{seen}, which is no range that is known here')
    if low < -_SLACK:
        return (-1.0, 1.0), 0.95 if low < -0.5 else 0.7, seen
    if high > 0.5:
        return (0.0, 1.0), 0.9 if low < 0.5 else 0.6, \
            seen + ('' if low < 0.5 else ', never at the other end, so that -1..1 would fit too')
    return None, 0.0, f'{seen}: too small a part of any range to tell'


def _way(numbers: np.ndarray, opening: np.ndarray | None, later: np.ndarray | None,
         ends: tuple[float, float] | None) -> tuple[bool | None, float, str]:
    """Tell whether the higher number opens."""
    if opening is None:
        return None, 0.0, 'nobody knows where the fingers are open; name the ends of their joints'
    pairs = [(numbers[:, 0], opening)]
    if later is not None:
        count = min(numbers.shape[1], later.shape[1])
        pairs = [(numbers[:, :count - lag].ravel(), later[:, lag:count].ravel())
                 for lag in _LAGS[:count]]
    span = 1.0 if ends is None else ends[1] - ends[0]
    best = (0.0, 0)
    for told, real in pairs:
        if np.ptp(told) > _VARIES * span and np.ptp(real) > _VARIES:
            related = float(np.corrcoef(told, real)[0, 1])
            if abs(related) > abs(best[0]):
                best = (related, len(told))
    related, count = best
    if count:
        # neighbouring rows say the same thing again: a chunk counts as two
        size = max(min(count, 2 * len(numbers)) - 3, 1)
        sure = float(norm.cdf(np.arctanh(min(abs(related), 0.999)) * np.sqrt(size)))
        return related > 0, sure, f'fingers and numbers go together with {related:+.2f}'
    if ends is not None and np.ptp(opening) <= _VARIES:
        part = float(np.median((numbers - ends[0]) / span))
        wide = float(np.median(opening))
        if (part > 0.9 or part < 0.1) and (wide > 0.7 or wide < 0.1):
            return (part > 0.5) == (wide > 0.5), _LEVEL, (
                f'nothing moves; the fingers are {"open" if wide > 0.5 else "closed"} while the '
                f'numbers are at the {"upper" if part > 0.5 else "lower"} end')
    return None, 0.0, 'neither fingers nor numbers move, so nothing tells which way it opens'
