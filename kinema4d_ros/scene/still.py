# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observed world without its robot: what stays when the robot moves away."""
from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from kinema4d_ros.camera.compose import move, pointmap
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import EventKind, Observation, RobotRollout, WorldEvent

_REACH = 3      # [px] neighbourhood that in-painting looks at


class StillScene:
    """
    An observation with the robot taken out, in the observation's camera.

    What the robot hid comes from the background memory where there is one. Elsewhere the *image*
    is in-painted, because a picture must show something, and the *depth* stays unknown (NaN),
    because a made-up surface would be taken for a measured one.
    """

    def __init__(self, observation: Observation, robot_mask: np.ndarray):
        """
        Take the robot out.

        :param robot_mask: (H, W) bool, pixels of the robot in the observed image.
        """
        self.observation = observation
        self._given_mask = robot_mask
        # The rendered silhouette misses the true edge by a pixel or two (calibration, meshes,
        # blur), and a rim of robot colour left behind looks like a ghost.
        reach = max(2, round(observation.view.camera.height / 160))
        self.robot_mask = grow(robot_mask, reach)
        size = self.robot_mask.shape
        self.depth = (np.full(size, np.nan, np.float32) if observation.view.depth is None
                      else observation.view.depth.copy())
        self.depth[self.robot_mask] = np.nan
        memory = observation.view.background
        self._remembered = self.robot_mask & (False if memory is None else memory.known)
        if memory is not None:
            np.copyto(self.depth, memory.depth, where=self._remembered)

    @cached_property
    def image(self) -> np.ndarray:
        """The picture without the robot, (H, W, 3) uint8; painted when first asked for."""
        image, memory = self.observation.view.image.copy(), self.observation.view.background
        if memory is not None:
            np.copyto(image, memory.image, where=self._remembered[..., None])
        return in_paint(image, self.robot_mask & ~self._remembered)

    @cached_property
    def points_base(self) -> np.ndarray:
        """The point that each pixel shows, (H, W, 3) float32 [m], NaN unknown; read-only."""
        camera = self.observation.view.camera
        points = pointmap(self.depth, camera.fx, camera.fy, camera.cx, camera.cy)
        move(points, np.ascontiguousarray(self.observation.view.T_base_camera[:3], np.float64))
        points.flags.writeable = False
        return points

    def is_of(self, observation: Observation, robot_mask: np.ndarray) -> bool:
        """Tell whether this is the scene of that observation, so that it can serve again."""
        return self.observation is observation and np.array_equal(self._given_mask, robot_mask)


def check_views(observation: Observation, robot: RobotRollout) -> None:
    """
    Refuse a rollout that was rendered for another camera image than the observation's.

    :raises WorldModelError: naming both sizes, or an empty rollout.
    """
    if not len(robot.times):
        raise WorldModelError('the robot rollout has no frame; sample the trajectory first')
    if observation.view.camera != robot.camera:
        raise WorldModelError(
            f'the robot was rendered for {robot.camera}, the observation is of '
            f'{observation.view.camera}; fit the observation and render with the same camera')


def no_depth_event() -> WorldEvent:
    """Return the event that tells what cannot be known from an image without depth."""
    return WorldEvent(
        EventKind.NO_DEPTH, 0.0, None,
        'no depth image: only the robot is predicted; what it would touch, grasp or be hidden by '
        'cannot be told')


def grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return the (H, W) bool mask dilated by a disc of that radius."""
    side = 2 * pixels + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def in_paint(image: np.ndarray, hole: np.ndarray,
             source: np.ndarray | None = None) -> np.ndarray:
    """
    Return the (H, W, 3) uint8 image with the (H, W) bool hole filled from its surroundings.

    `source` (H, W) bool are the pixels to fill from; None for all that are not in the hole. A
    picture without any source becomes grey there.
    """
    if not hole.any():
        return image
    source = ~hole if source is None or not (source & ~hole).any() else source & ~hole
    if not source.any():
        return np.where(hole[..., None], np.uint8(127), image)
    # Pixels that are neither hole nor source are filled too, so that they do not bleed in, and
    # put back afterwards.
    filled = cv2.inpaint(image, (~source).astype(np.uint8), _REACH, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], filled, image)
