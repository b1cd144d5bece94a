# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dataclasses of this package as what JSON has, and strictly back."""
from __future__ import annotations

import base64
import dataclasses
import enum
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_origin, TypeVar

import numpy as np
from cattrs import BaseValidationError, Converter, ForbiddenExtraKeysError, transform_error
from cattrs.cols import (homogenous_tuple_structure_factory, is_mapping,
                         mapping_structure_factory)
from cattrs.gen import make_dict_structure_fn, make_hetero_tuple_structure_fn

from kinema4d_ros.errors import Kinema4DError

Hook = Callable[[Any, Any], Any]
HookFactory = Callable[[Any, Converter], Hook]
_Kind = TypeVar('_Kind')


class PlainError(Kinema4DError):
    """A document does not hold what its class is made of; the message says where."""


def write_whole(path: Path, text: str) -> None:
    """
    Write a text file as a whole or not at all: what was there stays until all of it is written.

    :raises OSError: it cannot be written.
    """
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        partial.write_text(text, encoding='utf-8')
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_plain(value: Any) -> Any:
    """
    Return dicts, lists, numbers, strings, booleans and None that say what `value` says.

    Enums become their values (findings' codes, severities and statuses their names), bytes text in
    base64.

    :raises PlainError: something in it has no plain form.
    """
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name))
                for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return _plain_enum(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise PlainError(f'{type(value).__name__} has no plain form')


def from_plain(kind: type[_Kind], value: Any, where: str = 'document') -> _Kind:
    """
    Return the `kind` that `to_plain` was given.

    :param kind: a dataclass, an enum, a builtin, or tuple[...], Mapping[str, ...] or an optional
        one of such.
    :param where: what the messages begin the path with.
    :raises PlainError: naming every place where the value is of another type, lacks a field or has
        an unknown one.
    """
    try:
        return _STRICT.structure(value, kind)
    except (BaseValidationError, Kinema4DError, TypeError, ValueError) as error:
        lines = transform_error(error, where, lambda cause, _: _describe(cause) + _END)
        raise PlainError('; '.join(
            path + words for words, path in (line.split(f'{_END} @ ', 1) for line in lines))
        ) from error


_END = '\0'      # of a description, before the path that cattrs adds


class _WrongValue(TypeError):
    """A value is of another type; the words follow the path of the place."""


def _describe(error: BaseException) -> str:
    """Return what is wrong, to be read after the path of the place."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = ', '.join(field.name for field in dataclasses.fields(error.cl))
        return (f' has the unknown field {", ".join(sorted(error.extra_fields))}; '
                f'{error.cl.__name__} has {known}. Was it written by another version?')
    if isinstance(error, KeyError):
        return ' is missing'
    return str(error) if isinstance(error, _WrongValue) else f': {error}'


def _plain_enum(item: enum.Enum) -> str:
    return str(item.name if isinstance(item, enum.IntEnum) else item.value)


def _enum(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    valid = {_plain_enum(item): item for item in kind}
    if not isinstance(value, str) or value not in valid:
        raise _WrongValue(f' is {value!r}, valid: {", ".join(valid)}')
    return valid[value]


def _scalar(kind: type, _: Converter) -> Hook:
    return lambda value, _: kind(value)


def _tuple(kind: Any, converter: Converter) -> Hook:
    factory = homogenous_tuple_structure_factory if kind.__args__[-1] is Ellipsis \
        else make_hetero_tuple_structure_fn
    return factory(kind, converter)


def _strict(accepted: tuple[type, ...], wanted: str, factory: HookFactory) -> HookFactory:
    """Return a hook factory of cattrs, which takes a string for a tuple, made to take no other."""
    def strict(kind: Any, converter: Converter) -> Hook:
        structure = factory(kind, converter)

        def read(value: Any, kind: Any) -> Any:
            if type(value) not in accepted:      # exactly: to isinstance a bool is an int
                raise _WrongValue(f' must be {wanted}, got {str(value)[:60]!r}')
            return structure(value, kind)
        return read
    return strict


_STRICT = Converter(forbid_extra_keys=True)
_STRICT.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
# All three by name, for int and str, their other bases, would be found first.
for _enum_kind in (enum.Enum, enum.IntEnum, enum.StrEnum):
    _STRICT.register_structure_hook(_enum_kind, _enum)
_SCALARS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), 'bool'), int: ((int,), 'int'), float: ((int, float), 'a number'),
    str: ((str,), 'str')}
for _kind, (_accepted, _wanted) in _SCALARS.items():
    _STRICT.register_structure_hook(_kind, _strict(_accepted, _wanted, _scalar)(_kind, _STRICT))
_STRICT.register_structure_hook(bytes, _strict(
    (str,), 'text in base64', lambda *_: lambda value, _: base64.b64decode(value, validate=True))(
        bytes, _STRICT))
_CONTAINERS: tuple[tuple[Callable[[Any], bool], type, str, HookFactory], ...] = (
    (lambda kind: get_origin(kind) is tuple, list, 'a list', _tuple),
    (is_mapping, dict, 'an object', mapping_structure_factory),
    (dataclasses.is_dataclass, dict, 'an object', make_dict_structure_fn))
for _is_kind, _plain, _wanted, _factory in _CONTAINERS:
    _STRICT.register_structure_hook_factory(_is_kind, _strict((_plain,), _wanted, _factory))
