# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How near the robot comes to the scene over time, thinned for people and plots."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.types import ClearanceSample

_MOST = 50      # samples


@dataclass(frozen=True, eq=False)
class Track:
    """The distance of one link to the scene over time; inf where nothing is within reach."""

    times: np.ndarray        # (T,) float64 [s]
    distance: np.ndarray     # (T,) float32 [m], negative inside
    sigma: np.ndarray        # (T,) float32 [m], NaN where distance is inf
    point_base: np.ndarray   # (T, 3) float32 [m], the scene's closest point, NaN
    speed: np.ndarray        # (T,) float64 [m/s] of the link's origin
    T_base_link: np.ndarray  # (T, 4, 4) float64

    def where(self, keep: np.ndarray) -> Track:
        """Return the track with nothing in reach in the frames that are not kept, (T,) bool."""
        return dataclasses.replace(
            self, distance=np.where(keep, self.distance, np.inf).astype(np.float32),
            sigma=np.where(keep, self.sigma, np.nan).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Timeline:
    """The smallest distance of the robot to the scene at N times at which something is near."""

    times: np.ndarray = field(default_factory=lambda: np.empty(0))             # (N,) float64 [s]
    distance: np.ndarray = field(default_factory=lambda: np.empty(0))          # (N,) [m]
    sigma: np.ndarray = field(default_factory=lambda: np.empty(0))             # (N,) [m]
    link_names: tuple[str, ...] = ()                                           # (N,) the nearest
    points_base: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))  # (N, 3) [m] scene
    robot_points_base: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))   # (N, 3) [m]

    @property
    def samples(self) -> tuple[ClearanceSample, ...]:
        """The same as a Verdict holds it."""
        return tuple(map(ClearanceSample, self.times, self.distance, self.sigma, self.link_names,
                         self.points_base, self.robot_points_base))


def timeline_of(tracks: Sequence[tuple[str, Track]], fields: DistanceFields,
                most: int = _MOST) -> Timeline:
    """
    Return the nearest of some tracks over time.

    Times at which nothing is within the reach of the distance fields are left out; of the others
    at most `most` are kept, evenly and always with the smallest distance of all.

    :param tracks: (link, its track), at least one; a link may come more than once.
    """
    distances = np.array([track.distance for _, track in tracks], np.float64)      # (K, T)
    of = distances.argmin(axis=0)
    nearest = distances.min(axis=0)
    near = np.flatnonzero(np.isfinite(nearest))
    if not len(near):
        return Timeline()
    even = near[np.linspace(0, len(near) - 1, min(most - 1, len(near))).round().astype(int)]
    frames = np.unique(np.r_[even, nearest.argmin()])
    names = tuple(tracks[of[t]][0] for t in frames)
    points = np.array([tracks[of[t]][1].point_base[t] for t in frames], np.float64)
    on_robot = fields.surface_points(
        names, points, np.array([tracks[of[t]][1].T_base_link[t] for t in frames]))
    return Timeline(tracks[0][1].times[frames], nearest[frames],
                    np.array([tracks[of[t]][1].sigma[t] for t in frames], np.float64), names,
                    points, on_robot)
