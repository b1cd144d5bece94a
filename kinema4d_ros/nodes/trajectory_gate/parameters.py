# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of trajectory_gate; config/trajectory_gate.yaml is made from this."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED
from kinema4d_ros.bridge.robot_state import ROBOT_STATE_TOPICS
from kinema4d_ros.gate import GateSettings, Mode
from kinema4d_ros.nodes.launcher import LAUNCHER_PID

#: of whoever asks for verdicts
VERDICTS = (
    Parameter('verdict_timeout', float, 10.0, 'A verdict that takes longer counts as none',
              unit='s', minimum=0.05, maximum=3600.0),
    Parameter('required_tiers', list[int], (0, 1),
              'Tiers that must have passed; without 1 the scene need not have been checked',
              minimum=0, maximum=2))
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
    *VERDICTS,
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
              'Distance of a joint to the checked path above which the motion is cancelled, '
              'however much space there is around it', unit='rad or m', minimum=0.001, maximum=3.2),
    Parameter('tracking_tolerance', float, 0.02,
              'Distance of all joints to the checked path below which a motion is never cancelled; '
              'above it, it is when the robot may be displaced by more than the clearance that was '
              'judged', unit='rad or m', minimum=0.0, maximum=3.2),
    Parameter('path_window', float, 0.3,
              'Time by which the joints may be ahead of the checked trajectory', unit='s',
              minimum=0.0, maximum=10.0),
    Parameter('max_delay', float, 30.0,
              'A motion that is later than this is cancelled, unless speed_scaling or the state of '
              'the robot explain it; 0.0: it may be as late as it is', unit='s', minimum=0.0,
              maximum=36000.0),
    Parameter('max_stall', float, 2.0,
              'A motion whose joints stand still on their way for so long is cancelled, if the '
              'controller goes on or speed_scaling says that it does: something holds them; 0.0: '
              'never', unit='s', minimum=0.0, maximum=3600.0),
    Parameter('max_joint_age', float, 0.5,
              'joint_states older than this are stale: nothing is forwarded, and a motion is '
              'cancelled', unit='s', minimum=0.01, maximum=60.0),
    Parameter('overtime', float, 1.5,
              'A motion that the controller has not ended this long after its end was reached, and '
              'after its goal_time_tolerance, is cancelled', unit='s', minimum=0.1,
              maximum=3600.0),
    # the robot, and other gates of it
    Parameter('robot_state_topics', list[str], ROBOT_STATE_TOPICS,
              'Topics on which the driver says whether the robot would move, each TOPIC TYPE; '
              'TOPIC alone is a std_msgs/Bool that is true where it would, !TOPIC one that is true '
              'where it would not. While one says no, or cannot be heard, nothing is forwarded. '
              'Those of the default may be absent', read_only=True),
    Parameter('speed_scaling', str, 'speed_scaling_state_broadcaster/speed_scaling',
              'Topic (std_msgs/Float64, 0 to 100) of the share of the speed at which the robot '
              'moves; where nobody publishes it a motion may be late without an explanation',
              read_only=True),
    Parameter('motions', str, '/robot_motions',
              'Topic on which the gates of one robot (same robot_description, same joint_states) '
              'tell each other what they forward; absolute, so that gates in several namespaces '
              'share it', read_only=True),
    # what is reported
    Parameter('diagnostics_rate', float, 1.0,
              'Rate of /diagnostics and of the search for others that command the controller',
              unit='Hz', minimum=0.1, maximum=10.0, read_only=True),
    LAUNCHER_PID,
))


def gate_settings(values: Mapping[str, Any]) -> GateSettings:
    """Return what decisions need of a snapshot of the parameters."""
    chosen = {field.name: values[field.name] for field in dataclasses.fields(GateSettings)}
    return GateSettings(**{**chosen, 'mode': Mode(values['mode'])})
