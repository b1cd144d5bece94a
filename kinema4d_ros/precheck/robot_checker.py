# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers 0 and 1 of one robot, with everything kept that several trajectories share."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kinema4d_ros.camera import RobotImages, RobotRenderer
from kinema4d_ros.camera.image_agreement import image_agreement
from kinema4d_ros.camera.robot_agreement import in_front, robot_agreement, RobotAgreement
from kinema4d_ros.foresight import can_grasp, Story
from kinema4d_ros.precheck.outcome import foresee_outcome, Outcome
from kinema4d_ros.precheck.sampling_times import kinematics_of, sampling_times
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.precheck.tier0.check import check_tier0
from kinema4d_ros.precheck.tier1.camera_pose import (CameraBelief, CameraMemory, depth_noise,
                                                     explained_pixels, IN_FRONT,
                                                     judge_camera, judge_image)
from kinema4d_ros.precheck.tier1.check import check_tier1
from kinema4d_ros.precheck.tier1.clearance import Clearance
from kinema4d_ros.precheck.tier1.hand import hand_links_of
from kinema4d_ros.precheck.verdict import NO_SHAPE, not_checked
from kinema4d_ros.robot import DistanceFields, LinkMesh, Robot, sample_trajectory, SelfCollision
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import (Finding, FindingCode, Gripper, JointTrajectory, Observation,
                                RobotRollout)


@dataclass(frozen=True, eq=False)
class Tier1Result:
    """What tier 1 found."""

    findings: tuple[Finding, ...]
    clearance: Clearance | None = None
    outcome: Outcome | None = None

    @property
    def measured(self) -> dict[str, Any]:
        """The fields of a Verdict that this fills: clearance, its timeline, and outcome."""
        fields: dict[str, Any] = {}
        if self.clearance is not None:
            sigma = self.clearance.minimum_sigma
            fields |= {'min_clearance': self.clearance.minimum,
                       'clearance_sigma': None if np.isnan(sigma) else sigma,
                       'clearances': self.clearance.timeline.samples}
        if self.outcome is not None:
            fields['outcome'] = self.outcome.sentence
        return fields


@dataclass
class _Look:
    """One observation, and what of it several trajectories share."""

    observation: Observation
    T_base_link: np.ndarray      # (1, L, 4, 4)
    robot_depth: np.ndarray      # (H, W) float32 [m], NaN where no robot; camera as stated
    agreement: RobotAgreement
    camera: CameraBelief
    scene: Scene | None = None


def _depth_of(images: RobotImages) -> np.ndarray:
    """Return the depth of the one frame of a rendered robot, (H, W) float32 [m], NaN without."""
    return np.where(images.link_id[0] >= 0, images.pointmap[0, ..., 2], np.float32(np.nan))


