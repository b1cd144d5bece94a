# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An object that was seen standing and now moves rigidly: its surface, size and poses."""
from __future__ import annotations

import itertools
from functools import cached_property

import cv2
import numpy as np

from kinema4d_ros.camera import rasterize, shade
from kinema4d_ros.foresight.hull import hull_planes
from kinema4d_ros.scene.surface import grid_mesh
from kinema4d_ros.types import PinholeCamera

_FOOT = 0.012       # [m] a surface that ends this far above the bottom has a hidden foot
_STEP = 0.015       # [m] neighbours farther apart than this are not one surface
_BEHIND = 0.004     # [m] behind the seen surface by more than this is hidden


class Body:
    """
    A rigid object: a mesh, mostly of the surface that one camera saw (`seen`).

    A camera sees one side. Where the object stands, how high it is, and its horizontal outline
    are seen anyway when the camera looks down on it; the centre is the middle of these. What is
    hidden of the outline is taken to mirror what is seen.

    Attributes, all in the base frame at the time of the observation:

    * ``center`` (3,) float64 [m]: middle of the completed object.
    * ``bottom`` [m]: height of what it stands on; ``top`` [m].
    * ``base_outline`` (N, 2) float64 [m]: horizontal points of the part that stands.

    A pose of a body is how it has moved since it was observed, (4, 4), identity at first.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray,
                 bottom: float | None = None):
        """
        Make a body of a mesh.

        :param vertices: (V, 3) [m] base frame.
        :param faces: (F, 3) int32.
        :param colors: (V, 3) uint8.
        :param bottom: [m] base frame, height of what it stands on; None for its lowest point.
        """
        self.vertices, self.faces, self.colors = vertices, faces, colors
        self.bottom = float(vertices[:, 2].min() if bottom is None else bottom)
        self.top = float(np.percentile(self.vertices[:, 2], 99))
        middle = middle_of(self.vertices[:, :2])
        self.center = np.array([*middle, 0.5 * (self.bottom + self.top)])
        low = self.vertices[:, 2] < self.bottom + 0.3 * (self.top - self.bottom)
        seen = self.vertices[low if low.sum() >= 10 else slice(None), :2]
        self.base_outline = np.concatenate([seen, 2 * middle - seen])

    @classmethod
    def seen(cls, image: np.ndarray | None, depth: np.ndarray, mask: np.ndarray,
             camera: PinholeCamera, T_base_camera: np.ndarray, bottom: float | None) -> Body:
        """
        Make a body of what a mask of a picture shows, completed where it must be.

        :param image: (H, W, 3) uint8; None for a black body.
        :param depth: (H, W) float32 [m].
        :param mask: (H, W) bool, pixels of the object.
        :param bottom: [m] base frame, height of what it stands on; None where it stands on
            nothing.
        """
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = (int(rows[0]), int(columns[0])) if len(rows) else (0, 0)
        window = (slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)) \
            if len(rows) else (slice(0, 0), slice(0, 0))
        size = mask[window].shape
        points, faces, pixel = grid_mesh(depth[window], mask[window], camera.cropped(
            left, top, max(size[1], 1), max(size[0], 1)))
        pixel = pixel + [top, left]
        colors = np.zeros((len(pixel), 3), np.uint8)
        if image is not None:
            colors = image[pixel[:, 0], pixel[:, 1]]
        vertices = points @ T_base_camera[:3, :3].T + T_base_camera[:3, 3]    # (V, 3) base
        body = cls(vertices, faces, colors, bottom)
        if bottom is not None:
            body.hang_down(pixel, depth)
        body.complete(depth, camera, T_base_camera)
        return body

    @cached_property
    def planes(self) -> np.ndarray | None:
        """Outward planes (F, 4) of its convex hull as it was observed; None for a flat one."""
        return hull_planes(self.vertices)

    def hang_down(self, pixel: np.ndarray, depth: np.ndarray) -> None:
        """
        Continue the seen surface straight down to the bottom where something hides its foot.

        :param pixel: (V, 2) (v, u) of the vertices.
        :param depth: (H, W) of the whole scene.
        """
        lowest = {}
        for number, (_row, column) in enumerate(pixel):
            lowest[int(column)] = number           # rows come in order, so the last one is lowest
        below = np.minimum(pixel[:, 0] + 2, len(depth) - 1), pixel[:, 1]
        hidden = depth[below] < depth[pixel[:, 0], pixel[:, 1]] - _STEP
        columns = sorted(column for column, number in lowest.items() if hidden[number])
        edges = []
        for left, right in itertools.pairwise(columns):
            a, b = lowest[left], lowest[right]
            step = np.linalg.norm(self.vertices[a] - self.vertices[b])
            high = self.vertices[[a, b], 2].min() - self.bottom > _FOOT
            if right == left + 1 and high and step < _STEP:
                edges.append((a, b))
        if not edges:
            return
        strip = np.array(edges)
        used, index = np.unique(strip, return_inverse=True)
        index = index.reshape(strip.shape) + len(self.vertices)
        foot = self.vertices[used].copy()
        foot[:, 2] = self.bottom
        self.vertices = np.concatenate([self.vertices, foot])
        self.colors = np.concatenate([self.colors, self.colors[used]])
        self.faces = np.concatenate([
            self.faces, np.column_stack([strip, index[:, 0]]),
            np.column_stack([strip[:, 1], index[:, 1], index[:, 0]])]).astype(np.int32)

    def complete(self, depth: np.ndarray, camera: PinholeCamera,
                  T_base_camera: np.ndarray) -> None:
        """
        Add the hidden side: the seen surface turned by half a turn about the vertical axis.

        Only what the camera could not have seen is added, so nothing contradicts the picture.
        """
        turned = self.vertices.copy()
        turned[:, :2] = 2 * self.center[:2] - turned[:, :2]
        T = np.linalg.inv(T_base_camera)
        local = turned @ T[:3, :3].T + T[:3, 3]
        z = np.maximum(local[:, 2], 1e-6)
        u = np.clip(np.round(local[:, 0] / z * camera.fx + camera.cx), 0, camera.width - 1)
        v = np.clip(np.round(local[:, 1] / z * camera.fy + camera.cy), 0, camera.height - 1)
        hidden = z > depth[v.astype(int), u.astype(int)] + _BEHIND
        number = np.cumsum(hidden) - 1 + len(self.vertices)
        faces = number[self.faces[hidden[self.faces].all(1)]].astype(np.int32)
        self.vertices = np.concatenate([self.vertices, turned[hidden]])
        self.faces = np.concatenate([self.faces, faces])
        self.colors = np.concatenate([self.colors, self.colors[hidden]])

    @staticmethod
    def moved(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Return points of the observed object (..., 3) where they are at that pose, base."""
        return points @ pose[:3, :3].T + pose[:3, 3]

    def footprint(self, pose: np.ndarray, step: float = 0.004) -> np.ndarray:
        """Return a grid of points that fills the standing part, (N, 3) float64 [m] base."""
        outline = self.base_outline
        hull = cv2.convexHull(outline.astype(np.float32))[:, 0]
        low = outline.min(0)
        size = np.ceil(np.ptp(outline, axis=0) / step).astype(int) + 1
        cells = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(cells, np.round((hull - low) / step).astype(np.int32), 1)
        rows, columns = np.nonzero(cells)
        places = low + np.column_stack([columns, rows]) * step
        return self.moved(np.column_stack([places, np.full(len(places), self.bottom)]), pose)

    def render(self, pose: np.ndarray, camera: PinholeCamera,
               T_base_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the object as the camera sees it: image (H, W, 3) and depth (H, W) [m] NaN."""
        T = np.linalg.inv(T_base_camera) @ pose
        vertices = (self.vertices @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
        depth, face_id = rasterize(vertices, self.faces, camera)
        return shade(face_id, depth, vertices, self.faces, self.colors, camera), depth


def middle_of(points: np.ndarray) -> np.ndarray:
    """Return the middle of the smallest rectangle around horizontal points (N, 2), (2,)."""
    center, _, _ = cv2.minAreaRect(points.astype(np.float32))
    return np.asarray(center, np.float64)
