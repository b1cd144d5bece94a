# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One declarative table of a node's parameters, from which everything else follows.

The table declares the parameters with their descriptors, validates changes, takes a frozen
snapshot for a request, prints the table of the README and checks the shipped YAML files.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml
from rcl_interfaces.msg import (FloatingPointRange, IntegerRange, ParameterDescriptor,
                                SetParametersResult)
from rclpy.exceptions import (InvalidParameterTypeException, ParameterException,
                              ParameterUninitializedException)
from rclpy.parameter import Parameter as RosParameter

from kinema4d_ros.errors import ConfigurationError

Kind = RosParameter.Type
#: Python type of a parameter -> (ROS type, name for people, element type of a list)
_KINDS: dict[Any, tuple[Kind, str, type | None]] = {
    bool: (Kind.BOOL, 'bool', None), int: (Kind.INTEGER, 'int', None),
    float: (Kind.DOUBLE, 'double', None), str: (Kind.STRING, 'string', None),
    list[int]: (Kind.INTEGER_ARRAY, 'int[]', int),
    list[float]: (Kind.DOUBLE_ARRAY, 'double[]', float),
    list[str]: (Kind.STRING_ARRAY, 'string[]', str)}


class _Required:
    """The default of a parameter that the user must decide."""

    def __repr__(self) -> str:
        return 'REQUIRED'


REQUIRED = _Required()


@dataclass(frozen=True)
class Parameter:
    """One row of the table. Ranges are inclusive and hold for each element of a list."""

    name: str
    type: Any                       # a key of _KINDS: bool, int, float, str, list[...]
    default: Any
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple = ()
    length: int | None = None       # of a list; an empty one is allowed where it is the default
    read_only: bool = False         # fixed once the node runs

    def __post_init__(self):
        """Refuse a row that contradicts itself."""
        if self.type not in _KINDS:
            raise ConfigurationError(f'parameter {self.name!r} has no ROS type for {self.type}')
        if self.default is not REQUIRED:
            object.__setattr__(self, 'default', self.check(self.default))

    @property
    def kind(self) -> str:
        """Name of the ROS type as people write it."""
        return _KINDS[self.type][1]

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

    def check(self, value: Any) -> Any:
        """
        Return the valid value (a list as a tuple) or raise.

        :raises ConfigurationError: naming parameter, value and valid values.
        """
        element = _KINDS[self.type][2]
        if element is None:
            self._check_one(value, self.type)
            return value
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
            raise self._wrong_type(value)
        values = tuple(value)
        for one in values:
            self._check_one(one, element)
        if self.length is not None and len(values) != self.length \
                and not (values == () and self.default in ((), [])):
            raise ConfigurationError(
                f'parameter {self.name!r} has {len(values)} values, it must have {self.length}')
        return values

    def _check_one(self, value: Any, wanted: type) -> None:
        if type(value) is not wanted:
            raise self._wrong_type(value)
        outside = wanted in (int, float) and (
            not math.isfinite(value)
            or (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum))
        if outside or (self.choices and value not in self.choices):
            unit = f' {self.unit}' if self.unit else ''
            raise ConfigurationError(
                f'parameter {self.name!r} is {value!r}{unit}, valid: '
                f'{self.range or "a finite number"}')

    def _wrong_type(self, value: Any) -> ConfigurationError:
        hint = f'; write {value}.0' if 'double' in self.kind and type(value) is int else ''
        return ConfigurationError(
            f'parameter {self.name!r} must be {self.kind}, got {value!r}{hint}')

    def descriptor(self) -> ParameterDescriptor:
        """Return the description that `ros2 param describe` shows."""
        unit = f' [{self.unit}]' if self.unit else ''
        out = ParameterDescriptor(
            name=self.name, type=_KINDS[self.type][0].value, read_only=self.read_only,
            description=self.description + unit,
            additional_constraints='' if self._has_plain_range else self.range)
        if self._has_plain_range and self.type is int:
            low, high = self.minimum, self.maximum
            out.integer_range.append(IntegerRange(
                from_value=-2**63 if low is None else int(low),
                to_value=2**63 - 1 if high is None else int(high), step=1))
        elif self._has_plain_range:
            low, high = self.minimum, self.maximum
            out.floating_point_range.append(FloatingPointRange(
                from_value=-math.inf if low is None else float(low),
                to_value=math.inf if high is None else float(high)))
        return out

    @property
    def _has_plain_range(self) -> bool:
        return self.type in (int, float) and not self.choices and \
            (self.minimum is not None or self.maximum is not None)


