# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Policies: what their actions mean as joint trajectories; no ROS.

Names are imported when they are first asked for, so that `policy.lerobot` needs none of a
robot's libraries in an environment that has none.
"""
from __future__ import annotations

import importlib
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:       # for editors and type checkers
    from kinema4d_ros.policy.action_chunks import ActionReader
    from kinema4d_ros.policy.action_format import (ActionFormat, GripperColumn, Reference,
                                                   VelocityResponse)
    from kinema4d_ros.policy.asking import as_check, CheckServer, HttpCheck
    from kinema4d_ros.policy.detect import ChunkRecord, detect_actions, Detection, records_of
    from kinema4d_ros.policy.plausible import PlausibleStep, why_implausible
    from kinema4d_ros.policy.preset import policy_presets, PolicyPreset
    from kinema4d_ros.policy.types import Policy, PolicyObservation, TaskOutcome, TaskWorld
    from kinema4d_ros.policy.velocity_response import fit_velocity_response, VelocityFit

__all__ = ['ActionFormat', 'ActionReader', 'CheckServer', 'ChunkRecord', 'Detection',
           'GripperColumn', 'HttpCheck', 'PlausibleStep', 'Policy', 'PolicyObservation',
           'PolicyPreset', 'Reference', 'TaskOutcome', 'TaskWorld', 'VelocityFit',
           'VelocityResponse', 'as_check', 'detect_actions', 'fit_velocity_response',
           'policy_presets', 'records_of', 'why_implausible']
_MODULES = {
    'action_chunks': ('ActionReader',),
    'action_format': ('ActionFormat', 'GripperColumn', 'Reference', 'VelocityResponse'),
    'asking': ('CheckServer', 'HttpCheck', 'as_check'),
    'detect': ('ChunkRecord', 'Detection', 'detect_actions', 'records_of'),
    'plausible': ('PlausibleStep', 'why_implausible'),
    'preset': ('PolicyPreset', 'policy_presets'),
    'types': ('Policy', 'PolicyObservation', 'TaskOutcome', 'TaskWorld'),
    'velocity_response': ('VelocityFit', 'fit_velocity_response')}
_ROOMS = ('detect', 'lerobot', 'wire')
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for."""
    if name in _ROOMS:
        return importlib.import_module(f'{__name__}.{name}')
    if name not in _WHERE:
        raise AttributeError(f'module {__name__} has no attribute {name}')
    return getattr(importlib.import_module(f'{__name__}.{_WHERE[name]}'), name)
