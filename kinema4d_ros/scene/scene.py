# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene: what the cameras see without the robot, memory filled in, with its age."""
from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.scene.knowledge import joined, Knowledge
from kinema4d_ros.scene.points import ScenePoints, SceneSettings
from kinema4d_ros.scene.view import SceneView
from kinema4d_ros.types import Observation


class Scene:
    """
    An observation with the robot taken out; tier 1, the world models and the viewer share it.

    `views` are what each camera shows, in the order of the observation's; `points`, `measured`
    and `unseen` are what all of them together know of the space around the robot.
    """

    def __init__(self, observation: Observation, robot_masks: Sequence[np.ndarray],
                 settings: SceneSettings = SceneSettings(),
                 in_front: Sequence[np.ndarray | None] | None = None):
        """
        Make the scene of an observation; its parts are made when they are first asked for.

        :param robot_masks: for each view (H, W) bool, the robot as rendered for it.
        :param in_front: for each view (H, W) bool, what of that stands in front of the robot.
        :raises ObservationError: there is not one mask for each view.
        :raises CameraError: a mask does not have the size of its image.
        """
        if len(robot_masks) != len(observation.views):
            raise ObservationError(f'{len(robot_masks)} robot masks for {len(observation.views)} '
                                   'views; give one for each')
        self.observation = observation
        self.views = tuple(SceneView(seen, mask, settings, front) for seen, mask, front in zip(
            observation.views, robot_masks, in_front or [None] * len(robot_masks)))

    @property
    def view(self) -> SceneView:
        """
        The view of a scene that one camera sees.

        :raises ObservationError: there are several, so that somebody must say which.
        """
        _ = self.observation.view      # which names them
        return self.views[0]

    def without(self, mask: np.ndarray, observation: Observation | None = None) -> Scene:
        """
        Return the scene of one camera with more taken out, such as what the robot holds.

        :param mask: (H, W) bool, the pixels that show it.
        :param observation: in place of that of this scene, with other things remembered.
        """
        return Scene(observation or self.observation, (self.view.rendered | mask,),
                     self.view.settings, (self.view.in_front & ~mask,))

    @cached_property
    def points(self) -> ScenePoints:
        """The measured points of all cameras."""
        return ScenePoints.joined([view.points for view in self.views])

    @property
    def measured(self) -> float:
        """0..1 of the pixels beside the robot have a depth, mean over the cameras."""
        return sum(view.measured_share for view in self.views) / len(self.views)

    def knowledge(self, points_base: np.ndarray,
                  tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what the cameras know together of points (N, 3) [m], and how old that is [s].

        :param tolerance: [m] behind a surface that counts as the surface.
        :return: (N,) uint8 of `Knowledge`, and (N,) float32, 0 where it is seen now.
        """
        found, age = self.views[0].knowledge(points_base, tolerance)
        for view in self.views[1:]:
            other, other_age = view.knowledge(points_base, tolerance)
            age = np.where(found < other, age, np.where(
                found > other, other_age, np.minimum(age, other_age)))
            found = joined(found, other)
        return found, age

    def unseen(self, points_base: np.ndarray, tolerance: float) -> np.ndarray:
        """
        Return which points (..., 3) [m] no camera vouches for; see `knowledge`.

        That is outside of every image, behind what was seen by more than `tolerance` [m], or where
        nothing was measured, or what the robot has hidden for too long.
        """
        points = np.asarray(points_base)
        found, _ = self.knowledge(points.reshape(-1, 3), tolerance)
        unseen: np.ndarray = found.reshape(points.shape[:-1]) > Knowledge.REMEMBERED
        return unseen

    def is_of(self, observation: Observation, robot_masks: Sequence[np.ndarray]) -> bool:
        """Return whether this is the scene of that observation, so that it can serve again."""
        return self.observation is observation and all(
            np.array_equal(view.robot_mask, mask)
            for view, mask in zip(self.views, robot_masks, strict=True))
