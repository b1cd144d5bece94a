# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the joints follow the trajectory that was checked; without ROS."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.robot import Robot, sample_trajectory, SampledMotion
from kinema4d_ros.types import JointTrajectory

_STEP, _MOST = 0.005, 100_000    # [s] between samples; how many there are at most


class PathMonitor:
    """Compares live joints with a trajectory as the controller interpolates it."""

    def __init__(self, trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float],
                 window: float):
        """
        Make the monitor of a trajectory that starts now.

        :param start: joint positions [rad or m] when it starts.
        :param window: [s] by which the joints may be early or late.
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
        self._window = window
        self.duration = trajectory.duration

    def deviation(self, positions: Mapping[str, float], earliest: float, latest: float
                  ) -> tuple[str, float]:
        """
        Return the joint that is farthest from the path, and how far [rad or m].

        All joints are compared with the same sample, the one that fits best between
        `earliest` and `latest` [s], the times since the start that it may be now. Joints that
        `positions` lacks are left out.
        """
        known = [i for i, name in enumerate(self.names) if name in positions]
        if not known:
            return '', 0.0
        last = len(self._times) - 1
        first = int(np.searchsorted(self._times, earliest - self._window, side='right')) - 1
        end = int(np.searchsorted(self._times, latest + self._window, side='left'))
        # One sample more on either side, so that rounding to samples never makes it stricter.
        first, end = min(max(first, 0), last), min(max(end, 0), last)
        live = np.array([positions[self.names[i]] for i in known], np.float64)
        off = self._off(slice(first, end + 1), known, live)
        best = off[int(off.max(axis=1).argmin())]
        worst = int(best.argmax())
        return self.names[known[worst]], float(best[worst])

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
