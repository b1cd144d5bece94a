# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A depth image as a textured triangle mesh, and the same surface seen from somewhere else."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from kinema4d_ros.camera import rasterize, shade
from kinema4d_ros.camera.points import pointmap
from kinema4d_ros.scene.mask import in_paint
from kinema4d_ros.types import PinholeCamera

# Neighbouring pixels belong to one surface up to this slope against the image plane; beyond it,
# the step is an edge with something unseen behind it. tan(85 deg).
_STEEPEST = 11.4
_COARSE = 4        # [px] size of the cells in which what is hidden from elsewhere is filled


def grid_mesh(depth: np.ndarray, keep: np.ndarray,
              camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Triangulate neighbouring pixels of one surface.

    :param depth: (H, W) float32 [m], NaN unknown.
    :param keep: (H, W) bool, pixels to use.
    :return: vertices (V, 3) float32 [m] camera frame, faces (F, 3) int32, and the pixel
        (V, 2) int64 (v, u) of each vertex, to look up its colour.
    """
    keep = keep & np.isfinite(depth)
    pixel = np.argwhere(keep)
    number = np.full(depth.shape, -1, np.int32)
    number[keep] = np.arange(len(pixel), dtype=np.int32)
    points = pointmap(np.ascontiguousarray(depth, np.float32),
                      camera.fx, camera.fy, camera.cx, camera.cy)[keep]
    corner = {'a': number[:-1, :-1], 'b': number[:-1, 1:],
              'c': number[1:, :-1], 'd': number[1:, 1:]}
    faces = np.concatenate([
        np.stack([corner[key] for key in triangle], -1).reshape(-1, 3)
        for triangle in ('acb', 'bcd')])
    faces = faces[(faces >= 0).all(1)]
    z = points[faces, 2] if len(faces) else np.empty((0, 3), np.float32)
    step = z.max(1, initial=-np.inf) - z.min(1, initial=np.inf)
    limit = _STEEPEST * z.mean(1) / camera.fx if len(z) else step
    return points, np.ascontiguousarray(faces[step <= limit]), pixel


class TexturedSurface:
    """A picture with depth, seen from its own camera pose or from another one."""

    def __init__(self, image: np.ndarray, depth: np.ndarray, camera: PinholeCamera,
                 T_base_camera: np.ndarray):
        """
        Make the surface of a picture with depth.

        :param image: (H, W, 3) uint8.
        :param depth: (H, W) float32 [m], NaN unknown.
        :param T_base_camera: (4, 4) where it was taken from.
        """
        self.image, self.depth, self.camera = image, depth, camera
        self.T_base_camera = np.asarray(T_base_camera)
        self._mesh: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def from_pose(self, T_base_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return fresh copies of image and depth as the same camera sees them from that pose.

        Without any depth the picture cannot be moved and is returned as it is. From elsewhere,
        what was hidden is in-painted in the image and unknown in the depth.
        """
        if np.allclose(T_base_camera, self.T_base_camera, atol=1e-6) \
                or not np.isfinite(self.depth).any():
            return self.image.copy(), self.depth.copy()
        image, depth = self.seen_by(self.camera, T_base_camera)
        return _filled(image, np.isnan(depth)), depth

    def seen_by(self, camera: PinholeCamera,
                T_base_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return image and depth as another camera sees it, from a pose (4, 4).

        What it does not show is black in the image, and NaN in the depth.
        """
        if self._mesh is None:
            self._mesh = grid_mesh(self.depth, np.isfinite(self.depth), self.camera)
        points, faces, pixel = self._mesh
        T_new_old = np.linalg.inv(T_base_camera) @ self.T_base_camera
        moved = (points @ T_new_old[:3, :3].T + T_new_old[:3, 3]).astype(np.float32)
        depth, face_id = rasterize(moved, faces, camera)
        colors = self.image[pixel[:, 0], pixel[:, 1]]
        return shade(face_id, depth, moved, faces, colors, camera), depth


def depth_from(surfaces: Sequence[TexturedSurface], camera: PinholeCamera,
               T_base_camera: np.ndarray) -> np.ndarray:
    """Return the depth that a camera would measure of some surfaces, (H, W) float32 [m], NaN."""
    depth = np.full((camera.height, camera.width), np.nan, np.float32)
    for surface in surfaces:
        depth = np.fmin(depth, surface.seen_by(camera, T_base_camera)[1])
    return depth


def _filled(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole coarsely: it may be half of the picture, and every frame has another one."""
    size = (max(1, hole.shape[1] // _COARSE), max(1, hole.shape[0] // _COARSE))
    # Mean of the pixels that are known, so that no black of the hole gets in.
    weight = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image * (~hole)[..., None].astype(np.float32), size,
                       interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    small = in_paint(small.astype(np.uint8), weight < 0.25)
    large = cv2.resize(small, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None], large, image)
