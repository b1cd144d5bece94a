# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The points of a depth image that are in some boxes, without looking at all the others.

Most of what a camera sees is nowhere near the robot's way. Tiles of the image are passed over by
the depths in them. What is left is thinned in voxels that are the same whatever else is seen.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from kinema4d_ros.camera.pixel_noise import noise_of_pixels
from kinema4d_ros.camera.raster import pinhole_of
from kinema4d_ros.scene.points import first_of_each, is_known, is_surface, point, ScenePoints
from kinema4d_ros.scene.measured import SAME_SURFACE
from kinema4d_ros.scene.settings import PlacedSceneSettings, SceneSettings
from kinema4d_ros.types import PinholeCamera

_TILE = 16              # [px]
_SLACK = 1e-5           # [m] more than coordinates are rounded by
_SOME = 64              # tiles that are looked at together
_EVERYWHERE = np.array([[[-np.inf] * 3, [np.inf] * 3]])


@dataclass(frozen=True, eq=False)
class OtherDepth:
    """What another camera measures, whose points are taken in place of this one's."""

    T_other_this: np.ndarray    # (3, 4) float64 from this camera to the other
    depth: np.ndarray           # (H', W') float32 [m], NaN unknown
    closed: np.ndarray          # the same with small gaps filled
    pinhole: np.ndarray         # fx, fy, cx, cy [px]
    least_neighbours: int


