# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What numbers of a set mean, told from the numbers: unit of joints, gripper, kind of action."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.types import Status

_MARGIN = 0.1              # [rad] beyond the limits of the URDF that a real joint is met at
_FULL = 100.0              # of a calibrated range
_MOST_LAG = 8              # rows that an action may be ahead of the state
_KINDS = ('absolute', 'relative to the start', 'delta a row', 'velocity')


def joint_unit(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, told: str
               ) -> tuple[str, ImportCheck]:
    """
    Tell the unit of joints: rad, deg, or normalized (-100..100 of the range).

    :param values: (N, J) as the set has them.
    :param lower: (J,) [rad] of the URDF, -inf where there is none.
    :param told: by preset or user; 'auto' is to be found out.
    :return: the unit; the check FAILs where no unit fits, and is UNSURE where several do, or only
        -100..100, which any numbers below 100 fit.
    """
    shares = {'rad': _inside(values, lower, upper, 1.0),
              'deg': _inside(values, lower, upper, np.pi / 180),
              'normalized': float((np.abs(values) <= _FULL + 1e-6).all(axis=1).mean())}
    most = float(np.abs(values).max())
    if told != 'auto':
        share = shares[told]
        status = Status.PASS if share > 0.99 else Status.UNSURE if share > 0.9 else Status.FAIL
        fits = [name for name in shares if shares[name] > 0.99]
        other = f'; {" or ".join(fits)} would fit' if status is not Status.PASS and fits else ''
        return told, ImportCheck('unit', status, share, 0.99, 'of rows',
                                 f'as {told}, {100 * share:.0f} % of the rows are within the '
                                 f'limits of the URDF (largest value {most:.4g}){other}')
    # Radians are small: a robot whose largest angle is below 7 has degrees only if it stands still.
    if most <= 2 * np.pi + _MARGIN:
        unit, sure = 'rad', shares['rad'] > 0.99
        message = f'radians: no value is above {most:.3g}'
        if not sure and shares['rad'] < 0.9:
            return unit, ImportCheck('unit', Status.FAIL, shares['rad'], 0.99, 'of rows',
                                     f'{100 * shares["rad"]:.0f} % of the rows are within the '
                                     'limits of the URDF in radians, and the values are too small '
                                     'for degrees: is it the right robot?')
    elif most > _FULL + 1e-6:
        unit, sure = 'deg', shares['deg'] > 0.99
        message = f'degrees: the largest value is {most:.4g}'
        if shares['deg'] < 0.9:
            return unit, ImportCheck('unit', Status.FAIL, shares['deg'], 0.99, 'of rows',
                                     f'values up to {most:.4g} are no radians, and as degrees only '
                                     f'{100 * shares["deg"]:.0f} % of the rows are within the '
                                     'limits of the URDF')
    elif shares['deg'] < 0.9:
        unit, sure = 'normalized', False
        message = (f'-100..100 is a guess, or it is not the robot of the URDF: as degrees only '
                   f'{100 * shares["deg"]:.0f} % are within its limits: give --units')
    else:
        unit, sure = 'deg', False
        message = f'degrees or -100..100, both fit (largest value {most:.4g}): give --units'
    return unit, ImportCheck('unit', Status.PASS if sure else Status.UNSURE, shares[unit], 0.99,
                             'of rows', message)


