# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures at the size that a policy was trained on."""
from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from kinema4d_ros.errors import PolicyError


def resized_with_pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Return a picture in a frame, as large as it fits without being distorted, black around it.

    As openpi's client does it (`image_tools.resize_with_pad`): bilinear, centred, sizes rounded
    down.

    :param image: (H, W, 3) uint8.
    :return: (height, width, 3) uint8.
    :raises PolicyError: it is no such picture.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PolicyError(f'a picture must be (H, W, 3) uint8, got {image.shape} {image.dtype}')
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    ratio = max(columns / width, rows / height)
    inner_height, inner_width = max(int(rows / ratio), 1), max(int(columns / ratio), 1)
    inner = Image.fromarray(np.ascontiguousarray(image)).resize(
        (inner_width, inner_height), Image.Resampling.BILINEAR)
    framed = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    framed[top:top + inner_height, left:left + inner_width] = np.asarray(inner)
    return framed


def received(value: Any, name: str, channels_first: bool) -> np.ndarray:
    """
    Return a picture of a request, (H, W, 3) uint8.

    :param channels_first: whether it comes as (3, H, W).
    :raises PolicyError: it is no such picture.
    """
    shape = value.shape if isinstance(value, np.ndarray) else ()
    if len(shape) != 3 or value.dtype != np.uint8 or shape[0 if channels_first else 2] != 3:
        wanted = '(3, H, W)' if channels_first else '(H, W, 3)'
        raise PolicyError(f'{name} must be a picture, {wanted} uint8, got '
                          f'{shape or type(value).__name__}')
    return value.transpose(1, 2, 0) if channels_first else value
