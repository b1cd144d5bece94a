# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of shadow_sim; config/shadow_sim.yaml and the README are made from this."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, UNSET
from kinema4d_ros.bridge.qos import CAMERA_RELIABILITY
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.rule_parameters import RENAMED, RULE_ROWS
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.precheck.from_parameters import precheck_settings, world_model_settings
from kinema4d_ros.precheck.rubrics import load_rubric

TABLE_ROWS = (
    # what predicts
    Parameter('world_model', str, 'kinematic',
              'World model: frozen, kinematic, kinema4d, replay, or one of your own as '
              'module:Class',
              read_only=True),
    Parameter('world_model_settings.<name>', object, UNSET,
              'A setting of the world model, which says which there are', read_only=True),
    Parameter('device', str, '',
              "Device of a world model that has the setting 'device', such as cuda:0; empty leaves "
              'it to the model', read_only=True),
    Parameter('frames', int, 49, 'Frames of a prediction, evenly over the trajectory',
              minimum=2, maximum=1000, read_only=True),
    Parameter('seed', int, 0, 'Seed of world models that draw random numbers', minimum=0),
    Parameter('deadline', float, 120.0,
              'A verdict that takes longer is UNSURE, and a prediction that does is stopped',
              unit='s', minimum=0.1, maximum=86400.0),
    Parameter('cancel_grace', float, 2.0,
              'Time a world model has to stop when asked, before its process is killed',
              unit='s', minimum=0.1, maximum=600.0, read_only=True),
    Parameter('start_timeout', float, 900.0,
              'Time a world model has to load, before its process is killed and started again',
              unit='s', minimum=1.0, maximum=86400.0, read_only=True),
    Parameter('separate_checks', bool, True,
              'Check contacts in a process of their own, so that verdicts neither wait for a slow '
              'world model nor end with it; false saves its memory', read_only=True),
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
    Parameter('required_tiers', list[int], (0, 1),
              'Tiers that must pass for PASS: 0 the trajectory by itself, 1 its distance to the '
              'scene that a depth image shows, 2 what the world model predicts', minimum=0,
              maximum=2),
    Parameter('late_tiers', list[int], (),
              'Tiers to run after the verdict, as late evidence: a final verdict follows the '
              'first; 2, or empty for none', minimum=2, maximum=2),
    Parameter('goal_rubric', str, '',
              'Name of what a motion is to achieve, where a request names nothing else; empty for '
              'nothing. It makes tier 1 run'),
    Parameter('rubric_dir', str, '',
              'Folder with further goal rubrics, one NAME.yaml each; empty for those of the '
              'package', read_only=True),
    Parameter('verdict_lifetime', float, 5.0,
              'How long a verdict may be acted on, from the look at the world that it rests on',
              unit='s', minimum=0.1, maximum=3600.0),
    *RULE_ROWS,
    # what is told
    Parameter('shadow_prefix', str, 'shadow/',
              'Prefix of the TF frames of the predicted robot; the same as frame_prefix of its '
              'robot_state_publisher', read_only=True),
    Parameter('cloud_stride', int, 1, 'Publish every n-th row and column of clouds', minimum=1,
              maximum=64),
    Parameter('incident_dir', str, '',
              'Folder for incident packets, one for each FAIL, which `kinema4d replay-incident` '
              'judges again; empty for none'),
    Parameter('diagnostics_rate', float, 1.0, 'Rate of /diagnostics', unit='Hz', minimum=0.1,
              maximum=10.0, read_only=True),
    Parameter('autostart', bool, True,
              'Configure and activate at start; false leaves that to a lifecycle manager',
              read_only=True),
)


TABLE = ParameterTable(TABLE_ROWS, renamed=RENAMED)


@dataclass(frozen=True)
class ShadowSimSettings:
    """What the node needs of its parameters, made once for each change of them."""

    values: Mapping[str, Any]               # of the parameters, by their names
    precheck: PrecheckSettings
    goal: Goal | None                       # of the parameter goal_rubric
    world_model: Mapping[str, Any]          # the world model's own settings, by name


def shadow_sim_settings(values: Mapping[str, Any]) -> ShadowSimSettings:
    """
    Return the settings; the files that parameters name are read here, and only here.

    :raises ConfigurationError: a value cannot be understood, or a file not be read.
    """
    if '' in values['package_paths']:
        raise ConfigurationError(
            "parameter 'package_paths' holds an empty path; name folders, or leave it out")
    return ShadowSimSettings(
        values, precheck_settings(values, srdf=srdf_text(values['srdf'])),
        load_rubric(values['goal_rubric'], values['rubric_dir']), world_model_settings(values))


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
