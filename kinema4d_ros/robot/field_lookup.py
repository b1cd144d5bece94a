# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The distance to a link looked up in its grid: of points one by one, and of the closest."""
from __future__ import annotations

import numba
import numpy as np

_ROUNDING = np.float32(1e-5)    # [m] more than coordinates and distances are off by
_TURNED = np.float32(1.2248)    # of a chord of a turn over sqrt(2): the sum of the ways along axes


@numba.njit(cache=True, nogil=True)
def look_up(p: np.ndarray, T: np.ndarray, grid: np.ndarray, low: np.ndarray,
             spacing: float) -> np.float32:
    """Return the distance at one point in the base frame, inf outside the grid."""
    nx, ny, nz = grid.shape
    x = (T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3] - low[0]) / spacing
    if not 0 <= x < nx - 1:
        return np.float32(np.inf)
    y = (T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3] - low[1]) / spacing
    if not 0 <= y < ny - 1:
        return np.float32(np.inf)
    z = (T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3] - low[2]) / spacing
    if not 0 <= z < nz - 1:
        return np.float32(np.inf)
    i, j, k = int(x), int(y), int(z)
    fx, fy, fz = x - i, y - j, z - k
    near = (grid[i, j, k] * (1 - fx) + grid[i + 1, j, k] * fx) * (1 - fy) \
        + (grid[i, j + 1, k] * (1 - fx) + grid[i + 1, j + 1, k] * fx) * fy
    far = (grid[i, j, k + 1] * (1 - fx) + grid[i + 1, j, k + 1] * fx) * (1 - fy) \
        + (grid[i, j + 1, k + 1] * (1 - fx) + grid[i + 1, j + 1, k + 1] * fx) * fy
    return np.float32(near * (1 - fz) + far * fz)


@numba.njit(cache=True, nogil=True)
def _least(x: float, y: float, z: float, radius: float, grid: np.ndarray, spacing: float,
           reach: float) -> float:
    """
    Return what the points of a sphere are at least away, by the distance at its middle.

    It is -inf where its middle is outside of the grid; a sphere that is outside as a whole is
    `reach` away, and what it has to move by to come in.

    :param x: and y, z of its middle, in cells.
    """
    nx, ny, nz = grid.shape
    outside = max(-x, x - (nx - 1), -y, y - (ny - 1), -z, z - (nz - 1)) * spacing - radius
    if outside > 0:
        return reach + outside
    i, j, k = int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), int(np.floor(z + 0.5))
    if not (0 <= i < nx and 0 <= j < ny and 0 <= k < nz):
        return -np.inf
    # The corner is up to 0.87 cells from the middle, and what is looked up at a point is a mean of
    # distances at corners that are up to 0.87 cells from it.
    return grid[i, j, k] - radius - 1.75 * spacing


@numba.njit(cache=True, nogil=True)
def _farthest(step: np.ndarray, corners: np.ndarray) -> np.float32:
    """Return the longest way, summed over the axes, of points in a box as T (4, 4) changes."""
    longest = np.float32(0.0)
    for corner in range(8):
        x, y, z = corners[corner & 1, 0], corners[(corner >> 1) & 1, 1], corners[corner >> 2, 2]
        way = np.float32(0.0)
        for k in range(3):
            way += abs(step[k, 0] * x + step[k, 1] * y + step[k, 2] * z + step[k, 3])
        longest = max(longest, way)
    return longest


