# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ends an MCAP file that its writer could not end: after a kill, or a loss of power."""
from __future__ import annotations

import struct
from pathlib import Path

from kinema4d_ros.errors import EpisodeError

_MAGIC = b'\x89MCAP0\r\n'
_DATA_END = 0x0F
_FOOTER_HEAD = struct.pack('<BQ', 0x02, 20)
_FOOTER_BYTES = 9 + 20 + len(_MAGIC)


def repair(path: Path) -> int:
    """
    Cut a record that was being written off the end of a file, and end it without an index.

    Record layouts: MCAP specification, https://mcap.dev/spec.

    :return: how many bytes were cut off.
    :raises EpisodeError: it is no MCAP file, or whole already.
    """
    try:
        size = path.stat().st_size
        with path.open('r+b') as file:
            if file.read(8) != _MAGIC:
                raise EpisodeError(f'{path} is no MCAP file')
            file.seek(max(8, size - _FOOTER_BYTES))
            if file.read(9) == _FOOTER_HEAD and file.read()[20:] == _MAGIC:
                raise EpisodeError(f'{path} is whole; there is nothing to repair')
            end = file.seek(8)
            while len(head := file.read(9)) == 9:
                opcode, length = struct.unpack('<BQ', head)
                if opcode == _DATA_END or file.tell() + length > size:
                    break
                end = file.seek(length, 1)
            file.seek(end)
            file.truncate()
            file.write(struct.pack('<BQI', _DATA_END, 4, 0))
            file.write(_FOOTER_HEAD + bytes(20) + _MAGIC)
    except OSError as error:
        raise EpisodeError(f'{path} cannot be repaired: {error.strerror}') from error
    return size - end
