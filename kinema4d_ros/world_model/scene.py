# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observed world without its robot: what stays when the robot moves away."""
from __future__ import annotations

import cv2
import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import EventKind, Observation, RobotRollout, WorldEvent


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
        reach = max(2, round(observation.camera.height / 160))
        self.robot_mask = grow(robot_mask, reach)
        self.image = observation.image.copy()
        size = self.robot_mask.shape
        self.depth = (np.full(size, np.nan, np.float32) if observation.depth is None
                      else observation.depth.copy())
        self.depth[self.robot_mask] = np.nan
        unknown = self.robot_mask.copy()
        memory = observation.background
        if memory is not None:
            remembered = self.robot_mask & memory.known
            self.image[remembered] = memory.image[remembered]
            self.depth[remembered] = memory.depth[remembered]
            unknown &= ~remembered
        self.image = in_paint(self.image, unknown)

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
    if observation.camera != robot.camera:
        raise WorldModelError(
            f'the robot was rendered for {robot.camera}, the observation is of '
            f'{observation.camera}; fit the observation and render with the same camera')


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

    `source` (H, W) bool are the pixels to fill from; None for all that are not in the hole.

    Coarse to fine: each level of an image pyramid is the mean of its *known* pixels, and a hole
    takes what the next coarser level knows. Smooth, never smeared, and some milliseconds where
    marching methods take seconds on a hole as large as an arm.
    """
    if not hole.any():
        return image
    source = ~hole if source is None or not (source & ~hole).any() else source & ~hole
    if not source.any():
        return np.full_like(image, 127)
    levels = []
    color, weight = image.astype(np.float32), source.astype(np.float32)
    color = color * weight[..., None]
    while min(weight.shape) > 1 and (weight == 0).any():
        levels.append((color, weight))
        size = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        color = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    filled = np.full_like(color, 0) + image[source].mean(0)
    levels.append((color, weight))
    for color, weight in reversed(levels):
        coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.minimum(weight, 1.0)[..., None]
        filled = color / np.maximum(weight, 1e-6)[..., None] * share + coarse * (1.0 - share)
    return np.where(hole[..., None], np.clip(np.rint(filled), 0, 255), image).astype(np.uint8)
