# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Limits that a robot description states besides <limit>, and which of several holds.

The soft limits of <safety_controller> are where the driver stops, and <ros2_control> states what
its controller manager accepts. <limit> alone is often wider than either.
"""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from kinema4d_ros.types import JointLimit

URDF = 'URDF'                                     # where <limit> is stated
SAFETY = 'safety_controller of the URDF'
ROS2_CONTROL = 'ros2_control of the URDF'
LIMIT_FIELDS = ('lower', 'upper', 'velocity', 'acceleration', 'jerk', 'effort')
#: command interface of ros2_control -> field of JointLimit, for those without a sign
_INTERFACES = {'velocity': 'velocity', 'acceleration': 'acceleration', 'jerk': 'jerk'}
_FALSE = ('false', 'False', '0')

Named = tuple[str, JointLimit]
"""Where a limit is stated, and the limit."""


def tightest(limits: Iterable[Named]) -> tuple[JointLimit, dict[str, str]]:
    """
    Return the limit that holds when all of these do, and where each of its fields is stated.

    Of equal ones the first counts.
    """
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    for source, limit in limits:
        for name in LIMIT_FIELDS:
            value = getattr(limit, name)
            if value is None:
                continue
            known = values.get(name)
            if known is None or (value > known if name == 'lower' else value < known):
                values[name], sources[name] = value, source
    return JointLimit(**values), sources


def further_limits(root: ElementTree.Element,
                   warnings: list[str]) -> Mapping[str, tuple[Named, ...]]:
    """
    Return what <safety_controller> and <ros2_control> state, by joint.

    :param warnings: is added to where something cannot be read.
    """
    found: dict[str, list[Named]] = defaultdict(list)
    for joint in root.findall('joint'):
        name, soft = joint.get('name', ''), joint.find('safety_controller')
        if soft is not None and (limit := _soft_limit(soft, name, warnings)) is not None:
            found[name].append((SAFETY, limit))
    for joint in root.findall('ros2_control/joint'):
        name = joint.get('name', '')
        for interface in joint.findall('command_interface'):
            limit = _of_interface(joint, interface, name, warnings)
            if limit is not None:
                found[name].append((ROS2_CONTROL, limit))
    return {name: tuple(limits) for name, limits in found.items()}


def _soft_limit(element: ElementTree.Element, joint: str, warnings: list[str]) -> JointLimit | None:
    where = f'<safety_controller> of <joint "{joint}">'
    lower, upper = (_number(element.get(f'soft_{side}_limit'), f'{where}: soft_{side}_limit',
                            warnings) for side in ('lower', 'upper'))
    if not lower and not upper:
        return None     # both are 0 where they are not written
    if lower is not None and upper is not None and lower >= upper:
        warnings.append(f'{where}: soft_lower_limit={lower} is not below soft_upper_limit={upper}, '
                        'left out')
        return None
    return JointLimit(lower=lower, upper=upper)


def _of_interface(joint: ElementTree.Element, interface: ElementTree.Element, name: str,
                  warnings: list[str]) -> JointLimit | None:
    """Return the limits of one command interface, None where it states none or disables them."""
    kind = interface.get('name', '').rpartition('/')[2]
    switches = (*joint.findall('limits'), *interface.findall('limits'))
    if any(switch.get('enable') in _FALSE for switch in switches):
        return None
    ends = {param.get('name'): param.text for param in interface.findall('param')}
    where = f'<command_interface name="{kind}"> of <joint "{name}"> of <ros2_control>'
    low, high = (_number(ends.get(end), f'{where}: {end}', warnings) for end in ('min', 'max'))
    if kind == 'position' and (low is not None or high is not None):
        if low is not None and high is not None and low >= high:
            warnings.append(f'{where}: min={low} is not below max={high}, left out')
            return None
        return JointLimit(lower=low, upper=high)
    speeds = [abs(end) for end in (low, high) if end]
    if kind in _INTERFACES and speeds:
        return JointLimit(**{_INTERFACES[kind]: max(speeds)})
    return None


def _number(text: str | None, where: str, warnings: list[str]) -> float | None:
    """Return a finite number, None with a warning where the text is none."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        warnings.append(f'{where}="{text[:40]}" is not a number, so this limit is not known')
        return None
    return value if math.isfinite(value) else None
