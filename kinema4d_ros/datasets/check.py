# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured on an episode before it is believed: each check has a verdict and a number."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.types import Status

_LEAST_ROWS = 5
_OF_A_POSE = 6           # joints that a pose determines
_STILL = 1e-7            # [of the column] a real sensor is never so still while the tip moves
_MOVES = 0.01            # [rad] of a joint, over the whole episode
_TIP_MOVES = 0.01        # [m]
_AGREES, _DISAGREES = 0.005, 0.02       # [m] tip by the joints and by the set, median


@dataclass(frozen=True)
class ImportCheck:
    """One thing that was looked at. FAIL refuses the episode, UNSURE is for a person to look at."""

    name: str
    status: Status
    value: float | None      # None where there is no number
    limit: float | None      # of a PASS
    unit: str
    message: str


def rows_check(times: np.ndarray, stated: int = 0) -> ImportCheck:
    """
    Check that there are some rows, one after the other.

    :param stated: how many there should be; 0 where nobody says.
    """
    if len(times) < _LEAST_ROWS:
        return ImportCheck('rows', Status.FAIL, len(times), _LEAST_ROWS, 'rows',
                           f'{len(times)} rows, which are too few for a motion')
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps <= 0).any():
        at = int(np.argmax(~(steps > 0)))
        return ImportCheck('rows', Status.FAIL, float(steps[at]), 0.0, 's',
                           f'time does not go on after row {at}')
    if stated and stated != len(times):
        return ImportCheck('rows', Status.UNSURE, len(times), stated, 'rows',
                           f'{len(times)} rows, where the list of episodes of the set says '
                           f'{stated}: are some lost?')
    worst = float(steps.max() / np.median(steps))
    status = Status.PASS if worst < 5 else Status.UNSURE
    return ImportCheck('rows', status, worst, 5.0, 'x', f'{len(times)} rows over {times[-1]:.1f} s,'
                       f' every {1000 * np.median(steps):.0f} ms, longest gap {worst:.1f} times '
                       'that')


def finite_check(name: str, values: np.ndarray) -> ImportCheck | None:
    """Return a FAIL where a column has numbers that are none; None where all are."""
    bad = ~np.isfinite(values).all(axis=1)
    if not bad.any():
        return None
    return ImportCheck('finite', Status.FAIL, float(bad.sum()), 0.0, 'rows',
                       f'{name} is not finite in {int(bad.sum())} rows, first in row '
                       f'{int(bad.argmax())}')


def moves_check(joints: tuple[str, np.ndarray] | None, tip: tuple[str, np.ndarray] | None
                ) -> ImportCheck:
    """
    Check that the robot moves, and that joints and tip agree on whether it does.

    :param joints: name and values (N, J) [rad] of the joints as the set has them.
    :param tip: name and positions (N, 3) [m].
    """
    of_tip = None if tip is None else float(np.linalg.norm(np.ptp(tip[1], axis=0)))
    if joints is not None:
        of_joints = float(np.ptp(joints[1], axis=0).max())
        begin, end = _longest_still(joints[1])
        if tip is not None and end - begin >= _LEAST_ROWS:
            meanwhile = float(np.linalg.norm(np.ptp(tip[1][begin:end], axis=0)))
            if meanwhile > _TIP_MOVES:
                return ImportCheck('moves', Status.FAIL, end - begin, _LEAST_ROWS, 'rows',
                                   f'{joints[0]} is constant in rows {begin} to {end - 1} while '
                                   f'{tip[0]} moves by {meanwhile:.2f} m: the column is broken')
        if of_joints < _MOVES or end - begin >= len(joints[1]) - 1:
            return ImportCheck('moves', Status.FAIL, of_joints, _MOVES, 'rad',
                               f'{joints[0]} does not change: nothing moves, or the column is '
                               'broken')
        return ImportCheck('moves', Status.PASS, of_joints, _MOVES, 'rad',
                           f'a joint moves by {of_joints:.2f} rad')
    if of_tip is None or of_tip < _TIP_MOVES:
        return ImportCheck('moves', Status.FAIL, of_tip, _TIP_MOVES, 'm', 'the tip does not move')
    return ImportCheck('moves', Status.PASS, of_tip, _TIP_MOVES, 'm',
                       f'the tip moves by {of_tip:.2f} m')


