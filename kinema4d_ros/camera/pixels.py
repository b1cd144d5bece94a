# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of sensor_msgs/Image, be the message from ROS or from a recording."""
from __future__ import annotations

from typing import Any

import numpy as np

from kinema4d_ros.errors import ObservationError

MAX_PIXELS = 64_000_000   # a larger picture is a damaged header, not a camera

#: encoding -> (dtype, channels); what cameras and depth cameras of robots send
ENCODINGS: dict[str, tuple[str, int]] = {
    'rgb8': ('u1', 3), 'bgr8': ('u1', 3), 'rgba8': ('u1', 4), 'bgra8': ('u1', 4),
    'mono8': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1), '32FC1': ('f4', 1)}
_TO_RGB = {'bgr8': 'BGR2RGB', 'rgba8': 'RGBA2RGB', 'bgra8': 'BGRA2RGB'}
#: what drivers send besides -> (dtype, channels, OpenCV's conversion to RGB; None for none). Its
#: own names say nothing of the order; cv_bridge and cv2 write BGR. OpenCV names a Bayer pattern by
#: its second row and column, ROS by its first.
_FROM_DRIVERS: dict[str, tuple[str, int, str | None]] = {
    '8UC1': ('u1', 1, None), '8UC3': ('u1', 3, 'BGR2RGB'),
    '8UC4': ('u1', 4, 'BGRA2RGB'),
    'rgb16': ('u2', 3, None), 'bgr16': ('u2', 3, 'BGR2RGB'),
    'uyvy': ('u1', 2, 'YUV2RGB_UYVY'), 'yuv422': ('u1', 2, 'YUV2RGB_UYVY'),
    'yuyv': ('u1', 2, 'YUV2RGB_YUY2'), 'yuv422_yuy2': ('u1', 2, 'YUV2RGB_YUY2'),
    **{f'bayer_{order}{bits}': (dtype, 1, code) for bits, dtype in ((8, 'u1'), (16, 'u2'))
       for order, code in (('rggb', 'BayerBG2RGB'), ('bggr', 'BayerRG2RGB'),
                           ('gbrg', 'BayerGR2RGB'), ('grbg', 'BayerGB2RGB'))}}
_READ = {**{name: (*of, _TO_RGB.get(name)) for name, of in ENCODINGS.items()}, **_FROM_DRIVERS}
_COLOUR = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16')
SATURATED = 65535         # of uint16: more than it can hold, or a driver's word for "nothing"
_DEPTH = ('16UC1', 'mono16', '32FC1')


def image_to_array(message: Any) -> np.ndarray:
    """
    Return the pixels of an Image, C-contiguous in native byte order.

    It may share memory with the message, so treat it as read-only.

    :param message: with the fields of sensor_msgs/Image.
    :return: (H, W, 3) uint8 RGB for colour (uint16 for rgb16, bgr16 and Bayer patterns of 16 bits),
        (H, W) uint8 for mono8 and 8UC1, (H, W) uint16 for mono16 and
        16UC1, (H, W) float32 for 32FC1.
    :raises ObservationError: unknown encoding, or sizes that contradict each other.
    """
    encoding, width, height = message.encoding, message.width, message.height
    if encoding not in _READ:
        raise ObservationError(
            f'image encoding {encoding!r} is not supported, use one of '
            f'{", ".join(_READ)}; image_proc (debayer, rectify) or image_transport '
            'republish can convert it')
    check_size(width, height)
    dtype, channels, conversion = _READ[encoding]
    row_bytes = width * channels * int(dtype[1])
    if message.step < row_bytes:
        raise ObservationError(
            f'image step {message.step} is less than a row of {width} {encoding} pixels '
            f'({row_bytes} bytes)')
    data = np.frombuffer(message.data, np.uint8)
    if data.size != message.step * height:
        raise ObservationError(
            f'image of {width}x{height} {encoding} with step {message.step} needs '
            f'{message.step * height} bytes of data, got {data.size}')
    order = '>' if message.is_bigendian else '<'
    pixels = data.reshape(height, message.step)[:, :row_bytes].view(order + dtype)
    pixels = np.ascontiguousarray(pixels, dtype=dtype)
    if channels > 1:
        pixels = pixels.reshape(height, width, channels)
    if conversion is None:
        return pixels
    import cv2      # a tenth of a second, and 16 MB, for those whose cameras need it
    try:
        return cv2.cvtColor(pixels, getattr(cv2, f'COLOR_{conversion}'))
    except cv2.error as error:      # an odd width of pairs of pixels, a Bayer image of one row
        raise ObservationError(f'an image of {width}x{height} pixels cannot be {encoding}'
                               ) from error


def to_rgb(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """
    Return a colour (or grey) camera image as (H, W, 3) uint8 RGB; mono16 keeps its upper 8 bits.

    :raises ObservationError: for depth encodings, since they are no picture.
    """
    if encoding in ('16UC1', '32FC1'):
        raise ObservationError(
            f'a colour image is needed, got the depth encoding {encoding}; '
            f'use one of {", ".join(_COLOUR)}')
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 3:
        return pixels
    import cv2
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)


def to_metres(values: np.ndarray, encoding: str = '') -> np.ndarray:
    """
    Return a depth image (REP-118) as (H, W) float32 [m] along optical z, NaN where unknown.

    Which of the values a camera can measure is its user's to say (`SceneSettings.depth_max`).

    :param values: (H, W) uint16 [mm] with 0 for unknown and 65535 for too far to count, or
        float32 [m].
    :param encoding: for the message.
    :raises ObservationError: it is no depth image.
    """
    check_depth(values, encoding)
    if values.dtype == np.uint16:
        metres = values.astype(np.float32)
        metres *= np.float32(0.001)
        metres[(values == 0) | (values == SATURATED)] = np.nan
        return metres
    return np.where((values > 0) & (values < np.inf), values, np.float32(np.nan))


def check_depth(values: np.ndarray, encoding: str) -> None:
    """Refuse what is no depth image, neither (H, W) uint16 nor float32."""
    if values.dtype != np.float32 and not (values.dtype == np.uint16 and values.ndim == 2):
        raise ObservationError(
            f'a depth image is needed, got encoding {encoding!r}; use one of {", ".join(_DEPTH)}')


def check_size(width: int, height: int) -> None:
    """Refuse an empty picture and one that no camera makes, before memory is taken for it."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ObservationError(
            f'image size {width}x{height} is refused: it must have 1 to {MAX_PIXELS} pixels')
