# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of shadow_sim; config/shadow_sim.yaml and the README are made from this."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable
from kinema4d_ros.bridge.qos import CAMERA_RELIABILITY
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import Tier0Settings
from kinema4d_ros.types import JointLimit

_LIMITS = ('lower', 'upper', 'velocity', 'acceleration', 'jerk')

TABLE_ROWS = (
    # what predicts
    Parameter('world_model', str, 'kinematic',
              'World model: frozen, kinematic, replay, or one of your own as module:Class',
              read_only=True),
    Parameter('world_model_settings', list[str], (),
              'Settings of the world model, each as name=value', read_only=True),
    Parameter('device', str, '',
              "Device of a world model that has the setting 'device', such as cuda:0; empty leaves "
              'it to the model', read_only=True),
    Parameter('frames', int, 49, 'Frames of a prediction, evenly over the trajectory',
              minimum=2, maximum=1000, read_only=True),
    Parameter('seed', int, 0, 'Seed of world models that draw random numbers', minimum=0),
    Parameter('deadline', float, 120.0,
              'A prediction that takes longer is stopped and the verdict is UNSURE', unit='s',
              minimum=0.1, maximum=86400.0),
    Parameter('cancel_grace', float, 2.0,
              'Time a world model has to stop when asked, before its process is killed',
              unit='s', minimum=0.1, maximum=60.0, read_only=True),
    Parameter('frame_slots', int, 4,
              'Frames that may wait in shared memory between world model and node', minimum=2,
              maximum=64, read_only=True),
    # what is seen
    Parameter('image_transport', str, 'raw',
              'Topic of the image: camera/image_raw (raw) or camera/image_raw/compressed',
              choices=('raw', 'compressed'), read_only=True),
    Parameter('depth_transport', str, 'raw',
              'Topic of the depth image: camera/depth/image_raw (raw), that with '
              '/compressedDepth, or no depth', choices=('raw', 'compressedDepth', 'none'),
              read_only=True),
    Parameter('camera_reliability', str, 'auto',
              'QoS of the image subscriptions; auto asks for reliable where it is offered',
              choices=CAMERA_RELIABILITY, read_only=True),
    Parameter('camera_frame', str, '',
              "Optical frame of the camera; empty takes the image's header.frame_id",
              read_only=True),
    Parameter('extrinsics', list[float], (),
              'Pose of the optical frame in the root link of the robot, x y z [m] qx qy qz qw; '
              'empty when the camera is a link of the robot or known to TF', length=7,
              read_only=True),
    Parameter('max_input_age', float, 1.0,
              'An image older than this is stale; 0.0 accepts any age (unsafe)', unit='s',
              minimum=0.0, maximum=3600.0),
    Parameter('input_wait', float, 1.0,
              'How long a request waits for an input that is missing or stale', unit='s',
              minimum=0.0, maximum=60.0),
    Parameter('sync_tolerance', float, 0.05,
              'Depth and joint states this far from the image belong to it', unit='s',
              minimum=0.001, maximum=10.0),
    Parameter('memory_rate', float, 1.0,
              'How often the scene is remembered between predictions, so that what the robot '
              'hides later is known; 0.0 never', unit='Hz', minimum=0.0, maximum=30.0,
              read_only=True),
    Parameter('package_paths', list[str], (),
              'Folders searched for package:// meshes after the ament index', read_only=True),
    # what is judged
    Parameter('required_tiers', list[int], (0,),
              'Tiers that must pass for PASS: 0 the trajectory by itself, 1 its distance to the '
              'scene that a depth image shows', minimum=0, maximum=1),
    Parameter('start_tolerance', float, 0.01,
              'Distance of each live joint to the first point of a trajectory that starts at time '
              '0', unit='rad or m', minimum=0.0, maximum=10.0),
    Parameter('position_tolerance', float, 0.001,
              'How far beyond its position limits a joint may be commanded', unit='rad or m',
              minimum=0.0, maximum=1.0),
    Parameter('velocity_scale', float, 1.0,
              "Share of the robot's velocity limits that may be used", minimum=0.001, maximum=10.0),
    Parameter('joint_limits', list[str], (),
              'Further limits, each as joint.kind=value with kind lower, upper, velocity, '
              'acceleration or jerk [rad or m, s]; the tighter of these and the URDF holds'),
    Parameter('required_joints', list[str], (),
              'Joints that every trajectory must name; those of a controller that refuses partial '
              'goals'),
    Parameter('workspace', list[float], (),
              'Box x0 y0 z0 x1 y1 z1 in the root link that the moving links must not leave; empty '
              'for no box', unit='m', length=6),
    Parameter('allow_end_velocity', bool, False,
              'Accept a trajectory that still moves at its last point'),
    Parameter('step_time', float, 0.01,
              'A jump of the commanded velocity counts as an acceleration over this time',
              unit='s', minimum=0.0001, maximum=1.0),
    Parameter('verdict_lifetime', float, 5.0,
              'How long a verdict may be acted on, from the look at the world that it rests on',
              unit='s', minimum=0.1, maximum=3600.0),
    # what is told
    Parameter('shadow_prefix', str, 'shadow/',
              'Prefix of the TF frames of the predicted robot; the same as frame_prefix of its '
              'robot_state_publisher', read_only=True),
    Parameter('cloud_stride', int, 1, 'Publish every n-th row and column of clouds', minimum=1,
              maximum=64),
    Parameter('diagnostics_rate', float, 1.0, 'Rate of /diagnostics', unit='Hz', minimum=0.1,
              maximum=10.0, read_only=True),
    Parameter('autostart', bool, True,
              'Configure and activate at start; false leaves that to a lifecycle manager',
              read_only=True),
)


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


def world_model_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the world model in a snapshot of the parameters."""
    settings = assignments('world_model_settings', values['world_model_settings'])
    return settings | ({'device': values['device']} if values['device'] else {})


def tier0_settings(values: Mapping[str, Any]) -> Tier0Settings:
    """
    Return the settings of tier 0 in a snapshot of the parameters.

    :raises ConfigurationError: a limit or the workspace cannot be understood.
    """
    limits: dict[str, dict[str, float]] = {}
    for name, value in assignments('joint_limits', values['joint_limits']).items():
        joint, _, kind = name.rpartition('.')
        if not joint or kind not in _LIMITS or isinstance(value, bool) \
                or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ConfigurationError(
                f'joint_limits: {name}={value} is not joint.kind=number with kind one of '
                f'{", ".join(_LIMITS)}')
        limits.setdefault(joint, {})[kind] = float(value)
    return Tier0Settings(
        limits={joint: JointLimit(**kinds) for joint, kinds in limits.items()},
        workspace=values['workspace'] or None,
        **{name: values[name] for name in (
            'start_tolerance', 'position_tolerance', 'velocity_scale', 'required_joints',
            'allow_end_velocity', 'step_time')})


def _is_understood(values: Mapping[str, Any]) -> str | None:
    try:
        world_model_settings(values)
        tier0_settings(values)
    except ConfigurationError as error:
        return str(error)
    if '' in values['package_paths']:
        return "parameter 'package_paths' holds an empty path; name folders, or leave it out"
    return None


TABLE = ParameterTable(TABLE_ROWS, rules=(_is_understood,))
