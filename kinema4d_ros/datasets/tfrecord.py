# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
TFRecord files and the tf.train.Example in them, read without TensorFlow.

A record is its length (uint64), the masked CRC-32C of the length, the data, and the masked CRC-32C
of the data, little-endian (tensorflow/core/lib/io/record_writer.h). The data is an Example or a
SequenceExample in the wire format of protocol buffers (tensorflow/core/example/*.proto).
"""
from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numba
import numpy as np

from kinema4d_ros.datasets.paths import lfs_hint, MOST_BYTES
from kinema4d_ros.errors import DatasetError

Values = list[bytes] | np.ndarray
"""A feature: bytes, (n,) float32 or (n,) int64."""
_HEAD, _TAIL = 12, 4        # [bytes] around the data of a record
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _table()


@numba.njit(cache=True)
def _crc(data: np.ndarray, table: np.ndarray) -> np.uint32:
    value = np.uint32(0xFFFFFFFF)
    for byte in data:
        value = table[(value ^ byte) & np.uint32(0xFF)] ^ (value >> np.uint32(8))
    return value ^ np.uint32(0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes."""
    return int(_crc(np.frombuffer(data, np.uint8), _TABLE))


def masked_crc(data: bytes) -> int:
    """Return the checksum that a record carries: turned by 15 bits, with a constant added."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record_offsets(path: Path) -> list[tuple[int, int]]:
    """
    Return where the data of each record begins, and its length; only lengths are read.

    :raises DatasetError: a length is damaged, or the file ends within a record.
    """
    found: list[tuple[int, int]] = []
    try:
        with path.open('rb') as file:
            size = file.seek(0, os.SEEK_END)
            at = file.seek(0)
            while at < size:
                head = file.read(_HEAD)
                number = len(found)
                if len(head) < _HEAD:
                    raise DatasetError(f'{path} ends within record {number}; fetch it again')
                length, crc = struct.unpack('<QI', head)
                if masked_crc(head[:8]) != crc:
                    raise DatasetError(f'{path}: the length of record {number} does not have its '
                                       f'checksum; it is damaged, or no TFRecord file'
                                       f'{lfs_hint(path)}')
                if length > MOST_BYTES or at + _HEAD + length + _TAIL > size:
                    raise DatasetError(f'{path}: record {number} is said to have {length} bytes, '
                                       f'the file has {size - at} more; fetch it again')
                found.append((at + _HEAD, length))
                at = file.seek(at + _HEAD + length + _TAIL)
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror}') from error
    return found


def read_record(path: Path, begin: int, length: int) -> bytes:
    """
    Return the data of a record that `record_offsets` found.

    :raises DatasetError: it does not have its checksum.
    """
    try:
        with path.open('rb') as file:
            return _checked(file, path, begin, length)
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror}') from error


def _checked(file: BinaryIO, path: Path, begin: int, length: int) -> bytes:
    file.seek(begin)
    data, tail = file.read(length), file.read(_TAIL)
    if len(data) < length or len(tail) < _TAIL:
        raise DatasetError(f'{path} ends within the record at byte {begin}; fetch it again')
    if masked_crc(data) != struct.unpack('<I', tail)[0]:
        raise DatasetError(f'{path}: the record at byte {begin} does not have its checksum; '
                           'fetch the file again')
    return data


@dataclass(frozen=True)
class Example:
    """A tf.train.Example, or a SequenceExample, whose features are its context."""

    features: Mapping[str, Values]
    sequences: Mapping[str, list[Values]] = field(default_factory=dict)     # by step


def parse_example(data: bytes) -> Example:
    """
    Return the features of an Example or SequenceExample.

    :raises DatasetError: the bytes are no such message.
    """
    view = memoryview(data)
    features: dict[str, Values] = {}
    sequences: dict[str, list[Values]] = {}
    try:
        for number, value in _fields(view):
            if number == 1:
                features |= {name: _feature(item) for name, item in _map(value)}
            elif number == 2:
                for name, item in _map(value):
                    sequences[name] = [_feature(_view(step)) for key, step in _fields(item)
                                       if key == 1]
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise DatasetError(f'a record is no tf.train.Example: {error}') from error
    return Example(features, sequences)


def _map(value: memoryview | int) -> Iterator[tuple[str, memoryview]]:
    """Yield the entries of a map from strings to messages."""
    for number, entry in _fields(_view(value)):
        if number == 1:
            parts = dict(_fields(_view(entry)))
            yield bytes(_view(parts[1])).decode('utf-8'), _view(parts.get(2, memoryview(b'')))


def _feature(value: memoryview) -> Values:
    """Return the list that a Feature holds; a Feature without one is no bytes."""
    for kind, content in _fields(value):
        items = [item for number, item in _fields(_view(content)) if number == 1]
        if kind == 1:
            return [bytes(_view(item)) for item in items]
        if kind == 2:
            packed = b''.join(bytes(_view(item)) for item in items)
            return np.frombuffer(packed, '<f4')
        if kind == 3:
            numbers: list[int] = []
            for item in items:
                numbers += [item] if isinstance(item, int) else _varints(item)
            return np.array(numbers, np.uint64).astype(np.int64)
    return []


def _view(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError('a number stands where a message is expected')
    return value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ValueError('a number has more than 64 bits')


def _varints(data: memoryview) -> list[int]:
    at, found = 0, []
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and content of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f'there is no field of kind {kind}')
        if at + length > len(data):
            raise ValueError('a field is longer than its message')
        yield tag >> 3, data[at:at + length]
        at += length
