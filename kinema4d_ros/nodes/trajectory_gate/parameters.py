# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of trajectory_gate; config/trajectory_gate.yaml is made from this."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED
from kinema4d_ros.gate import GateSettings, Mode

TABLE = ParameterTable((
    # what is gated
    Parameter('controller', str, REQUIRED,
              'Controller behind the gate, by its node name, e.g. /joint_trajectory_controller',
              read_only=True),
    Parameter('mode', str, 'enforce',
              'monitor forwards everything and reports, advise asks an operator, enforce forwards '
              'on PASS only', choices=tuple(Mode), read_only=True),
    Parameter('topic_route', str, 'action',
              'How a trajectory of the topic ~/joint_trajectory goes on: as a goal of the '
              "controller's action, or to the controller's topic, where nothing can stop it any "
              'more; closed: there is no such topic',
              choices=('action', 'topic', 'closed'), read_only=True),
    # what is asked
    Parameter('shadow_sim', str, 'shadow_sim', 'Node that is asked for verdicts', read_only=True),
    Parameter('verdict_timeout', float, 10.0, 'A verdict that takes longer counts as none',
              unit='s', minimum=0.05, maximum=3600.0),
    Parameter('required_tiers', list[int], (0, 1),
              'Tiers that must have passed; without 1 the scene need not have been checked',
              minimum=0, maximum=2),
    Parameter('max_scene_age', float, 10.0,
              'Age of the scene that a verdict rests on when the trajectory is forwarded; 0.0 '
              'accepts any age (unsafe)', unit='s', minimum=0.0, maximum=3600.0),
    Parameter('start_tolerance', float, 0.02,
              'How far a joint may be from where the trajectory was checked to start',
              unit='rad or m', minimum=0.0, maximum=1.0),
    # operators
    Parameter('approval_timeout', float, 60.0,
              'Mode advise: a trajectory that nobody approves in this time is refused', unit='s',
              minimum=0.1, maximum=3600.0),
    Parameter('override_lifetime', float, 60.0,
              'Mode enforce: time in which an overridden trajectory must be sent again', unit='s',
              minimum=0.1, maximum=3600.0),
    # while it moves
    Parameter('late_evidence', str, 'cancel',
              'What a FAIL does that comes while the trajectory is executed',
              choices=('cancel', 'report')),
    Parameter('path_tolerance', float, 0.1,
              'Distance of a joint to the checked trajectory above which the motion is cancelled',
              unit='rad or m', minimum=0.001, maximum=3.2),
    Parameter('path_window', float, 0.3,
              'Time by which the joints may be ahead of or behind the checked trajectory',
              unit='s', minimum=0.0, maximum=10.0),
    Parameter('max_joint_age', float, 0.5,
              'joint_states older than this are stale: nothing is forwarded, and a motion is '
              'cancelled', unit='s', minimum=0.01, maximum=60.0),
    Parameter('overtime', float, 30.0,
              'A motion that is not over this long after its last point and its '
              'goal_time_tolerance is cancelled', unit='s', minimum=0.1, maximum=3600.0),
    # what is reported
    Parameter('diagnostics_rate', float, 1.0,
              'Rate of /diagnostics and of the search for others that command the controller',
              unit='Hz', minimum=0.1, maximum=10.0, read_only=True),
))


def gate_settings(values: Mapping[str, Any]) -> GateSettings:
    """Return what decisions need of a snapshot of the parameters."""
    chosen = {field.name: values[field.name] for field in dataclasses.fields(GateSettings)}
    return GateSettings(**{**chosen, 'mode': Mode(values['mode'])})
