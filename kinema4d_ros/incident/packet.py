# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why was this motion refused: all that a verdict rested on, to judge the motion again."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.types import JointTrajectory, Observation, Verdict


@dataclass(frozen=True)
class IncidentRules:
    """What the verdict was decided by, beside what was seen."""

    tiers: tuple[int, ...] = (0, 1)       # that ran
    required: tuple[int, ...] = (0, 1)    # without which there is no PASS
    settings: PrecheckSettings = field(default_factory=PrecheckSettings)
    goal: Goal | None = None
    seed: int = 0
    world_model: str = ''                 # name, or module:Class
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_hash: str = ''
    frames: int = 49
    #: [rad or m] from which it was judged; empty for those of the observation
    live_joints: Mapping[str, float] = field(default_factory=dict)
    live_velocities: Mapping[str, float] = field(default_factory=dict)    # as of a StartState
    camera_link: str = ''                 # that carries the camera; '' for one that stays
    #: the camera in that link, rows of a (4, 4) matrix
    T_link_camera: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class IncidentPacket:
    """One incident; `write_packet` and `read_packet` put it in a file."""

    observation: Observation
    robot_description: str
    trajectory: JointTrajectory
    rules: IncidentRules
    verdict: Verdict
    frames: tuple[np.ndarray, ...] = ()        # of the prediction, (h, w, 3) uint8, made smaller
    frame_times: tuple[float, ...] = ()        # [s] from the start of the trajectory
    meshes: Mapping[str, str] = field(default_factory=dict)    # URI -> SHA-256 of the file, '' none
