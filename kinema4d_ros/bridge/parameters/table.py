# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The table of all parameters of a node.

It declares the parameters with their descriptors, validates changes, has settings made of them
once per change, prints the table of the documentation and checks the shipped YAML files.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException, ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from kinema4d_ros.bridge.parameters import documents
from kinema4d_ros.bridge.parameters.row import Parameter, REQUIRED, UNSET
from kinema4d_ros.bridge.parameters.watched import Settings, WatchedSettings
from kinema4d_ros.errors import ConfigurationError, Kinema4DError

#: parameters that rclpy declares by itself
_OF_RCLPY = ('use_sim_time', 'start_type_description_service')


class ParameterTable:
    """All parameters of one node."""

    def __init__(self, parameters: Iterable[Parameter], *,
                 rules: Iterable[Callable[[Mapping[str, Any]], str | None]] = (),
                 renamed: Mapping[str, str] = MappingProxyType({}),
                 shares_files_with: ParameterTable | None = None):
        """
        Make the table of these parameters.

        :param rules: look at the whole set and return what is wrong with it, or None.
        :param renamed: name in an older version -> name now, for the error message.
        :param shares_files_with: a table whose parameters may stand in a file that is given to
            this node too; they are passed over.
        :raises ConfigurationError: a name comes twice.
        """
        self._rows = tuple(parameters)
        self._by_name = {row.name: row for row in self._rows if not row.is_pattern}
        self._patterns = tuple(row for row in self._rows if row.is_pattern)
        self._rules, self._other = tuple(rules), shares_files_with
        self.renamed: dict[str, str] = dict(renamed)
        if shares_files_with is not None:
            self.renamed = shares_files_with.renamed | self.renamed
        if len({row.name for row in self._rows}) != len(self._rows):
            raise ConfigurationError('the parameter table names a parameter twice: '
                                     + ', '.join(row.name for row in self._rows))

    @property
    def names(self) -> tuple[str, ...]:
        """Names in table order, without the patterns."""
        return tuple(self._by_name)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Names of the rows that stand for many parameters, in table order."""
        return tuple(row.name for row in self._patterns)

    def row(self, name: str) -> Parameter | None:
        """Return the row of a parameter, by its name or by a pattern; None for no such one."""
        if name in self._by_name:
            return self._by_name[name]
        return next((row for row in self._patterns if row.matches(name)), None)

    # ------------------------------------------------------------------ on a node

    def watch(self, node: Node, make: Callable[[Mapping[str, Any]], Settings]
              ) -> WatchedSettings[Settings]:
        """
        Declare every parameter on `node`, make settings of them, and again for each change.

        `node` is a `bridge.node_base` node, which has declared what it was given at start.

        :param make: returns what the node needs of the checked values, frozen, and raises an
            error of this package for what it cannot understand: at start it passes through, later
            it refuses the change.
        :raises ConfigurationError: an unknown parameter, or a bad or missing value at start.
        """
        given = {name: node.get_parameter(name).value
                 for name in node.list_parameters([], 0).names if not _is_of_rclpy(name)}
        unknown = [name for name in given if self.row(name) is None and not self._is_other(name)]
        if unknown:
            raise ConfigurationError(self._unknown_text(unknown))
        for name in given:
            row = self.row(name)
            if row is not None and row.is_pattern:
                self._declare(node, name, row, given)
        for name, row in self._by_name.items():
            self._declare(node, name, row, given)
        watched = WatchedSettings(make, self.snapshot(node))

        def check(batch: list[RosParameter]) -> SetParametersResult:
            try:
                changes = self._changes(node, batch)
                watched.prepare(
                    self.validate(self._set_on(node) | changes) if changes else None)
            except Kinema4DError as error:
                return SetParametersResult(successful=False, reason=str(error))
            return SetParametersResult(successful=True)

        def apply(batch: list[RosParameter]) -> None:
            watched.take()
            self._describe(node, batch)

        node.add_pre_set_parameters_callback(lambda batch: list(map(self._converted, batch)))
        node.add_on_set_parameters_callback(check)
        node.add_post_set_parameters_callback(apply)
        return watched

    def declare(self, node: Node) -> WatchedSettings[Mapping[str, Any]]:
        """Declare every parameter on `node` and guard later changes, as `watch` does."""
        return self.watch(node, lambda values: values)

    def snapshot(self, node: Node) -> Mapping[str, Any]:
        """
        Return all values now, checked and frozen; a request uses one snapshot to its end.

        :raises ConfigurationError: a required parameter has no value, or a value is bad.
        """
        return self.validate(self._set_on(node))

    def _declare(self, node: Node, name: str, row: Parameter, given: Mapping[str, Any]) -> None:
        """Declare one parameter with its descriptor and the value that was given at start."""
        value = row.default
        if name in given:
            # An empty list of a file comes as no value. Where no default stands behind the name of
            # a thing, nothing would be left of what somebody meant to restrict.
            if given[name] is None and (not row.is_list or row.is_pattern and row.length):
                raise ConfigurationError(f'parameter {name!r} must be {row.kind}, got no value')
            if given[name] is not None:
                value = row.check(given[name], name)
            node.undeclare_parameter(name)
        if value is REQUIRED or value is UNSET or value == ():
            # An empty list would be declared as BYTE_ARRAY, so it is left unset, and `validate`
            # fills it in.
            first: Any = None if row.is_pattern else row.ros_type
        else:
            first = list(value) if isinstance(value, tuple) else value
        try:
            node.declare_parameter(name, first, row.descriptor(), ignore_override=True)
        except ParameterException as error:
            valid = f'{row.kind}{", " + row.range if row.range else ""}'
            raise ConfigurationError(f'parameter {name!r}: {error} (valid: {valid})') from error

    def _set_on(self, node: Node) -> dict[str, Any]:
        """Return the values of all parameters of the table that the node has, None where unset."""
        names = list(self._by_name)
        if self._patterns:
            names += [name for name in node.list_parameters([], 0).names
                      if name not in self._by_name and self.row(name) is not None]
        return {name: _value(node, name) for name in names}

    def _converted(self, parameter: RosParameter) -> RosParameter:
        """
        Return a value as the type of its row, where another came for it from a command line.

        That is a float for an integer, the word for a bool, and an empty list for one of bools,
        which `ros2 param set` makes of [].
        """
        row = self.row(parameter.name)
        if row is not None and row.is_list and not row.is_pattern \
                and parameter.type_ == RosParameter.Type.BOOL_ARRAY and not parameter.value:
            return RosParameter(parameter.name, row.ros_type, [])
        if row is not None and row.type is str and type(parameter.value) is bool:
            return RosParameter(parameter.name, value=row.as_word(parameter.value))
        if row is not None and row.type is float and type(parameter.value) is int:
            return RosParameter(
                parameter.name, value=float(parameter.value))
        if row is not None and row.type == list[float] \
                and parameter.type_ == RosParameter.Type.INTEGER_ARRAY:
            return RosParameter(
                parameter.name, value=[float(one) for one in parameter.value])
        return parameter

    def _changes(self, node: Node, batch: list[RosParameter]) -> dict[str, Any]:
        """Return those of a batch that are of this table, checked one by one."""
        unknown = [one.name for one in batch
                   if self.row(one.name) is None and not node.has_parameter(one.name)
                   and not _is_of_rclpy(one.name)]
        if unknown:
            raise ConfigurationError(self._unknown_text(unknown))
        changes = {}
        for one in batch:
            row = self.row(one.name)
            if row is None:
                continue
            if row.read_only:      # rclpy guards only those that are there already
                raise ConfigurationError(f'parameter {one.name!r} is read-only: fixed at start')
            changes[one.name] = None if one.value is None else row.check(one.value, one.name)
        return changes

    def _describe(self, node: Node, batch: list[RosParameter]) -> None:
        """Give the parameters of patterns that were set just now their descriptors."""
        for one in batch:
            row = self.row(one.name)
            if row is not None and row.is_pattern and node.has_parameter(one.name) \
                    and not node.describe_parameter(one.name).description:
                node.set_descriptor(one.name, row.descriptor())

    # ------------------------------------------------------------------ without a node

    def validate(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Return `values` checked one by one and together, defaults filled in.

        :raises ConfigurationError: unknown name, missing required value, bad value or set.
        """
        unknown = [name for name in values if self.row(name) is None]
        if unknown:
            raise ConfigurationError(self._unknown_text(unknown))
        out = {}
        for name, row in self._by_name.items():
            value = values.get(name)
            if value is None and row.default is REQUIRED:
                raise ConfigurationError(
                    f'parameter {name!r} has no default and must be set: {row.description}; '
                    f'in the parameter file, or with --ros-args -p {name}:=VALUE')
            out[name] = row.default if value is None else row.check(value)
        for name, value in values.items():
            found = self.row(name)
            # an empty list of a file has no value on a node, so it has none here either
            if found is not None and found.is_pattern and value is not None \
                    and value not in ([], ()):
                out[name] = found.check(value, name)
        frozen = MappingProxyType(out)
        for rule in self._rules:
            problem = rule(frozen)
            if problem:
                raise ConfigurationError(problem)
        return frozen

    def _is_other(self, name: str) -> bool:
        return self._other is not None and self._other.row(name) is not None

    def _unknown_text(self, names: Iterable[str]) -> str:
        """Return what is wrong with names that no row has, and what may have been meant."""
        return '; '.join(self._no_such_text(name) for name in names)

    def _no_such_text(self, name: str) -> str:
        now = self.renamed.get(name)
        if now is not None:
            return f'parameter {name!r} has another name since 0.2.0: {now}'
        group = name.partition('.')[0] + '.'
        near = [pattern for pattern in self.patterns if pattern.startswith(group)] or \
            difflib.get_close_matches(name, (*self._by_name, *self.patterns), n=3, cutoff=0.6)
        if not near:
            near = [one for one in self._by_name if one.rpartition('.')[2] == name]
        hint = f'did you mean {", ".join(near)}?' if near else \
            f'valid: {", ".join((*self._by_name, *self.patterns))}'
        return f'unknown parameter {name!r}; {hint}'

    def markdown(self) -> str:
        """Return the table for the documentation."""
        return documents.markdown(self._rows)

    def yaml(self, node_name: str = '/**') -> str:
        """Return a complete commented parameter file; what has no default is commented out."""
        return documents.parameter_file(self._rows, node_name)

    def check_yaml(self, text: str, node_name: str, *, complete: bool = False
                   ) -> Mapping[str, Any]:
        """
        Return what a parameter file would set for `node_name`, validated.

        :param complete: also refuse a file that leaves a parameter of the table out.
        :raises ConfigurationError: not a parameter file, not for this node, or bad values.
        """
        values = documents.values_in_file(text, node_name)
        missing = [name for name in self._by_name if name not in values]
        if complete and missing:
            raise ConfigurationError(f'the parameter file lacks {", ".join(missing)}')
        return self.validate({name: value for name, value in values.items()
                              if not _is_of_rclpy(name)
                              and (self.row(name) is not None or not self._is_other(name))})


def _is_of_rclpy(name: str) -> bool:
    return name in _OF_RCLPY or name.startswith('qos_overrides.')


def _value(node: Node, name: str) -> Any:
    """Return the value of a declared parameter, None where it has none yet."""
    try:
        return node.get_parameter(name).value
    except ParameterUninitializedException:
        return None
