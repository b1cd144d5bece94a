# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A depth image as points in space: one per voxel, each with how well it is known and how old."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from kinema4d_ros.robot import PointCubes
from kinema4d_ros.scene.measured import SAME_SURFACE

_STRAIGHT = np.float32(5.0)     # standard deviations that three pixels in a line bend by noise
_MOST_GAINED = np.float32(0.75)     # of the variance, however many pixels are averaged


@dataclass(frozen=True, eq=False)
class ScenePoints:
    """Points of the scene, thinned to one per voxel and source."""

    points_base: np.ndarray   # (N, 3) float32 [m]
    pixels: np.ndarray        # (N, 2) int32, row and column that each point was seen at
    sigma: np.ndarray         # (N,) float32 [m], standard deviation of each point's place
    #: (N,) float32 [s] before the observation that each was measured, 0 by it, NaN not known
    age: np.ndarray
    #: (N,) uint8, the number of the view that each is from, or of the other source, which are
    #: numbered after the views and have no pixels (-1); None: all are of view 0
    source: np.ndarray | None = None

    @classmethod
    def joined(cls, parts: Sequence[ScenePoints]) -> ScenePoints:
        """Return the points of several sources in one, numbered in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(np.concatenate([part.points_base for part in parts]),
                   np.concatenate([part.pixels for part in parts]),
                   np.concatenate([part.sigma for part in parts]),
                   np.concatenate([part.age for part in parts]),
                   np.repeat(np.arange(len(parts), dtype=np.uint8), list(map(len, parts))))

    def of_source(self, number: int) -> np.ndarray:
        """Return which points are of a view or another source, (N,) bool."""
        if self.source is None:
            return np.full(len(self), number == 0)
        found: np.ndarray = self.source == number
        return found

    def __len__(self) -> int:
        """Count the points."""
        return len(self.points_base)

    @cached_property
    def cubes(self) -> PointCubes:
        """The points, sorted."""
        return PointCubes(self.points_base)

    def only(self, keep: np.ndarray) -> ScenePoints:
        """Return some of the points, (N,) bool."""
        return ScenePoints(self.points_base[keep], self.pixels[keep], self.sigma[keep],
                           self.age[keep], None if self.source is None else self.source[keep])


@numba.njit(cache=True, nogil=True)
def is_surface(depth: np.ndarray, v: int, u: int, tolerance: float, least: int) -> bool:
    """Return whether `least` of the 8 pixels beside one see something as far away."""
    around = 0
    for row in range(max(v - 1, 0), min(v + 2, depth.shape[0])):
        for column in range(max(u - 1, 0), min(u + 2, depth.shape[1])):
            around += abs(depth[row, column] - depth[v, u]) <= tolerance
        if around > least:      # one is the pixel itself
            return True
    return False


@numba.njit(cache=True, nogil=True)
def is_known(z: float, u: int, y: float, left: float, T: np.ndarray, fx: float, fy: float,
             cx: float, cy: float, other: np.ndarray, other_closed: np.ndarray, tolerance: float,
             least: int) -> bool:
    """
    Return whether another camera measures what a pixel shows, to a tolerance [m].

    Where the two measure one surface, the points of one of them are enough. The other measures
    one where four neighbouring pixels are alike, and `least` more are where that is more than 3.

    :param z: [m] depth of the pixel in column u, on the ray (u / fx + left, y, 1) of its camera.
    :param T: (3, 4) float64 from that camera to the other, the first column over its fx.
    :param fx: [px] and fy, cx, cy of the other.
    :param other: (H', W') float32 [m] of the other, and `other_closed` with small gaps filled.
    """
    height, width = other.shape
    far = (T[2, 0] * left + T[2, 1] * y + T[2, 2] + T[2, 0] * u) * z + T[2, 3]
    if not 0.0 < far <= tolerance * fx:      # NaN too; beyond, its pixels are wider than that
        return False
    inverse = 1.0 / far
    right = ((T[0, 0] * left + T[0, 1] * y + T[0, 2] + T[0, 0] * u) * z + T[0, 3]) \
        * inverse * fx + cx
    down = ((T[1, 0] * left + T[1, 1] * y + T[1, 2] + T[1, 0] * u) * z + T[1, 3]) \
        * inverse * fy + cy
    if not (0.0 <= right < width - 1 and 0.0 <= down < height - 1):
        return False
    column, row = int(right), int(down)
    p, q = other[row, column], other[row, column + 1]
    r, s = other[row + 1, column], other[row + 1, column + 1]
    across, along = right - column, down - row
    there = (p * (1 - across) + q * across) * (1 - along) \
        + (r * (1 - across) + s * across) * along
    same = max(np.float32(SAME_SURFACE), np.float32(3.0 * far / fx))
    return abs(there - far) <= tolerance and max(p, q, r, s) - min(p, q, r, s) <= same \
        and (least <= 3 or is_surface(other_closed, row, column, same, least))


@numba.njit(cache=True, nogil=True, inline='always')
def point(z: float, x: float, y: float, T: np.ndarray
           ) -> tuple[np.float32, np.float32, np.float32]:
    """Return the point at a depth on the ray (x, y, 1) of the camera, base frame."""
    far = np.float64(z)
    x, y = x * z, y * z
    return (np.float32(T[0, 0] * x + T[0, 1] * y + T[0, 2] * far + T[0, 3]),
            np.float32(T[1, 0] * x + T[1, 1] * y + T[1, 2] * far + T[1, 3]),
            np.float32(T[2, 0] * x + T[2, 1] * y + T[2, 2] * far + T[2, 3]))


@numba.njit(cache=True, nogil=True)
def smoothed(depth: np.ndarray, v: int, u: int,
             noise: np.float32) -> tuple[np.float32, np.float32]:
    """
    Return the depth of a pixel [m] with less of its noise, and the variance of that [m^2].

    The nearest of many noisy depths is nearer than the surface is. So each becomes the mean of its
    own and of those pairs of pixels opposite to each other, up to two pixels beside it, that lie on
    a straight line with it, to the noise: planes stay, so does what stands out by more, and nothing
    is moved by more than two and a half standard deviations.

    :param noise: [m] that the pixel has for itself.
    """
    height, width = depth.shape
    z = depth[v, u]
    total, count, most = np.float32(0.0), 0, _STRAIGHT * noise
    if 2 <= v < height - 2 and 2 <= u < width - 2:
        for k in range(1, 3):
            for pair in (depth[v, u - k] + depth[v, u + k], depth[v - k, u] + depth[v + k, u],
                         depth[v - k, u - k] + depth[v + k, u + k],
                         depth[v - k, u + k] + depth[v + k, u - k]):
                bend = pair - z - z
                is_straight = abs(bend) <= most      # NaN is not
                total += bend if is_straight else np.float32(0.0)
                count += is_straight
    share = np.float32(1.0) / np.float32(2 * count + 1)
    return z + total * share, noise * noise * max(share, np.float32(1.0) - _MOST_GAINED)


@numba.njit(cache=True, nogil=True)
def spread_at(x: float, y: float, z: float, center: np.ndarray, roots: np.ndarray) -> float:
    """Return the variance of a place in its worst direction, or a little more [m^2]; `Placed`."""
    rx, ry, rz = x - center[0], y - center[1], z - center[2]
    xx, yy, zz, xy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(roots.shape[1]):
        a = roots[0, k] + roots[4, k] * rz - roots[5, k] * ry
        b = roots[1, k] + roots[5, k] * rx - roots[3, k] * rz
        c = roots[2, k] + roots[3, k] * ry - roots[4, k] * rx
        xx, yy, zz = xx + a * a, yy + b * b, zz + c * c
        xy, xz, yz = xy + a * b, xz + a * c, yz + b * c
    # The norm of a matrix is no less than its largest eigenvalue.
    return np.sqrt(xx * xx + yy * yy + zz * zz + 2.0 * (xy * xy + xz * xz + yz * yz))


@numba.njit(cache=True, nogil=True)
def first_of_each(keys: np.ndarray, bits: int, depth: np.ndarray, age: np.ndarray, x: np.ndarray,
                   y: np.ndarray, T: np.ndarray, noise: np.float32, noise_square: np.float32,
                   of_pixels: np.float32, placed: np.float32, center: np.ndarray,
                   roots: np.ndarray, meshes: np.float32
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Return places, pixels, standard deviations and ages of the first point in each voxel.

    :param keys: number of the voxel, followed by `bits` of the pixel, sorted.
    :param age: (H, W) float32 [s], or (1, 1) of all.
    :param noise: [m] of a depth, plus `noise_square` [1/m] times its square.
    :param of_pixels: 0..1 of that, which each pixel has for itself; less of it is left.
    :param placed: [m^2] variance of the place of the camera, and `meshes` of the robot's.
    :param center: (3,) [m] and roots (6, 6) of `Placed`, whose variance is added.
    """
    most, width = len(keys), len(x)
    places, at = np.empty((most, 3), np.float32), np.empty((most, 2), np.int32)
    sigma, old = np.empty(most, np.float32), np.empty(most, np.float32)
    n, last = 0, np.int64(-1)
    for key in keys:
        if key >> bits == last:
            continue
        last = key >> bits
        pixel = np.int32(key - (last << bits))
        v, u = pixel // np.int32(width), pixel % np.int32(width)
        z = depth[v, u]
        own = noise + noise_square * (z * z)
        variance = own * own
        if of_pixels > 0.0:
            z, left = smoothed(depth, v, u, of_pixels * own)
            variance += left - (of_pixels * own) ** 2
        places[n, 0], places[n, 1], places[n, 2] = point(z, x[u], y[v], T)
        at[n, 0], at[n, 1] = v, u
        sigma[n] = np.sqrt(variance + placed + meshes
                           + spread_at(x[u] * z, y[v] * z, z, center, roots))
        old[n] = age[v, u] if age.shape[0] > 1 else age[0, 0]
        n += 1
    return places[:n], at[:n], sigma[:n], old[:n]
