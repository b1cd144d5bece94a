# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG in memory; the size is read from the file's header before it is unpacked."""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from kinema4d_ros.errors import ObservationError

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8\xff'


def decode(data, check_size: Callable[[int, int], None]) -> np.ndarray:
    """
    Return the pixels as stored: (H, W) or (H, W, C), uint8 or uint16, colour in BGR order.

    :param check_size: told width and height first; it raises where they are not acceptable.
    """
    encoded = np.frombuffer(data, np.uint8)
    check_size(*_size(encoded[:1 << 20].tobytes()))
    # Unchanged: neither colour conversion nor rotation by EXIF, which would break calibration.
    try:
        pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ObservationError(f'compressed image of {encoded.size} bytes is damaged')
    return pixels


def encode_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB as the bytes of a JPEG file, (N,) uint8; quality 1 to 100."""
    done, encoded = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                                 [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ObservationError(f'an image of {image.shape} {image.dtype} cannot be made a JPEG')
    return encoded.ravel()


def _size(head: bytes) -> tuple[int, int]:
    """Return (width, height) as the header states them."""
    if head.startswith(_PNG) and len(head) >= 24:
        return int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big')
    if head.startswith(_JPEG):
        return _jpeg_size(head)
    raise ObservationError(
        f'compressed image starts with {head[:4].hex(" ") or "nothing"}; only JPEG and PNG are '
        'supported')


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """Walk the JPEG segments to the frame header (SOF0..SOF15 without DHT, JPG, DAC)."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:                            # fill byte before a marker
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(head[at + 7:at + 9], 'big'), \
                int.from_bytes(head[at + 5:at + 7], 'big')
        at += 2 + int.from_bytes(head[at + 2:at + 4], 'big')
    raise ObservationError('compressed image is a JPEG without a frame header; it is damaged')
