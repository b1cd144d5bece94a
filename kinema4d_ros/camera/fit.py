# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bring images of one camera to the size that a world model wants, and back."""
from __future__ import annotations

import cv2
import numpy as np

from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

_Part = tuple[int, int, int, int]     # x, y, width, height [px]

_MODES = ('stretch', 'crop', 'pad')


class ImageFit:
    """
    A resize with a crop or with padding around it.

    * `stretch`: the whole image, its proportions not kept.
    * `crop`: the largest middle part that has the wanted proportions.
    * `pad`: the whole image with its proportions, black or `fill` around it.

    Proportions are kept to within the rounding to whole pixels; `camera` has them exactly.
    """

    def __init__(self, source: PinholeCamera, width: int, height: int, mode: str):
        """
        Make the fit of images of `source` to width x height pixels.

        :param width: of the images that `apply` returns [px].
        :raises CameraError: unknown mode or a size below one pixel.
        """
        if mode not in _MODES:
            raise CameraError(f'unknown way {mode!r} to fit an image; known: {", ".join(_MODES)}')
        if width < 1 or height < 1:
            raise CameraError(f'cannot fit an image to {width} x {height} pixels')
        self.source, self.mode = source, mode
        scale_x, scale_y = width / source.width, height / source.height
        # The part of the source that is used, and where it goes: x, y, width, height.
        used = (0, 0, source.width, source.height)
        place = (0, 0, width, height)
        if mode == 'crop':
            scale = max(scale_x, scale_y)
            used = _middle(source.width, source.height, width / scale, height / scale)
        elif mode == 'pad':
            scale = min(scale_x, scale_y)
            place = _middle(width, height, source.width * scale, source.height * scale)
        self._used, self._place = used, place
        part = source.cropped(*used)
        if used[2:] != place[2:]:       # else it would differ from itself by rounding
            part = part.resized(*place[2:])
        self.camera = part.cropped(-place[0], -place[1], width, height)

    def apply(self, image: np.ndarray, nearest: bool = False, fill: float = 0) -> np.ndarray:
        """
        Return a source image (H, W[, C]) in the wanted size, as `camera` sees it.

        :param nearest: take values from the nearest pixel instead of blending them; for depth,
            masks and pointmaps.
        :param fill: value of padding.
        :raises CameraError: the image does not have the size of the source.
        """
        return _move(image, self.source, self._used, self.camera, self._place, nearest, fill)

    def undo(self, image: np.ndarray, nearest: bool = False, fill: float = 0) -> np.ndarray:
        """
        Return an image (H, W[, C]) of the wanted size in the size of the source.

        :param fill: value of what the crop had cut off.
        :raises CameraError: the image does not have the size of `camera`.
        """
        return _move(image, self.camera, self._place, self.source, self._used, nearest, fill)


def _middle(width: int, height: int, part_width: float,
            part_height: float) -> tuple[int, int, int, int]:
    """Return the middle part of an image, of about that size: x, y, width, height."""
    w = min(max(round(part_width), 1), width)
    h = min(max(round(part_height), 1), height)
    return (width - w) // 2, (height - h) // 2, w, h


def _move(image: np.ndarray, source: PinholeCamera, used: _Part, target: PinholeCamera,
          place: _Part, nearest: bool, fill: float) -> np.ndarray:
    """Return `used` of the image resized to `place` in an image of the target's size."""
    if image.shape[:2] != (source.height, source.width):
        raise CameraError(f'the image has {image.shape[1]} x {image.shape[0]} pixels, expected '
                          f'{source.width} x {source.height}')
    x, y, width, height = used
    part = _resize(image[y:y + height, x:x + width], place[2], place[3], nearest)
    if (target.height, target.width) == part.shape[:2]:
        return np.ascontiguousarray(part)
    out = np.full((target.height, target.width, *image.shape[2:]), fill, image.dtype)
    x, y, width, height = place
    out[y:y + height, x:x + width] = part
    return out


def _resize(image: np.ndarray, width: int, height: int, nearest: bool) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    if nearest:
        rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(np.int64)
        return image[rows[:, None], columns]
    smaller = width < image.shape[1] and height < image.shape[0]
    return cv2.resize(np.ascontiguousarray(image), (width, height),
                      interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
