# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Stamped messages as DDS hands them over, read when somebody asks what is in them.

Of 30 pictures a second a verdict looks at one or two. Deserialising one copies it three times and
holds the GIL meanwhile; what tells publishers apart, stamp and frame, are its first bytes.
"""
from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.quick_messages import aligned, deserialized, text

#: what cameras send: kept as it came
SERIALIZED = (Image, CompressedImage, CameraInfo)
_LITTLE = b'\x00\x01'       # plain CDR, the values aligned as counted from behind these four bytes
_HEADER = 4
_TEXT = _HEADER + 8         # where the frame of a header begins, behind its stamp


class Head(NamedTuple):
    """What the header of a message says."""

    stamp_ns: int
    frame_id: str


class RawImage(NamedTuple):
    """A sensor_msgs/Image whose pixels are the bytes that came."""

    header: Head
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


class PlainMessage(NamedTuple):
    """A message with a header that rclpy has deserialised, with what a `SerializedMessage` has."""

    message: Any

    @property
    def stamp_ns(self) -> int:
        """Of its header [ns]."""
        return stamp_ns(self.message.header.stamp)

    @property
    def frame_id(self) -> str:
        """Of its header."""
        return str(self.message.header.frame_id)

    @property
    def likeness(self) -> tuple[Any, ...]:
        """What is typical of its publisher's messages."""
        return (self.frame_id,)


class SerializedMessage:
    """A message with a header; `message` is what is in it."""

    __slots__ = ('_at', '_kind', 'frame_id', 'raw', 'stamp_ns')

    def __init__(self, kind: type, raw: bytes):
        """
        Read its header.

        :param kind: class of the message, whose first field is its header.
        :raises ObservationError: `raw` is no such message.
        """
        self._kind, self.raw, self._at = kind, raw, 0
        try:
            if raw[:2] != _LITTLE:
                raise ValueError('no plain little-endian CDR')
            seconds, nanoseconds = struct.unpack_from('<iI', raw, _HEADER)
            self.frame_id, self._at = text(raw, _TEXT)
            self.stamp_ns: int = seconds * 1_000_000_000 + nanoseconds
        except (ValueError, struct.error):
            header = deserialized(raw, kind).header
            self.stamp_ns, self.frame_id, self._at = stamp_ns(header.stamp), header.frame_id, 0

    @property
    def likeness(self) -> tuple[Any, ...]:
        """What is typical of its publisher's messages, the frame first; raises as `message`."""
        if self._kind is CameraInfo:
            return self.frame_id, *_calibration(
                self.raw[:_HEADER] + bytes(_TEXT - _HEADER) + self.raw[_TEXT:])
        return (self.frame_id,)

    @property
    def message(self) -> Any:
        """The message, of an Image a `RawImage`; raises as the constructor."""
        if self._kind is Image and self._at:
            try:
                return self._image()
            except (ValueError, struct.error):     # whatever it is, rclpy reads it or says why not
                pass
        return deserialized(self.raw, self._kind)

    def _image(self) -> RawImage:
        at = aligned(self._at, 4)
        height, width = struct.unpack_from('<II', self.raw, at)
        encoding, at = text(self.raw, at + 8)
        is_bigendian, at = struct.unpack_from('B', self.raw, at)[0], aligned(at + 1, 4)
        step, count = struct.unpack_from('<II', self.raw, at)
        data = memoryview(self.raw)[at + 8:at + 8 + count]
        if len(data) != count:
            raise ValueError(f'{count} bytes of pixels, of which {len(data)} are there')
        return RawImage(Head(self.stamp_ns, self.frame_id), height, width, encoding, is_bigendian,
                        step, data)


@functools.lru_cache(maxsize=64)
def _calibration(raw: bytes) -> tuple[bytes | str, ...]:
    """
    Return what is in a serialised CameraInfo but its header.

    Its bytes themselves will not do: those between the values are whatever was in the memory.
    """
    message = deserialized(raw, CameraInfo)
    values = (getattr(message, name) for name in CameraInfo.get_fields_and_field_types()
              if name != 'header')
    return tuple(value.tobytes() if hasattr(value, 'tobytes') else repr(value) for value in values)
