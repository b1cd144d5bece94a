# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The baseline: the robot moves exactly, everything else stays where it was seen."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kinema4d_ros.camera.points import merge, pointmap
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.surface import TexturedSurface
from kinema4d_ros.types import (EventKind, Observation, PredictedFrame, PredictedThing, Report,
                                RobotRollout, silent, WorldEvent)
from kinema4d_ros.world_model.base import check_camera, WorldModel
from kinema4d_ros.world_model.card import Metric, ModelCard


class Frozen(WorldModel):
    """Draws the robot of each frame into the scene that stays; what every model must beat."""

    name = 'frozen'
    follows_actions = True
    card = ModelCard(
        inputs='RGB; depth for all but the robot', outputs='RGB and points',
        metric=Metric.MEASURED, views='every camera', code_licence='Apache-2.0',
        weights_licence='none', memory='that of the pictures',
        time='below a second for 49 frames of 720x480 on a CPU',
        run_here='all of it; the baseline of every comparison')
    settings = {
        'robot_depth_tolerance': (
            0.01, 'robot is drawn over what is at most this far in front of it [m], 0 to 0.1'),
    }

    def __init__(self, **values: Any) -> None:
        """Make a model without a scene, which is made from the first observation."""
        super().__init__(**values)
        self._scene: Scene | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield the frames; nothing is random here, `seed` changes nothing."""
        scene, count = self._scene_of(observation, robot).view, len(robot.times)
        surface = TexturedSurface(scene.image, scene.depth, scene.seen.camera,
                                  scene.seen.T_base_camera)
        events = (_no_depth_event(),) if scene.seen.depth is None else ()
        for index in range(count):
            report('predict', index, count)
            image, depth = surface.from_pose(robot.T_base_camera[index])
            yield draw_robot(image, depth, robot, index, self.setting['robot_depth_tolerance'],
                             events=events)
            events = ()

    def _scene_of(self, observation: Observation, robot: RobotRollout,
                  held: np.ndarray | None = None) -> Scene:
        """
        Return the observed scene without robot; made once for all candidates from it.

        :param held: (H, W) bool, pixels of what is taken out with the robot.
        """
        check_camera(observation, robot)
        mask = robot.link_id[0] >= 0
        masks = (mask if held is None else mask | held,)
        if self._scene is None or not self._scene.is_of(observation, masks):
            self._scene = Scene(observation, masks)
        return self._scene

    def close(self) -> None:
        """Forget the scene."""
        self._scene = None


def draw_robot(image: np.ndarray, depth: np.ndarray, robot: RobotRollout, index: int,
               tolerance: float, *, events: tuple[WorldEvent, ...] = (),
               carried_point_base: np.ndarray | None = None,
               things: tuple[PredictedThing, ...] = ()) -> PredictedFrame:
    """
    Draw the robot of frame `index` into the world's picture and return the finished frame.

    :param image: (H, W, 3) uint8, the world without robot; changed.
    :param depth: (H, W) float32 [m], NaN unknown; changed.
    :param events: that happen at this frame.
    :param carried_point_base: (3,) [m] centre of what was moved, once known.
    :param things: that have moved.
    """
    mask = merge(image, depth, robot.image[index], robot.pointmap[index, :, :, 2], tolerance)
    camera = robot.camera
    return PredictedFrame(
        index, len(robot.times), float(robot.times[index]), image,
        pointmap(depth, camera.fx, camera.fy, camera.cx, camera.cy), mask, events,
        carried_point_base, things=things)


def _no_depth_event() -> WorldEvent:
    """Return the event that says what cannot be known from an image without depth."""
    return WorldEvent(
        EventKind.NO_DEPTH, 0.0, None,
        'no depth image: only the robot is predicted; what it would touch, grasp or be hidden by '
        'cannot be told')
