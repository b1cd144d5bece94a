# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a msgpack message is made of, before anything is made of it: its bytes bound its memory."""
from __future__ import annotations

from dataclasses import dataclass

_ALONE = 0xc0, 0xc2, 0xc3      # nil, false, true
#: first byte -> bytes of the number that follows it
_NUMBERS = {0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4,
            0xd3: 8}
_BINS = {0xc4: 1, 0xc5: 2, 0xc6: 4}         # first byte -> bytes of the length
_STRINGS = {0xd9: 1, 0xda: 2, 0xdb: 4}
_ARRAYS = {0xdc: 2, 0xdd: 4}
_MAPS = {0xde: 2, 0xdf: 4}


@dataclass(frozen=True)
class Limits:
    """How large a message may be, and what is in it; a policy's own is far below each."""

    most_bytes: int = 16 << 20      # of a message; three pictures of 1280 x 720 are 8 MiB
    most_objects: int = 100_000     # numbers, texts, lists, maps; of an array only its parts count
    most_text: int = 1 << 16        # [bytes] of a string
    most_depth: int = 8             # lists and maps within each other
    most_actions: int = 2000        # of a chunk
    most_columns: int = 256         # of an action


def why_too_complex(data: bytes, limits: Limits) -> str | None:
    """
    Return why a message must not be unpacked: cut off, too large or too much in it; None if not.

    A decoder makes an object of each byte at worst, and of some bytes a list of thousands; this
    reads no more than the headers, and stops at the first that is too much. What may pass holds at
    most `most_objects` objects beside its own bytes. Format: the msgpack specification, without
    extension types, which no policy sends.
    """
    size = len(data)
    if size > limits.most_bytes:
        return f'it has {size} bytes, more than {limits.most_bytes}'
    place, objects = 0, 0
    left = [1]      # objects still to come, of each list or map that is open
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        left[-1] -= 1
        objects += 1
        if objects > limits.most_objects:
            return f'it holds more than {limits.most_objects} objects'
        if place >= size:
            return f'it ends after {size} bytes in the middle'
        first = data[place]
        place += 1
        if first <= 0x7f or first >= 0xe0 or first in _ALONE:
            continue
        if first in _NUMBERS:
            place += _NUMBERS[first]
            continue
        kind, length = _kind(first)
        if kind == '':
            return f'byte {place - 1} is {first:#04x}, a type that no policy uses'
        if length < 0:
            width = -length
            length = int.from_bytes(data[place:place + width], 'big')
            place += width
        if kind in ('list', 'map'):
            count = length * (2 if kind == 'map' else 1)
            if count > limits.most_objects:
                return f'it has a list or map of {length}'
            if len(left) > limits.most_depth:
                return f'lists and maps are more than {limits.most_depth} deep in each other'
            left.append(count)
            continue
        if kind == 'text' and length > limits.most_text:
            return f'it has a text of {length} bytes, more than {limits.most_text}'
        place += length
    if place > size:
        return f'it ends after {size} bytes in the middle'
    return None if place == size else f'{size - place} bytes follow its end'


def _kind(first: int) -> tuple[str, int]:
    """Return the kind of an object of variable length and its length, or -bytes of the length."""
    if first <= 0x8f:
        return 'map', first & 0x0f
    if first <= 0x9f:
        return 'list', first & 0x0f
    if first <= 0xbf:
        return 'text', first & 0x1f
    for kind, table in (('bytes', _BINS), ('text', _STRINGS), ('list', _ARRAYS),
                        ('map', _MAPS)):
        if first in table:
            return kind, -table[first]
    return '', 0
