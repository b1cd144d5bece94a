# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded default: what the fingers close on follows the hand; on CPU, without weights."""
from __future__ import annotations

from collections.abc import Iterator

from kinema4d_ros.camera.compose import merge
from kinema4d_ros.foresight.fingers import can_grasp
from kinema4d_ros.foresight.story import Story
from kinema4d_ros.scene.surface import SceneView
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.frozen import draw_robot, Frozen


class Kinematic(Frozen):
    """
    Moves what the fingers grasp with the hand, and lets it fall to rest when they open.

    Nothing is learned: the segmentation, the grasp, the fall are geometry of the observed depth
    image and the exact motion of the fingers. So it needs depth and a gripper; without either it
    predicts what `frozen` does and says so in an event. Objects that are pushed without being
    grasped stay where they are.
    """

    name = 'kinematic'
    settings = {
        **Frozen.settings,
        'least_contact_points': (
            4, 'pixels of an object between the fingers that make a grasp, 1 or more'),
        'largest_object': (
            0.25, 'longest horizontal extent of an object that can be carried [m], 0.02 to 2'),
    }

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield the frames; nothing is random here, `seed` changes nothing."""
        scene = self._scene_of(observation, robot)
        if observation.view.depth is None or not can_grasp(robot):
            yield from super().predict(observation, robot, seed=seed, report=report)
            return
        count, tolerance = len(robot.times), self.setting['robot_depth_tolerance']
        report('foresee', 0, 1)
        story = Story(scene, robot, self.setting)
        report('foresee', 1, 1)
        views = [(first, SceneView(image, depth, robot.camera, observation.view.T_base_camera))
                 for first, image, depth in story.backgrounds]
        for index in range(count):
            report('predict', index, count)
            T_base_camera = robot.T_base_camera[index]
            view = [view for first, view in views if first <= index][-1]
            image, depth = view.from_pose(T_base_camera)
            for body, first, poses in story.bodies:
                if first <= index:
                    merge(image, depth, *body.render(poses[index], robot.camera, T_base_camera),
                          _BODY_TOLERANCE)
            yield draw_robot(
                image, depth, robot, index, tolerance,
                carried_point_base=story.carried_point(index),
                events=tuple(event for frame, event in story.events if frame == index))


_BODY_TOLERANCE = 0.003   # [m] a resting object is drawn over the surface that it stands on
