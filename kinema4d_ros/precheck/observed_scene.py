# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene as one depth image shows it: points that are not the robot, and space not seen."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.precheck.settings import Tier1Settings
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
        measured = (observation.depth > 0) & (observation.depth < _FARTHEST)
        seen_to = np.where(measured, observation.depth, np.float32(np.nan))
        depth = np.where(hidden, np.float32(np.nan), seen_to)
        memory = observation.background
        if memory is not None:
            depth = np.where(hidden & memory.known, memory.depth, depth)
            seen_to = np.fmax(seen_to, depth)
        beside = measured[~hidden]
        camera = observation.camera
        rows, columns = np.nonzero(
            np.isfinite(depth) & _supported(depth, camera.fx, settings.least_neighbours))
        z = depth[rows, columns]
        T_base_camera = observation.T_base_camera
        points = np.stack([(columns - camera.cx) / camera.fx * z,
                           (rows - camera.cy) / camera.fy * z, z], axis=1)
        points = (points @ T_base_camera[:3, :3].T + T_base_camera[:3, 3]).astype(np.float32)
        keep = _thinned(points, settings.voxel)
        sigma = np.sqrt(
            (settings.depth_sigma + settings.depth_sigma_square * z[keep] ** 2) ** 2
            + settings.calibration_sigma ** 2 + settings.mesh_sigma ** 2)
        return cls(points[keep], np.stack([rows, columns], axis=1)[keep].astype(np.int32),
                   sigma.astype(np.float32), depth.astype(np.float32), seen_to.astype(np.float32),
                   float(beside.mean()) if beside.size else 0.0, observation)

    def within(self, low: np.ndarray, high: np.ndarray) -> ObservedScene:
        """Return the scene with only the points in a box, from (3,) to (3,) [m] base."""
        keep = ((self.points_base >= low) & (self.points_base <= high)).all(axis=1)
        return dataclasses.replace(self, points_base=self.points_base[keep],
                                   pixels=self.pixels[keep], sigma=self.sigma[keep])

    def unseen(self, points_base: np.ndarray, tolerance: float) -> np.ndarray:
        """
        Tell which points (..., 3) [m] lie where the camera could not see.

        That is outside the image, behind what it saw by more than `tolerance` [m], or where it
        measured nothing.
        """
        T_camera_base = np.linalg.inv(self.observation.T_base_camera)
        local = points_base @ T_camera_base[:3, :3].T + T_camera_base[:3, 3]
        camera = self.observation.camera
        z = local[..., 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            u = np.round(local[..., 0] / z * camera.fx + camera.cx)
            v = np.round(local[..., 1] / z * camera.fy + camera.cy)
        inside = (z > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        u, v = np.where(inside, u, 0).astype(int), np.where(inside, v, 0).astype(int)
        # NaN compares false: what was not measured is not seen.
        return ~(inside & (z <= self.seen_to[v, u] + tolerance))


def _thinned(points: np.ndarray, voxel: float) -> np.ndarray:
    """Return indices of one point per voxel."""
    if not len(points):
        return np.empty(0, int)
    cells = np.floor((points - points.min(0)) / voxel).astype(np.int64)
    size = cells.max(0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    return np.unique(keys, return_index=True)[1]


def _supported(depth: np.ndarray, focal: float, least: int) -> np.ndarray:
    """
    Tell which pixels have neighbours that see the same surface, (H, W) bool.

    A single pixel between two surfaces ("flying") must not be an obstacle, but a thin one that is
    seen by several pixels is.

    :param focal: [px].
    :param least: of the 8 neighbours.
    """
    tolerance = np.fmax(_SAME_SURFACE, 3 * depth / focal)
    padded = np.pad(depth, 1, constant_values=np.nan)
    height, width = depth.shape
    count = np.zeros(depth.shape, np.uint8)
    for row in range(3):
        for column in range(3):
            if (row, column) != (1, 1):
                beside = padded[row:row + height, column:column + width]
                count += np.abs(beside - depth) <= tolerance
    return count >= least
