# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dataclasses of this package as what JSON has, and strictly back."""
from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema4d_ros.errors import Kinema4DError


class PlainError(Kinema4DError):
    """A document does not hold what its class is made of; the message says where."""


def to_plain(value: Any) -> Any:
    """
    Return dicts, lists, numbers, strings, booleans and None that say what `value` says.

    Enums become their values (findings' codes, severities and statuses their names).
    """
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name))
                for field in dataclasses.fields(value)}
    if isinstance(value, enum.IntEnum):
        return value.name
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise PlainError(f'{type(value).__name__} has no plain form')


def from_plain(kind: Any, value: Any, where: str = 'document') -> Any:
    """
    Return the `kind` that `to_plain` was given.

    :param kind: a dataclass, an enum, a builtin, or tuple[...], Mapping[str, ...] or a union of
        such.
    :param where: for messages.
    :raises PlainError: the value is of another type, or has an unknown field.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind, value, where)
    if origin is tuple:
        _check(isinstance(value, list), 'a list', value, where)
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        _check(len(arguments) == len(value), f'{len(arguments)} values', value, where)
        return tuple(from_plain(item, part, f'{where}[{number}]')
                     for number, (item, part) in enumerate(zip(arguments, value)))
    if origin is not None and issubclass(origin, Mapping):
        _check(isinstance(value, dict), 'an object', value, where)
        return {key: from_plain(arguments[1], part, f'{where}.{key}')
                for key, part in value.items()}
    if kind is type(None):
        _check(value is None, 'null', value, where)
        return None
    if kind is float:
        _check(isinstance(value, (int, float)) and not isinstance(value, bool), 'a number', value,
               where)
        return float(value)
    if kind in (bool, int, str):
        _check(type(value) is kind, kind.__name__, value, where)
        return value
    raise PlainError(f'{where}: {kind} cannot be read')


def _dataclass(kind: type, value: Any, where: str) -> Any:
    _check(isinstance(value, dict), 'an object', value, where)
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise PlainError(f'{where} has the unknown field {", ".join(unknown)}; {kind.__name__} has '
                         f'{", ".join(known)}. Was it written by another version?')
    fields = {name: from_plain(hints[name], value[name], f'{where}.{name}')
              for name in known if name in value}
    try:
        return kind(**fields)
    except (Kinema4DError, TypeError, ValueError) as error:
        raise PlainError(f'{where}: {error}') from error


def _enum(kind: type[enum.Enum], value: Any, where: str) -> enum.Enum:
    named = issubclass(kind, enum.IntEnum)
    valid = {item.name if named else item.value: item for item in kind}
    if not isinstance(value, str) or value not in valid:
        raise PlainError(f'{where} is {value!r}, valid: {", ".join(map(str, valid))}')
    return valid[value]


def _one_of(kinds: tuple, value: Any, where: str) -> Any:
    errors = []
    for kind in sorted(kinds, key=lambda kind: kind is not type(None)):
        try:
            return from_plain(kind, value, where)
        except PlainError as error:
            errors.append(error)
    raise errors[-1]


def _check(holds: bool, wanted: str, value: Any, where: str) -> None:
    if not holds:
        raise PlainError(f'{where} must be {wanted}, got {str(value)[:60]!r}')
