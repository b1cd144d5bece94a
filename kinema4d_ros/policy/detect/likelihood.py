# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well a meaning explains the numbers: as a smooth motion from the state, and as what was driven.

A right meaning makes a motion of the numbers that begins near the state, goes on smoothly and about
as fast as arms do; the numbers are unlikely under a wrong one. Where the states afterwards are
known, the motion must be what was driven, some periods later.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

#: part of the log likelihood that counts, since neighbouring numbers say the same thing again;
#: chosen so that confidences are right as often as they say (docs/policy_conventions.md)
TEMPERATURE = 0.01
_GAP_TEMPERATURE = 0.05                      # of first actions, of which there is one in a chunk
_SPEEDS = np.geomspace(1e-3, 100.0, 21)     # [rad/s] root mean square of a chunk
_MEDIAN, _SPREAD = 0.15, 1.2                # of the speeds of arms: [rad/s], and of its log
_SMOOTH = (0.0, 0.5, 0.8, 0.95, 0.99)           # correlation of a step with the one before
_AHEAD = np.array((0.5, 1.0, 2.0, 3.5, 6.0))    # steps that a first action is ahead of the state
_GAP = 0.5                                  # steps that it is from there, about
#: [rad] of a first action, by which arms sag and are calibrated; less where they begin at the state
_GAP_FLOORS = {'absolute': 0.01}
_GAP_FLOOR = 0.002
_LEADING = ('absolute', 'start')
_TAIL, _GAP_TAIL = 3.0, 8.0                 # degrees of freedom of Student's t
_FLOOR = 1e-3                               # of a number, below which differences are noise
_REST = np.log(0.1 / 2.0)                   # of a gripper's number that is not the last one again
_UNIT = np.log(100.0)                       # of a quaternion, whose length is 1 by itself
_NO_GRIPPER = 2.0                           # [nats] against actions without one
_LAGS = range(9)                            # periods that a robot may be late
_GAINS = {'absolute': (1.0,), 'start': (1.0, 0.75), 'previous': (1.0, 0.75, 0.5, 0.25),
          'velocity': (1.0, 0.82, 0.65)}
_STILL = 0.003                              # [rad] of a motion that says nothing
_LEAST_LEFT = 0.08                          # of a motion, that no meaning explains


@dataclass(frozen=True)
class Tracking:
    """How well a chunk explains what was driven."""

    left: float         # share of the motion that is left, 0 to 1 and more
    lag: int            # periods that the robot is late
    gain: float         # part of the motion that it drives
    moved: float        # [rad] of the motion, root mean square


def as_motion(led: np.ndarray, per_number: np.ndarray, rate: float, kind: str) -> float:
    """
    Return the log likelihood of chunks as a smooth motion from the state.

    The first action is ahead of the state by some steps of the motion that it begins.

    :param led: (R, N, C) [rad] from the state on.
    :param per_number: (C,) [rad] of a number.
    """
    chunks, actions, _ = led.shape
    if np.abs(led / per_number).max() < _FLOOR or np.abs(led).max() < 2 * _STILL:
        # what stays still tells no unit
        led, per_number = led / per_number, np.ones_like(per_number)
    volume, noise = float(np.log(per_number).sum()), _FLOOR * per_number
    sizes = _SPEEDS[:, None] / rate
    steps = np.diff(led, axis=1)
    gap = np.hypot(_GAP * sizes, np.maximum(_GAP_FLOORS.get(kind, _GAP_FLOOR), noise))
    onward = steps[:, :4].mean(axis=1) if actions > 1 else 0.0 * led[:, 0]
    begin = logsumexp([_log_t(led[:, 0] - ahead * onward, gap, _GAP_TAIL) for ahead in (
        _AHEAD if kind in _LEADING else _AHEAD[1:2])], axis=0)[:, None] + chunks * volume
    first = _log_t(steps[:, :1], np.hypot(sizes, noise))[:, None]
    fresh = np.stack([_log_t(steps[:, 1:] - part * steps[:, :-1],
                             np.hypot(sizes * np.sqrt(1 - part ** 2), noise))
                      for part in _SMOOTH], axis=1)
    prior = -0.5 * ((np.log(_SPEEDS) - np.log(_MEDIAN)) / _SPREAD) ** 2
    likely = _GAP_TEMPERATURE * begin + prior[:, None] \
        + TEMPERATURE * (first + fresh + chunks * (actions - 1) * volume)
    return float(logsumexp(likely))


def of_rest(rest: np.ndarray, *, quaternion: bool) -> float:
    """
    Return the log likelihood of columns that mostly stay as they are.

    :param rest: (R, N, columns that are of a gripper).
    :param quaternion: the arm's columns have one more, which the others tell.
    """
    chunks, actions, columns = rest.shape
    length = chunks * (TEMPERATURE * (actions - 1) + _GAP_TEMPERATURE)
    told = _UNIT * length if quaternion else 0.0
    if not columns:
        return told - _NO_GRIPPER
    wide = np.log(np.maximum(np.abs(rest).max(axis=(0, 1)), 1.0))
    stays = np.abs(np.diff(rest, axis=1)) < _FLOOR
    same = float(_log_t(np.zeros((1, 1)), np.full((1, 1), _FLOOR))[0])
    onward = np.where(stays, same, _REST - wide)
    return told + TEMPERATURE * float(onward.sum()) \
        + _GAP_TEMPERATURE * float((_REST - wide).sum()) * len(rest)


def _log_t(values: np.ndarray, scale: np.ndarray, tail: float = _TAIL) -> np.ndarray:
    """Return the log density of all values (..., C) under Student's t of scales (S, C): (S,)."""
    if not values.size:
        return np.zeros(len(scale))
    flat = values.reshape(-1, values.shape[-1])
    power = (tail + 1) / 2
    constant = gammaln(power) - gammaln(tail / 2) - 0.5 * np.log(tail * np.pi)
    out: np.ndarray = np.sum(
        constant - np.log(scale[:, None])
        - power * np.log1p((flat / scale[:, None]) ** 2 / tail), axis=(1, 2))
    return out


def tracking(led: np.ndarray, driven: np.ndarray, kind: str) -> Tracking:
    """
    Compare a motion that a chunk asks for with the one that was driven.

    :param led: (R, N, C) [rad] from the state on, after each action.
    :param driven: (R, M, C) likewise.
    """
    count = min(led.shape[1], driven.shape[1])
    real = driven[:, :count]
    moved = float(np.sqrt(np.mean(real ** 2)))
    best = Tracking(np.inf, 0, 1.0, moved)
    for lag in _LAGS[:count]:
        late = np.empty_like(real)
        late[:, lag:] = led[:, :count - lag]
        ramp = (np.arange(lag) + 1) / (lag + 1)
        late[:, :lag] = ramp[:, None] * led[:, :1]
        for gain in _GAINS[kind]:
            left = float(np.sqrt(np.mean((real - gain * late) ** 2))) / np.hypot(moved, _STILL)
            if left < best.left:
                best = Tracking(left, lag, gain, moved)
    return best


def as_driven(track: Tracking, chunks: int) -> float:
    """Return the log likelihood of what was driven, 0 where nothing moved."""
    if track.moved < _STILL:
        return 0.0
    return -min(4.0 * chunks, 24.0) * float(np.log(np.hypot(track.left, _LEAST_LEFT)))
