# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The points that cameras see beside the robot, made quickly enough for a page that is live."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera import pointmap_from_depth, RobotRenderer
from kinema4d_ros.scene import SceneView
from kinema4d_ros.types import CameraView, Observation
from kinema4d_ros.viewer.future_frame import thin


@dataclass(frozen=True, eq=False)
class SeenPoints:
    """Points that cameras see beside the robot, and whose they are."""

    points: np.ndarray     # (N, 3) float32 [m] base frame
    colors: np.ndarray     # (N, 3) uint8
    owner: np.ndarray      # (N,) int, the number of the view in the observation


class ObservedCloud:
    """Makes clouds quickly; `scene.scene_cloud` makes cleaner ones, in ten times the time."""

    def __init__(self, renderer: RobotRenderer, budget: int):
        """
        Make the clouds of one robot's surroundings.

        :param budget: points at most.
        """
        self._renderer, self._budget = renderer, budget

    def cloud(self, observation: Observation, T_base_link: np.ndarray) -> SeenPoints:
        """
        Return the points that are not the robot's, of all views that have depth.

        :param T_base_link: (V, L, 4, 4), where the robot is in each view, at its stamp.
        """
        measuring = sum(view.depth is not None for view in observation.views)
        parts = [self._of_view(view, poses, self._budget // measuring)
                 for view, poses in zip(observation.views, T_base_link, strict=True)
                 if view.depth is not None]
        numbers = [number for number, view in enumerate(observation.views)
                   if view.depth is not None]
        if not parts:
            return SeenPoints(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8),
                              np.zeros(0, int))
        return SeenPoints(
            np.concatenate([points for points, _ in parts]),
            np.concatenate([colors for _, colors in parts]),
            np.repeat(numbers, [len(points) for points, _ in parts]))

    def _of_view(self, seen: CameraView, T_base_link: np.ndarray,
                 budget: int) -> tuple[np.ndarray, np.ndarray]:
        robot = self._renderer.render(T_base_link[None], seen.camera, seen.T_base_camera)
        scene = SceneView(seen, robot.link_id[0] >= 0)
        points = pointmap_from_depth(scene.depth, seen.camera)
        image = seen.image if seen.background is None else scene.image
        points, colors = thin(points, budget, image)
        T = seen.T_base_camera.astype(np.float32)
        return points @ T[:3, :3].T + T[:3, 3], colors
