# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Images of an episode as compressed bytes: colour as JPEG, depth as 16-bit PNG, masks as PNG.

Depth follows REP-118 (16UC1, millimetres, 0 unknown) in the layout of ROS's
compressed_depth_image_transport: 12 bytes of configuration, unused for 16UC1, then the PNG.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from kinema4d_ros.camera.pixels import image_to_array, to_metres, to_rgb
from kinema4d_ros.errors import EpisodeError, ObservationError

JPEG = 'rgb8; jpeg compressed bgr8'
DEPTH = '16UC1; compressedDepth png'
MASK = 'mono8; png compressed '
LINKS = 'mono16; png compressed '
DRAWN = 'rgb8; png compressed bgr8'
_DEPTH_CONFIGURATION = bytes(12)      # int32 format 0, two float32 for inverse-depth coding


def encode_color(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the JPEG bytes of an image (H, W, 3) uint8 RGB."""
    return _encode('.jpg', image[..., ::-1],
                   [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])


def encode_depth(depth: np.ndarray) -> np.ndarray:
    """Return the bytes of a depth image (H, W) [m]; NaN, < 0.5 mm and > 65 m become unknown."""
    millimetres = np.round(np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0) * 1000.0)
    millimetres[(millimetres < 0) | (millimetres > 65535)] = 0
    png = _encode('.png', millimetres.astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return np.r_[np.frombuffer(_DEPTH_CONFIGURATION, np.uint8), png]


def encode_mask(mask: np.ndarray) -> np.ndarray:
    """Return the PNG bytes of a mask (H, W) bool; true is 255."""
    return _encode('.png', mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def encode_links(link_id: np.ndarray) -> np.ndarray:
    """Return the PNG bytes of an image (H, W) int16 of links from -1, no robot, on; as from 0."""
    return _encode('.png', (link_id + 1).astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_drawn(image: np.ndarray) -> np.ndarray:
    """Return the PNG bytes of an image (H, W, 3) uint8 RGB, which keeps black black."""
    return _encode('.png', image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])


def decode_links(data: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W) int16 of links, -1 where no robot."""
    return _decode(data, height, width, np.uint16, 1).astype(np.int16) - np.int16(1)


def decode_color(data: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a JPEG or PNG."""
    return np.ascontiguousarray(_decode(data, height, width, np.uint8, 3)[..., ::-1])


def decode_depth(data: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W) float32 [m], NaN unknown, of compressedDepth or of a bare 16-bit PNG."""
    data = np.asarray(data, np.uint8)
    bare = data[:4].tobytes() == b'\x89PNG'
    raw = _decode(data if bare else data[12:], height, width, np.uint16, 1)
    return to_metres(raw, DEPTH)


def decode_mask(data: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W) bool."""
    mask: np.ndarray = _decode(data, height, width, np.uint8, 1) > 127
    return mask


def raw_color(message: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a sensor_msgs/Image."""
    return _raw(message, height, width, to_rgb)


def raw_depth(message: Any, height: int, width: int) -> np.ndarray:
    """Return (H, W) float32 [m], NaN unknown, of a sensor_msgs/Image."""
    return _raw(message, height, width, to_metres)


def _raw(message: Any, height: int, width: int,
         convert: Callable[[np.ndarray, str], np.ndarray]) -> np.ndarray:
    try:
        pixels = convert(image_to_array(message), message.encoding)
    except ObservationError as error:
        raise EpisodeError(str(error)) from error
    if pixels.shape[:2] != (height, width):
        raise EpisodeError(f'the image has {pixels.shape[1]} x {pixels.shape[0]} pixels, '
                           f'camera_info says {width} x {height}')
    return pixels


def _encode(suffix: str, image: np.ndarray, options: list[int]) -> np.ndarray:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    if not done:
        raise EpisodeError(f'an image of shape {image.shape} cannot be stored as {suffix}')
    found: np.ndarray = data.reshape(-1)
    return found


def _decode(data: Any, height: int, width: int, dtype: type, channels: int) -> np.ndarray:
    pixels: np.ndarray | None
    try:
        pixels = cv2.imdecode(np.asarray(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    want = (height, width) if channels == 1 else (height, width, channels)
    if pixels is None:
        raise EpisodeError('the compressed image is damaged')
    if pixels.shape != want or pixels.dtype != dtype:
        raise EpisodeError(f'the image is {pixels.shape} {pixels.dtype}, camera_info says '
                           f'{want} and the topic holds {np.dtype(dtype)}')
    return pixels
