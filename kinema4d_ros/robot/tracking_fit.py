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


    def of(self, joints: Sequence[str] | None) -> TrackingRecord:
        """
        Return what it tells of some joints, of all for None.

        :raises TrajectoryError: it does not have one of them.
        """
        if joints is None:
            return self
        if unknown := [name for name in joints if name not in self.joint_names]:
            raise TrajectoryError(f'the recording has no commands and states of '
                                  f'{", ".join(unknown)}; it has {", ".join(self.joint_names)}')
        columns = [self.joint_names.index(name) for name in joints]
        return TrackingRecord(tuple(joints), self.times, self.commanded[:, columns],
                              self.measured[:, columns])


@dataclass(frozen=True, eq=False)
class Windows:
    """Motions of one length, each from a measured start."""

    joint_names: tuple[str, ...]
    times: np.ndarray          # (T,) [s] from 0
    commanded: np.ndarray      # (T, W, J)
    measured: np.ndarray       # (T, W, J)
    velocities: np.ndarray     # (W, J) measured at the start

    @classmethod
    def of(cls, records: Sequence[TrackingRecord], horizon: float = HORIZON,
           fewest: int = _FEWEST) -> Windows:
        """
        Cut recordings into motions of `horizon` [s], each beginning where half of the last is over.

        :raises TrajectoryError: there are fewer than `fewest`, or no joint is in all records.
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
        if len(parts) < fewest:
            raise TrajectoryError(
                f'the recordings hold {len(parts)} motions of {horizon:g} s, and a fit takes '
                f'{fewest}: record for longer, while the robot moves')
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
            delays = np.clip(best.delay + near * 0.08 * _NEARER, 0.0, _DELAYS[-1])
            lags = np.clip(best.lag + near * max(best.lag, 0.04) * _NEARER, 0.0, _LAGS[-1])
    left = np.abs(follow(times, command, start, speed, best) - measured)
    sigma = max(float(np.sqrt((left ** 2).mean())), float(np.percentile(left, 95)) / 1.96)
    return JointTracking(round(best.gain, 4), round(best.delay, 4), round(best.lag, 4),
                         round(sigma, 6))


def _at(at: np.ndarray, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(at, times, column) for column in values.T], axis=1)


@dataclass(frozen=True)
class HeldOutErrors:
    """How far joints are from where they were foreseen, in parts that a model was not fitted to."""

    commanded: tuple[float, float]     # median and 95th percentile [rad or m] of the command itself
    foreseen: tuple[float, float]      # of the model
    within: float                      # share that is within 1.96 sigma, 0..1; 0.95 is right


def held_out_errors(records: Sequence[TrackingRecord],
                    horizon: float = HORIZON) -> HeldOutErrors | None:
    """
    Return the errors in each of up to five parts of the recordings, by a model of the others.

    A single recording is cut in two. None where the parts are too short.
    """
    if len(records) == 1:
        whole, half = records[0], len(records[0].times) // 2
        records = [TrackingRecord(whole.joint_names, whole.times[part], whole.commanded[part],
                                  whole.measured[part])
                   for part in (slice(None, half), slice(half, None))]
    folds = min(len(records), 5)
    commanded, foreseen, within = [], [], []
    try:
        for fold in range(folds):
            model = fit_tracking([record for index, record in enumerate(records)
                                  if index % folds != fold], horizon=horizon)
            windows = Windows.of(records[fold::folds], horizon, fewest=1)
            off = np.abs(windows.foreseen(model) - windows.measured)
            commanded.append(np.abs(windows.commanded - windows.measured).ravel())
            foreseen.append(off.ravel())
            within.append((off <= 1.96 * model.sigmas(windows.joint_names) + 1e-12).ravel())
    except TrajectoryError:
        return None

    def middle_and_most(parts: list[np.ndarray]) -> tuple[float, float]:
        flat = np.concatenate(parts)
        return float(np.median(flat)), float(np.percentile(flat, 95))
    return HeldOutErrors(middle_and_most(commanded), middle_and_most(foreseen),
                         float(np.concatenate(within).mean()))
