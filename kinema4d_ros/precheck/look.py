# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is made of one observation, for all trajectories that are checked against it."""
from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.camera import RobotImages, RobotRenderer
from kinema4d_ros.camera.robot_agreement import in_front, robot_agreement, RobotAgreement
from kinema4d_ros.foresight import Held, HeldMemory
from kinema4d_ros.precheck.held_finder import HeldFinder
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.precheck.tier1.camera_pose import (CameraBelief, CameraMemory, depth_noise,
                                                     IN_FRONT, judge_camera)
from kinema4d_ros.robot import Robot
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import AttachedObject, Gripper, Observation


@dataclass(frozen=True, eq=False)
class LookMemory:
    """What looks leave behind for later ones; one thread owns it."""

    camera: CameraMemory = field(default_factory=CameraMemory)
    held: HeldMemory = field(default_factory=HeldMemory)

    def clear(self) -> None:
        """Forget all."""
        self.camera.clear()
        self.held.clear()


@dataclass(frozen=True, eq=False)
class Look:
    """One observation, and what several trajectories share of it."""

    observation: Observation
    attached: tuple[tuple[AttachedObject, ...], str]   # what was declared, and the doubt
    robot_depth: np.ndarray      # (H, W) float32 [m], NaN where no robot; camera as stated
    agreement: RobotAgreement
    camera: CameraBelief
    scene: Scene                 # without robot and held objects, seen from the believed pose
    held: Held


class LookMaker:
    """
    Looks at observations with one robot in them.

    The robot vouches for the camera, then the scene is laid out from where the camera is believed
    to be, and what the hand holds is found in it and taken out. The last look is kept.
    """

    def __init__(self, robot: Robot, gripper: Gripper | None, renderer: RobotRenderer,
                 memory: LookMemory):
        """
        Make it.

        :param renderer: of the robot.
        :param memory: of looks before.
        """
        self._robot, self._renderer, self.memory = robot, renderer, memory
        self._held_finder = HeldFinder(robot, gripper, memory.held)
        self._last: Look | None = None

    @property
    def held_finder(self) -> HeldFinder:
        """What finds what is held, and words it."""
        return self._held_finder

    def look(self, observation: Observation, settings: PrecheckSettings) -> Look:
        """
        Return what is made of an observation; kept for the same object and declarations.

        Observations are to come in the order of their stamps: what is held is remembered.
        """
        attached = settings.attached, settings.attached_doubt
        last = self._last
        if last is None or last.observation is not observation or last.attached != attached:
            last = self._last = self._make(observation, settings)
        return last

    def forget(self) -> None:
        """Forget the last look, and what all have left behind."""
        self._last = None
        self.memory.clear()

    def _make(self, observation: Observation, settings: PrecheckSettings) -> Look:
        view = observation.view
        start = self._robot.configuration(observation.joint_positions, strict=False)
        T_base_link = kinematics_of(self._robot)(start[None])
        images = self._renderer.render(T_base_link, view.camera, view.T_base_camera)
        robot_depth = _depth_of(images)
        agreement = self._agreement(observation, images, settings)
        camera = judge_camera(agreement, view.T_base_camera, settings.tier1,
                              self.memory.camera.age(observation, T_base_link[0]))
        if agreement.why_not_compared() is None:
            if camera.is_believed:
                self.memory.camera.remember(observation, T_base_link[0])
            else:
                self.memory.camera.forget(observation)
        if camera.T_base_camera is not view.T_base_camera:
            observation_there = observation.with_view(T_base_camera=camera.T_base_camera)
            robot_there = _depth_of(self._renderer.render(T_base_link, view.camera,
                                                          camera.T_base_camera))
        else:
            observation_there, robot_there = observation, robot_depth
        scene, held = _scene(observation_there, robot_there, camera.sigma, settings), Held()
        if view.depth is not None:
            held = self._held_finder.find(scene, settings, is_believed=camera.is_believed)
            scene = self._held_finder.scene_without(scene, held)
        return Look(observation, (settings.attached, settings.attached_doubt), robot_depth,
                    agreement, camera, scene, held)

    def _agreement(self, observation: Observation, images: RobotImages,
                   settings: PrecheckSettings) -> RobotAgreement:
        view, tier1 = observation.view, settings.tier1
        depth = view.depth
        if depth is None:
            depth = np.full((view.camera.height, view.camera.width), np.nan, np.float32)
        return robot_agreement(
            depth, images.pointmap[0], images.link_id[0], self._robot.link_names, view.camera,
            calibration=(tier1.calibration_sigma, tier1.calibration_turn_sigma),
            noise=depth_noise(tier1))


def _scene(observation: Observation, robot_depth: np.ndarray, sigma: float,
           settings: PrecheckSettings) -> Scene:
    """
    Return the scene without the robot.

    :param robot_depth: (H, W) float32 [m] of the robot from where the camera is, NaN without.
    :param sigma: [m] of the scene's place against the robot.
    """
    view, tier1 = observation.view, settings.tier1
    # What the robot hides is that much larger as its place in the image is uncertain.
    band = tier1.confidence * sigma
    rim = band * view.camera.fx / max(float(np.nanmin(robot_depth, initial=np.inf)), 1e-3)
    growth = max(tier1.mask_growth, min(math.ceil(rim), view.camera.width // 8))
    front = None if view.depth is None else in_front(view.depth, robot_depth, growth,
                                                     IN_FRONT + band)
    return Scene(observation, (np.isfinite(robot_depth),), dataclasses.replace(
        tier1.scene, calibration_sigma=sigma, mask_growth=growth), (front,))


def _depth_of(images: RobotImages) -> np.ndarray:
    """Return the depth of the one frame of a rendered robot, (H, W) float32 [m], NaN without."""
    return np.where(images.link_id[0] >= 0, images.pointmap[0, ..., 2], np.float32(np.nan))
