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
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.types import PinholeCamera


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
    def of(cls, depth: np.ndarray, closed: np.ndarray, age: np.ndarray, camera: PinholeCamera,
           T_base_camera: np.ndarray, settings: SceneSettings) -> ScenePoints:
        """
        Return the points that a depth image shows.

        :param depth: (H, W) float32 [m], NaN unknown.
        :param closed: the same with small gaps in surfaces filled, to tell what is a surface.
        :param age: (H, W) float32 [s].
        """
        rays = ((np.arange(camera.width) - camera.cx) / camera.fx,
                (np.arange(camera.height) - camera.cy) / camera.fy)
        T = np.ascontiguousarray(T_base_camera[:3], np.float64)
        surface, low, high = _surface(depth, closed, camera.fx, *rays, T,
                                      settings.least_neighbours)
        if not surface.any():
            low = high = np.zeros(3, np.float32)
        # Voxel and pixel share 62 bits; scenes of a hundred metres get larger voxels.
        voxel, bits = settings.voxel, int(depth.size - 1).bit_length()
        size = np.floor((high - low) / voxel).astype(np.int64) + 1
        while float(np.prod(size.astype(np.float64))) >= 2.0 ** (62 - bits):
            voxel *= 1.25
            size = np.floor((high - low) / voxel).astype(np.int64) + 1
        keys = _keys(depth, surface, *rays, T, low, np.float32(voxel), size, bits)
        keys.sort()
        return cls(*_first_of_each(keys, bits, depth, age, *rays, T,
                                   np.float32(settings.depth_sigma),
                                   np.float32(settings.depth_sigma_square),
                                   np.float32(settings.calibration_sigma ** 2),
                                   np.float32(settings.mesh_sigma ** 2)))

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
def _is_surface(depth: np.ndarray, v: int, u: int, tolerance: float, least: int) -> bool:
    """Return whether `least` of the 8 pixels beside one see something as far away."""
    around = 0
    for row in range(max(v - 1, 0), min(v + 2, depth.shape[0])):
        for column in range(max(u - 1, 0), min(u + 2, depth.shape[1])):
            around += abs(depth[row, column] - depth[v, u]) <= tolerance
        if around > least:      # one is the pixel itself
            return True
    return False


@numba.njit(cache=True, nogil=True)
def without_known(depth: np.ndarray, pinhole: np.ndarray, T_other_this: np.ndarray,
                  other: np.ndarray, other_closed: np.ndarray, other_pinhole: np.ndarray,
                  tolerance: float, least: int) -> np.ndarray:
    """
    Return a depth image (H, W) float32 [m] without what another camera measures at the same place.

    Where the two measure one surface, the points of one of them are enough. The other measures
    one where four neighbouring pixels are alike, and `least` more are where that is more than 3.

    :param pinhole: fx, fy, cx, cy [px] of the image, and `other_pinhole` of the other.
    :param T_other_this: (3, 4) float64 from this camera to the other.
    :param other: (H', W') float32 [m] of the other, and `other_closed` with small gaps filled.
    :param tolerance: [m] along the other's optical axis, and across it.
    """
    left = depth.copy()
    T = T_other_this
    height, width = other.shape
    fx, fy, cx, cy = other_pinhole
    farthest = tolerance * fx      # beyond, its pixels are wider than that
    T00, T10, T20 = T[0, 0] / pinhole[0], T[1, 0] / pinhole[0], T[2, 0] / pinhole[0]
    for v in range(depth.shape[0]):
        y = (v - pinhole[3]) / pinhole[1]
        # The ray of the row's first pixel, in the other's axes.
        x0 = -pinhole[2]
        a = T00 * x0 + T[0, 1] * y + T[0, 2]
        b = T10 * x0 + T[1, 1] * y + T[1, 2]
        c = T20 * x0 + T[2, 1] * y + T[2, 2]
        for u in range(depth.shape[1]):
            z = np.float64(depth[v, u])
            far = (c + T20 * u) * z + T[2, 3]
            if not 0.0 < far <= farthest:      # NaN too
                continue
            inverse = 1.0 / far
            right = ((a + T00 * u) * z + T[0, 3]) * inverse * fx + cx
            down = ((b + T10 * u) * z + T[1, 3]) * inverse * fy + cy
            if not (0.0 <= right < width - 1 and 0.0 <= down < height - 1):
                continue
            column, row = int(right), int(down)
            p, q = other[row, column], other[row, column + 1]
            r, s = other[row + 1, column], other[row + 1, column + 1]
            across, along = right - column, down - row
            there = (p * (1 - across) + q * across) * (1 - along) \
                + (r * (1 - across) + s * across) * along
            same = max(np.float32(SAME_SURFACE), np.float32(3.0 * far / fx))
            if abs(there - far) <= tolerance and max(p, q, r, s) - min(p, q, r, s) <= same \
                    and (least <= 3 or _is_surface(other_closed, row, column, same, least)):
                left[v, u] = np.nan
    return left


