# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage to and from arrays: colour is RGB, depth is metres."""
from __future__ import annotations

import struct
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from kinema4d_ros.bridge.arrays import fill
from kinema4d_ros.bridge.encoded import decode
from kinema4d_ros.errors import ObservationError

MAX_PIXELS = 64_000_000   # a larger picture is a damaged header, not a camera

#: encoding -> (dtype, channels); what cameras and depth cameras of robots send
_ENCODINGS: dict[str, tuple[str, int]] = {
    'rgb8': ('u1', 3), 'bgr8': ('u1', 3), 'rgba8': ('u1', 4), 'bgra8': ('u1', 4),
    'mono8': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1), '32FC1': ('f4', 1)}
_TO_RGB = {'bgr8': cv2.COLOR_BGR2RGB, 'rgba8': cv2.COLOR_RGBA2RGB, 'bgra8': cv2.COLOR_BGRA2RGB}
_COLOUR = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16')
_DEPTH = ('16UC1', 'mono16', '32FC1')


def image_to_array(message: Image) -> np.ndarray:
    """
    Return the pixels of an Image, C-contiguous in native byte order.

    It may share memory with the message, so treat it as read-only.

    :return: (H, W, 3) uint8 RGB for colour, (H, W) uint8 for mono8, (H, W) uint16 for mono16 and
        16UC1, (H, W) float32 for 32FC1.
    :raises ObservationError: unknown encoding, or sizes that contradict each other.
    """
    encoding, width, height = message.encoding, message.width, message.height
    if encoding not in _ENCODINGS:
        raise ObservationError(
            f'image encoding {encoding!r} is not supported, use one of '
            f'{", ".join(_ENCODINGS)}; image_proc (debayer, rectify) or image_transport '
            'republish can convert it')
    check_size(width, height)
    dtype, channels = _ENCODINGS[encoding]
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
    return cv2.cvtColor(pixels, _TO_RGB[encoding]) if encoding in _TO_RGB else pixels


def compressed_to_array(message: CompressedImage) -> np.ndarray:
    """
    Return the pixels of a JPEG or PNG CompressedImage (not of compressedDepth).

    :return: (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 for one channel.
    :raises ObservationError: not a JPEG or PNG, damaged, or too large.
    """
    if 'compressedDepth' in message.format:
        raise ObservationError(
            f'format {message.format!r} is a depth image; read it with depth_to_metres')
    pixels = decode(message.data, check_size)
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise ObservationError(
            f'compressed colour image with {pixels.dtype} channels; only 8 bit are supported')
    # image_transport names the channel order that was handed to the codec after 'compressed';
    # a codec takes it for BGR, so a file made from RGB comes back in RGB order already.
    if 'compressed rgb' in message.format:
        return np.ascontiguousarray(pixels[..., :3])
    return cv2.cvtColor(
        pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB)


def rgb_image(message: Image | CompressedImage) -> np.ndarray:
    """
    Return a colour (or grey) camera image as (H, W, 3) uint8 RGB.

    mono16 keeps its upper 8 bits. Depth encodings are refused, since they are no picture.
    """
    if isinstance(message, CompressedImage):
        pixels, encoding = compressed_to_array(message), message.format.split(';')[0].strip()
    else:
        pixels, encoding = image_to_array(message), message.encoding
    if encoding in ('16UC1', '32FC1'):
        raise ObservationError(
            f'a colour image is needed, got the depth encoding {encoding}; '
            f'use one of {", ".join(_COLOUR)}')
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def depth_to_metres(message: Image | CompressedImage) -> np.ndarray:
    """
    Return a depth image (REP-118) as (H, W) float32 [m] along optical z, NaN where unknown.

    16UC1 (and mono16) counts millimetres with 0 for unknown, 32FC1 is in metres; a CompressedImage
    is 16 bit PNG or image_transport's compressedDepth.
    """
    if isinstance(message, CompressedImage):
        if 'compressedDepth' in message.format:
            values = _compressed_depth(message)
        else:
            values = compressed_to_array(message)
        encoding = message.format
    else:
        values, encoding = image_to_array(message), message.encoding
    if values.dtype == np.uint16 and values.ndim == 2:
        metres = values.astype(np.float32)
        metres *= np.float32(0.001)
        metres[values == 0] = np.nan
        return metres
    if values.dtype != np.float32:
        raise ObservationError(
            f'a depth image is needed, got encoding {encoding!r}; use one of {", ".join(_DEPTH)}')
    return np.where((values > 0) & (values < np.inf), values, np.float32(np.nan))


def array_to_image(array: np.ndarray, header, encoding: str = 'rgb8') -> Image:
    """
    Return an Image message of `array`, rows without padding.

    :param array: as `image_to_array` returns it (RGB for rgb8; the other colour orders take
        their own), or (H, W) bool with mono8, which becomes 0 and 255.
    """
    if encoding not in _ENCODINGS:
        raise ObservationError(
            f'image encoding {encoding!r} is not supported, use one of {", ".join(_ENCODINGS)}')
    dtype, channels = _ENCODINGS[encoding]
    if array.dtype == np.bool_ and encoding == 'mono8':
        array = array.view(np.uint8) * np.uint8(255)
    shape = array.shape[:2] + ((channels,) if channels > 1 else ())
    if array.ndim < 2 or array.shape != shape or array.dtype != np.dtype(dtype):
        raise ObservationError(
            f'an image of encoding {encoding} takes an array (H, W{", " + str(channels)}) of '
            f'{np.dtype(dtype)}, got {array.shape} of {array.dtype}')
    message = Image(header=header, height=int(array.shape[0]), width=int(array.shape[1]),
                    encoding=encoding, is_bigendian=int(sys.byteorder == 'big'),
                    step=int(array.shape[1]) * channels * int(dtype[1]))
    fill(message.data, array)
    return message


def check_size(width: int, height: int) -> None:
    """Refuse an empty picture and one that no camera makes, before memory is taken for it."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ObservationError(
            f'image size {width}x{height} is refused: it must have 1 to {MAX_PIXELS} pixels')


def _compressed_depth(message: CompressedImage) -> np.ndarray:
    """Decode compressed_depth_image_transport: a 12 byte header, then a 16 bit PNG."""
    encoding, _, codec = (part.strip() for part in message.format.partition(';'))
    if encoding not in ('16UC1', '32FC1') or codec not in ('compressedDepth',
                                                           'compressedDepth png'):
        raise ObservationError(
            f'format {message.format!r} is not supported, use 16UC1 or 32FC1 with '
            "'compressedDepth png' (parameter format of the publishing image_transport)")
    data = memoryview(message.data)
    if len(data) < 12:
        raise ObservationError(f'compressedDepth data ends after {len(data)} bytes')
    _, quant_a, quant_b = struct.unpack_from('<iff', data)
    values = decode(data[12:], check_size)
    if values.ndim != 2 or values.dtype != np.uint16:
        raise ObservationError(
            f'compressedDepth must hold one 16 bit channel, got {values.shape} {values.dtype}')
    if encoding == '16UC1':
        return values
    # the file holds a quantised inverse depth, A / depth + B, with 0 for unknown
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(quant_a) / (values.astype(np.float32) - np.float32(quant_b))
    depth[values == 0] = np.nan
    return depth
