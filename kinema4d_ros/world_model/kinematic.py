# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded default: what the fingers close on follows the hand; on CPU, without weights."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kinema4d_ros.camera.points import merge
from kinema4d_ros.errors import ConfigurationError, WorldModelError
from kinema4d_ros.foresight import can_grasp, GraspSettings, Story, Told
from kinema4d_ros.foresight.attached import held_bodies, mask_of
from kinema4d_ros.scene import SceneView
from kinema4d_ros.scene.surface import TexturedSurface
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.card import Metric, ModelCard
from kinema4d_ros.world_model.frozen import draw_robot, Frozen


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
        metric=Metric.MEASURED, views='every camera', code_licence='Apache-2.0',
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
            'longest horizontal extent of an object that can be carried [m], 0.02 to 2'),
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
        if observation.view.depth is None or not can_grasp(robot):
            yield from super().predict(observation, robot, seed=seed, report=report)
            return
        held = mask_of(held_bodies(robot), observation.view) if robot.held else None
        scene = self._scene_of(observation, robot, held).view
        report('foresee', 0, 1)
        story = Story(scene, robot, self._grasping)
        report('foresee', 1, 1)
        yield from draw_told(story, scene, robot, report, self.setting['robot_depth_tolerance'])


def draw_told(told: Told, scene: SceneView, robot: RobotRollout, report: Report,
              robot_tolerance: float, sigmas: Sequence[np.ndarray] | None = None
              ) -> Iterator[PredictedFrame]:
    """
    Yield the frames of a foreseen future: backdrops, the bodies before them, and the robot.

    :param scene: that it is foreseen from.
    :param robot_tolerance: [m], see the setting `robot_depth_tolerance`.
    :param sigmas: for each of the bodies how well its place is known in each frame, (T,) [m] per
        axis; None for not at all, which leaves `pointmap_sigma` out.
    """
    count = len(robot.times)
    surfaces = {backdrop: TexturedSurface(backdrop.picture, backdrop.depth, robot.camera,
                                          scene.seen.T_base_camera)
                for backdrop in told.backdrops}
    for index in range(count):
        report('predict', index, count)
        T_base_camera = robot.T_base_camera[index]
        image, depth = surfaces[told.backdrop(index)].from_pose(T_base_camera)
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
        yield frame


_BODY_TOLERANCE = 0.003   # [m] a resting object is drawn over the surface that it stands on
