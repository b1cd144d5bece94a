# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ends an MCAP file that its writer could not end, in a copy: after a kill, or a loss of power."""
from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kinema4d_ros.errors import EpisodeError

MARK = '.repaired'     # in the name of the copy, before .mcap
_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_FOOTER_HEAD = struct.pack('<BQ', 0x02, 20)
_FOOTER_BYTES = 9 + 20 + len(_MAGIC)
_HEAD = 9                          # opcode and length of a record
_MOST_CHUNK = 1 << 30              # [bytes] of a chunk, unpacked
_OWN_OPCODES = range(0x80, 0x100)  # of whoever wrote the file


@dataclass(frozen=True)
class Repair:
    """What a repaired copy holds, and what it lacks."""

    path: Path           # of the copy
    messages: int        # that it holds
    salvaged: int        # of them, from chunks that were cut or damaged
    lost_bytes: int      # of the file, which hold no whole message
    is_cut: bool         # the last message was being written

    @property
    def sentence(self) -> str:
        """What an operator has to know."""
        lost = f'{self.lost_bytes} bytes could not be read' if self.lost_bytes else \
            'nothing but the index was missing'
        saved = f', {self.salvaged} of them out of a chunk that is cut or damaged' \
            if self.salvaged else ''
        last = ', and the message that was being written last is lost' if self.is_cut else ''
        return f'{self.path} holds {self.messages} messages{saved}; {lost}{last}'


def repaired_path(path: Path) -> Path:
    """Return where the repaired copy of a file is put."""
    return path.with_name(f'{path.stem}{MARK}{path.suffix}')


def repair(path: Path, out: Path | None = None) -> Repair:
    """
    Write what can be read of a file to a copy without an index; the file itself stays as it is.

    Whole records are copied. Of a chunk that was being written, or whose checksum does not fit,
    its whole messages are. Record layouts: MCAP specification, https://mcap.dev/spec.

    :param out: of the copy, which must not be there yet; None for NAME.repaired.mcap beside it.
    :raises EpisodeError: it is no MCAP file, is whole already, or holds no whole message.
    """
    target = repaired_path(path) if out is None else out
    part = target.with_name(f'.{target.name}.part')
    try:
        with path.open('rb') as source:
            size = _check(path, source)
            if target.exists():
                raise EpisodeError(f'{target} is there already; name another file with --out')
            try:
                with part.open('wb') as copy:
                    done = _copy(source, copy, size, target)
                if not done.messages:
                    raise EpisodeError(
                        f'{path} holds no whole message in its {size} bytes, so there is nothing '
                        'to repair; it stays as it is')
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise EpisodeError(f'{path} cannot be repaired: {error.strerror}') from error
    return done


def _check(path: Path, source: BinaryIO) -> int:
    """Return the size of an MCAP file that is not whole."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if source.read(len(_MAGIC)) != _MAGIC:
        raise EpisodeError(f'{path} is no MCAP file')
    source.seek(max(len(_MAGIC), size - _FOOTER_BYTES))
    if source.read(_HEAD) == _FOOTER_HEAD and source.read()[20:] == _MAGIC:
        raise EpisodeError(f'{path} is whole; there is nothing to repair')
    return size


def _copy(source: BinaryIO, copy: BinaryIO, size: int, target: Path) -> Repair:
    messages = salvaged = lost = 0
    is_cut = False
    end = source.seek(len(_MAGIC))
    copy.write(_MAGIC)
    while len(head := source.read(_HEAD)) == _HEAD:
        opcode, length = struct.unpack('<BQ', head)
        if opcode == _DATA_END or not (0 < opcode < _DATA_END or opcode in _OWN_OPCODES):
            break
        is_cut = source.tell() + length > size
        if is_cut and opcode != _CHUNK:
            break
        content = source.read(min(length, size))
        end = source.tell()
        if opcode == _CHUNK:
            records = None if is_cut else _unpacked(content)
            if records is None:
                rest = list(_whole_records(_unpacked_so_far(content)))
                count = sum(record[0] == _MESSAGE for record in rest)
                copy.write(b''.join(_chunk(rest)) if rest else b'')
                messages, salvaged = messages + count, salvaged + count
                lost += len(content) if not count else 0
                continue
            messages += sum(record[0] == _MESSAGE for record in _whole_records(records))
        messages += opcode == _MESSAGE
        copy.write(head + content)
    lost += size - end
    copy.write(struct.pack('<BQI', _DATA_END, 4, 0) + _FOOTER_HEAD + bytes(20) + _MAGIC)
    return Repair(target, messages, salvaged, lost, is_cut)


def _chunk(records: list[bytes]) -> Iterator[bytes]:
    """Yield the parts of an uncompressed chunk of records."""
    data = b''.join(records)
    stamps = [struct.unpack_from('<Q', record, _HEAD + 6)[0] for record in records
              if record[0] == _MESSAGE] or [0]
    head = struct.pack('<QQQII', min(stamps), max(stamps), len(data), zlib.crc32(data), 0)
    yield struct.pack('<BQ', _CHUNK, len(head) + 8 + len(data)) + head
    yield struct.pack('<Q', len(data)) + data


def _whole_records(data: bytes) -> Iterator[bytes]:
    """Yield the schemas, channels and messages of a chunk, up to the first that is not whole."""
    at = 0
    while at + _HEAD <= len(data):
        opcode, length = struct.unpack_from('<BQ', data, at)
        if at + _HEAD + length > len(data) or opcode not in (_SCHEMA, _CHANNEL, _MESSAGE) \
                or opcode == _MESSAGE and length < 22:
            return
        yield data[at:at + _HEAD + length]
        at += _HEAD + length


def _fields(content: bytes) -> tuple[int, int, str, bytes] | None:
    """Return (size unpacked, checksum, compression, packed records as far as they are there)."""
    try:
        size, checksum, name_length = struct.unpack_from('<QII', content, 16)
        name = content[32:32 + name_length].decode('ascii')
        (packed,) = struct.unpack_from('<Q', content, 32 + name_length)
    except (struct.error, UnicodeDecodeError):
        return None
    begin = 40 + name_length
    return size, checksum, name, content[begin:begin + packed]


def _unpacked(content: bytes) -> bytes | None:
    """Return the records of a whole chunk, None where it is damaged."""
    fields = _fields(content)
    if fields is None:
        return None
    size, checksum, _, _ = fields
    records = _unpacked_so_far(content)
    if len(records) != size or checksum and zlib.crc32(records) != checksum \
            or sum(map(len, _whole_records(records))) != size:     # many writers put no checksum
        return None
    return records


def _unpacked_so_far(content: bytes) -> bytes:
    """Return what can be unpacked of a chunk that may be cut or damaged."""
    import lz4.frame
    import zstandard

    fields = _fields(content)
    if fields is None or fields[0] > _MOST_CHUNK:
        return b''
    _, _, compression, packed = fields
    if not compression:
        return packed
    step: Callable[[bytes], bytes]
    if compression == 'zstd':
        step = zstandard.ZstdDecompressor().decompressobj().decompress
    elif compression == 'lz4':
        decompressor: Any = lz4.frame.LZ4FrameDecompressor
        step = decompressor().decompress
    else:
        return b''
    out = b''
    try:      # in small steps, since what was unpacked before the damage is to be had
        for at in range(0, len(packed), 4096):
            out += step(packed[at:at + 4096])
            if len(out) > _MOST_CHUNK:
                return b''
    except Exception:      # damage in the middle, or data behind the end
        pass
    return out
