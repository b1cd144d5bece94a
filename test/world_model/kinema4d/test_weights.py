# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading weight files by their headers; needs no torch."""
from __future__ import annotations

import json
import struct

import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import listed
from kinema4d_ros.world_model.kinema4d.weights import account, WeightFiles


def write(path, tensors, metadata=None):
    """Write a safetensors file of zeros by hand: name -> shape (float32)."""
    header, offset = {}, 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [offset, offset + size]}
        offset += size
    if metadata:
        header['__metadata__'] = metadata
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + bytes(offset))
    return path


def test_header_tells_shapes_size_and_metadata(tmp_path):
    files = WeightFiles([write(tmp_path / 'a.safetensors', {'x': [2, 3], 'y': []}, {'k': 'v'})])
    assert dict(files.shapes) == {'x': (2, 3), 'y': ()}
    assert files.bytes == 28 and files.metadata == {'k': 'v'} and list(files) == ['x', 'y']


def test_a_key_in_two_files_is_reported(tmp_path):
    paths = [write(tmp_path / f'{name}.safetensors', {'x': [1]}) for name in 'ab']
    with pytest.raises(WorldModelError, match='b.safetensors repeats keys of another file: x'):
        WeightFiles(paths)


def test_a_header_that_is_no_header_is_reported(tmp_path):
    path = tmp_path / 'a.safetensors'
    for text in (b'{"x": 1}', b'{"x": {"dtype": "F32"}}', b'not json', b'[1, 2]'):
        path.write_bytes(struct.pack('<Q', len(text)) + text)
        with pytest.raises(WorldModelError, match='not a safetensors file, or is truncated'):
            WeightFiles([path])


def test_what_was_looked_for_and_what_is_there_are_reported(tmp_path):
    with pytest.raises(WorldModelError, match='no model.safetensors in .*; found none'):
        WeightFiles.find(tmp_path, 'model')
    with pytest.raises(WorldModelError, match='the directory does not exist'):
        WeightFiles.find(tmp_path / 'none', 'model')


def test_account_lists_everything_at_once():
    account('x', {'a': (1,)}, {'a': (1,)})
    with pytest.raises(WorldModelError, match=r'^x does not match the model: 1 missing: a; '
                                              r'1 left over: b; 1 of the wrong shape: c is \(1,\), '
                                              r'expected \(2,\)$'):
        account('x', {'b': (), 'c': (1,)}, {'a': (), 'c': (2,)})


def test_long_lists_are_cut():
    assert listed([str(i) for i in range(10)]) == '0, 1, 2, 3, 4, 5, 6, 7, and 2 more'
    assert listed([]) == 'none'