class DepthTiles:
    """A depth image in tiles, with the boxes that their points are in."""

    def __init__(self, depth: np.ndarray, closed: np.ndarray, age: np.ndarray,
                 camera: PinholeCamera, T_base_camera: np.ndarray, settings: SceneSettings,
                 others: Sequence[OtherDepth] = ()):
        """
        Make the tiles of a depth image (H, W) float32 [m], NaN unknown.

        :param closed: the same with small gaps in surfaces filled, to tell what is a surface.
        :param age: (H, W) float32 [s], or (1, 1) of all.
        :param others: cameras whose points are taken where they measure the same surface.
        """
        self._depth, self._closed, self._age = depth, closed, age
        self._fx, self._settings = camera.fx, settings
        self._rays = ((np.arange(camera.width) - camera.cx) / camera.fx,
                      (np.arange(camera.height) - camera.cy) / camera.fy)
        self._T = np.ascontiguousarray(T_base_camera[:3], np.float64)
        self._pinhole, self._others = pinhole_of(camera), others
        self._of_pixels = noise_of_pixels(depth, settings.depth_sigma,
                                          settings.depth_sigma_square)
        self._bounds = _bounds(depth, *self._rays, self._T)      # (tiles, 6) low and high

    def near(self, boxes: np.ndarray) -> ScenePoints:
        """
        Return the points that are in boxes, thinned to one per voxel: the first in the image.

        The voxels begin at the origin of the base frame, so what else is seen does not matter.

        :param boxes: (K, 2, 3) [m] lowest and highest corner, base frame.
        """
        settings, bits = self._settings, int(self._depth.size - 1).bit_length()
        boxes = np.ascontiguousarray(boxes, np.float64).reshape(-1, 6)
        ends = np.concatenate([self._bounds[:, :3].min(0), self._bounds[:, 3:].max(0)])
        voxel, low, size = _grid(ends if np.isfinite(ends).all() else np.zeros(6, np.float32),
                                 settings.voxel, bits)
        wider = boxes + np.repeat([-2.0 * voxel, 2.0 * voxel], 3)      # whole voxels
        keys = _keys(self._pixels(np.arange(len(self._bounds)), wider), self._depth, *self._rays,
                     self._T, np.float32(voxel), low, size, bits)
        keys.sort()
        found = ScenePoints(*first_of_each(
            keys, bits, self._depth, self._age, *self._rays, self._T,
            np.float32(settings.depth_sigma), np.float32(settings.depth_sigma_square),
            np.float32(self._of_pixels), *_place_of(settings),
            np.float32(settings.mesh_sigma ** 2)))
        return found.only(in_boxes(found.points_base, boxes))

    def everywhere(self) -> ScenePoints:
        """Return all points."""
        return self.near(_EVERYWHERE)

    @property
    def is_empty(self) -> bool:
        """Whether it shows no point at all."""
        tiles = np.flatnonzero(self._bounds[:, 0] <= self._bounds[:, 3])
        return not any(len(self._pixels(tiles[first:first + _SOME], _EVERYWHERE.reshape(1, 6)))
                       for first in range(0, len(tiles), _SOME))

    def _pixels(self, tiles: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Return the pixels in some tiles that see a surface in boxes (K, 6), and only here."""
        found = _surface_in(self._depth, self._closed, self._fx, *self._rays, self._T,
                            self._settings.least_neighbours, self._bounds, tiles, boxes)
        for other in self._others:
            T = other.T_other_this / np.array([self._fx, 1.0, 1.0, 1.0])
            found = _not_known(found, self._depth, self._pinhole, T, other.depth, other.closed,
                               other.pinhole, self._settings.voxel, other.least_neighbours)
        return found


def _place_of(settings: SceneSettings) -> tuple[np.float32, np.ndarray, np.ndarray]:
    """Return how well the camera's place is known, as `first_of_each` has it."""
    if isinstance(settings, PlacedSceneSettings) and settings.placed is not None:
        return (np.float32(settings.placed.besides ** 2), settings.placed.center,
                settings.placed.roots)
    return np.float32(settings.calibration_sigma ** 2), np.zeros(3), np.zeros((6, 0))


def _grid(ends: np.ndarray, voxel: float, bits: int) -> tuple[float, np.ndarray, np.ndarray]:
    """
    Return the voxel [m], the number of the first and how many (3,) int64 there are in a box (6,).

    Voxel and pixel, which has `bits`, share 62; scenes of a hundred metres get larger voxels.
    """
    while True:
        low, high = np.floor(ends.reshape(2, 3) / voxel).astype(np.int64)
        size = high - low + 3
        if float(np.prod(size.astype(np.float64))) < 2.0 ** (62 - bits):
            return voxel, low - 1, size
        voxel *= 1.25


@numba.njit(cache=True, nogil=True)
def in_boxes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return which points (N, 3) are in any of boxes (K, 6), (N,) bool."""
    found = np.zeros(len(points), np.bool_)
    for n in range(len(points)):
        a, b, c = points[n]
        for k in range(len(boxes)):
            if boxes[k, 0] <= a <= boxes[k, 3] and boxes[k, 1] <= b <= boxes[k, 4] \
                    and boxes[k, 2] <= c <= boxes[k, 5]:
                found[n] = True
                break
    return found


@numba.njit(cache=True, nogil=True)
def _bounds(depth: np.ndarray, x: np.ndarray, y: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return boxes (tiles, 6) float32 [m] around what tiles see; inf and -inf of nothing."""
    height, width = depth.shape
    rows, columns = (height - 1) // _TILE + 1, (width - 1) // _TILE + 1
    bounds = np.empty((rows * columns, 6), np.float32)
    bounds[:, :3], bounds[:, 3:] = np.inf, -np.inf
    nearest, farthest = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(rows):
        top, bottom = row * _TILE, min((row + 1) * _TILE, height)
        nearest[:], farthest[:] = np.inf, -np.inf
        for v in range(top, bottom):
            for u in range(width):      # NaN is neither
                z = depth[v, u]
                nearest[u] = z if z < nearest[u] else nearest[u]
                farthest[u] = z if z > farthest[u] else farthest[u]
        for column in range(columns):
            left, right = column * _TILE, min((column + 1) * _TILE, width)
            near, far = np.inf, -np.inf
            for u in range(left, right):
                near, far = min(near, nearest[u]), max(far, farthest[u])
            if not near <= far:
                continue
            at = bounds[row * columns + column]
            for z in (near, far):
                for u in (left, right - 1):
                    for v in (top, bottom - 1):
                        for k in range(3):
                            p = T[k, 0] * x[u] * z + T[k, 1] * y[v] * z + T[k, 2] * z + T[k, 3]
                            at[k] = min(at[k], p - _SLACK)
                            at[3 + k] = max(at[3 + k], p + _SLACK)
    return bounds


@numba.njit(cache=True, nogil=True)
def _surface_in(depth: np.ndarray, closed: np.ndarray, fx: float, x: np.ndarray, y: np.ndarray,
                T: np.ndarray, least: int, bounds: np.ndarray, tiles: np.ndarray,
                boxes: np.ndarray) -> np.ndarray:
    """Return the pixels (N,) int32 of some tiles that see a surface inside any of the boxes."""
    height, width = depth.shape
    columns = (width - 1) // _TILE + 1
    found, count = np.empty(1024, np.int32), 0
    own = np.empty((len(boxes), 6))
    for tile in tiles:
        some = 0
        for box in boxes:
            if box[0] <= bounds[tile, 3] and bounds[tile, 0] <= box[3] \
                    and box[1] <= bounds[tile, 4] and bounds[tile, 1] <= box[4] \
                    and box[2] <= bounds[tile, 5] and bounds[tile, 2] <= box[5]:
                own[some] = box
                some += 1
        if not some:
            continue
        if len(found) < count + _TILE * _TILE:
            longer = np.empty(2 * len(found), np.int32)
            longer[:count] = found[:count]
            found = longer
        top, left = tile // columns * _TILE, tile % columns * _TILE
        for v in range(top, min(top + _TILE, height)):
            for u in range(left, min(left + _TILE, width)):
                z = depth[v, u]
                if not z < np.inf:      # NaN too
                    continue
                a, b, c = point(z, x[u], y[v], T)
                inside = False
                for k in range(some):
                    inside |= (own[k, 0] <= a) & (a <= own[k, 3]) & (own[k, 1] <= b) \
                        & (b <= own[k, 4]) & (own[k, 2] <= c) & (c <= own[k, 5])
                if not inside:
                    continue
                tolerance = max(np.float32(SAME_SURFACE), np.float32(3.0) * z / np.float32(fx))
                if is_surface(closed, v, u, tolerance, least):
                    found[count] = v * width + u
                    count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _not_known(pixels: np.ndarray, depth: np.ndarray, pinhole: np.ndarray, T: np.ndarray,
               other: np.ndarray, other_closed: np.ndarray, other_pinhole: np.ndarray,
               tolerance: float, least: int) -> np.ndarray:
    """Return the pixels that do not see what another camera measures, see `is_known`."""
    width = depth.shape[1]
    fx, fy, cx, cy = other_pinhole
    left, count = np.empty_like(pixels), 0
    for pixel in pixels:
        v, u = pixel // width, pixel % width
        if not is_known(np.float64(depth[v, u]), u, (v - pinhole[3]) / pinhole[1], -pinhole[2],
                        T, fx, fy, cx, cy, other, other_closed, tolerance, least):
            left[count] = pixel
            count += 1
    return left[:count]


@numba.njit(cache=True, nogil=True)
def _keys(pixels: np.ndarray, depth: np.ndarray, x: np.ndarray, y: np.ndarray, T: np.ndarray,
          voxel: float, low: np.ndarray, size: np.ndarray, bits: int) -> np.ndarray:
    """
    Return the voxels that pixels see, each followed by the `bits` of the pixel, (M,) int64.

    Left out are pixels that see the voxel of the one before, which is what most do.
    """
    width = depth.shape[1]
    keys = np.empty(len(pixels), np.int64)
    count, last = 0, np.int64(-1)
    for n in range(len(pixels)):
        v, u = pixels[n] // width, pixels[n] % width
        a, b, c = point(depth[v, u], x[u], y[v], T)
        key = ((np.int64(np.floor(a / voxel)) - low[0]) * size[1]
               + np.int64(np.floor(b / voxel)) - low[1]) * size[2] \
            + np.int64(np.floor(c / voxel)) - low[2]
        if key != last or pixels[n] != pixels[n - 1] + 1:
            keys[count] = (key << bits) + pixels[n]
            count += 1
        last = key
    return keys[:count]
