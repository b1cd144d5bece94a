# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The baseline: the robot moves exactly, everything else stays where it was seen."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kinema4d_ros.camera.points import merge, pointmap
from kinema4d_ros.foresight import Told
from kinema4d_ros.foresight.attached import held_bodies, mask_of
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.scene.surface import depth_from, TexturedSurface
from kinema4d_ros.types import (EventKind, Observation, PredictedFrame, PredictedThing,
                                PredictedView, Report, RobotRollout, silent, ViewRollout,
                                WorldEvent)
from kinema4d_ros.world_model.base import check_camera, WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard


class Frozen(WorldModel):
    """Draws the robot of each frame into the scene that stays; what every model must beat."""

    name = 'frozen'
    predicts_every_view = True
    follows_actions = True
    card = ModelCard(
        inputs='RGB; depth for all but the robot', outputs='RGB and points',
        metres=Metres.MEASURED, views='every camera', code_licence='Apache-2.0',
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
        self._scene: tuple[Observation, Scene] | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield the frames; nothing is random here, `seed` changes nothing."""
        scene, count = self._scene_of(observation, robot), len(robot.times)
        surfaces = surfaces_of(scene.views)
        events = () if observation.has_depth else (_no_depth_event(),)
        tolerance = self.setting['robot_depth_tolerance']
        for index in range(count):
            report('predict', index, count)
            image, depth = surfaces[0].from_pose(robot.T_base_camera[index])
            frame = draw_robot(image, depth, robot, index, tolerance, events=events)
            others = []
            for surface, view in zip(surfaces[1:], robot.others):
                image, depth = surface.from_pose(view.T_base_camera[index])
                others.append(draw_view(image, depth, view, index, tolerance))
            yield dataclasses.replace(frame, others=tuple(others)) if others else frame
            events = ()

    def told(self, scene: Scene, robot: RobotRollout, *, seed: int = 0,
             report: Report = silent) -> Told | None:
        """Return that all stays."""
        return None

    def _scene_of(self, observation: Observation, robot: RobotRollout) -> Scene:
        """
        Return the observed scene without robot and what it holds; made once for all candidates.

        It is of the views that the robot is drawn for.
        """
        check_camera(observation, robot)
        views, masks, held = [], [], held_bodies(robot)
        drawn = {view.name: view for view in robot.others}
        for view in observation.views:
            shown = robot if view is observation.primary else drawn.get(view.name)
            if shown is not None:
                views.append(view)
                is_robot = shown.seen(0)[1] >= 0
                masks.append(is_robot if not held else is_robot | mask_of(held, view))
        if self._scene is None or self._scene[0] is not observation \
                or len(self._scene[1].views) != len(views) \
                or not self._scene[1].is_of(self._scene[1].observation, masks):
            seen = observation if len(views) == len(observation.views) \
                else dataclasses.replace(observation, views=tuple(views))
            self._scene = observation, Scene(seen, masks)
        return self._scene[1]

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
    points, _, colors = robot.seen(index)
    mask = merge(image, depth, colors, points[:, :, 2], tolerance)
    camera = robot.camera
    return PredictedFrame(
        index, len(robot.times), float(robot.times[index]), image,
        pointmap(depth, camera.fx, camera.fy, camera.cx, camera.cy), mask, events,
        carried_point_base, things=things)


def draw_view(image: np.ndarray, depth: np.ndarray, view: ViewRollout, index: int,
              tolerance: float) -> PredictedView:
    """Draw the robot of a frame into what a further camera sees; see `draw_robot`."""
    points, _, colors = view.seen(index)
    mask = merge(image, depth, colors, points[:, :, 2], tolerance)
    camera = view.camera
    return PredictedView(view.name, image, pointmap(depth, camera.fx, camera.fy, camera.cx,
                                                    camera.cy), mask)


def surfaces_of(views: Sequence[SceneView]) -> list[TexturedSurface]:
    """
    Return what each view shows as a surface that can be seen from elsewhere.

    A camera without depth takes the depth of what it sees from the others.
    """
    measured = [TexturedSurface(view.image, view.depth, view.seen.camera, view.seen.T_base_camera)
                for view in views if view.has_depth]
    found = []
    for view in views:
        depth = view.depth
        if not view.has_depth and measured:
            depth = depth_from(measured, view.seen.camera, view.seen.T_base_camera)
        found.append(TexturedSurface(view.image, depth, view.seen.camera,
                                     view.seen.T_base_camera))
    return found


def _no_depth_event() -> WorldEvent:
    """Return the event that says what cannot be known from an image without depth."""
    return WorldEvent(
        EventKind.NO_DEPTH, 0.0, None,
        'no depth image: only the robot is predicted; what it would touch, grasp or be hidden by '
        'cannot be told')
