# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene as the camera sees it now, without the robot."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.camera import pointmap_from_depth, RobotRenderer
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import Observation
from kinema4d_ros.viewer.future_frame import thin


class ObservedCloud:
    """Makes clouds quickly; `scene.scene_cloud` makes cleaner ones, in ten times the time."""

    def __init__(self, renderer: RobotRenderer, budget: int):
        """:param budget: points at most."""
        self._renderer, self._budget = renderer, budget

    def cloud(self, observation: Observation,
              T_base_link: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the points that are not the robot's.

        :param observation: with depth.
        :param T_base_link: (L, 4, 4), where the robot is in it.
        :return: (N, 3) float32 [m] base frame, (N, 3) uint8.
        """
        seen = observation.view
        robot = self._renderer.render(T_base_link[None], seen.camera, seen.T_base_camera)
        scene = Scene(observation, (robot.link_id[0] >= 0,)).view
        points = pointmap_from_depth(scene.depth, seen.camera)
        image = seen.image if seen.background is None else scene.image
        points, colors = thin(points, self._budget, image)
        T = seen.T_base_camera.astype(np.float32)
        return points @ T[:3, :3].T + T[:3, 3], colors
