# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The baseline: the robot moves exactly, everything else stays where it was seen."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kinema4d_ros.camera.compose import merge, pointmap
from kinema4d_ros.scene.still import check_views, no_depth_event, StillScene
from kinema4d_ros.scene.surface import SceneView
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.base import WorldModel


class Frozen(WorldModel):
    """Draws the robot of each frame into the scene that stays; what every model must beat."""

    name = 'frozen'
    settings = {
        'robot_depth_tolerance': (
            0.01, 'robot is drawn over what is at most this far in front of it [m], 0 to 0.1'),
    }

    def __init__(self, **values):
        """Start without a scene; it is made from the first observation."""
        super().__init__(**values)
        self._scene: StillScene | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield the frames; nothing is random here, `seed` changes nothing."""
        scene, count = self._scene_of(observation, robot), len(robot.times)
        seen = observation.view
        view = SceneView(scene.image, scene.depth, seen.camera, seen.T_base_camera)
        events = (no_depth_event(),) if observation.view.depth is None else ()
        for index in range(count):
            report('predict', index, count)
            image, depth = view.from_pose(robot.T_base_camera[index])
            yield draw_robot(image, depth, robot, index, self.setting['robot_depth_tolerance'],
                             events=events)
            events = ()

    def _scene_of(self, observation: Observation, robot: RobotRollout) -> StillScene:
        """Return the observed scene without robot; made once for all candidates from it."""
        check_views(observation, robot)
        mask = robot.link_id[0] >= 0
        if self._scene is None or not self._scene.is_of(observation, mask):
            self._scene = StillScene(observation, mask)
        return self._scene

    def close(self) -> None:
        """Forget the scene."""
        self._scene = None


def draw_robot(image: np.ndarray, depth: np.ndarray, robot: RobotRollout, index: int,
               tolerance: float, **more) -> PredictedFrame:
    """
    Draw the robot of frame `index` into the world's picture and return the finished frame.

    :param image: (H, W, 3) uint8, the world without robot; changed.
    :param depth: (H, W) float32 [m], NaN unknown; changed.
    :param more: `events`, `carried_point_base` of the frame.
    """
    mask = merge(image, depth, robot.image[index], robot.pointmap[index, :, :, 2], tolerance)
    camera = robot.camera
    return PredictedFrame(
        index, len(robot.times), float(robot.times[index]), image,
        pointmap(depth, camera.fx, camera.fy, camera.cx, camera.cy), mask, **more)