@numba.njit(cache=True, nogil=True, inline='always')
def _point(z: float, x: float, y: float, T: np.ndarray
           ) -> tuple[np.float32, np.float32, np.float32]:
    """Return the point at a depth on the ray (x, y, 1) of the camera, base frame."""
    far = np.float64(z)
    x, y = x * z, y * z
    return (np.float32(T[0, 0] * x + T[0, 1] * y + T[0, 2] * far + T[0, 3]),
            np.float32(T[1, 0] * x + T[1, 1] * y + T[1, 2] * far + T[1, 3]),
            np.float32(T[2, 0] * x + T[2, 1] * y + T[2, 2] * far + T[2, 3]))


@numba.njit(cache=True, nogil=True)
def _surface(depth: np.ndarray, closed: np.ndarray, fx: float, x: np.ndarray, y: np.ndarray,
             T: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return which pixels (H, W) see a surface, and the box (3,), (3,) float32 [m] around those.

    A single pixel between two surfaces ("flying") must not be an obstacle and is left out, but
    what `least` of its 8 neighbours see as well is one, however thin.

    :param x: (W,) and `y` (H,) of the rays (x, y, 1) through the pixels.
    :param T: (3, 4) float64 T_base_camera.
    """
    surface = np.zeros(depth.shape, np.bool_)
    low, high = np.full(3, np.inf, np.float32), np.full(3, -np.inf, np.float32)
    for v in range(len(y)):
        for u in range(len(x)):
            z = depth[v, u]
            if not np.isfinite(z):
                continue
            tolerance = max(np.float32(SAME_SURFACE), np.float32(3.0) * z / np.float32(fx))
            if not _is_surface(closed, v, u, tolerance, least):
                continue
            surface[v, u] = True
            a, b, c = _point(z, x[u], y[v], T)
            low[0], low[1], low[2] = min(low[0], a), min(low[1], b), min(low[2], c)
            high[0], high[1], high[2] = max(high[0], a), max(high[1], b), max(high[2], c)
    return surface, low, high


@numba.njit(cache=True, nogil=True)
def _keys(depth: np.ndarray, surface: np.ndarray, x: np.ndarray, y: np.ndarray, T: np.ndarray,
          low: np.ndarray, voxel: float, size: np.ndarray, bits: int) -> np.ndarray:
    """
    Return the voxels of points, each followed by the `bits` of its pixel, (M,) int64.

    So they sort by voxel, and within one by place in the image. Left out are points in the same
    voxel as the pixel to the left or the one above, which is what most are.
    """
    height, width = depth.shape
    keys = np.empty(height * width, np.int64)
    above, here = np.full(width, -1, np.int64), np.empty(width, np.int64)
    count = 0
    for v in range(height):
        for u in range(width):      # on its own, so that it is computed many at a time
            a, b, c = _point(depth[v, u], x[u], y[v], T)
            key = (np.int64(np.floor((a - low[0]) / voxel)) * size[1]
                   + np.int64(np.floor((b - low[1]) / voxel))) * size[2] \
                + np.int64(np.floor((c - low[2]) / voxel))
            here[u] = key if surface[v, u] else -1
        left = np.int64(-1)
        for u in range(width):
            key = here[u]
            if key != left and key != above[u] and key >= 0:
                keys[count] = (key << bits) + v * width + u
                count += 1
            left = key
        above, here = here, above
    return keys[:count]


@numba.njit(cache=True, nogil=True)
def _first_of_each(keys: np.ndarray, bits: int, depth: np.ndarray, age: np.ndarray, x: np.ndarray,
                   y: np.ndarray, T: np.ndarray, noise: np.float32, noise_square: np.float32,
                   placed: np.float32, meshes: np.float32
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Return places, pixels, standard deviations and ages of the first point in each voxel.

    :param keys: as `_keys` makes them, sorted.
    :param noise: [m] of a depth, plus `noise_square` [1/m] times its square.
    :param placed: [m^2] variance of the place of the camera, and `meshes` of the robot's.
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
        places[n, 0], places[n, 1], places[n, 2] = _point(z, x[u], y[v], T)
        at[n, 0], at[n, 1] = v, u
        own = noise + noise_square * (z * z)
        sigma[n] = np.sqrt(own * own + placed + meshes)
        old[n] = age[v, u]
        n += 1
    return places[:n], at[:n], sigma[:n], old[:n]
