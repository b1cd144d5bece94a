# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well what makes the scene is known."""
from __future__ import annotations

from dataclasses import dataclass

from kinema4d_ros.camera.placed import Placed


@dataclass(frozen=True)
class SceneSettings:
    """How well a depth camera, its pose and the robot's meshes are known."""

    depth_sigma: float = 0.001          # [m] of the depth camera, at any distance
    depth_sigma_square: float = 0.0015  # [1/m], times distance squared
    calibration_sigma: float = 0.005    # [m] place of the camera against the robot
    calibration_turn_sigma: float = 0.005   # [rad] its orientation
    mesh_sigma: float = 0.0006          # [m] of the reduced meshes
    mask_growth: int = 3                # [px] the robot's rendered mask is grown by, at least
    voxel: float = 0.003                # [m] of the thinned points
    least_neighbours: int = 2           # 0..8 pixels beside one that see the same surface
    #: [m] what the camera can measure; a value outside of this says nothing, whatever it is
    depth_min: float = 0.1
    depth_max: float = 10.0
    #: [s] what was seen longer ago, behind where the robot is now, is not known to be free any more
    memory_age: float = 60.0


@dataclass(frozen=True)
class PlacedSceneSettings(SceneSettings):
    """The same of one view, whose place the robot in it has shown."""

    placed: Placed | None = None        # in place of `calibration_sigma`, for its points
