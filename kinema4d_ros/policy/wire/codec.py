# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The dialect of msgpack that openpi and RoboArena speak, read as what a stranger sent.

An array is a map of four with byte keys: ``__ndarray__`` true, ``data`` (C order), ``dtype`` (as
NumPy writes it) and ``shape``; a number of NumPy has ``__npgeneric__``, ``data`` and ``dtype``
(openpi-client 0.1.0, `msgpack_numpy`). Nothing of it is ever unpickled or evaluated: types are
looked up in a table, and everything is counted before it is made.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.wire.structure import Limits, why_too_complex

LIMITS = Limits()
_ARRAY, _NUMBER, _DATA, _DTYPE, _SHAPE = (
    b'__ndarray__', b'__npgeneric__', b'data', b'dtype', b'shape')
#: what NumPy writes for a type -> the type
DTYPES: Mapping[str, np.dtype[Any]] = {
    f'{order}{kind}{size}': np.dtype(f'{order}{kind}{size}')
    for kind, sizes in {'b': (1,), 'i': (1, 2, 4, 8), 'u': (1, 2, 4, 8), 'f': (2, 4, 8)}.items()
    for size in sizes for order in (('|',) if size == 1 else ('<', '>'))}
_MOST_AXES = 6


def import_msgpack() -> Any:
    """
    Return the module msgpack.

    :raises ConfigurationError: it is not installed.
    """
    try:
        import msgpack
    except ImportError as error:
        raise ConfigurationError('to speak with policies, msgpack is needed: install the extra '
                                 '[policy]') from error
    return msgpack


def pack(message: Any) -> bytes:
    """
    Return a message of dicts, lists, texts, numbers and arrays of numbers as bytes.

    :raises PolicyError: it holds something else, such as an array of objects.
    """
    try:
        packed: bytes = import_msgpack().packb(message, default=_plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise PolicyError(f'the message cannot be packed: {error}; it may hold dicts, lists, '
                          'texts, numbers and arrays of numbers') from error
    return packed


def unpack(data: bytes, limits: Limits = LIMITS) -> Any:
    """
    Return what a message says. Its arrays are read-only, and their memory is the message's.

    :raises PolicyError: it is damaged, too large, or holds what no policy sends.
    """
    if (problem := why_too_complex(data, limits)) is not None:
        raise PolicyError(f'the message cannot be read: {problem}')
    try:
        return import_msgpack().unpackb(data, object_hook=_made, strict_map_key=True)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PolicyError(f'the message cannot be read: {error}') from error


def _plain(value: Any) -> Any:
    """Return an array or a number of NumPy as the dialect has it."""
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f'{type(value).__name__} has no form in it')
    if value.dtype.str not in DTYPES:
        raise TypeError(f'an array of {value.dtype} has no form in it')
    if isinstance(value, np.ndarray):
        return {_ARRAY: True, _DATA: value.tobytes(), _DTYPE: value.dtype.str,
                _SHAPE: value.shape}
    return {_NUMBER: True, _DATA: value.item(), _DTYPE: value.dtype.str}


def _made(found: dict[Any, Any]) -> Any:
    """Return the array or number that a map stands for; any other map as it is."""
    if _ARRAY in found:
        return _array(found)
    return _number(found) if _NUMBER in found else found


def _array(found: dict[Any, Any]) -> np.ndarray:
    dtype, shape, data = _dtype(found), found.get(_SHAPE), found.get(_DATA)
    if not isinstance(shape, list) or len(shape) > _MOST_AXES \
            or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f'an array has the shape {_short(shape)}')
    if not isinstance(data, bytes) or math.prod(shape) * dtype.itemsize != len(data):
        size = f'{len(data)} bytes' if isinstance(data, bytes) else f'{_short(data)} as data'
        raise ValueError(f'an array of shape {tuple(shape)} and {found[_DTYPE]} has {size}')
    values = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    return values.astype(dtype.newbyteorder('='), copy=False).reshape(shape)


def _number(found: dict[Any, Any]) -> np.generic:
    dtype, value = _dtype(found), found.get(_DATA)
    if not isinstance(value, (bool, int, float)):
        raise ValueError(f'a number is {_short(value)}')
    number: np.generic = dtype.type(value)      # what does not fit raises OverflowError
    return number


def _dtype(found: dict[Any, Any]) -> np.dtype[Any]:
    name = found.get(_DTYPE)
    if not isinstance(name, str) or name not in DTYPES:
        raise ValueError(f'an array or number has the type {_short(name)}, valid: numbers and '
                         'booleans, no objects, texts or structures')
    return DTYPES[name]


def _short(value: Any) -> str:
    text = repr(value)[:60] if not isinstance(value, bytes) else f'{len(value)} bytes'
    return text if len(text) < 60 else text + '...'
