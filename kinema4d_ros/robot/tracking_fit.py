# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fit a TrackingModel to recordings of what was commanded and what the joints did."""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.robot.tracking import follow, JointTracking, TrackingModel

HORIZON = 2.0                                  # [s] that a motion is foreseen from its start
_DELAYS = np.linspace(0.0, 0.48, 7)            # [s] that are tried first
_LAGS = np.r_[0.0, np.geomspace(0.02, 1.28, 7)]    # [s]
_NEARER = np.linspace(-1, 1, 5)                # then ever nearer to the best
_ROUNDS = 3
_GAINS = (0.5, 1.2)
_STEP = 0.02                                   # [s] at most between samples
_FEWEST = 5                                    # windows
_MOVES = 0.02                                  # [rad or m] a joint that moves less tells nothing


@dataclass(frozen=True, eq=False)
class TrackingRecord:
    """What joints were commanded and what they did, over one recording."""

    joint_names: tuple[str, ...]
    times: np.ndarray          # (N,) float64 [s], increasing
    commanded: np.ndarray      # (N, J) float64 [rad or m]
    measured: np.ndarray       # (N, J) float64 [rad or m]

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        shape = (len(self.times), len(self.joint_names))
        for name in ('times', 'commanded', 'measured'):
            values = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, values)
            if not np.isfinite(values).all() or values.shape != shape[:values.ndim]:
                raise TrajectoryError(f'{name} of a tracking record must be finite and of shape '
                                      f'{shape}, got {values.shape}')
        if self.commanded.ndim != 2 or (np.diff(self.times) <= 0).any():
            raise TrajectoryError('the times of a tracking record must increase')


@dataclass(frozen=True, eq=False)
class Windows:
    """Motions of one length, each from a measured start."""

    joint_names: tuple[str, ...]
    times: np.ndarray          # (T,) [s] from 0
    commanded: np.ndarray      # (T, W, J)
    measured: np.ndarray       # (T, W, J)
    velocities: np.ndarray     # (W, J) measured at the start

    @classmethod
    def of(cls, records: Sequence[TrackingRecord], horizon: float = HORIZON) -> Windows:
        """
        Cut recordings into motions of `horizon` [s], each beginning where half of the last is over.

        :raises TrajectoryError: there are fewer than 5 of them, or other joints in some records.
        """
        names = tuple(sorted(set.intersection(*(set(r.joint_names) for r in records)))) \
            if records else ()
        if not names:
            raise TrajectoryError('there are no joints that every recording has commands and '
                                  'states of')
        count = max(round(horizon / _STEP), 2) + 1
        times = np.linspace(0.0, horizon, count)
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for record in records:
            columns = [record.joint_names.index(name) for name in names]
            t, command, state = record.times, record.commanded[:, columns], \
                record.measured[:, columns]
            speed = np.gradient(state, t, axis=0) if len(t) > 1 else np.zeros_like(state)
            for begin in np.arange(t[0], t[-1] - horizon + 1e-9, horizon / 2):
                at = begin + times
                parts.append((_at(at, t, command), _at(at, t, state),
                              _at(at[:1], t, speed)[0]))
        if len(parts) < _FEWEST:
            raise TrajectoryError(
                f'the recordings hold {len(parts)} motions of {horizon:g} s, and a fit takes '
                f'{_FEWEST}: record for longer, while the robot moves')
        return cls(names, times, np.stack([p[0] for p in parts], axis=1),
                   np.stack([p[1] for p in parts], axis=1), np.stack([p[2] for p in parts]))

    def foreseen(self, model: TrackingModel) -> np.ndarray:
        """Return what a model makes of the commands, (T, W, J)."""
        out = np.empty_like(self.measured)
        for j, name in enumerate(self.joint_names):
            out[..., j] = follow(self.times, self.commanded[..., j], self.measured[0, :, j],
                                 self.velocities[:, j], model.joints.get(name, JointTracking()))
        return out


def fit_tracking(records: Sequence[TrackingRecord], *, horizon: float = HORIZON,
                 source: str = '') -> TrackingModel:
    """
    Return the model that explains the recordings best, joint by joint, by least squares.

    It is fitted to what it is used for: foreseeing `horizon` seconds from a measured start. Joints
    that hardly move get no delay and lag, only the sigma of what is left.

    :raises TrajectoryError: the recordings do not hold enough.
    """
    windows = Windows.of(records, horizon)
    return TrackingModel({
        name: _fit(windows, column) for column, name in enumerate(windows.joint_names)}, source)


def _fit(windows: Windows, column: int) -> JointTracking:
    times, command = windows.times, windows.commanded[..., column]
    measured, speed = windows.measured[..., column], windows.velocities[:, column]
    start = measured[0]
    best, least = JointTracking(), np.inf
    if np.ptp(measured, axis=0).max() > _MOVES:
        delays, lags = _DELAYS, _LAGS
        for near in (1.0, *0.5 ** np.arange(1, _ROUNDS + 1)):
            for delay, lag in itertools.product(delays, lags):
                way = follow(times, command, start, speed, JointTracking(1.0, delay, lag)) - start
                done = measured - start
                gain = float(np.clip((way * done).sum() / max((way * way).sum(), 1e-12), *_GAINS))
                error = float(((gain * way - done) ** 2).sum())
                if error < least:
                    best, least = JointTracking(gain, float(delay), float(lag)), error
            delays = np.maximum(best.delay + near * 0.08 * _NEARER, 0.0)
            lags = np.maximum(best.lag + near * max(best.lag, 0.04) * _NEARER, 0.0)
    left = np.abs(follow(times, command, start, speed, best) - measured)
    sigma = max(float(np.sqrt((left ** 2).mean())), float(np.percentile(left, 95)) / 1.96)
    return JointTracking(round(best.gain, 4), round(best.delay, 4), round(best.lag, 4), sigma)


def _at(at: np.ndarray, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(at, times, column) for column in values.T], axis=1)