class RobotChecker:
    """
    Checks trajectories of one robot without predicting pictures.

    Not thread-safe. Meshes, distance fields and hulls are made once; the scene of an Observation
    object is kept for the next trajectory.
    """

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh], gripper: Gripper | None,
                 settings: PrecheckSettings = PrecheckSettings(), *,
                 renderer: RobotRenderer | None = None,
                 camera_memory: CameraMemory | None = None):
        """
        Make a checker of one robot; its costly parts are made when they are first used.

        :param gripper: with `finger_boxes`, to foresee grasps; None for a robot without.
        :param renderer: of this robot, when there is one already.
        :param camera_memory: to share with a checker of the same robot by other settings.
        """
        self.robot, self.gripper, self.settings = robot, gripper, settings
        self._meshes = meshes
        self._renderer = renderer or RobotRenderer(meshes, robot.link_names)
        self._camera_memory = camera_memory or CameraMemory()
        self._look: _Look | None = None

    @cached_property
    def self_collision(self) -> SelfCollision:
        """The check of links against each other."""
        return SelfCollision(self.robot, self._meshes, srdf=self.settings.srdf,
                             allowed=self.settings.allowed_contacts)

    @cached_property
    def fields(self) -> DistanceFields:
        """The distance fields of the links."""
        return DistanceFields(self._meshes)

    @cached_property
    def surfaces(self) -> Mapping[str, np.ndarray]:
        """Vertices (V, 3) float32 [m] of each link, link frame."""
        return {name: mesh.vertices for name, mesh in self._meshes.items()}

    @cached_property
    def hand_links(self) -> frozenset[str]:
        """The links that the hand consists of."""
        return hand_links_of(self.robot, self.gripper)

    def warm_up(self) -> None:
        """Make what is made on first use: hulls of links, distance fields."""
        _ = self.self_collision, self.fields

    def tier0(self, trajectory: JointTrajectory,
              joint_positions: Mapping[str, float]) -> tuple[Finding, ...]:
        """Check the trajectory by itself."""
        return check_tier0(trajectory, self.robot, joint_positions, self.settings.tier0,
                           self.self_collision)

    def tier1(self, observation: Observation, trajectory: JointTrajectory) -> Tier1Result:
        """Check the motion against the scene that the observation shows."""
        if observation.view.depth is None:
            return Tier1Result((not_checked(
                'without a depth image nothing is known of the scene', FindingCode.NO_DEPTH),
                *self._camera_by_image(observation)))
        if not any(len(vertices) for vertices in self.surfaces.values()):
            return Tier1Result((not_checked(NO_SHAPE),))
        camera = self.camera_belief_of(observation)
        if not camera.is_believed:
            return Tier1Result(camera.findings)
        scene = self.scene_of(observation)
        least = self.settings.tier1.least_measured
        if scene.measured < least or not len(scene.points):
            return Tier1Result((not_checked(
                f'{100 * scene.measured:.0f} % of the depth image beside the robot is measured '
                f'and {len(scene.points)} points of the scene are known: is the depth camera '
                f'working? At least {100 * least:g} % and some points are needed',
                FindingCode.NO_DEPTH),))
        # The camera is where the robot shows it, within what the calibration explains.
        motion, too_long = self._move(scene.observation, trajectory)
        story = None
        if can_grasp(motion):
            story = Story(scene.view, motion, self.settings.grasping, pictures=False)
        findings, clearance = check_tier1(scene, motion, self.fields, self.surfaces,
                                          self.settings.tier1, story=story,
                                          hand_links=self.hand_links)
        outcome = foresee_outcome(story, scene, clearance)
        return Tier1Result(camera.findings + findings + too_long + outcome.findings(), clearance,
                           outcome)

    def camera_belief_of(self, observation: Observation) -> CameraBelief:
        """Return whether the camera sees the robot where it should be, and how well it is known."""
        return self._look_at(observation).camera

    def agreement_of(self, observation: Observation) -> RobotAgreement:
        """Return how the robot that the camera sees differs from the one that is rendered."""
        return self._look_at(observation).agreement

    def robot_mask_of(self, observation: Observation) -> np.ndarray:
        """Return where the robot hides the scene, by the pose of the camera as stated, (H, W)."""
        mask: np.ndarray = np.isfinite(self._look_at(observation).robot_depth)
        return mask

    def _camera_by_image(self, observation: Observation) -> list[Finding]:
        """Look for the robot's outline in the image, where there is no depth."""
        look, view, settings = self._look_at(observation), observation.view, self.settings.tier1
        if not np.isfinite(look.robot_depth).any():
            return []
        explained = explained_pixels(settings, view.camera, float(np.nanmedian(look.robot_depth)))
        mask = np.where(np.isfinite(look.robot_depth), 0, -1).astype(np.int16)
        finding = judge_image(image_agreement(view.image, mask, explained), explained, settings)
        return [] if finding is None else [finding]

    def scene_of(self, observation: Observation) -> Scene:
        """Return the observed scene without the robot; kept for the same Observation object."""
        look = self._look_at(observation)
        if look.scene is None:
            look.scene = self._make_scene(look)
        return look.scene

    def _look_at(self, observation: Observation) -> _Look:
        """Return what is seen of the robot; kept for the same Observation object."""
        if self._look is not None and self._look.observation is observation:
            return self._look
        view, settings = observation.view, self.settings.tier1
        start = self.robot.configuration(observation.joint_positions, strict=False)
        T_base_link = kinematics_of(self.robot)(start[None])
        images = self._renderer.render(T_base_link, view.camera, view.T_base_camera)
        depth = view.depth
        if depth is None:
            depth = np.full((view.camera.height, view.camera.width), np.nan, np.float32)
        found = robot_agreement(
            depth, images.pointmap[0], images.link_id[0], self.robot.link_names, view.camera,
            calibration=(settings.calibration_sigma, settings.calibration_turn_sigma),
            noise=depth_noise(settings))
        camera = judge_camera(found, view.T_base_camera, settings,
                              self._camera_memory.age(observation, T_base_link[0]))
        if found.why_not_compared() is None:
            if camera.is_believed:
                self._camera_memory.remember(observation, T_base_link[0])
            else:
                self._camera_memory.forget(observation)
        self._look = _Look(observation, T_base_link, _depth_of(images), found, camera)
        return self._look

    def _make_scene(self, look: _Look) -> Scene:
        """Return the scene as the camera shows it from where the robot shows that it is."""
        observation, robot, settings = look.observation, look.robot_depth, self.settings.tier1
        view, pose = observation.view, look.camera
        if pose.T_base_camera is not view.T_base_camera:
            observation = observation.with_view(T_base_camera=pose.T_base_camera)
            robot = _depth_of(self._renderer.render(look.T_base_link, view.camera,
                                                    pose.T_base_camera))
        # What the robot hides is that much larger as its place in the image is uncertain.
        band = settings.confidence * pose.sigma
        rim = band * view.camera.fx / max(float(np.nanmin(robot, initial=np.inf)), 1e-3)
        growth = max(settings.mask_growth, min(math.ceil(rim), view.camera.width // 8))
        front = None if view.depth is None else in_front(view.depth, robot, growth,
                                                         IN_FRONT + band)
        return Scene(observation, (np.isfinite(robot),), dataclasses.replace(
            settings.scene, calibration_sigma=pose.sigma, mask_growth=growth), (front,))

    def rollout_of(self, observation: Observation, trajectory: JointTrajectory) -> RobotRollout:
        """Return the motion at times close to each other; its images are empty."""
        return self._move(observation, trajectory)[0]

    def _move(self, observation: Observation,
              trajectory: JointTrajectory) -> tuple[RobotRollout, tuple[Finding, ...]]:
        robot, start = self.robot, observation.joint_positions
        times, too_long = sampling_times(trajectory, robot, start, self.settings.tier1.travel,
                                         self.surfaces)
        motion = sample_trajectory(trajectory, robot, times, start)
        T_base_link = kinematics_of(robot)(motion.positions)
        steps = len(times)
        return RobotRollout(
            times, motion.joint_names, motion.positions, robot.link_names, T_base_link,
            observation.view.camera, np.repeat(observation.view.T_base_camera[None], steps, axis=0),
            np.empty((steps, 0, 0, 3), np.float32), np.empty((steps, 0, 0), np.int16),
            np.empty((steps, 0, 0, 3), np.uint8), self.gripper), too_long

    def forget(self) -> None:
        """Forget the scene."""
        self._look = None
