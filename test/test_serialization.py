# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as plain documents and strictly back; every refusal names its place."""
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.serialization import from_plain, PlainError, to_plain


class Level(enum.IntEnum):
    """Written by name."""

    LOW = 0
    HIGH = 1


class Word(enum.StrEnum):
    """Written by value."""

    YES = 'yes'


class TooLargeError(Kinema4DError):
    """What a constructor may raise."""


@dataclass(frozen=True)
class Part:
    """Inner part."""

    size: float
    level: Level = Level.LOW

    def __post_init__(self):
        if self.size > 1:
            raise TooLargeError(f'size must be at most 1, got {self.size}')


@dataclass(frozen=True)
class Whole:
    """All kinds of fields."""

    name: str
    count: int = 0
    good: bool = True
    word: Word = Word.YES
    parts: tuple[Part, ...] = ()
    pair: tuple[float, int] | None = None
    by_name: Mapping[str, Part] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)


PARTS = st.builds(Part, st.floats(0, 1), st.sampled_from(Level))


@given(st.builds(
    Whole, st.text(), st.integers(), st.booleans(), st.just(Word.YES),
    st.lists(PARTS, max_size=2).map(tuple), st.none() | st.tuples(st.floats(0, 1), st.integers()),
    st.dictionaries(st.text(), PARTS, max_size=2),
    st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans()))))
def test_there_and_back_over_json(whole):
    assert from_plain(Whole, json.loads(json.dumps(to_plain(whole)))) == whole


def test_what_is_written():
    whole = Whole('a', parts=(Part(np.float32(0.5), Level.HIGH),),
                  by_name=MappingProxyType({}), anything={'array': np.arange(2), 'set': {1}})
    assert to_plain(whole) == {
        'name': 'a', 'count': 0, 'good': True, 'word': 'yes',
        'parts': [{'size': 0.5, 'level': 'HIGH'}], 'pair': None, 'by_name': {},
        'anything': {'array': [0, 1], 'set': [1]}}
    with pytest.raises(PlainError, match='object has no plain form'):
        to_plain({'a': object()})


@pytest.mark.parametrize(('document', 'words'), [
    ([], "file must be an object, got '[]'"),
    ({}, 'file.name is missing'),
    ({'name': 3}, "file.name must be str, got '3'"),
    ({'name': 'a', 'count': True}, "file.count must be int, got 'True'"),
    ({'name': 'a', 'count': 1.0}, "file.count must be int, got '1.0'"),
    ({'name': 'a', 'good': 1}, "file.good must be bool, got '1'"),
    ({'name': 'a', 'word': 'no'}, "file.word is 'no', valid: yes"),
    ({'name': 'a', 'word': ['yes']}, "file.word is ['yes'], valid: yes"),
    ({'name': 'a', 'parts': 'ab'}, "file.parts must be a list, got 'ab'"),
    ({'name': 'a', 'parts': [{'size': 0}, {'size': 'x'}]},
     "file.parts[1].size must be a number, got 'x'"),
    ({'name': 'a', 'parts': [{'size': True}]}, "file.parts[0].size must be a number, got 'True'"),
    ({'name': 'a', 'parts': [{'size': 0, 'level': 1}]},
     'file.parts[0].level is 1, valid: LOW, HIGH'),
    ({'name': 'a', 'parts': [{'size': 2}]}, 'file.parts[0]: size must be at most 1, got 2.0'),
    ({'name': 'a', 'pair': [1]}, 'file.pair: Not enough values'),
    ({'name': 'a', 'pair': [1, 2.5]}, "file.pair[1] must be int, got '2.5'"),
    ({'name': 'a', 'by_name': {'x @ y': {'size': None}}},
     "file.by_name['x @ y'].size must be a number, got 'None'"),
    ({'name': 'a', 'nme': 1, 'x': 2},
     'file has the unknown field nme, x; Whole has name, count, good, word, parts, pair, by_name, '
     'anything. Was it written by another version?'),
    ({'name': 1, 'count': 'b'},
     "file.name must be str, got '1'; file.count must be int, got 'b'"),
])
def test_refusals_name_the_place_and_what_is_valid(document, words):
    with pytest.raises(PlainError) as caught:
        from_plain(Whole, document, 'file')
    assert str(caught.value).startswith(words)


def test_single_values():
    assert from_plain(tuple[float, ...], [1, 2.5]) == (1.0, 2.5)
    with pytest.raises(PlainError, match=r"document\[0\] must be a number, got 'x'"):
        from_plain(tuple[float, ...], ['x'])
    with pytest.raises(PlainError, match="stamp must be int, got 'None'"):
        from_plain(int, None, 'stamp')



def test_bytes_are_text_in_base64():
    assert to_plain(b'\x00\xff') == 'AP8='
    assert from_plain(bytes, 'AP8=') == b'\x00\xff'
    for wrong in 'A*8=', 7:
        with pytest.raises(PlainError):
            from_plain(bytes, wrong)
