# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The path of a trajectory as the controller interpolates it, and how far the joints are off it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.robot import Robot, sample_trajectory, SampledMotion
from kinema4d_ros.types import JointTrajectory

_STEP, _MOST = 0.005, 100_000    # [s] between samples; how many there are at most
_NOISE = 0.002      # [rad or m] by which two places must differ to be told apart
_NEAR = 0.05        # [rad or m] from the joints that the path stays where they may be ahead on it


@dataclass(frozen=True)
class PathPlace:
    """The place of a path that is nearest to the joints."""

    time: float                     # [s] on the path
    off: Mapping[str, float]        # [rad or m] by joint

    @property
    def worst(self) -> tuple[str, float]:
        """The joint that is farthest from the path, and how far [rad or m]."""
        joint = max(self.off, key=lambda name: self.off[name], default='')
        return joint, self.off.get(joint, 0.0)


class PathMonitor:
    """Compares live joints with a trajectory as the controller interpolates it."""

    def __init__(self, trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float]):
        """
        Make the monitor of a trajectory.

        :param start: joint positions [rad or m] when it starts.
        :raises Kinema4DError: it cannot be sampled.
        """
        count = int(min(max(np.ceil(trajectory.duration / _STEP), 1), _MOST)) + 1
        self._times = np.linspace(0.0, trajectory.duration, count)
        motion = self._motion = sample_trajectory(trajectory, robot, self._times, start)
        names = [name for name in motion.joint_names if name in trajectory.joint_names]
        columns = [motion.joint_names.index(name) for name in names]
        self.names = tuple(names)
        self._column = dict(zip(names, columns))
        self._path = motion.positions[:, columns]
        self._turns = np.array([name in robot.continuous for name in names], bool)
        self.duration = trajectory.duration
        self.step = trajectory.duration / (count - 1)      # [s] between samples

    def best(self, positions: Mapping[str, float], low: float, high: float, most: float,
             expected: float) -> PathPlace:
        """
        Return where on the path the joints are, and how far they are off it.

        That is between `low` and `high` [s], or later, to `most`, while the path stays near the
        joints all the way. All joints are compared with the same sample. Of samples that fit as
        well, as far as joints can be measured, the one nearest to `expected` [s] is taken.

        :param positions: [rad or m]; joints that it lacks are left out.
        """
        known = [i for i, name in enumerate(self.names) if name in positions]
        if not known:
            return PathPlace(min(max(expected, low), high), {})
        last = len(self._times) - 1
        # One sample more on either side, so that rounding to samples never makes it stricter.
        first = min(max(int(np.searchsorted(self._times, low, side='right')) - 1, 0), last)
        end = min(max(int(np.searchsorted(self._times, high, side='left')), first), last)
        final = min(max(int(np.searchsorted(self._times, most, side='left')), end), last)
        live = np.array([positions[self.names[i]] for i in known], np.float64)
        off = self._off(slice(first, final + 1), known, live)
        worst = off.max(axis=1)
        leaves = np.flatnonzero(worst[end - first:] > _NEAR)
        count = end - first + (max(int(leaves[0]), 1) if len(leaves) else len(worst))
        off, worst = off[:count], worst[:count]
        best = int(worst.argmin())
        good = np.flatnonzero(worst <= worst[best] + _NOISE)
        row = int(good[np.abs(self._times[first + good] - expected).argmin()])
        names = [self.names[i] for i in known]
        return PathPlace(float(self._times[first + row]), dict(zip(names, off[best].tolist())))

    def nearest(self, positions: Mapping[str, float], after: float) -> tuple[float, float]:
        """
        Return when [s] from `after` on the path is nearest to a place, and how near it is.

        :param positions: of all `names`; the joint that is farthest counts [rad or m].
        """
        first = min(max(int(np.searchsorted(self._times, after)), 0), len(self._times) - 1)
        place = np.array([positions[name] for name in self.names], np.float64)
        off = self._off(slice(first, None), list(range(len(self.names))), place).max(axis=1)
        best = int(off.argmin())
        return float(self._times[first + best]), float(off[best])

    def at(self, times: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """
        Return where joints are at times [s] on the path, (T, J) [rad or m].

        Before its start and after its end the path stands still.

        :param names: some of `names`.
        """
        columns = [self._column[name] for name in names]
        positions = self._motion.positions
        return np.stack([np.interp(times, self._times, positions[:, column])
                         for column in columns], axis=1)

    def between(self, after: float, before: float, rest: Mapping[str, float]) -> SampledMotion:
        """
        Return the path from `after` to `before` [s], before excluded.

        :param rest: the joints wanted, with positions for those that are not on the path.
        """
        rows = (self._times >= after) & (self._times < before)
        motion, columns = self._motion, [self._column.get(name) for name in rest]
        parts = []
        for values, still in ((motion.positions, rest), (motion.velocities, {}),
                              (motion.accelerations, {})):
            parts.append(np.stack([
                np.full(rows.sum(), still.get(name, 0.0)) if column is None
                else values[rows, column] for name, column in zip(rest, columns)], axis=1))
        return SampledMotion(self._times[rows], tuple(rest), *parts)

    def _off(self, rows: slice, columns: list[int], place: np.ndarray) -> np.ndarray:
        """Return the distances of samples from a place, (rows, columns)."""
        off: np.ndarray = np.abs(self._path[rows][:, columns] - place)
        turns = self._turns[columns]
        off[:, turns] = np.abs(np.mod(off[:, turns] + np.pi, 2 * np.pi) - np.pi)
        off[np.isnan(off)] = np.inf
        return off
