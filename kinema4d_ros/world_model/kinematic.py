# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded default: what the fingers close on follows the hand; on CPU, without weights."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kinema4d_ros.camera.points import merge, pointmap_from_depth
from kinema4d_ros.errors import ConfigurationError, WorldModelError
from kinema4d_ros.foresight import (Backdrop, best_story, can_grasp, GraspSettings, Told,
                                    uncovered)
from kinema4d_ros.foresight.hull import depth_in
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.scene.surface import TexturedSurface
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.frozen import draw_robot, draw_view, Frozen, surfaces_of


class Kinematic(Frozen):
    """
    Moves what the fingers grasp or hold with the hand, and lets it fall to rest when they open.

    Nothing is learned: the segmentation, the grasp, the fall are geometry of the observed depth
    image and the exact motion of the fingers. So it needs depth and a gripper; without either it
    predicts what `frozen` does and says so in an event. Objects that are pushed without being
    grasped stay where they are.
    """

    name = 'kinematic'
    card = ModelCard(
        inputs='RGB and depth, a gripper', outputs='RGB and points, events, what is carried',
        metres=Metres.MEASURED, views='every camera', code_licence='Apache-2.0',
        weights_licence='none', memory='that of the pictures',
        time='0.7 s for 49 frames of 720x480 on a CPU',
        run_here='all of it, on hundreds of recorded episodes (measured.md)')
    settings = {
        **Frozen.settings,
        'least_contact_points': (
            GraspSettings.least_contact_points,
            'pixels of an object between the fingers that make a grasp, 1 or more'),
        'largest_object': (
            GraspSettings.largest_object,
            'longest horizontal extent of an object that can be carried [m], 0.02 to 2; one that '
            'is narrower than this may be 1.6 times as long'),
    }

    def __init__(self, **values: Any) -> None:
        """
        Make a model without a scene, which is made from the first observation.

        :raises WorldModelError: for an unknown setting or a value that is not valid.
        """
        super().__init__(**values)
        try:
            self._grasping = GraspSettings.among(self.setting)
        except ConfigurationError as error:
            raise WorldModelError(f'world model {self.name!r}: {error}') from error

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield the frames; nothing is random here, `seed` changes nothing."""
        if not observation.has_depth or not can_grasp(robot):
            yield from super().predict(observation, robot, seed=seed, report=report)
            return
        scene = self._scene_of(observation, robot)
        if not scene.measuring:      # the view that measures depth is not among those drawn
            yield from super().predict(observation, robot, seed=seed, report=report)
            return
        report('foresee', 0, 1)
        story = best_story(scene, robot, self._grasping, pictures=True)
        report('foresee', 1, 1)
        yield from draw_told(story, scene, robot, report, self.setting['robot_depth_tolerance'])

    def told(self, scene: Scene, robot: RobotRollout, *, seed: int = 0,
             report: Report = silent) -> Told | None:
        """Return the story; None without depth or a gripper whose fingers are known."""
        report('foresee', 0, 1)
        if not scene.measuring or not can_grasp(robot):
            return None
        return best_story(scene, robot, self._grasping, pictures=True)


def draw_told(told: Told, scene: Scene, robot: RobotRollout, report: Report,
              robot_tolerance: float, sigmas: Sequence[np.ndarray] | None = None
              ) -> Iterator[PredictedFrame]:
    """
    Yield the frames of a foreseen future: backdrops, the bodies before them, and the robot.

    :param scene: that it is foreseen from; what each of its views sees is drawn.
    :param robot_tolerance: [m], see the setting `robot_depth_tolerance`.
    :param sigmas: for each of the bodies how well its place is known in each frame, (T,) [m] per
        axis; None for not at all, which leaves `pointmap_sigma` out.
    """
    count = len(robot.times)
    stages = stages_of(told, scene.views)
    for index in range(count):
        report('predict', index, count)
        T_base_camera = robot.T_base_camera[index]
        image, depth = stages[0].picture(index, T_base_camera)
        sigma = None if sigmas is None else np.zeros(depth.shape, np.float32)
        for number, moving in enumerate(told.bodies):
            if moving.first_frame <= index:
                layer = moving.body.render(moving.T_base_body[index], robot.camera, T_base_camera)
                shown = merge(image, depth, *layer, _BODY_TOLERANCE)
                if sigma is not None and sigmas is not None:
                    sigma[shown] = sigmas[number][index]
        frame = draw_robot(
            image, depth, robot, index, robot_tolerance,
            carried_point_base=told.carried_point(index),
            events=tuple(each.event for each in told.events if each.frame == index),
            things=told.placed(index))
        if sigma is not None:
            sigma[frame.robot_mask] = 0.0
            sigma[~np.isfinite(frame.pointmap[..., 2])] = np.nan
            frame = dataclasses.replace(frame, pointmap_sigma=sigma, members=told.members)
        others = []
        for stage, view in zip(stages[1:], robot.others):
            image, depth = stage.picture(index, view.T_base_camera[index])
            for moving in told.bodies:
                if moving.first_frame <= index:
                    merge(image, depth, *moving.body.render(
                        moving.T_base_body[index], view.camera, view.T_base_camera[index]),
                        _BODY_TOLERANCE)
            others.append(draw_view(image, depth, view, index, robot_tolerance))
        yield dataclasses.replace(frame, others=tuple(others)) if others else frame


class ViewStage:
    """The backdrops of a foreseen future in one view."""

    def __init__(self, surfaces: dict[int, TexturedSurface]):
        """Take the surface from each frame on at which something is moved away."""
        self._surfaces = surfaces

    def picture(self, index: int, T_base_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return image and depth behind the moved bodies at a frame, as seen from a pose."""
        first = max(frame for frame in self._surfaces if frame <= index)
        return self._surfaces[first].from_pose(T_base_camera)


