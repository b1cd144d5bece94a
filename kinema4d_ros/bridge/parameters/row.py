# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One row of a parameter table: name or pattern of names, type, default, range, meaning."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.parameter import Parameter as RosParameter

from kinema4d_ros.errors import ConfigurationError

RosType: Any = RosParameter.Type      # an enum, which type checkers cannot see
#: Python type of a parameter -> (ROS type, name for people, element type of a list)
_KINDS: dict[Any, tuple[Any, str, type | None]] = {
    bool: (RosType.BOOL, 'bool', None), int: (RosType.INTEGER, 'int', None),
    float: (RosType.DOUBLE, 'double', None), str: (RosType.STRING, 'string', None),
    list[int]: (RosType.INTEGER_ARRAY, 'int[]', int),
    list[float]: (RosType.DOUBLE_ARRAY, 'double[]', float),
    list[str]: (RosType.STRING_ARRAY, 'string[]', str),
    object: (RosType.NOT_SET, 'any', None)}
_PLAIN = (bool, int, float, str)
#: a part of a name that stands for the name of a thing, such as <joint>
_THING = re.compile(r'<(\w+)>')


class _Default:
    """A default that is no value."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: default of a parameter that the user must decide
REQUIRED = _Default('REQUIRED')
#: default of a pattern: nothing is set for any thing
UNSET = _Default('UNSET')


@dataclass(frozen=True)
class Parameter:
    """
    One row of the table. Ranges are inclusive and hold for each element of a list.

    A name with a part in angle brackets, such as ``joint_limits.<joint>.max_velocity``, is a
    pattern: one parameter for each thing that the user names, and none by default.
    """

    name: str
    type: Any                       # a key of _KINDS: bool, int, float, str, list[...], object
    default: Any
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    length: int | None = None       # of a list; an empty one is allowed where it is the default
    read_only: bool = False         # fixed once the node runs

    def __post_init__(self) -> None:
        """Refuse a row that contradicts itself."""
        if self.type not in _KINDS:
            raise ConfigurationError(f'parameter {self.name!r} has no ROS type for {self.type}')
        if self.is_pattern != (self.default is UNSET):
            raise ConfigurationError(
                f'parameter {self.name!r}: a pattern of names has the default UNSET, and only that')
        if self.type is object and not self.is_pattern:
            raise ConfigurationError(f'parameter {self.name!r} must have one type')
        if not isinstance(self.default, _Default):
            object.__setattr__(self, 'default', self.check(self.default))

    @property
    def is_pattern(self) -> bool:
        """Whether the name stands for many."""
        return _THING.search(self.name) is not None

    @property
    def is_list(self) -> bool:
        """Whether a value may be an empty list, which ROS reads from a file as no value."""
        return self.type is object or _KINDS[self.type][2] is not None

    def matches(self, name: str) -> bool:
        """Return whether `name` is this parameter's, or one that its pattern stands for."""
        return self._expression.fullmatch(name) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        # A thing's name may have dots in it, as joints of some robots do.
        parts = _THING.split(self.name)
        return re.compile(''.join(
            '.+' if index % 2 else re.escape(part) for index, part in enumerate(parts)))

    @property
    def kind(self) -> str:
        """Name of the ROS type as people write it."""
        return _KINDS[self.type][1]

    @property
    def ros_type(self) -> RosType:
        """The ROS type."""
        return _KINDS[self.type][0]

    @property
    def range(self) -> str:
        """The valid values as text, empty where any will do."""
        if self.choices:
            return ', '.join(map(str, self.choices))
        low, high = self.minimum, self.maximum
        text = f'{low} to {high}' if None not in (low, high) else \
            f'at least {low}' if low is not None else f'at most {high}' if high is not None else ''
        if self.length is not None:
            text = f'{self.length} values' + (f', each {text}' if text else '')
        return text

    def check(self, value: Any, name: str = '') -> Any:
        """
        Return the valid value (a list as a tuple, an integer as a float where that is meant).

        :param name: of the parameter where the row is a pattern.
        :raises ConfigurationError: naming parameter, value and valid values.
        """
        name = name or self.name
        if self.type is object:
            return self._check_any(value, name)
        element = _KINDS[self.type][2]
        if element is None:
            return self._check_one(value, self.type, value, name)
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
            raise self._wrong_type(value, name)
        given = tuple(value)
        values = tuple(self._check_one(one, element, given, name) for one in given)
        if self.length is not None and len(values) != self.length \
                and not (values == () and self.default in ((), [])):
            raise ConfigurationError(
                f'parameter {name!r} has {len(values)} values, it must have {self.length}')
        return values

    def _check_one(self, value: Any, wanted: type, whole: Any, name: str) -> Any:
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is str and type(value) is bool:
            value = self.as_word(value)
        if type(value) is not wanted:
            raise self._wrong_type(whole, name)
        outside = wanted in (int, float) and (
            not math.isfinite(value)
            or (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum))
        if outside or (self.choices and value not in self.choices):
            unit = f' {self.unit}' if self.unit else ''
            raise ConfigurationError(
                f'parameter {name!r} is {value!r}{unit}, valid: '
                f'{self.range or "a finite number"}')
        return value

    def as_word(self, value: bool) -> Any:
        """
        Return the choice that stands in a file, or a command line, where ROS reads a bool.

        Its YAML takes the bare words `off` and `no` for false, and `on` and `yes` for true.
        """
        words = ('on', 'yes') if value else ('off', 'no')
        return next((word for word in words if word in self.choices), value)

    def _check_any(self, value: Any, name: str) -> Any:
        """Return a plain value or a list of them; who reads it knows what it must be."""
        if type(value) in _PLAIN:
            return value
        values = () if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) \
            else tuple(value)
        if not values or any(type(one) not in _PLAIN for one in values):
            raise self._wrong_type(value, name)
        return values

    def _wrong_type(self, value: Any, name: str) -> ConfigurationError:
        kind = 'a bool, number or string, or a list of them' if self.type is object else self.kind
        if self.type is str and type(value) is bool:
            kind += f' ({self.range})' if self.range else ''
            return ConfigurationError(
                f'parameter {name!r} must be {kind}, got the bool {value!r}, which YAML makes of '
                "off, no, on and yes: write it in quotes, on the command line as \"'off'\"")
        return ConfigurationError(f'parameter {name!r} must be {kind}, got {value!r}')

    def descriptor(self) -> ParameterDescriptor:
        """Return the description that `ros2 param describe` shows."""
        unit = f' [{self.unit}]' if self.unit else ''
        out = ParameterDescriptor(
            # those of a pattern can be deleted again, which only dynamic types can
            name=self.name, dynamic_typing=self.is_pattern, read_only=self.read_only,
            type=RosType.NOT_SET.value if self.is_pattern else self.ros_type.value,
            description=self.description + unit,
            additional_constraints='' if self._has_plain_range else self.range)
        low, high = self.minimum, self.maximum
        if self._has_plain_range and self.type is int:
            out.integer_range.append(IntegerRange(
                from_value=-2**63 if low is None else int(low),
                to_value=2**63 - 1 if high is None else int(high), step=1))
        elif self._has_plain_range:
            out.floating_point_range.append(FloatingPointRange(
                from_value=-math.inf if low is None else float(low),
                to_value=math.inf if high is None else float(high)))
        return out

    @property
    def _has_plain_range(self) -> bool:
        return self.type in (int, float) and not self.choices and \
            (self.minimum is not None or self.maximum is not None)
