# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between pixels with depth and points in the camera frame."""
from __future__ import annotations

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
