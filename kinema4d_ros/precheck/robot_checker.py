# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers 0 and 1 of one robot, with everything kept that several trajectories share."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.foresight import can_grasp, Story
from kinema4d_ros.precheck.outcome import foresee_outcome, Outcome
from kinema4d_ros.precheck.sampling_times import kinematics_of, sampling_times
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.precheck.tier0.check import check_tier0
from kinema4d_ros.precheck.tier1.check import check_tier1
from kinema4d_ros.precheck.tier1.clearance import Clearance
from kinema4d_ros.precheck.verdict import NO_SHAPE, not_checked
from kinema4d_ros.robot import (DistanceFields, hand_links_of, LinkMesh, Robot, sample_trajectory,
                                SelfCollision)
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


class RobotChecker:
    """
    Checks trajectories of one robot without predicting pictures.

    Not thread-safe. Meshes, distance fields and hulls are made once; the scene of an Observation
    object is kept for the next trajectory.
    """

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh], gripper: Gripper | None,
                 settings: PrecheckSettings = PrecheckSettings(), *,
                 renderer: RobotRenderer | None = None):
        """
        Make a checker of one robot; its costly parts are made when they are first used.

        :param gripper: with `finger_boxes`, to foresee grasps; None for a robot without.
        :param renderer: of this robot, when there is one already.
        """
        self.robot, self.gripper, self.settings = robot, gripper, settings
        self._meshes = meshes
        self._renderer = renderer or RobotRenderer(meshes, robot.link_names)
        self._scene: Scene | None = None

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
                'without a depth image nothing is known of the scene', FindingCode.NO_DEPTH),))
        if not any(len(vertices) for vertices in self.surfaces.values()):
            return Tier1Result((not_checked(NO_SHAPE),))
        scene = self.scene_of(observation)
        least = self.settings.tier1.least_measured
        if scene.measured < least or not len(scene.points):
            return Tier1Result((not_checked(
                f'{100 * scene.measured:.0f} % of the depth image beside the robot is measured '
                f'and {len(scene.points)} points of the scene are known: is the depth camera '
                f'working? At least {100 * least:g} % and some points are needed',
                FindingCode.NO_DEPTH),))
        motion, too_long = self._move(observation, trajectory)
        story = None
        if can_grasp(motion):
            story = Story(scene.view, motion, self.settings.grasping, pictures=False)
        findings, clearance = check_tier1(scene, motion, self.fields, self.surfaces,
                                          self.settings.tier1, story=story,
                                          hand_links=self.hand_links)
        outcome = foresee_outcome(story, scene, clearance)
        return Tier1Result(findings + too_long + outcome.findings(), clearance, outcome)

    def scene_of(self, observation: Observation) -> Scene:
        """Return the observed scene without the robot; kept for the same Observation object."""
        if self._scene is None or self._scene.observation is not observation:
            start = self.robot.configuration(observation.joint_positions, strict=False)
            images = self._renderer.render(kinematics_of(self.robot)(start[None]),
                                           observation.view.camera, observation.view.T_base_camera)
            self._scene = Scene(observation, (images.link_id[0] >= 0,), self.settings.tier1.scene)
        return self._scene

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
        self._scene = None
