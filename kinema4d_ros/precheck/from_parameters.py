# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The rules of the precheck from the values of shadow_sim's parameters.

Apart from the table that declares them, since the worker process reads them without ROS.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.precheck import (PrecheckSettings, Tier0Settings, Tier1Settings, Tier2Settings,
                                   TouchRule)
from kinema4d_ros.types import JointLimit

_LIMITS = ('lower', 'upper', 'velocity', 'acceleration', 'jerk')
_TIER0 = ('start_tolerance', 'position_tolerance', 'velocity_scale', 'required_joints',
          'allow_end_velocity', 'step_time', 'self_margin')
_TOUCH = tuple(field.name for field in dataclasses.fields(TouchRule))
#: parameters that are rules, beside those that begin with 'tier1.' or 'tier2.'
_NAMES = frozenset((*_TIER0, 'joint_limits', 'workspace', 'touch', 'srdf', 'allowed_contacts',
                    'world_model', 'world_model_settings'))


def rules_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the parameters that are rules, so that they can be pickled."""
    return {name: value for name, value in values.items()
            if name in _NAMES or name.startswith(('tier1.', 'tier2.'))}


def precheck_settings(rules: Mapping[str, Any]) -> PrecheckSettings:
    """
    Return the settings of all tiers.

    :param rules: what `rules_in` returned; nothing at all for the defaults.
    :raises ConfigurationError: a rule cannot be understood.
    """
    if not rules:
        return PrecheckSettings()
    grasping = GraspSettings()
    if rules['world_model'] == 'kinematic':    # tier 1 is to foresee what that model will show
        grasping = GraspSettings.among(assignments(
            'world_model_settings', rules['world_model_settings']))
    return PrecheckSettings(
        tier0=tier0_settings(rules),
        tier1=Tier1Settings(**_of_tier('tier1.', rules), touch=_touch(rules['touch'])),
        tier2=Tier2Settings(**_of_tier('tier2.', rules)), srdf=srdf_text(rules['srdf']),
        allowed_contacts=_pairs(rules['allowed_contacts']), grasping=grasping)


def tier0_settings(rules: Mapping[str, Any]) -> Tier0Settings:
    """
    Return the settings of tier 0.

    :raises ConfigurationError: a limit or the workspace cannot be understood.
    """
    limits: dict[str, dict[str, float]] = {}
    for name, value in assignments('joint_limits', rules['joint_limits']).items():
        joint, _, kind = name.rpartition('.')
        if not joint or kind not in _LIMITS or not _is_number(value):
            raise ConfigurationError(
                f'joint_limits: {name}={value} is not joint.kind=number with kind one of '
                f'{", ".join(_LIMITS)}')
        limits.setdefault(joint, {})[kind] = float(value)
    return Tier0Settings(
        limits={joint: JointLimit(**kinds) for joint, kinds in limits.items()},
        workspace=rules['workspace'] or None, travel=rules['tier1.travel'],
        **{name: rules[name] for name in _TIER0})


def assignments(parameter: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """
    Return name -> value of `name=value` texts; values are read as YAML.

    :raises ConfigurationError: for a text without '=' or a value that is not YAML.
    """
    values = {}
    for text in texts:
        name, sign, value = text.partition('=')
        if not sign or not name.strip():
            raise ConfigurationError(f'{parameter}: {text!r} is not of the form name=value')
        try:
            values[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f'{parameter}: the value of {text!r} is not YAML: {error}') from error
    return values


def srdf_text(given: str) -> str | None:
    """
    Return the text of an SRDF that is given as text or as the path of a file; None for ''.

    :raises ConfigurationError: when there is no such file.
    """
    if not given.strip():
        return None
    if given.lstrip().startswith('<'):
        return given
    try:
        return Path(given).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f'srdf: {given!r} is neither the text of an SRDF nor a file that can be read: '
            f'{error}') from error


def _of_tier(prefix: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in rules.items()
            if name.startswith(prefix)}


def _touch(texts: tuple[str, ...]) -> dict[str, TouchRule] | None:
    """Return the rules of links that may touch; None for the fingers by default."""
    rules = {}
    for link, values in assignments('touch', texts).items():
        if not isinstance(values, Mapping) or not set(values) <= set(_TOUCH) or not all(
                _is_number(values[key]) for key in ('depth', 'speed') if key in values):
            raise ConfigurationError(
                f'touch: {link}={values} is not link={{depth: m, speed: m/s, within: [x0, y0, z0, '
                'x1, y1, z1]}, each of which may be left out')
        rules[link] = TouchRule(**values)
    return rules or None


def _pairs(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in texts:
        names = tuple(name.strip() for name in text.split(','))
        if len(names) != 2 or not all(names):
            raise ConfigurationError(f'allowed_contacts: {text!r} is not of the form link,link')
        pairs.append(names)
    return tuple(pairs)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)
