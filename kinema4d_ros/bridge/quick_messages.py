# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Numbers out of serialised messages that come hundreds of times a second.

Deserialising a JointState makes a Python object of each number and costs more than all that a gate
does with it. What is read here are CDR bytes as DDS hands them over: little endian, each value
aligned to its size, counted from behind the header of four bytes. Whatever else comes is left to
rclpy.
"""
from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from kinema4d_ros.bridge.motion import joint_states, JointStates, stamp_ns
from kinema4d_ros.errors import ObservationError

_LITTLE = b'\x00\x01'       # plain CDR
_HEADER = 4                 # bytes
_MOST = 4096                # names of a message that are read here


class JointNumbers(NamedTuple):
    """A JointState: each array has a value for each name, or none at all."""

    stamp_ns: int
    names: tuple[str, ...]
    positions: np.ndarray      # float64 [rad or m]
    velocities: np.ndarray     # float64 [rad/s or m/s]


class JointStateReader:
    """Reads serialised JointState messages; the names of each publisher are read once."""

    def __init__(self) -> None:
        """Begin without any names."""
        self._known: dict[bytes, tuple[str, ...]] = {}     # by the bytes of frame and names

    def key(self, raw: bytes) -> bytes | None:
        """Return what all messages of a publisher have in common, None where it must be read."""
        return next((known for known in self._known if raw.startswith(known, _HEADER + 8)), None)

    def read(self, raw: bytes) -> JointNumbers:
        """
        Return the numbers of a message.

        :raises Exception: it is no JointState.
        """
        if raw[:2] != _LITTLE:
            return _read_slowly(raw)
        known = self.key(raw)
        if known is None:
            _, at = text(raw, _HEADER + 8)
            count, at = _count(raw, at)
            names = []
            for _ in range(count):
                name, at = text(raw, at)
                names.append(name)
            known = raw[_HEADER + 8:at]
            if len(self._known) > 64:
                self._known.clear()
            self._known[known] = tuple(names)
        seconds, nanoseconds = struct.unpack_from('<iI', raw, _HEADER)
        positions, at = _numbers(raw, _HEADER + 8 + len(known))
        velocities, at = _numbers(raw, at)
        _numbers(raw, at)       # of efforts nothing is read, but that they are there
        return JointNumbers(seconds * 1_000_000_000 + nanoseconds, self._known[known], positions,
                            velocities)

    def states(self, raw: bytes) -> tuple[int, JointStates]:
        """
        Return the stamp [ns] of a message, and what `motion.joint_states` makes of it.

        :raises ObservationError: as it does, and of bytes that are no message.
        """
        try:
            found = self.read(raw)
        except (ValueError, struct.error):       # as of thousands of names
            found = JointNumbers(0, (), np.empty(1), np.empty(0))
        count, positions = len(found.names), found.positions.tolist()
        told = dict(zip(found.names, positions))
        if not len(told) == len(positions) == count or not all(map(math.isfinite, positions)):
            message = deserialized(raw, JointState)
            return stamp_ns(message.header.stamp), joint_states(message)
        speeds = found.velocities.tolist() if len(found.velocities) == count else ()
        return found.stamp_ns, JointStates(told, {
            name: speed for name, speed in zip(found.names, speeds) if math.isfinite(speed)})


def deserialized(raw: bytes, kind: type) -> Any:
    """
    Return a message.

    :raises ObservationError: the bytes are none of this kind.
    """
    try:
        return deserialize_message(raw, kind)
    except Exception as error:      # of several kinds, by what is wrong and by the RMW
        raise ObservationError(f'{len(raw)} bytes that are no {kind.__name__}: '
                               f'{type(error).__name__}: {error}') from error


def read_float64_array(raw: bytes) -> np.ndarray:
    """
    Return the data (N,) of a serialised Float64MultiArray.

    :raises Exception: it is none.
    """
    if raw[:2] != _LITTLE or len(raw) < _HEADER + 12 \
            or struct.unpack_from('<I', raw, _HEADER)[0]:
        return np.array(deserialize_message(raw, Float64MultiArray).data, np.float64)
    return _numbers(raw, _HEADER + 8)[0]


def _read_slowly(raw: bytes) -> JointNumbers:
    message = deserialized(raw, JointState)
    return JointNumbers(stamp_ns(message.header.stamp), tuple(message.name),
                        np.array(message.position), np.array(message.velocity))


def aligned(at: int, size: int) -> int:
    """Return where a value of a size is that follows at a place."""
    return at + (_HEADER - at) % size


def text(raw: bytes, at: int) -> tuple[str, int]:
    """
    Return the text at a place, and where it ends.

    :raises ValueError, struct.error: there is none, or one that rclpy may read otherwise.
    """
    at = aligned(at, 4)
    length: int = struct.unpack_from('<I', raw, at)[0]
    end = at + 4 + length
    found = raw[at + 4:end]
    if not length or len(found) < length or found.find(0) != length - 1:
        raise ValueError('a text that does not end where it should')
    return found[:-1].decode(), end


def _count(raw: bytes, at: int) -> tuple[int, int]:
    at = aligned(at, 4)
    count: int = struct.unpack_from('<I', raw, at)[0]
    if count > _MOST:
        raise ValueError(f'{count} names')
    return count, at + 4


def _numbers(raw: bytes, at: int) -> tuple[np.ndarray, int]:
    """Return a sequence of float64, and where it ends."""
    at = aligned(at, 4)
    count: int = struct.unpack_from('<I', raw, at)[0]
    at += 4
    if not count:
        return np.empty(0), at
    at = aligned(at, 8)
    return np.frombuffer(raw, '<f8', count, at), at + 8 * count
