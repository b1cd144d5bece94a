# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint limits from a file, as MoveIt and the description packages of drivers write it."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.robot.urdf_limits import tightest
from kinema4d_ros.types import JointLimit

#: what has_..._limits switches -> entry of a joint -> field of JointLimit
_GROUPS: Mapping[str, Mapping[str, str]] = {
    'has_position_limits': {'min_position': 'lower', 'max_position': 'upper'},
    'has_soft_limits': {'soft_lower_limit': 'lower', 'soft_upper_limit': 'upper'},
    'has_velocity_limits': {'max_velocity': 'velocity'},
    'has_acceleration_limits': {'max_acceleration': 'acceleration'},
    'has_jerk_limits': {'max_jerk': 'jerk'},
    'has_effort_limits': {'max_effort': 'effort'},
}
_ROOT = 'joint_limits'


@dataclass(frozen=True)
class JointLimitsFile:
    """
    The limits that a joint_limits.yaml states, by joint.

    ``has_velocity_limits: false`` states nothing, as if the entry were not there: what the robot
    description says still holds, for the tighter of all limits does. The default scaling factors
    of MoveIt are what it plans with when a request says nothing; they limit no trajectory.
    """

    name: str                             # of the file, for messages
    limits: Mapping[str, JointLimit]

    @classmethod
    def load(cls, path: str | Path) -> JointLimitsFile:
        """
        Read a file.

        :raises ConfigurationError: it cannot be read, or what it says is no limit.
        """
        path = Path(path).expanduser()
        try:
            text = path.read_text(encoding='utf-8-sig')
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, 'strerror', None) or error
            raise ConfigurationError(f'the joint limits {path} cannot be read: {reason}; '
                                     'name a file as joint_limits.yaml of MoveIt') from error
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, name: str = 'joint_limits.yaml') -> JointLimitsFile:
        """
        Read the text of a file: entries below ``joint_limits``, at whatever depth that lies.

        Angles may be written with the tags ``!degrees`` and ``!radians``.

        :raises ConfigurationError: it is no YAML, has no joint_limits, or holds no numbers.
        """
        try:
            document = yaml.load(text, Loader=_Loader)      # noqa: S506  (a SafeLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigurationError(f'{name} is not YAML: {error}') from error
        joints = _find(document)
        if not isinstance(joints, Mapping):
            raise ConfigurationError(f'{name} has no mapping {_ROOT!r} of joints to their limits')
        return cls(name, {str(joint): _limit(entries, f'{name}: joint {joint!r}')
                          for joint, entries in joints.items()})


class _Loader(yaml.SafeLoader):
    """Safe YAML with the tags of angles that xacro knows."""


def _degrees(loader: yaml.SafeLoader, node: yaml.Node) -> float:
    return math.radians(_radians(loader, node))


def _radians(loader: yaml.SafeLoader, node: yaml.Node) -> float:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, 'an angle is a number',
                                                node.start_mark)
    return float(str(loader.construct_scalar(node)))


yaml.add_constructor('!degrees', _degrees, Loader=_Loader)
yaml.add_constructor('!radians', _radians, Loader=_Loader)


def _find(document: Any) -> Any:
    """Return what stands below joint_limits, also in a file of ROS parameters; None without."""
    if not isinstance(document, Mapping):
        return None
    if _ROOT in document:
        return document[_ROOT]
    return next((found for value in document.values()
                 if (found := _find(value)) is not None), None)


def _limit(entries: Any, where: str) -> JointLimit:
    """Return the limit that the entries of one joint state."""
    if not isinstance(entries, Mapping):
        raise ConfigurationError(f'{where} holds {entries!r}; write max_velocity and the like')
    found = []
    for switch, names in _GROUPS.items():
        if entries.get(switch) is False or switch == 'has_soft_limits' and switch not in entries:
            continue
        stated = {field: _number(entries[name], f'{where}: {name}') for name, field in names.items()
                  if entries.get(name) is not None}
        if entries.get(switch) is True and not stated:
            raise ConfigurationError(f'{where} has {switch}: true, but no {" or ".join(names)}')
        found.append(('', JointLimit(**stated)))
    limit, _ = tightest(found)
    if limit.lower is not None and limit.upper is not None and limit.lower > limit.upper:
        raise ConfigurationError(f'{where}: min_position {limit.lower} is above max_position '
                                 f'{limit.upper}; swap them')
    return limit


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f'{where} must be a finite number, got {value!r}')
    if where.rpartition('max_')[2] in ('velocity', 'acceleration', 'jerk', 'effort') and value < 0:
        raise ConfigurationError(f'{where} must not be negative, got {value!r}')
    return float(value)
