# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the precheck from the values of shadow_sim's parameters; nothing is read here."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.precheck import (DynamicsRules, PrecheckSettings, Tier0Settings, Tier1Settings,
                                   Tier2Settings, TouchRule)
from kinema4d_ros.robot import JointLimitsFile
from kinema4d_ros.robot.tracking import TrackingModel
from kinema4d_ros.types import JointLimit
from kinema4d_ros.world_model.following import FollowingScores

#: name of a limit in parameters, as in MoveIt's joint_limits.yaml -> in JointLimit
_LIMITS = {'min_position': 'lower', 'max_position': 'upper', 'max_velocity': 'velocity',
           'max_acceleration': 'acceleration', 'max_jerk': 'jerk'}


def precheck_settings(values: Mapping[str, Any], srdf: str | None = None,
                      joint_limits_file: JointLimitsFile | None = None,
                      tracking: TrackingModel | None = None,
                      following: FollowingScores | None = None) -> PrecheckSettings:
    """
    Return the settings of all tiers.

    :param values: of the parameters by their dotted names; those that have no default only where
        they are set.
    :param srdf: text of the SRDF that the parameter names.
    :param joint_limits_file: the file that the parameter names.
    :param tracking: the model that the parameter names.
    :param following: the scores of world models that the parameter names.
    :raises ConfigurationError: values that would switch a rule off or turn it round.
    """
    grasping = GraspSettings()
    # tier 1 is to foresee what that model will show
    if values['world_model'] in ('kinematic', 'physics'):
        grasping = GraspSettings.among(_below('world_model_settings.', values))
    tier0 = _below('tier0.', values)
    return PrecheckSettings(
        tier0=Tier0Settings(**tier0 | {'workspace': tier0['workspace'] or None},
                            limits=_joint_limits(values),
                            joint_limits_file=joint_limits_file),
        tier1=Tier1Settings(**_below('tier1.', values), touch=_touch(values)),
        tier2=Tier2Settings(**_below('tier2.', values) | {'following_scores': following}),
        srdf=srdf,
        allowed_contacts=tuple(
            (link, other) for link, others in _below('allowed_contacts.', values).items()
            for other in others),
        grasping=grasping, physics=DynamicsRules(**_below('physics.', values)),
        tracking=tracking)


def world_model_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the world model, by name."""
    settings = _below('world_model_settings.', values)
    return settings | ({'device': values['device']} if values['device'] else {})


def _joint_limits(values: Mapping[str, Any]) -> dict[str, JointLimit]:
    limits: dict[str, dict[str, float]] = {}
    for joint, kind, value in _by_thing('joint_limits.', values):
        limits.setdefault(joint, {})[_LIMITS[kind]] = value
    return {joint: JointLimit(**kinds) for joint, kinds in limits.items()}


def _touch(values: Mapping[str, Any]) -> dict[str, TouchRule] | None:
    """Return the rules of links that may touch; None for the fingers by default."""
    rules: dict[str, dict[str, Any]] = {}
    for link, item, value in _by_thing('touch.', values):
        rules.setdefault(link, {})[item] = value
    return {link: TouchRule(**items) for link, items in rules.items()} or None


def _by_thing(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Return thing, item and value of the parameters named prefix, thing, '.', item."""
    for name, value in _below(prefix, values).items():
        thing, _, item = name.rpartition('.')
        yield thing, item, value


def _below(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items()
            if name.startswith(prefix)}