def stages_of(told: Told | None, views: Sequence[SceneView]) -> list[ViewStage]:
    """
    Return the backdrops in each view; those that the future was not foreseen in are cut out.

    :param told: None where all stays.
    """
    stages = []
    for number, (view, surface) in enumerate(zip(views, surfaces_of(views))):
        if told is None:
            stages.append(ViewStage({0: surface}))
            continue
        backdrops = told.backdrops if number == told.source else _cut_out(told, view, surface)
        stages.append(ViewStage({backdrop.first_frame: TexturedSurface(
            backdrop.picture, backdrop.depth, view.seen.camera, view.seen.T_base_camera)
            for backdrop in backdrops}))
    return stages


def _cut_out(told: Told, view: SceneView, surface: TexturedSurface) -> list[Backdrop]:
    """Return the backdrops of a view from which the moved bodies are cut where they stood."""
    backdrops = [Backdrop(0, surface.image, surface.depth)]
    camera, T = surface.camera, surface.T_base_camera
    points = pointmap_from_depth(surface.depth, camera) @ T[:3, :3].T + T[:3, 3]
    for moving in sorted(told.bodies, key=lambda each: each.first_frame):
        body = moving.body
        if moving.held is not None or body.planes is None:
            continue
        with np.errstate(invalid='ignore'):
            near = points[..., 2] > body.bottom + _ABOVE_SUPPORT
        mask = np.zeros(near.shape, bool)
        mask[near] = depth_in(points[near], body.planes, np.eye(4)) <= _BESIDE
        if mask.any():
            backdrops.append(uncovered(backdrops[-1], body, mask, moving.first_frame, points))
    return backdrops


_ABOVE_SUPPORT = 0.004    # [m] what is lower belongs to what a body stands on
_BESIDE = 0.012           # [m] beside the hull of a body that another view saw
_BODY_TOLERANCE = 0.003   # [m] a resting object is drawn over the surface that it stands on
