# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One small picture of an episode: what the camera saw, the robot drawn on it, the depth."""
from __future__ import annotations

import cv2
import numpy as np

_WIDTH = 220                 # [px] of each of the three
_COLOR, _OUTLINE = np.array([60, 220, 60]), (255, 40, 40)
_RANGE = (2.0, 98.0)         # percentiles of the depth, that the colours span
_QUALITY = 78


def thumbnail(picture: np.ndarray, link_id: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
    """
    Return a picture (H, W, 3) uint8 RGB of three side by side; grey where no depth is known.

    :param picture: (H, W, 3) uint8 RGB.
    :param link_id: (H, W) int16, -1 where no robot.
    :param depth: (H, W) [m], NaN unknown.
    """
    size = (_WIDTH, max(1, round(_WIDTH * picture.shape[0] / picture.shape[1])))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize((link_id >= 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    drawn = small.copy()
    drawn[mask > 0] = (0.7 * drawn[mask > 0] + 0.3 * _COLOR).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, _OUTLINE, 1)
    return np.hstack([small, drawn, _depth_colors(depth, size)])


def as_jpeg(image: np.ndarray) -> bytes:
    """Return the JPEG of a picture (H, W, 3) uint8 RGB."""
    data: bytes = cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1]),
                               [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return data


def _depth_colors(depth: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    grey = np.full((size[1], size[0], 3), 96, np.uint8)
    if depth is None or not np.isfinite(depth).any():
        return grey
    small = cv2.resize(depth.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(small)
    if not known.any():
        return grey
    low, high = np.percentile(small[known], _RANGE)
    level = np.where(known, (small - low) / max(float(high - low), 1e-3), 0.0).clip(0, 1)
    colors = cv2.applyColorMap((255 * (1 - level)).astype(np.uint8), cv2.COLORMAP_TURBO)
    found: np.ndarray = np.where(known[..., None], colors[..., ::-1], grey)
    return found
