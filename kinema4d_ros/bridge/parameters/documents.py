# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A parameter table as text: Markdown for the documentation, YAML for the parameter files."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from kinema4d_ros.bridge.parameters.row import Parameter, REQUIRED
from kinema4d_ros.errors import ConfigurationError


def markdown(rows: Iterable[Parameter]) -> str:
    """Return the table for the documentation."""
    lines = ['| Parameter | Type | Default | Unit | Valid | Live | Meaning |',
             '|---|---|---|---|---|---|---|']
    for row in rows:
        default = '**required**' if row.default is REQUIRED else 'not set' if row.is_pattern \
            else f'`{_value(row.default)}`'
        lines.append(f'| `{row.name}` | {row.kind} | {default} | {row.unit} | {row.range} | '
                     f'{"no" if row.read_only else "yes"} | {row.description} |')
    return '\n'.join(lines) + '\n'


def parameter_file(rows: Iterable[Parameter], node_name: str) -> str:
    """Return a complete commented file; what has no default is commented out."""
    rows = tuple(rows)
    lines, group = [f'{node_name}:', '  ros__parameters:'], ''
    for row in rows:
        first, dot, rest = row.name.partition('.')
        nested, name = (first, rest) if dot and not row.is_pattern else ('', row.name)
        if nested and nested != group:
            is_empty = all(one.default is REQUIRED or one.is_pattern for one in rows
                           if one.name.startswith(f'{nested}.'))
            lines.append(f'    {"# " if is_empty else ""}{nested}:')
        group = nested
        indent = '      ' if nested else '    '
        facts = '; '.join(filter(None, (
            f'[{row.unit}]' if row.unit else '', row.range,
            'fixed at start' if row.read_only else '')))
        lines.append(f'{indent}# {row.description}' + (f' ({facts})' if facts else ''))
        if row.default is REQUIRED or row.is_pattern:
            lines.append(f'{indent}# {name}: {"REQUIRED" if row.default is REQUIRED else row.kind}')
        else:
            lines.append(f'{indent}{name}: {_value(row.default)}')
    return '\n'.join(lines) + '\n'


def values_in_file(text: str, node_name: str) -> dict[str, Any]:
    """
    Return dotted name -> value of what a parameter file sets for a node.

    :raises ConfigurationError: not a parameter file, or not for this node.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f'the parameter file is not YAML: {error}') from error
    sections = document if isinstance(document, dict) else {}
    values: dict[str, Any] = {}
    found = False
    for key in ('/**', f'/**/{node_name}', node_name, '/' + node_name):
        section = sections.get(key)
        if isinstance(section, dict) and isinstance(section.get('ros__parameters'), dict):
            values |= _flat(section['ros__parameters'])
            found = True
    if not found:
        raise ConfigurationError(
            f"the parameter file has no section '{node_name}' or '/**' with "
            f'ros__parameters; it has: {", ".join(map(str, sections)) or "nothing"}')
    return values


def _flat(section: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return nested YAML keys as the dotted names that ROS makes of them."""
    out: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            out |= _flat(value, f'{prefix}{key}.')
        else:
            out[f'{prefix}{key}'] = value
    return out


def _value(value: Any) -> str:
    """Return one value in YAML's flow style, as ROS reads it back with the same type."""
    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    return text.removesuffix('...').strip()
