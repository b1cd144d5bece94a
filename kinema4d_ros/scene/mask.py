# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of pixels: grow them, and fill a picture where they hide something."""
from __future__ import annotations

import cv2
import numpy as np

from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

_REACH = 3      # [px] neighbourhood that in-painting uses


def grow(mask: np.ndarray, pixels: int, *, square: bool = False) -> np.ndarray:
    """
    Return the (H, W) bool mask dilated by a disc.

    :param pixels: radius of the disc.
    :param square: dilate by a square of the same width instead.
    """
    side = 2 * pixels + 1
    kernel = np.ones((side, side), np.uint8) if square \
        else cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    grown = np.zeros(mask.shape, bool)
    # Only where the mask can reach to.
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if width:
        window = (slice(max(y - pixels, 0), y + height + pixels),
                  slice(max(x - pixels, 0), x + width + pixels))
        grown[window] = cv2.dilate(np.ascontiguousarray(mask[window]).view(np.uint8),
                                   kernel).view(bool)
    return grown


def grow_robot(robot_mask: np.ndarray, camera: PinholeCamera,
               pixels: int | None = None) -> np.ndarray:
    """
    Return the robot's mask with a rim around it.

    The rendered silhouette misses the true edge by a pixel or two (calibration, meshes, blur), and
    a rim of robot colour left behind looks like a ghost. That grows with the picture, so it is
    1/160 of its height and at least 2 pixels. Who measures says how uncertain the calibration is.

    :param robot_mask: (H, W) bool, pixels of the robot.
    :param pixels: width of the rim; None for what a picture of this height needs.
    :raises CameraError: the mask does not have the size of the image.
    """
    size = camera.height, camera.width
    if robot_mask.shape != size:
        raise CameraError(f'robot_mask {robot_mask.shape} does not have the size of the image, '
                          f'{size}; render the robot with the camera of the view')
    return grow(robot_mask, max(2, round(camera.height / 160)) if pixels is None else pixels)


def in_paint(image: np.ndarray, hole: np.ndarray,
             source: np.ndarray | None = None) -> np.ndarray:
    """
    Return the (H, W, 3) uint8 image with the (H, W) bool hole filled from its surroundings.

    `source` (H, W) bool are the pixels to fill from; None for all that are not in the hole. A
    picture without any source becomes grey there.
    """
    if not hole.any():
        return image
    source = ~hole if source is None or not (source & ~hole).any() else source & ~hole
    if not source.any():
        return np.where(hole[..., None], np.uint8(127), image)
    # Pixels that are neither hole nor source are filled too, so that they do not bleed in, and
    # put back afterwards.
    filled = cv2.inpaint(image, (~source).astype(np.uint8), _REACH, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], filled, image)
