# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the robot really looks: its observed picture, kept so that it can be put on it again."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

_FEWEST_PIXELS = 30         # that must be seen of a link to know its colour
_GAIN = (0.2, 5.0)          # bounds of observed / shaded colour


@dataclass(frozen=True, eq=False)
class Appearance:
    """
    The robot as it was observed, for the links it was rendered with.

    A point of the robot that was visible gets the colour of the pixel where it was seen; any
    other point is shaded, with the observed tint of its link.
    """

    image: np.ndarray            # (H, W, 3) uint8, observed
    link_id: np.ndarray          # (H, W) int16, -1 where the pixel does not show a link safely
    inverse_depth: np.ndarray    # (H, W) float32 [1/m] of the rendered robot, 0 elsewhere
    T_camera_link: np.ndarray    # (L, 3, 4) float64 at the observation
    pinhole: np.ndarray          # (4,) float64 fx, fy, cx, cy [px] of the observation
    tint: np.ndarray             # (L, 3) float32, observed / shaded colour per link and channel


def observe(image: np.ndarray, link_id: np.ndarray, pointmap: np.ndarray, shaded: np.ndarray,
            T_camera_link: np.ndarray, camera: PinholeCamera,
            depth: np.ndarray | None) -> Appearance:
    """
    Make the appearance from an observed image and the robot rendered into the same camera.

    :param shaded: (H, W, 3) uint8, the robot as shaded without appearance.
    :param depth: (H, W) float32 [m] observed, NaN unknown; shows what is in front of the robot.
    :raises CameraError: the images differ in size.
    """
    size = (camera.height, camera.width)
    for name, array in (('image', image), ('link_id', link_id), ('pointmap', pointmap),
                        ('depth', link_id if depth is None else depth)):
        if array.shape[:2] != size:
            raise CameraError(f'{name} {array.shape} does not have the size of the camera, {size}')
    z = pointmap[..., 2]
    # The edge of the silhouette is mixed with what is behind it, and calibration is never exact.
    margin = max(1, round(camera.height / 240))
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    robot = cv2.erode((link_id >= 0).astype(np.uint8), kernel, borderValue=1).astype(bool)
    if depth is not None:
        with np.errstate(invalid='ignore'):
            robot &= ~(depth < z - 0.02)
    link_id = np.where(robot, link_id, -1).astype(np.int16)
    inverse = np.where(robot, 1.0 / np.where(z > 0, z, np.inf), 0.0).astype(np.float32)
    return Appearance(np.ascontiguousarray(image, np.uint8), link_id, inverse, T_camera_link,
                      np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
                      _tint(image, shaded, link_id, len(T_camera_link)))


def _tint(image: np.ndarray, shaded: np.ndarray, link_id: np.ndarray, links: int) -> np.ndarray:
    """Return observed / shaded mean colour per link; of the whole robot for a link not seen."""
    seen = link_id >= 0
    number = link_id[seen].astype(np.int64)
    count = np.bincount(number, minlength=links)
    total = [np.stack([np.bincount(number, picture[seen][:, k].astype(np.float64), links)
                       for k in range(3)], -1) for picture in (image, shaded)]
    if count.sum() < _FEWEST_PIXELS:
        return np.ones((links, 3), np.float32)
    whole = total[0].sum(0) / np.maximum(total[1].sum(0), 1.0)
    tint = total[0] / np.maximum(total[1], 1.0)
    tint[count < _FEWEST_PIXELS] = whole
    return np.clip(tint, *_GAIN).astype(np.float32)
