# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points in space, sorted into cubes so that whole cubes can be passed over."""
from __future__ import annotations

import numba
import numpy as np

SIDE = 0.02        # [m] of a cube


class PointCubes:
    """N points, cube by cube, with a sphere around those of each of the C cubes."""

    points: np.ndarray    # (N, 3) float32 [m], cube by cube
    order: np.ndarray     # (N,) int64, which of the given points each is
    starts: np.ndarray    # (C + 1,) int64, first point of each cube, and N
    centers: np.ndarray   # (C, 3) float32 [m] of a sphere around the points of each cube
    radii: np.ndarray     # (C,) float32 [m]

    def __init__(self, points: np.ndarray) -> None:
        """Make the cubes of points (N, 3) [m]."""
        points = np.ascontiguousarray(points, np.float32).reshape(-1, 3)
        if not len(points):
            self.points, self.order, self.starts = points, np.empty(0, np.int64), np.zeros(1, int)
            self.centers, self.radii = points, np.empty(0, np.float32)
            return
        # Neighbours in a picture are mostly in one cube: whole runs are sorted, not points.
        keys = _keys(points, np.float32(SIDE))
        runs = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        sizes, chosen = np.diff(np.r_[runs, len(keys)]), np.argsort(keys[runs], kind='stable')
        ends = np.cumsum(sizes[chosen])
        self.order = np.repeat(runs[chosen] - ends + sizes[chosen], sizes[chosen]) \
            + np.arange(len(keys))
        self.points = points[self.order]
        keys = keys[self.order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        low, high = (f.reduceat(self.points, starts, axis=0) for f in (np.minimum, np.maximum))
        self.starts, self.centers = np.r_[starts, len(points)], (low + high) / 2
        self.radii = np.linalg.norm(high - low, axis=1).astype(np.float32) / 2 + np.float32(1e-6)

    def near(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return the numbers of the cubes whose sphere reaches into a box, corners (3,) [m]."""
        return _near(self.centers, self.radii, np.asarray(low, np.float64),
                     np.asarray(high, np.float64))

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return which of the given points are in a box, corners (3,) [m], ascending."""
        cubes = self.near(low, high)
        places = np.concatenate([np.empty(0, int), *map(
            np.arange, self.starts[cubes], self.starts[cubes + 1])])
        points = self.points[places]
        return np.sort(self.order[places[((points >= low) & (points <= high)).all(axis=1)]])


@numba.njit(cache=True, nogil=True)
def _near(centers: np.ndarray, radii: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the numbers of the spheres that reach into a box, ascending."""
    found = np.empty(len(radii), np.int64)
    count = 0
    for n in range(len(radii)):
        r = radii[n]
        if centers[n, 0] + r >= low[0] and centers[n, 0] - r <= high[0] \
                and centers[n, 1] + r >= low[1] and centers[n, 1] - r <= high[1] \
                and centers[n, 2] + r >= low[2] and centers[n, 2] - r <= high[2]:
            found[count] = n
            count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _keys(points: np.ndarray, side: float) -> np.ndarray:
    """Return a number for the cube that each point (N, 3) float32 is in, (N,) int64."""
    low, high = points[0].copy(), points[0].copy()
    for n in range(len(points)):
        for k in range(3):
            low[k], high[k] = min(low[k], points[n, k]), max(high[k], points[n, k])
    size = np.empty(3, np.int64)
    for k in range(3):
        size[k] = np.int64(np.floor((high[k] - low[k]) / side)) + 1
    keys = np.empty(len(points), np.int64)
    for n in range(len(points)):
        key = np.int64(0)
        for k in range(3):
            key = key * size[k] + np.int64(np.floor((points[n, k] - low[k]) / side))
        keys[n] = key
    return keys
