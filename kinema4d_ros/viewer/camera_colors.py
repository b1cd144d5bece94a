# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which colour stands for which camera, where there are several."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

# None of them is the blue of the predicted robot, or a colour of a verdict.
_COLORS = ((230, 120, 20), (0, 150, 150), (150, 70, 200), (200, 40, 120), (120, 130, 20),
           (140, 90, 60))
_STRONG = 0.65      # share of the camera's colour in that of a point
_FRAME = 4          # [px] around a picture of 240 rows


def color_of(number: int) -> tuple[int, int, int]:
    """Return the colour (R, G, B) of a camera by its number in the observation."""
    return _COLORS[number % len(_COLORS)]


def by_camera(colors: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """
    Return the colours of points with those of the cameras that saw them mixed in.

    :param colors: (N, 3) uint8.
    :param owner: (N,) int, the number of the camera.
    """
    of_camera = np.array(_COLORS, np.float32)[owner % len(_COLORS)]
    mixed: np.ndarray = ((1 - _STRONG) * colors + _STRONG * of_camera).astype(np.uint8)
    return mixed


def framed(image: np.ndarray, number: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 with a frame in the colour of its camera."""
    import cv2

    width = max(1, round(_FRAME * image.shape[0] / 240))
    out: np.ndarray = cv2.rectangle(image.copy(), (0, 0), (image.shape[1] - 1, image.shape[0] - 1),
                                    color_of(number), 2 * width - 1)
    return out


def legend(names: Sequence[str]) -> str:
    """Return HTML that names the cameras in their colours."""
    return ' &nbsp; '.join(
        '<span style="color:rgb({},{},{})">&#9632;</span> '.format(*color_of(number))
        + escape(name) for number, name in enumerate(names))