class ParameterTable:
    """All parameters of one node. `rules` look at the whole set and return a complaint or None."""

    def __init__(self, parameters: Iterable[Parameter], *,
                 rules: Iterable[Callable[[Mapping[str, Any]], str | None]] = ()):
        """Refuse a name that comes twice."""
        self._rows = tuple(parameters)
        self._by_name = {row.name: row for row in self._rows}
        self._rules = tuple(rules)
        if len(self._by_name) != len(self._rows):
            raise ConfigurationError('the parameter table names a parameter twice: '
                                     + ', '.join(row.name for row in self._rows))

    @property
    def names(self) -> tuple[str, ...]:
        """Names in table order."""
        return tuple(self._by_name)

    def declare(self, node) -> None:
        """
        Declare every parameter on `node` and guard later changes.

        :raises ConfigurationError: when the value given at start (YAML, command line) is bad.
        """
        for row in self._rows:
            # An empty list would be declared as BYTE_ARRAY, so it is left unset here and the
            # snapshot fills it in, as it refuses a required one that is still unset.
            unset = row.default is REQUIRED or row.default == ()
            default = list(row.default) if isinstance(row.default, tuple) else row.default
            try:
                node.declare_parameter(
                    row.name, _KINDS[row.type][0] if unset else default, row.descriptor())
                value = _value(node, row.name)
                if value is not None:
                    row.check(value)         # what the descriptor cannot express
            except ParameterException as error:
                hint = '; a double needs a decimal point' if 'double' in row.kind \
                    and isinstance(error, InvalidParameterTypeException) else ''
                valid = f' (valid: {row.kind}{", " + row.range if row.range else ""}{hint})'
                raise ConfigurationError(f'parameter {row.name!r}: {error}{valid}') from error
        node.add_on_set_parameters_callback(lambda batch: self._on_set(node, batch))

    def snapshot(self, node) -> Mapping[str, Any]:
        """
        Return all values now, checked and frozen; a request uses one snapshot to its end.

        :raises ConfigurationError: a required parameter has no value, or a value is bad.
        """
        return self.validate({name: _value(node, name) for name in self._by_name})

    def validate(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Return `values` checked one by one and together, defaults filled in.

        :raises ConfigurationError: unknown name, missing required value, bad value or set.
        """
        unknown = [name for name in values if name not in self._by_name]
        if unknown:
            raise ConfigurationError(
                f'unknown parameter(s) {", ".join(unknown)}; valid: {", ".join(self.names)}')
        out = {}
        for row in self._rows:
            value = values.get(row.name)
            if value is None and row.default is REQUIRED:
                raise ConfigurationError(
                    f'parameter {row.name!r} has no default and must be set: {row.description}; '
                    f'in the parameter file, or with --ros-args -p {row.name}:=VALUE')
            out[row.name] = row.default if value is None else row.check(value)
        frozen = MappingProxyType(out)
        for rule in self._rules:
            complaint = rule(frozen)
            if complaint:
                raise ConfigurationError(complaint)
        return frozen

    def _on_set(self, node, batch: list[RosParameter]) -> SetParametersResult:
        """Accept or refuse a batch as a whole, changing nothing."""
        mine = {p.name: p.value for p in batch if p.name in self._by_name}
        try:
            for name, value in mine.items():
                self._by_name[name].check(value)
            values = {name: _value(node, name) for name in self._by_name} | mine
            # Required ones may still be unset here; what is set must already fit together.
            if all(values[row.name] is not None for row in self._rows if row.default is REQUIRED):
                self.validate(values)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def markdown(self) -> str:
        """Return the table for the README."""
        lines = ['| Parameter | Type | Default | Unit | Valid | Live | Meaning |',
                 '|---|---|---|---|---|---|---|']
        for row in self._rows:
            default = '**required**' if row.default is REQUIRED else f'`{_yaml(row.default)}`'
            lines.append(f'| `{row.name}` | {row.kind} | {default} | {row.unit} | {row.range} | '
                         f'{"no" if row.read_only else "yes"} | {row.description} |')
        return '\n'.join(lines) + '\n'

    def yaml(self, node_name: str = '/**') -> str:
        """Return a complete commented parameter file; required ones are commented out."""
        lines = [f'{node_name}:' if node_name != '/**' else '/**:', '  ros__parameters:']
        for row in self._rows:
            facts = '; '.join(filter(None, (
                f'[{row.unit}]' if row.unit else '', row.range,
                'fixed at start' if row.read_only else '')))
            lines.append(f'    # {row.description}' + (f' ({facts})' if facts else ''))
            prefix = '# ' if row.default is REQUIRED else ''
            value = 'REQUIRED' if row.default is REQUIRED else _yaml(row.default)
            lines.append(f'    {prefix}{row.name}: {value}')
        return '\n'.join(lines) + '\n'

    def check_yaml(self, text: str, node_name: str, *, complete: bool = False
                   ) -> Mapping[str, Any]:
        """
        Return what a parameter file would set for `node_name`, validated.

        :param complete: also refuse a file that leaves a parameter of the table out.
        :raises ConfigurationError: not a parameter file, not for this node, or bad values.
        """
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f'the parameter file is not YAML: {error}') from error
        sections = document if isinstance(document, dict) else {}
        values, found = {}, False
        for key in ('/**', node_name, '/' + node_name):
            section = sections.get(key)
            if isinstance(section, dict) and isinstance(section.get('ros__parameters'), dict):
                values |= _flat(section['ros__parameters'])
                found = True
        if not found:
            raise ConfigurationError(
                f"the parameter file has no section '{node_name}' or '/**' with "
                f'ros__parameters; it has: {", ".join(map(str, sections)) or "nothing"}')
        missing = [name for name in self._by_name if name not in values]
        if complete and missing:
            raise ConfigurationError(f'the parameter file lacks {", ".join(missing)}')
        values.pop('use_sim_time', None)
        return self.validate(values)


def _value(node, name: str) -> Any:
    """Return the value of a declared parameter, None where it has none yet."""
    try:
        return node.get_parameter(name).value
    except ParameterUninitializedException:
        return None


def _flat(section: Mapping, prefix: str = '') -> dict[str, Any]:
    """Return nested YAML keys as the dotted names that ROS makes of them."""
    out = {}
    for key, value in section.items():
        if isinstance(value, dict):
            out |= _flat(value, f'{prefix}{key}.')
        else:
            out[f'{prefix}{key}'] = value
    return out


def _yaml(value: Any) -> str:
    """Return one value in YAML's flow style, as ROS reads it back with the same type."""
    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    return text.removesuffix('...').strip()
