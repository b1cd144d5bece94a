# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What TesserAct sees and shows of a frame: RGB, relative depth and normals, side by side.

Depth is brighter where it is nearer: 1 - (z - nearest) / (farthest - nearest), of the distance
itself and not of its inverse. Normals are in the axes of a camera of OpenGL (x right, y up, z to
the camera), from [-1, 1] to [0, 1]. Both as found in the program's own input and result pictures.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.camera import ImageFit
from kinema4d_ros.camera.points import pointmap_from_depth
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import CameraView, PinholeCamera

_TO_OPENGL = np.array([1, -1, -1], np.float32)     # of axes of the optical frame
_LEAST_MEASURED = 0.2      # share of the picture with a depth; the rest is filled in


@dataclass(frozen=True, eq=False)
class Panels:
    """One frame as the model has it."""

    image: np.ndarray     # (H, W, 3) float32, 0 to 1
    depth: np.ndarray     # (H, W) float32, 0 far to 1 near
    normals: np.ndarray   # (H, W, 3) float32 unit vectors, optical frame; NaN where there is none

    @classmethod
    def side_by_side(cls, picture: np.ndarray) -> Panels:
        """
        Return the panels of a picture (H, 3 W, 3) uint8: RGB, depth, normals.

        :raises WorldModelError: its width is no multiple of three.
        """
        if picture.ndim != 3 or picture.shape[1] % 3:
            raise WorldModelError(f'a picture of RGB, depth and normals is three pictures wide, '
                                  f'got {picture.shape}')
        return cls.of_values(*np.split(picture.astype(np.float32) / 255, 3, axis=1))

    @classmethod
    def of_values(cls, image: np.ndarray, depth: np.ndarray, normals: np.ndarray) -> Panels:
        """Return the panels of three pictures (H, W, 3) float32, 0 to 1, as a model makes them."""
        vectors = (2 * normals - 1) * _TO_OPENGL
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        with np.errstate(invalid='ignore', divide='ignore'):
            vectors = np.where(length > 0.1, vectors / length, np.nan)
        return cls(image, depth.mean(axis=-1), vectors.astype(np.float32))

    @classmethod
    def seen(cls, view: CameraView, fit: ImageFit) -> Panels:
        """
        Return the panels of what a camera sees, in the size of the model.

        :raises WorldModelError: there is no depth image, or too little in it.
        """
        if view.depth is None:
            raise WorldModelError(
                'tesseract is shown depth and normals of the first frame, and there is no depth '
                'image; connect a depth camera, or choose another world model')
        depth = fit.apply(view.depth, nearest=True, fill=np.nan)
        measured = np.isfinite(depth)
        if measured.mean() < _LEAST_MEASURED:
            raise WorldModelError(
                f'only {100 * measured.mean():.0f} % of the image has a depth, and tesseract is '
                f'shown all of it; at least {100 * _LEAST_MEASURED:.0f} % are needed')
        depth = _filled(depth, measured)
        near, far = np.percentile(depth, (0, 100))
        relative = 1 - (depth - near) / max(far - near, 1e-6)
        return cls(fit.apply(view.image).astype(np.float32) / 255, relative.astype(np.float32),
                   normals_of(pointmap_from_depth(depth, fit.camera)))

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three pictures (H, W, 3) float32, 0 to 1, that the model is shown."""
        normals = np.nan_to_num(self.normals * _TO_OPENGL, nan=0.0)
        return self.image, np.repeat(self.depth[..., None], 3, axis=2), (normals + 1) / 2


def model_fit(camera: PinholeCamera, width: int, height: int) -> ImageFit:
    """Return how pictures of a camera become the model's: their largest middle part."""
    return ImageFit(camera, width, height, 'crop')


def normals_of(points: np.ndarray) -> np.ndarray:
    """
    Return the normal of each pixel, (H, W, 3) float32 unit vectors towards the camera.

    :param points: (H, W, 3) [m] optical frame, NaN unknown; normals beside such are NaN.
    """
    along, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
    normals = np.cross(along, down)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    with np.errstate(invalid='ignore', divide='ignore'):
        normals = np.where(length > 0, normals / length, np.nan)
        towards = (normals * points).sum(axis=-1, keepdims=True) > 0      # away from the camera
    return np.where(towards, -normals, normals).astype(np.float32)


def _filled(depth: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return a depth image with each hole as far as the nearest pixel that was measured."""
    if measured.all():
        return depth
    _, label = cv2.distanceTransformWithLabels(
        (~measured).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(label.max() + 1, np.float32)
    values[label[measured]] = depth[measured]
    filled: np.ndarray = values[label]
    return filled