def _longest_still(values: np.ndarray) -> tuple[int, int]:
    """Return begin and end of the longest stretch of rows (N, J) that are all the same."""
    same = (np.abs(np.diff(values, axis=0)) <= _STILL).all(axis=1)
    edges = np.flatnonzero(np.diff(np.r_[False, same, False].astype(int)))
    if not len(edges):
        return 0, 1
    begins, ends = edges[::2], edges[1::2]
    at = int((ends - begins).argmax())
    return int(begins[at]), int(ends[at]) + 1


def agreement_check(link: str, offsets: dict[str, np.ndarray]) -> ImportCheck:
    """
    Check that the tip of the set is where forward kinematics has it.

    :param link: that the set is believed to tell the pose of.
    :param offsets: link of the robot -> (N, 3) [m], the set's position in that link's frame; the
        link's own frame has it at 0, any other that is fixed to it at a constant place.
    """
    medians = {name: float(np.median(np.linalg.norm(at, axis=1))) for name, at in offsets.items()}
    mine = medians.get(link, np.inf)
    if mine <= _AGREES:
        worst = float(np.percentile(np.linalg.norm(offsets[link], axis=1), 95))
        return ImportCheck('agrees with FK', Status.PASS, mine, _AGREES, 'm',
                           f'tip and FK of {link} are {1000 * mine:.2f} mm apart (median; 95 % '
                           f'within {1000 * worst:.2f} mm)')
    best = min(medians, key=lambda name: medians[name])
    if medians[best] <= _AGREES:
        return ImportCheck('agrees with FK', Status.UNSURE, mine, _AGREES, 'm',
                           f'the tip is that of {best} ({1000 * medians[best]:.2f} mm) and not of '
                           f'{link} ({1000 * mine:.0f} mm): name {best} in the preset')
    spread = {name: float(np.median(np.linalg.norm(at - np.median(at, axis=0), axis=1)))
              for name, at in offsets.items()}
    still = min(spread, key=lambda name: spread[name])
    if spread[still] <= _AGREES:
        where = 1000 * np.median(offsets[still], axis=0)
        return ImportCheck('agrees with FK', Status.UNSURE, mine, _AGREES, 'm',
                           f'the tip is a point that is fixed to {still}, at '
                           f'({where[0]:.0f}, {where[1]:.0f}, {where[2]:.0f}) mm, and not {link}')
    status = Status.UNSURE if mine <= _DISAGREES else Status.FAIL
    return ImportCheck('agrees with FK', status, mine, _AGREES, 'm',
                       f'tip and FK of {link} are {1000 * mine:.0f} mm apart (median), and no '
                       'other link fits: joints or tip are not what the preset says')


def residual_check(position: np.ndarray, rotation: np.ndarray, limit: tuple[float, float],
                   link: str, joints: int) -> ImportCheck:
    """
    Check how well joints by inverse kinematics bring the tip to where the set has it.

    :param position: (N,) [m].
    :param rotation: (N,) [rad].
    :param limit: [m], [rad] that refuse the episode.
    :param joints: of the arm; with more than 6 the tip leaves it open where the elbow is.
    """
    worst, turn = float(position.max()), float(rotation.max())
    fine = worst <= limit[0] and turn <= limit[1]
    status = Status.FAIL if not fine else Status.UNSURE if joints > _OF_A_POSE else Status.PASS
    elbow = '' if joints <= _OF_A_POSE else \
        f'; with {joints} joints the elbow is one of many that the tip allows'
    return ImportCheck('IK residual', status, worst, limit[0], 'm',
                       f'joints by IK bring {link} to within {1000 * worst:.2f} mm and '
                       f'{np.degrees(turn):.2f} deg of the tip (median '
                       f'{1000 * float(np.median(position)):.2f} mm){elbow}')


def speed_check(names: tuple[str, ...], positions: np.ndarray, times: np.ndarray,
                limits: np.ndarray) -> ImportCheck:
    """
    Check that no joint is faster than its robot: a jump, a wrong unit or a wrong rate.

    :param limits: (J,) [rad/s or m/s], NaN where the URDF states none.
    """
    speeds = np.abs(np.diff(positions, axis=0)) / np.diff(times)[:, None]
    parts = speeds / np.where(np.isnan(limits), np.inf, limits)
    row, joint = np.unravel_index(int(parts.argmax()), parts.shape)
    worst = float(parts[row, joint])
    status = Status.PASS if worst <= 1.0 else Status.UNSURE if worst <= 3.0 else Status.FAIL
    return ImportCheck('speed', status, worst, 1.0, 'x',
                       f'{names[joint]} is fastest, {speeds[row, joint]:.2f} per second in row '
                       f'{row}, {worst:.2f} of what the URDF allows')
