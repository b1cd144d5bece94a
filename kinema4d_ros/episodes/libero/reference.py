# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory between its points, as a controller follows it."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import JointTrajectory


class CubicInterpolation:
    """A trajectory between its points: cubic, as joint_trajectory_controller interpolates it."""

    def __init__(self, trajectory: JointTrajectory):
        """
        Make the interpolation of a trajectory.

        :raises EpisodeError: it has no velocities.
        """
        if trajectory.velocities is None:
            raise EpisodeError('a trajectory without velocities cannot be followed smoothly')
        self._times, self._positions = trajectory.times, trajectory.positions
        self._velocities = trajectory.velocities

    def __call__(self, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, velocities and accelerations (9,) at a time [s], ends held."""
        times, p, v = self._times, self._positions, self._velocities
        if time <= times[0] or time >= times[-1]:
            end = p[0] if time <= times[0] else p[-1]
            return end, np.zeros_like(end), np.zeros_like(end)
        i = int(np.searchsorted(times, time, 'right')) - 1
        h = times[i + 1] - times[i]
        s = time - times[i]
        way = (p[i + 1] - p[i]) / h
        c2, c3 = (3 * way - 2 * v[i] - v[i + 1]) / h, (v[i] + v[i + 1] - 2 * way) / h**2
        return (p[i] + s * (v[i] + s * (c2 + s * c3)), v[i] + s * (2 * c2 + 3 * s * c3),
                2 * c2 + 6 * s * c3)
