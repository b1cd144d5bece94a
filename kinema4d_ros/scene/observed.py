# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene as one depth image shows it: points that are not the robot, and space not seen."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import cv2
import numba
import numpy as np

from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.robot import PointCubes
from kinema4d_ros.types import Observation

_FARTHEST = 100.0        # [m] a depth beyond this, or not above 0, is no measurement
_SAME_SURFACE = 0.015    # [m] neighbouring pixels whose depth differs by less see one surface


@dataclass(frozen=True, eq=False)
class ObservedScene:
    """What is known of the space around the robot from one observation with depth."""

    points_base: np.ndarray   # (N, 3) float32 [m], thinned to one point per voxel
    pixels: np.ndarray        # (N, 2) int32, row and column that each point was seen at
    sigma: np.ndarray         # (N,) float32 [m], standard deviation of each point's place
    depth: np.ndarray         # (H, W) float32 [m], NaN where unknown or hidden by the robot
    seen_to: np.ndarray       # (H, W) float32 [m], how far the camera looked, NaN not at all
    measured: float           # 0..1 of the pixels beside the robot have a depth
    observation: Observation

    @classmethod
    def of(cls, observation: Observation, robot_mask: np.ndarray,
           settings: Tier1Settings) -> ObservedScene:
        """
        Take the robot out of the depth image; what is left is the scene.

        Where the robot hides the scene, the background memory of the observation stands in.

        :param robot_mask: (H, W) bool, the robot as rendered at the observation; it is grown by
            the calibration uncertainty of the settings.
        """
        side = 2 * settings.mask_growth + 1
        hidden = cv2.dilate(robot_mask.astype(np.uint8),
                            cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0
        depth, seen_to, measured = _without(
            np.ascontiguousarray(observation.view.depth, np.float32), hidden)
        memory = observation.view.background
        if memory is not None:
            is_measured = (memory.depth > 0.0) & (memory.depth < _FARTHEST)
            np.copyto(depth, memory.depth, where=hidden & memory.known & is_measured)
            seen_to = np.fmax(seen_to, depth)
        camera = observation.view.camera
        T_base_camera = observation.view.T_base_camera
        points, pixels, low, high = _points(
            depth, camera.fx, camera.fy, camera.cx, camera.cy,
            np.ascontiguousarray(T_base_camera[:3], np.float64), settings.least_neighbours)
        keep = _thinned(points, pixels, low, high, settings.voxel)
        points, pixels = points[keep], pixels[keep]
        z = depth[pixels[:, 0], pixels[:, 1]]
        sigma = np.sqrt(
            (settings.depth_sigma + settings.depth_sigma_square * z ** 2) ** 2
            + settings.calibration_sigma ** 2 + settings.mesh_sigma ** 2)
        return cls(points, pixels, sigma.astype(np.float32), depth, seen_to, measured,
                   observation)

    @cached_property
    def cubes(self) -> PointCubes:
        """The points, sorted."""
        return PointCubes(self.points_base)

    def only(self, keep: np.ndarray) -> ObservedScene:
        """Return the scene with only some of its points, (N,) bool."""
        return dataclasses.replace(self, points_base=self.points_base[keep],
                                   pixels=self.pixels[keep], sigma=self.sigma[keep])

    def unseen(self, points_base: np.ndarray, tolerance: float) -> np.ndarray:
        """
        Tell which points (..., 3) [m] lie where the camera could not see.

        That is outside the image, behind what it saw by more than `tolerance` [m], or where it
        measured nothing.
        """
        T_camera_base = np.linalg.inv(self.observation.view.T_base_camera)
        local = points_base @ T_camera_base[:3, :3].T + T_camera_base[:3, 3]
        camera = self.observation.view.camera
        z = local[..., 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            u = np.round(local[..., 0] / z * camera.fx + camera.cx)
            v = np.round(local[..., 1] / z * camera.fy + camera.cy)
        inside = (z > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        u, v = np.where(inside, u, 0).astype(int), np.where(inside, v, 0).astype(int)
        # NaN compares false: what was not measured is not seen.
        return ~(inside & (z <= self.seen_to[v, u] + tolerance))


def _thinned(points: np.ndarray, pixels: np.ndarray, low: np.ndarray, high: np.ndarray,
             voxel: float) -> np.ndarray:
    """Return indices of one point per voxel, the first in the image; low, high: all points'."""
    if not len(points):
        return np.empty(0, int)
    size = np.floor((high - low) / voxel).astype(np.int64) + 1
    keys, first = _keys(points, pixels, low, np.float32(voxel), size)
    return first[np.unique(keys, return_index=True)[1]]


@numba.njit(cache=True, nogil=True)
def _without(depth, hidden):
    """Return depth without what is hidden, all that was measured, the share of it beside that."""
    height, width = depth.shape
    left, measured = np.empty_like(depth), np.empty_like(depth)
    beside, known = 0, 0
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            z = z if 0.0 < z < _FARTHEST else np.float32(np.nan)
            measured[v, u] = z
            left[v, u] = np.float32(np.nan) if hidden[v, u] else z
            beside += not hidden[v, u]
            known += left[v, u] == left[v, u]
    return left, measured, known / max(beside, 1)


@numba.njit(cache=True, nogil=True)
def _is_surface(depth, v, u, tolerance, least):
    """Tell whether `least` of the 8 pixels beside one see something as far away."""
    around = 0
    for row in range(max(v - 1, 0), min(v + 2, depth.shape[0])):
        for column in range(max(u - 1, 0), min(u + 2, depth.shape[1])):
            around += abs(depth[row, column] - depth[v, u]) <= tolerance
        if around > least:      # one is the pixel itself
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _points(depth, fx, fy, cx, cy, T_base_camera, least):
    """
    Return points (N, 3) float32 [m] base, their pixels (N, 2) int32, and the box around them.

    A single pixel between two surfaces ("flying") must not be an obstacle and is left out, but
    what `least` of its 8 neighbours see as well is one, however thin.
    """
    height, width = depth.shape
    points = np.empty((height * width, 3), np.float32)
    pixels = np.empty((height * width, 2), np.int32)
    low, high = np.full(3, np.inf, np.float32), np.full(3, -np.inf, np.float32)
    count, T = 0, T_base_camera
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            if not np.isfinite(z):
                continue
            tolerance = max(np.float32(_SAME_SURFACE), np.float32(3.0) * z / np.float32(fx))
            if not _is_surface(depth, v, u, tolerance, least):
                continue
            x, y, far = (u - cx) / fx * z, (v - cy) / fy * z, np.float64(z)
            for k in range(3):
                points[count, k] = T[k, 0] * x + T[k, 1] * y + T[k, 2] * far + T[k, 3]
                low[k] = min(low[k], points[count, k])
                high[k] = max(high[k], points[count, k])
            pixels[count, 0], pixels[count, 1] = v, u
            count += 1
    return points[:count], pixels[:count], low, high


@numba.njit(cache=True, nogil=True)
def _keys(points, pixels, low, voxel, size):
    """
    Return the voxels (M,) of points and which point (M,) it is, all but most of the doubles.

    Left out are points in the same voxel as the pixel to the left or the one above, which is
    what most are.
    """
    keys, first = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    width = pixels[:, 1].max() + 2
    above, here = np.full(width, -1, np.int64), np.full(width, -1, np.int64)
    count, row = 0, np.int64(-1)
    for n in range(len(points)):
        v, u = pixels[n, 0], pixels[n, 1]
        if v != row:
            above, here = here, above
            if v != row + 1:
                above[:] = -1
            here[:] = -1
            row = np.int64(v)
        key = np.int64(0)
        for k in range(3):
            key = key * size[k] + np.int64(np.floor((points[n, k] - low[k]) / voxel))
        here[u + 1] = key          # shifted by one, so that there is a left of the first
        if key != above[u + 1] and key != here[u]:
            keys[count], first[count] = key, n
            count += 1
    return keys[:count], first[:count]
