# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How a predicted world goes on from chunk to chunk.

A model that tells what moves where is told the whole motion so far, from the first observation,
each time: the same motion gives the same future however it is cut into chunks, and nothing drifts.
A model that only predicts pictures goes on from its own last picture.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.foresight import best_story, can_grasp, Told
from kinema4d_ros.policy.closed_loop.motion import TaskMotion
from kinema4d_ros.policy.closed_loop.views import DrawnView, PolicyView
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (CameraView, JointTrajectory, Observation, PredictedFrame,
                                RobotRollout)
from kinema4d_ros.world_model.rendered_view import FutureRenderer


class Moment(Protocol):
    """The world as it is after a motion; nothing is computed before it is asked for."""

    def told(self) -> tuple[RobotRollout, Told | None]:
        """Return the motion since the first observation, and what it has moved where."""

    def draw(self, view: PolicyView) -> DrawnView:
        """Return what a camera sees now."""


class Continuation(Protocol):
    """How the world goes on."""

    def after(self, executed: TaskMotion, chunk: JointTrajectory) -> Moment:
        """Return the world after a chunk, which is the end of what was executed."""


class RetoldStory:
    """Tells the whole motion again from the first observation, and draws its last frame."""

    def __init__(self, simulator: ShadowSimulator, observation: Observation, seed: int) -> None:
        """Begin at an observation."""
        self._simulator, self._observation, self._seed = simulator, observation, seed

    def after(self, executed: TaskMotion, chunk: JointTrajectory) -> Moment:
        """Return the world after a chunk."""
        return _ToldMoment(self._simulator, self._observation, executed.trajectory(), self._seed)


class _ToldMoment:
    def __init__(self, simulator: ShadowSimulator, observation: Observation,
                 trajectory: JointTrajectory, seed: int) -> None:
        self._simulator, self._observation, self._seed = simulator, observation, seed
        self._trajectory = trajectory
        self._told: tuple[RobotRollout, Told | None] | None = None
        self._renderer: FutureRenderer | None = None

    def told(self) -> tuple[RobotRollout, Told | None]:
        if self._told is None:
            self._told = self._simulator.foresee(self._observation, self._trajectory,
                                                 seed=self._seed)
        return self._told

    def draw(self, view: PolicyView) -> DrawnView:
        robot, told = self.told()
        if self._renderer is None:
            self._renderer = self._simulator.draw(self._observation, robot, told)
        return drawn_by(self._renderer, self._observation, robot, -1, view)


def drawn_by(renderer: FutureRenderer, observation: Observation, robot: RobotRollout, index: int,
             view: PolicyView) -> DrawnView:
    """
    Return what a camera sees at a frame of a future.

    :param renderer: of the observation's views.
    """
    names = [each.name for each in observation.views]
    if view.taken is not None and not view.link and view.taken.name in names:
        seen = renderer.in_view(index, names.index(view.taken.name))
        return DrawnView(seen.image, seen.depth, seen.never_seen)
    seen = renderer.at(index, view.camera, view.pose(robot.link_names, robot.T_base_link[index]),
                       view.taken if view.taken is not None and view.taken.name in names else None)
    return DrawnView(seen.image, seen.depth, seen.never_seen)


class ChainedWindows:
    """Predicts each chunk from the last picture of the one before."""

    def __init__(self, simulator: ShadowSimulator, observation: Observation, seed: int) -> None:
        """Begin at an observation."""
        self._simulator, self._first, self._seed = simulator, observation, seed
        self._now = observation

    def after(self, executed: TaskMotion, chunk: JointTrajectory) -> Moment:
        """
        Predict a chunk, and return the world after it.

        :raises WorldModelError: the model cannot predict it.
        """
        robot, frames = self._simulator.future(self._now, chunk, seed=self._seed)
        last: PredictedFrame | None = None
        for last in frames:      # noqa: B007 - the last one is what is wanted
            pass
        if last is None:
            raise WorldModelError('the world model predicted no frame')
        self._now = observed_in(last, robot, self._now, executed.here)
        return _SeenMoment(self._simulator, self._first, self._now, executed.trajectory())


def observed_in(frame: PredictedFrame, robot: RobotRollout, before: Observation,
                joints: Mapping[str, float]) -> Observation:
    """
    Return a predicted frame as what is observed next.

    :param before: the observation that it was predicted from.
    :param joints: [rad or m] by name, at the frame.
    """
    stamp = before.stamp_ns + round(frame.time * 1e9)
    seen = [(before.primary, frame.image, frame.pointmap, robot.camera,
             robot.T_base_camera[frame.index])]
    by_name = {view.name: view for view in before.views}
    for view, drawn in zip(frame.others, robot.others):
        seen.append((by_name[view.name], view.image, view.pointmap, drawn.camera,
                     drawn.T_base_camera[frame.index]))
    views = tuple(CameraView(
        image, np.ascontiguousarray(points[..., 2]) if view.depth is not None else None, camera,
        T_base_camera, stamp, view.name, calibration_sigma=view.calibration_sigma,
        calibration_turn_sigma=view.calibration_turn_sigma, mount_link=view.mount_link)
        for view, image, points, camera, T_base_camera in seen)
    lost = {view.name: 'the world model does not predict it' for view in before.views
            if view.name not in {each.name for each in views}}
    return dataclasses.replace(before, stamp_ns=stamp, views=views, joint_positions=joints,
                               joint_velocities={}, left_out={**before.left_out, **lost})


class _SeenMoment:
    """The last picture of a window: what is elsewhere is drawn from its points."""

    def __init__(self, simulator: ShadowSimulator, first: Observation, now: Observation,
                 trajectory: JointTrajectory) -> None:
        self._simulator, self._first, self._now = simulator, first, now
        self._trajectory = trajectory

    def told(self) -> tuple[RobotRollout, Told | None]:
        """Return the whole motion, and what geometry tells of it: the model told nothing."""
        checker = self._simulator.checker()
        robot, scene = checker.rollout_of(self._first, self._trajectory), \
            checker.scene_of(self._first)
        told = None
        if scene.measuring and can_grasp(robot):
            told = best_story(scene, robot, checker.settings.grasping, pictures=False)
        return robot, told

    def draw(self, view: PolicyView) -> DrawnView:
        for seen in self._now.views:
            if view.taken is not None and seen.name == view.taken.name:
                unknown = 0.0 if seen.depth is None else float(np.isnan(seen.depth).mean())
                return DrawnView(seen.image, seen.depth, unknown)
        here = [self._now.joint_positions[name] for name in self._simulator.robot.joint_names]
        still = JointTrajectory(self._simulator.robot.joint_names, np.array([0.0, 0.01]),
                                np.array([here, here]))
        robot = self._simulator.checker().rollout_of(self._now, still)
        return drawn_by(self._simulator.view_of(self._now, robot), self._now, robot, 0, view)