def to_radians(values: np.ndarray, unit: str, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return joints (N, J) [rad]; -100..100 is taken for the range between the URDF's limits."""
    if unit == 'deg':
        return np.radians(values)
    if unit == 'normalized':
        return lower + (values + _FULL) / (2 * _FULL) * (upper - lower)
    return values


def _inside(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, scale: float) -> float:
    angles = values * scale
    return float(((angles >= lower - _MARGIN) & (angles <= upper + _MARGIN)).all(axis=1).mean())


def gripper_check(values: np.ndarray, opened: float, closed: float,
                  command: np.ndarray | None = None) -> ImportCheck:
    """
    Check which way the gripper opens, from what grasps look like.

    A task begins open; and a gripper that closed on something stops on the way to closed, so that
    between the ends it rests on its way to closed and never on its way to open.

    :param values: (N,) as the set has them.
    :param opened: the value of an open gripper by the preset.
    :param closed: of a closed one.
    :param command: (N,) what it was told, where the set has it.
    """
    part = (values - opened) / (closed - opened)      # 0 open, 1 closed
    outside = float(np.mean((part < -0.1) | (part > 1.1)))
    if outside > 0.01:
        return ImportCheck('gripper', Status.FAIL, float(np.abs(part).max()), 1.1, '',
                           f'{100 * outside:.0f} % of the values are not between {opened:g} (open) '
                           f'and {closed:g} (closed): they are {values.min():.3g} to '
                           f'{values.max():.3g}')
    if np.ptp(part) < 0.1:
        return ImportCheck('gripper', Status.UNSURE, float(np.median(part)), None, '',
                           'the gripper does not move, so nothing tells which way it opens')
    low, high = float(part.min()), float(part.max())
    starts_open = float(part[0] < 0.5)
    # Where it stays for long: stopped by a thing, before it reaches the end of its way.
    still = np.abs(np.gradient(part)) < 0.01
    rests = part[still & (part > low + 0.15) & (part < high - 0.02)]
    stopped = high < 0.95 and low < 0.05
    stopped_open = low > 0.05 and high > 0.95
    score = (1 if starts_open else -1) + (1 if stopped else 0) - (1 if stopped_open else 0)
    told = ''
    if command is not None and np.ptp(command) > 1e-6:
        related = float(np.corrcoef(_shifted(command, values), values)[0, 1])
        told = f', commands go with it ({related:+.2f})'
        if related < -0.5:
            return ImportCheck('gripper', Status.UNSURE, related, -0.5, 'correlation',
                               'state and commands of the gripper go opposite ways: one of them '
                               'is flipped')
    status = Status.PASS if score > 0 else Status.UNSURE
    flipped = '' if score > 0 else '; is it flipped? --flip-gripper'
    return ImportCheck('gripper', status, score, 1.0, 'points',
                       f'begins {"open" if starts_open else "closed"}, moves between {low:.2f} '
                       f'and {high:.2f} of closed, rests between in {len(rests)} rows{told}'
                       f'{flipped}')


def _shifted(command: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the command moved by as many rows as it goes best with the values."""
    lag = max(range(_MOST_LAG), key=lambda rows: abs(float(np.nan_to_num(np.corrcoef(
        command[:len(command) - rows], values[rows:])[0, 1]))) if len(values) > rows + 2 else 0.0)
    return np.r_[np.full(lag, command[0]), command[:len(command) - lag]]


def action_check(action: np.ndarray, state: np.ndarray, times: np.ndarray) -> ImportCheck:
    """
    Tell what actions are, against what the state did.

    Each kind is tried at each lag; the one that explains most is told, with the part of the motion
    that it leaves unexplained. That an action is absolute does not make it the path driven.

    :param action: (N, k).
    :param state: (N, k) of the same quantities.
    """
    span = len(times) - _MOST_LAG
    if span < _MOST_LAG:
        return ImportCheck('action', Status.UNSURE, None, None, '', 'too few rows to tell')
    rate = np.gradient(state, times, axis=0)
    step = np.diff(state, axis=0, append=state[-1:])
    best = ('', np.inf, 0)
    for kind, meant in zip(_KINDS, (state, state - state[0], step, rate)):
        scale = float(np.sqrt(np.mean((meant - meant.mean(axis=0)) ** 2))) or np.inf
        for lag in range(_MOST_LAG if kind != 'delta a row' else 3):
            error = action[:span] - meant[lag:lag + span]
            left = float(np.sqrt(np.mean(error ** 2))) / scale
            if left < best[1]:
                best = (kind, left, lag)
    kind, left, lag = best
    lead = float(times[lag] - times[0])
    status = Status.PASS if left < 0.5 else Status.UNSURE
    if status is Status.UNSURE:
        return ImportCheck('action', status, left, 0.5, 'of the motion',
                           f'nothing explains the actions: {kind} comes closest and leaves '
                           f'{100 * left:.0f} % of the motion')
    return ImportCheck('action', status, left, 0.5, 'of the motion',
                       f'actions are {kind}, {lead:.2f} s ahead of the state, which leaves '
                       f'{100 * left:.0f} % of the motion unexplained')
