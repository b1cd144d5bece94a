# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of set_point_gate; config/set_point_gate.yaml is made from this."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED, UNSET
from kinema4d_ros.bridge.robot_state import ROBOT_STATE_TOPICS
from kinema4d_ros.gate.set_points import SetPointKind, SetPointSettings
from kinema4d_ros.nodes.launcher import LAUNCHER_PID

_PER, _FIXED = 'rad/s or m/s', 'fixed_joints.'

TABLE = ParameterTable((
    # what is gated
    Parameter('controller', str, REQUIRED,
              'Controller behind the gate, by its node name, e.g. /forward_position_controller',
              read_only=True),
    Parameter('kind', str, 'position',
              'What its set points are: position and velocity (std_msgs/Float64MultiArray), '
              'trajectory (trajectory_msgs/JointTrajectory of one point), pose and twist '
              '(geometry_msgs/PoseStamped and TwistStamped of tip_link)',
              choices=tuple(SetPointKind), read_only=True),
    Parameter('mode', str, 'enforce',
              'monitor relays everything and reports what it would have held back, enforce holds '
              'it back', choices=('monitor', 'enforce'), read_only=True),
    Parameter('input', str, '',
              'Topic that set points come on; empty: ~/commands, ~/joint_trajectory, '
              '~/target_pose or ~/delta_twist_cmds, as kind says', read_only=True),
    Parameter('output', str, '',
              'Topic that they go to; empty: the topic of that name below controller',
              read_only=True),
    Parameter('joints', list[str], (),
              'Joints of the controller, in its order; empty: those that its own parameter '
              'joints names, or those that move tip_link where kind is pose or twist',
              read_only=True),
    Parameter('tip_link', str, '',
              'Link that a pose or twist is of; needed for these kinds only', read_only=True),
    Parameter('controller_manager', str, 'controller_manager',
              'Node of ros2_control that is asked whether the controller is active; empty: nobody '
              'is asked, as for a robot without ros2_control', read_only=True),
    Parameter('package_paths', list[str], (),
              'Folders searched for package:// meshes after the ament index', read_only=True),
    # what is asked
    Parameter('shadow_sim', str, 'shadow_sim',
              'Node whose verdicts and local_clearance are licences', read_only=True),
    Parameter('trajectories', str, 'joint_trajectory',
              'Topic of trajectories that set points may follow once they passed; the one that '
              'shadow_sim hears', read_only=True),
    Parameter('required_tiers', list[int], (0, 1),
              'Tiers that must have passed; without 1 the scene need not be known (unsafe)',
              minimum=0, maximum=2),
    Parameter('max_scene_age', float, 0.5,
              'Age of the look that the free space around the robot rests on', unit='s',
              minimum=0.01, maximum=60.0),
    Parameter('clearance_margin', float, 0.005,
              'Distance that is kept of the free space, beside the margins of tier 1', unit='m',
              minimum=0.0, maximum=1.0),
    # one set point after the other
    Parameter('max_step', float, 0.05, 'How far a position may be from the one before',
              unit='rad or m', minimum=0.0001, maximum=3.2),
    Parameter('max_lead', float, 0.2, 'How far a position may be from where the joint is',
              unit='rad or m', minimum=0.0001, maximum=6.4),
    Parameter('max_velocity', float, 1.0, 'Velocity limit of joints that have none', unit=_PER,
              minimum=0.001, maximum=100.0),
    Parameter('velocity_scale', float, 1.0, 'Share of the velocity limits that is allowed',
              minimum=0.001, maximum=1.0),
    Parameter('max_velocity_step', float, 0.5,
              'By how much a velocity may be more than the one before', unit=_PER, minimum=0.001,
              maximum=100.0),
    Parameter('burst', float, 0.05,
              'Time by which set points may come too close together before that counts as too fast',
              unit='s', minimum=0.001, maximum=1.0),
    Parameter('position_tolerance', float, 0.001, 'How far a position may be beyond a limit',
              unit='rad or m', minimum=0.0, maximum=0.1),
    Parameter('self_margin', float, 0.0,
              'Links of the robot that come closer than this are held apart', unit='m',
              minimum=0.0, maximum=0.1),
    # how the robot stops
    Parameter('timeout', float, 0.2,
              'Silence of the source after which a velocity is braked; a position stays', unit='s',
              minimum=0.01, maximum=10.0),
    Parameter('deceleration', float, 2.0, 'With how much every joint can brake at least',
              unit='rad/s^2 or m/s^2', minimum=0.01, maximum=1000.0),
    Parameter('reaction', float, 0.05, 'Time until the robot begins to brake', unit='s',
              minimum=0.0, maximum=2.0),
    Parameter('max_joint_age', float, 0.1, 'joint_states older than this are stale', unit='s',
              minimum=0.005, maximum=10.0),
    Parameter('fixed_joints.<joint>', float, UNSET,
              'Position of a joint that nobody publishes', unit='rad or m'),
    # along a trajectory
    Parameter('path_tolerance', float, 0.05,
              'Distance of a joint to a trajectory that passed, however much space there is',
              unit='rad or m', minimum=0.001, maximum=3.2),
    Parameter('tracking_tolerance', float, 0.01,
              'Distance of all joints to it below which the clearance that was judged plays no '
              'part', unit='rad or m', minimum=0.0, maximum=3.2),
    Parameter('path_window', float, 0.3, 'Time by which set points may be ahead of it', unit='s',
              minimum=0.0, maximum=10.0),
    Parameter('path_grace', float, 2.0, 'Time that it may take longer', unit='s', minimum=0.0,
              maximum=600.0),
    Parameter('start_tolerance', float, 0.02,
              'How far joints that it does not move may be from where they stood, and how near a '
              'joint is to where it was told to be', unit='rad or m', minimum=0.0, maximum=1.0),
    # the robot, and what is reported
    Parameter('robot_state_topics', list[str], ROBOT_STATE_TOPICS,
              'As for trajectory_gate: topics on which the driver says whether the robot would '
              'move', read_only=True),
    Parameter('priority', int, 10,
              'Real-time priority (SCHED_FIFO) of the thread that relays, where the system allows '
              'it; 0: none', minimum=0, maximum=90, read_only=True),
    Parameter('diagnostics_rate', float, 1.0, 'Rate of /diagnostics', unit='Hz', minimum=0.1,
              maximum=10.0, read_only=True),
    LAUNCHER_PID,
))


def fixed_joints(values: Mapping[str, Any]) -> dict[str, float]:
    """Return where joints are that nobody publishes, by name."""
    return {name.removeprefix(_FIXED): value for name, value in values.items()
            if name.startswith(_FIXED)}


def set_point_settings(values: Mapping[str, Any]) -> SetPointSettings:
    """Return what decisions need of a snapshot of the parameters."""
    return SetPointSettings(**{field.name: values[field.name]
                               for field in dataclasses.fields(SetPointSettings)})