@numba.njit(cache=True, nogil=True)
def closest(points: np.ndarray, gone: np.ndarray, near: np.ndarray, starts: np.ndarray,
            centers: np.ndarray, radii: np.ndarray, T_link_base: np.ndarray, grid: np.ndarray,
            low: np.ndarray, spacing: float, reach: float, distance: np.ndarray,
            index: np.ndarray) -> None:
    """
    Fill in the closest point at each time; of the cubes, only `near` are looked at.

    A cube is passed over while none of its points can be nearer than the nearest so far, which to
    begin with is that of the time before. That is told by what its points were away when they
    were last looked up, less how far they have moved since then in the link's frame: no farther
    than the farthest cube of all, or else by its own way.
    """
    if not len(near):
        return
    middles, at = centers[near], np.zeros((len(near), 3), np.float32)
    floor, turned_at = np.full(len(near), -np.inf, np.float32), np.zeros(len(near), np.float32)
    coarse = floor.copy()       # floor and `way` when it was found out
    turned, way, last = np.float32(0.0), np.float32(0.0), -1
    widest = radii[near].max()
    corners = np.empty((2, 3), np.float32)
    for k in range(3):
        corners[0, k], corners[1, k] = middles[:, k].min(), middles[:, k].max()
    for t in range(len(T_link_base)):
        T = T_link_base[t]
        if t:       # by an angle whose chord is the norm over the square root of 2
            step = T - T_link_base[t - 1]
            turn = np.float32(np.sqrt((step[:3, :3] ** 2).sum()))
            turned += turn
            way += _farthest(step, corners) + _TURNED * widest * turn + _ROUNDING
        best, found = reach, -1
        if last >= 0 and t < gone[last]:
            value = look_up(points[last], T, grid, low, spacing)
            if value < best:
                best, found = value, last
        for c in range(len(near)):
            if coarse[c] - way >= max(best, 2 * spacing):
                continue
            p, radius = middles[c], radii[near[c]]
            x = T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3]
            y = T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3]
            z = T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3]
            # What is looked up changes by no more than the way along each axis, and by twice that
            # beside the surface, where a sign may be wrong.
            moved = abs(x - at[c, 0]) + abs(y - at[c, 1]) + abs(z - at[c, 2]) \
                + _TURNED * radius * (turned - turned_at[c]) + _ROUNDING
            least = floor[c] - moved
            coarse[c] = least + way
            if least < 2 * spacing:
                least -= moved
            if least >= best:
                continue
            at[c, 0], at[c, 1], at[c, 2], turned_at[c] = x, y, z, turned
            floor[c] = _least((x - low[0]) / spacing, (y - low[1]) / spacing,
                              (z - low[2]) / spacing, radius, grid, spacing, reach)
            coarse[c] = floor[c] + way
            if floor[c] >= best:
                continue
            nearest = reach
            for n in range(starts[near[c]], starts[near[c] + 1]):
                if t < gone[n]:
                    value = look_up(points[n], T, grid, low, spacing)
                    nearest = min(nearest, value)
                    if value < best:
                        best, found = value, n
            floor[c], coarse[c] = nearest, nearest + way
        last = found
        if found >= 0:
            distance[t], index[t] = best, found


@numba.njit(cache=True, nogil=True)
def nearing(points: np.ndarray, gone: np.ndarray, T_link_base: np.ndarray, grid: np.ndarray,
            low: np.ndarray, spacing: float, reach: float, least: float, distance: np.ndarray,
            index: np.ndarray) -> None:
    """Fill in the closest of the points that are nearer by `least` than at time 0."""
    for n in range(len(points)):
        limit = min(reach, look_up(points[n], T_link_base[0], grid, low, spacing) - least)
        for t in range(1, min(gone[n], len(T_link_base))):
            value = look_up(points[n], T_link_base[t], grid, low, spacing)
            if value < limit and value < distance[t]:
                distance[t], index[t] = value, n


@numba.njit(cache=True, nogil=True)
def each(points: np.ndarray, near: np.ndarray, starts: np.ndarray, T_link_base: np.ndarray,
         grid: np.ndarray, low: np.ndarray, spacing: float, reach: float, out: np.ndarray) -> None:
    """Lower `out` (N,) to the distances of the points of some cubes, where those are shorter."""
    for cube in near:
        for n in range(starts[cube], starts[cube + 1]):
            value = look_up(points[n], T_link_base, grid, low, spacing)
            if value < reach and value < out[n]:
                out[n] = value
