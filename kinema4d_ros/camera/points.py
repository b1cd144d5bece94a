# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between pixels with depth and points: back-project, project, merge by depth, move, select."""
from __future__ import annotations

import numba
import numpy as np

from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera


def pointmap_from_depth(depth: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """
    Return the point of each pixel, (..., H, W, 3) float32 [m] camera frame, NaN where unknown.

    :param depth: (..., H, W) [m] along optical z, NaN unknown.
    :raises CameraError: the depth does not have the size of the camera.
    """
    if depth.shape[-2:] != (camera.height, camera.width):
        raise CameraError(f'depth {depth.shape} does not have the size of the camera, '
                          f'{(camera.height, camera.width)}')
    return camera.rays() * np.asarray(depth, np.float32)[..., None]


def project(points: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """
    Return the pixels (..., 2) float64 (u, v) of points (..., 3) [m] in the camera frame.

    Points that are not in front of the camera give NaN; pixels may lie outside of the image.
    """
    points = np.asarray(points, np.float64)
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    return np.stack([camera.fx * points[..., 0] / z + camera.cx,
                     camera.fy * points[..., 1] / z + camera.cy], axis=-1)


@numba.njit(cache=True, nogil=True)
def merge(image: np.ndarray, depth: np.ndarray, layer_image: np.ndarray,
          layer_depth: np.ndarray, tolerance: float) -> np.ndarray:
    """
    Draw a layer into `image` and `depth` where it is in front; return where it was drawn.

    The layer wins where nothing is known of `depth` (NaN) and against what is at most
    `tolerance` in front of it, so that sensor noise does not eat through touching surfaces.

    :param image: (H, W, 3) uint8, changed.
    :param depth: (H, W) float32 [m], NaN unknown, changed.
    :param layer_image: (H, W, 3) uint8.
    :param layer_depth: (H, W) float32 [m], NaN where the layer has nothing.
    :param tolerance: [m].
    :return: (H, W) bool.
    """
    height, width = depth.shape
    drawn = np.zeros((height, width), np.bool_)
    for v in range(height):
        for u in range(width):
            new = layer_depth[v, u]
            if new != new:
                continue
            old = depth[v, u]
            if old != old or new <= old + tolerance:
                depth[v, u] = new
                image[v, u, 0] = layer_image[v, u, 0]
                image[v, u, 1] = layer_image[v, u, 1]
                image[v, u, 2] = layer_image[v, u, 2]
                drawn[v, u] = True
    return drawn


@numba.njit(cache=True, nogil=True)
def pointmap(depth: np.ndarray, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """
    Back-project (H, W) float32 [m] to points (H, W, 3) float32 [m], NaN stays NaN.

    `camera.pointmap_from_depth` does it for any number of images and rounds each ray to float32
    first, so one value in six differs by its last bit (1e-7 m). Both stay: predicted frames and
    stories rest on the bits of this one, what tier 2 and sweeping measure on those of the other.
    """
    height, width = depth.shape
    points = np.empty((height, width, 3), np.float32)
    for v in range(height):
        y = (v - cy) / fy
        for u in range(width):
            z = depth[v, u]
            points[v, u, 0] = (u - cx) / fx * z
            points[v, u, 1] = y * z
            points[v, u, 2] = z
    return points


@numba.njit(cache=True, nogil=True)
def pointmap_moved(depth: np.ndarray, fx: float, fy: float, cx: float, cy: float,
                   T: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """
    Back-project as `pointmap` does, rounded to float32, and move the points by T (3, 4) float64.

    :param window: first row, row after the last, first column, column after the last.
    :return: (rows, columns, 3) float32 [m], NaN stays NaN.
    """
    top, bottom, left, right = window
    points = np.empty((bottom - top, right - left, 3), np.float32)
    for v in range(top, bottom):
        y = (v - cy) / fy
        for u in range(left, right):
            z = depth[v, u]
            a, b = np.float32((u - cx) / fx * z), np.float32(y * z)
            for k in range(3):
                points[v - top, u - left, k] = \
                    T[k, 0] * a + T[k, 1] * b + T[k, 2] * z + T[k, 3]
    return points


@numba.njit(cache=True, nogil=True)
def inside_box(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which of points (N, 3) are within the corners (3,), (M,) int64; no NaN is."""
    found = np.empty(len(points), np.int64)
    count = 0
    for n in range(len(points)):
        x, y, z = points[n]
        if low[0] <= x <= high[0] and low[1] <= y <= high[1] and low[2] <= z <= high[2]:
            found[count] = n
            count += 1
    return found[:count].copy()
