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
        # Neighbours are mostly in one cube: whole runs of them are sorted, not points.
        runs, keys = _runs(points, np.float32(SIDE))
        self.points, self.order, self.starts, self.centers, self.radii = _sorted(
            points, runs, keys, np.argsort(keys, kind='stable'))

    def near(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return the numbers of the cubes whose sphere reaches into a box, corners (3,) [m]."""
        return _near(self.centers, self.radii, np.asarray(low, np.float64),
                     np.asarray(high, np.float64))

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return which of the given points are in a box, corners (3,) [m], ascending."""
        return np.sort(_within(self.points, self.order, self.starts, self.near(low, high),
                               np.asarray(low, np.float64), np.asarray(high, np.float64)))


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
def _within(points: np.ndarray, order: np.ndarray, starts: np.ndarray, cubes: np.ndarray,
            low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which of the given points in some cubes are in a box."""
    found, count = np.empty(len(order), np.int64), 0
    for cube in cubes:
        for n in range(starts[cube], starts[cube + 1]):
            x, y, z = points[n]
            if low[0] <= x <= high[0] and low[1] <= y <= high[1] and low[2] <= z <= high[2]:
                found[count] = order[n]
                count += 1
    return found[:count].copy()


@numba.njit(cache=True, nogil=True)
def _runs(points: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where runs of points (N, 3) float32 in one cube begin, and the numbers of their cubes.

    :return: (R + 1,) int64, the last is N; (R,) int64.
    """
    # From nothing on: a NaN is then no end of the box, and only it is in no place.
    low, high = np.full(3, np.inf, np.float32), np.full(3, -np.inf, np.float32)
    for n in range(len(points)):
        for k in range(3):
            low[k], high[k] = min(low[k], points[n, k]), max(high[k], points[n, k])
    size = np.empty(3, np.int64)
    for k in range(3):
        size[k] = np.int64(np.floor((high[k] - low[k]) / side)) + 1
    numbers = np.empty(len(points), np.int64)
    for n in range(len(points)):      # on its own, so that it is computed many at a time
        numbers[n] = (np.int64(np.floor((points[n, 0] - low[0]) / side)) * size[1]
                      + np.int64(np.floor((points[n, 1] - low[1]) / side))) * size[2] \
            + np.int64(np.floor((points[n, 2] - low[2]) / side))
    runs, keys = np.empty(len(points) + 1, np.int64), np.empty(len(points), np.int64)
    count, last = 0, np.int64(-1)
    for n in range(len(points)):
        if not count or numbers[n] != last:
            runs[count], keys[count] = n, numbers[n]
            count += 1
            last = numbers[n]
    runs[count] = len(points)
    return runs[:count + 1].copy(), keys[:count].copy()


@numba.njit(cache=True, nogil=True)
def _sorted(points: np.ndarray, runs: np.ndarray, keys: np.ndarray, chosen: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points, order, starts, centers and radii as `PointCubes` has them."""
    places, order = np.empty_like(points), np.empty(len(points), np.int64)
    starts = np.empty(len(keys) + 1, np.int64)
    lows, highs = np.empty((len(keys), 3), np.float32), np.empty((len(keys), 3), np.float32)
    cube, at, last = -1, 0, np.int64(-1)
    for run in chosen:
        if cube < 0 or keys[run] != last:
            cube, last = cube + 1, keys[run]
            starts[cube] = at
            for k in range(3):
                lows[cube, k], highs[cube, k] = np.inf, -np.inf
        for n in range(runs[run], runs[run + 1]):
            for k in range(3):
                places[at, k] = points[n, k]
                lows[cube, k] = min(lows[cube, k], points[n, k])
                highs[cube, k] = max(highs[cube, k], points[n, k])
            order[at] = n
            at += 1
    cube += 1
    starts[cube] = at
    centers, radii = (lows[:cube] + highs[:cube]) / np.float32(2), np.empty(cube, np.float32)
    for c in range(cube):
        x, y, z = highs[c, 0] - lows[c, 0], highs[c, 1] - lows[c, 1], highs[c, 2] - lows[c, 2]
        radii[c] = np.sqrt(x * x + y * y + z * z) / np.float32(2) + np.float32(1e-6)
    return places, order, starts[:cube + 1].copy(), centers, radii
