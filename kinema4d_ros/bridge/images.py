# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage to and from arrays: colour is RGB, depth is metres."""
from __future__ import annotations

import io
import struct
import sys
from array import array as byte_array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from kinema4d_ros.camera.pixels import (check_depth, check_size, ENCODINGS, image_to_array,
                                        to_metres, to_rgb)
from kinema4d_ros.errors import ObservationError

__all__ = ['array_to_image', 'check_size', 'compressed_depth_message', 'compressed_message',
           'compressed_to_array', 'depth_as_sent', 'depth_to_metres', 'fill', 'image_to_array',
           'rgb_image']


def compressed_to_array(message: CompressedImage) -> np.ndarray:
    """
    Return the pixels of a JPEG or PNG CompressedImage (not of compressedDepth).

    :return: (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 for one channel.
    :raises ObservationError: not a JPEG or PNG, damaged, or too large.
    """
    if 'compressedDepth' in message.format:
        raise ObservationError(
            f'format {message.format!r} is a depth image; read it with depth_to_metres')
    pixels = _decode(message.data)
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise ObservationError(
            f'compressed colour image with {pixels.dtype} channels; only 8 bit are supported')
    import cv2

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
    return to_rgb(pixels, encoding)


def depth_to_metres(message: Image | CompressedImage) -> np.ndarray:
    """
    Return a depth image (REP-118) as (H, W) float32 [m] along optical z, NaN where unknown.

    16UC1 (and mono16) counts millimetres with 0 for unknown, 32FC1 is in metres; a CompressedImage
    is 16 bit PNG or image_transport's compressedDepth.
    """
    return to_metres(depth_as_sent(message))


def depth_as_sent(message: Image | CompressedImage) -> np.ndarray:
    """
    Return a depth image as `depth_to_metres` takes it, in the numbers that were sent.

    :return: (H, W) uint16 [mm], 0 and 65535 where unknown, or float32 [m]; read-only.
    """
    if not isinstance(message, CompressedImage):
        values, encoding = image_to_array(message), message.encoding
    else:
        is_depth, encoding = 'compressedDepth' in message.format, message.format
        values = _compressed_depth(message) if is_depth else compressed_to_array(message)
    check_depth(values, encoding)
    return values


def array_to_image(array: np.ndarray, header: Header, encoding: str = 'rgb8') -> Image:
    """
    Return an Image message of `array`, rows without padding.

    :param array: as `image_to_array` returns it (RGB for rgb8; the other colour orders take
        their own), or (H, W) bool with mono8, which becomes 0 and 255.
    """
    if encoding not in ENCODINGS:
        raise ObservationError(
            f'image encoding {encoding!r} is not supported, use one of {", ".join(ENCODINGS)}')
    dtype, channels = ENCODINGS[encoding]
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


def compressed_message(image: np.ndarray, header: Header, quality: int = 90) -> CompressedImage:
    """
    Return a colour image as image_transport's compressed topics carry it: JPEG.

    :param image: (H, W, 3) uint8 RGB.
    :param quality: 1 (small) to 100 (good).
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ObservationError(
            f'a compressed image takes an array (H, W, 3) of uint8, got {image.shape} of '
            f'{image.dtype}')
    import cv2

    message = CompressedImage(header=header, format='rgb8; jpeg compressed bgr8')
    fill(message.data, _encode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                               cv2.IMWRITE_JPEG_QUALITY, quality))
    return message


def compressed_depth_message(depth: np.ndarray, header: Header) -> CompressedImage:
    """
    Return a depth image as image_transport's compressedDepth of 16UC1: a PNG of millimetres.

    :param depth: (H, W) float32 [m], NaN where unknown.
    """
    millimetres = np.nan_to_num(depth * 1000.0, nan=0.0, posinf=0.0).clip(0, 65535)
    encoded = _encode('.png', np.rint(millimetres).astype(np.uint16))
    message = CompressedImage(header=header, format='16UC1; compressedDepth png')
    fill(message.data, np.concatenate([np.zeros(12, np.uint8), encoded]))
    return message


def fill(data: byte_array[int], values: np.ndarray) -> None:
    """
    Append the bytes of `values` to the empty uint8[] field `data` of a fresh message.

    Assigning to the field instead converts byte by byte (tens to hundreds of ms per picture).
    """
    data.frombytes(np.ascontiguousarray(values).data.cast('B'))


def _compressed_depth(message: CompressedImage) -> np.ndarray:
    """Decode compressed_depth_image_transport: a 12 byte header, then a 16 bit PNG."""
    encoding, _, codec = (part.strip() for part in message.format.partition(';'))
    codec = ' '.join(codec.split())
    if encoding not in ('16UC1', 'mono16', '32FC1') or codec not in ('compressedDepth',
                                                                     'compressedDepth png'):
        raise ObservationError(
            f'format {message.format!r} is not supported, use 16UC1 or 32FC1 with '
            "'compressedDepth png' (parameter format of the publishing image_transport)")
    data = memoryview(message.data)
    if len(data) < 12:
        raise ObservationError(f'compressedDepth data ends after {len(data)} bytes')
    _, quant_a, quant_b = struct.unpack_from('<iff', data)
    values = _decode(data[12:])
    if values.ndim != 2 or values.dtype != np.uint16:
        raise ObservationError(
            f'compressedDepth must hold one 16 bit channel, got {values.shape} {values.dtype}')
    if encoding != '32FC1':
        return values
    # the file holds a quantised inverse depth, A / depth + B, with 0 for unknown
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(quant_a) / (values.astype(np.float32) - np.float32(quant_b))
    depth[values == 0] = np.nan
    return depth


def _decode(data: memoryview | byte_array[int]) -> np.ndarray:
    """Return the pixels as stored: (H, W) or (H, W, C), uint8 or uint16, colour in BGR order."""
    import cv2

    encoded = np.frombuffer(data, np.uint8)
    _check_header(encoded)
    # Unchanged: neither colour conversion nor rotation by EXIF, which would break calibration.
    try:
        pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ObservationError(f'compressed image of {encoded.size} bytes is damaged')
    return pixels


def _check_header(encoded: np.ndarray) -> None:
    """Refuse what is neither JPEG nor PNG, and a size that no camera makes, before unpacking."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    # These readers of one format read the header only, and leave the limit of the size to us.
    readers = {b'\xff\xd8\xff': JpegImageFile, b'\x89PNG\r\n\x1a\n': PngImageFile}
    start = encoded[:8].tobytes()
    reader = next((kind for magic, kind in readers.items() if start.startswith(magic)), None)
    if reader is None:
        raise ObservationError(
            f'compressed image starts with {start[:4].hex(" ") or "nothing"}; only JPEG and PNG '
            'are supported')
    try:
        with reader(io.BytesIO(encoded.data)) as picture:
            size = picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise ObservationError(f'compressed image of {encoded.size} bytes is damaged: '
                               f'{error}') from error
    check_size(*size)


def _encode(suffix: str, pixels: np.ndarray, *options: int) -> np.ndarray:
    """Return the bytes of an image file, (N,) uint8."""
    import cv2

    done, encoded = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ObservationError(
            f'an image of {pixels.shape} {pixels.dtype} cannot be stored as {suffix}')
    return encoded.ravel()
