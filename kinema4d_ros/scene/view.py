# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene as one camera shows it: the robot taken out, memory filled in."""
from __future__ import annotations

from functools import cached_property

import numpy as np

from kinema4d_ros.camera.points import move, pointmap
from kinema4d_ros.scene.mask import grow_robot, in_paint
from kinema4d_ros.scene.points import FARTHEST, ScenePoints, SceneSettings, without
from kinema4d_ros.types import CameraView


class SceneView:
    """
    What one camera sees of the scene, and remembers where the robot hides it.

    Every part is made when it is first asked for. There are two of the depth, for two uses:

    * `image`, `depth` and `points_base` are a *picture*, for world models and people. It lacks
      a rim around the robot that grows with the picture, so that no edge of the robot stays
      behind, and takes over all that is remembered. Where nothing is known the image is
      in-painted, since a picture must show something; the depth stays unknown (NaN), since a
      made-up surface would be taken for a measured one.
    * `measured_depth`, `seen_to` and `points` are *measurements*, for tier 1. They lack what the
      calibration leaves uncertain (`mask_growth`), and a remembered value that is no distance.

    The two rims cannot be one: the first follows from the picture's size, the second from the
    cell's calibration, and the wider of both would hide scene from tier 1.
    """

    def __init__(self, seen: CameraView, robot_mask: np.ndarray,
                 settings: SceneSettings = SceneSettings()):
        """
        Make the scene of one camera view; its parts are made when they are first asked for.

        :param robot_mask: (H, W) bool, the robot as rendered for that view.
        :raises CameraError: the mask does not have the size of the image.
        """
        self.seen, self.robot_mask = seen, robot_mask
        self._settings = settings
        self.growth = settings.mask_growth     # [px] around the robot that it is taken to hide
        self._hidden = grow_robot(robot_mask, seen.camera, self.growth)

    # ------------------------------------------------------------------ the picture

    @cached_property
    def _rim(self) -> np.ndarray:
        """Robot and rim in the picture, (H, W) bool."""
        return grow_robot(self.robot_mask, self.seen.camera)

    @cached_property
    def _remembered(self) -> np.ndarray:
        """Pixels of the picture that come from memory, (H, W) bool."""
        memory = self.seen.background
        return self._rim & (False if memory is None else memory.known)

    @cached_property
    def image(self) -> np.ndarray:
        """The picture without the robot, (H, W, 3) uint8."""
        image, memory = self.seen.image.copy(), self.seen.background
        if memory is not None:
            np.copyto(image, memory.image, where=self._remembered[..., None])
        return in_paint(image, self._rim & ~self._remembered)

    @cached_property
    def depth(self) -> np.ndarray:
        """The depth of the picture, (H, W) float32 [m], NaN unknown."""
        seen, memory = self.seen, self.seen.background
        depth = (np.full(self._rim.shape, np.nan, np.float32) if seen.depth is None
                 else seen.depth.copy())
        depth[self._rim] = np.nan
        if memory is not None:
            np.copyto(depth, memory.depth, where=self._remembered)
        return depth

    @cached_property
    def points_base(self) -> np.ndarray:
        """The point that each pixel of the picture shows, (H, W, 3) float32 [m], NaN unknown."""
        camera = self.seen.camera
        points = pointmap(self.depth, camera.fx, camera.fy, camera.cx, camera.cy)
        move(points, np.ascontiguousarray(self.seen.T_base_camera[:3], np.float64))
        points.flags.writeable = False
        return points

    @cached_property
    def age(self) -> np.ndarray:
        """How long before the view each pixel of the picture was seen, (H, W) float32 [s], NaN."""
        return self._age(self._rim, self._remembered)

    # ------------------------------------------------------------------ what is measured

    @cached_property
    def _measured(self) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """Depth, how far was seen, the share that has a depth, and what is remembered."""
        hidden, memory = self._hidden, self.seen.background
        seen = self.seen.depth
        if seen is None:
            seen = np.full(hidden.shape, np.nan, np.float32)
        depth, seen_to, share = without(np.ascontiguousarray(seen, np.float32), hidden)
        remembered = np.zeros(hidden.shape, bool)
        if memory is not None:
            is_measured = (memory.depth > 0.0) & (memory.depth < FARTHEST)
            remembered = hidden & memory.known & is_measured
            np.copyto(depth, memory.depth, where=remembered)
            seen_to = np.fmax(seen_to, depth)
        return depth, seen_to, share, remembered

    @property
    def measured_depth(self) -> np.ndarray:
        """Measured distances, (H, W) float32 [m], NaN where unknown or hidden by the robot."""
        return self._measured[0]

    @property
    def seen_to(self) -> np.ndarray:
        """How far the camera looked, (H, W) float32 [m], NaN not at all."""
        return self._measured[1]

    @property
    def measured_share(self) -> float:
        """0..1 of the pixels beside the robot have a depth."""
        return self._measured[2]

    @cached_property
    def points(self) -> ScenePoints:
        """The measured points, thinned."""
        age = self._age(self._hidden, self._measured[3])
        return ScenePoints.of(self.measured_depth, age, self.seen.camera, self.seen.T_base_camera,
                              self._settings)

    def unseen(self, points_base: np.ndarray, tolerance: float) -> np.ndarray:
        """
        Return which points (..., 3) [m] lie where the camera could not see.

        That is outside the image, behind what it saw by more than `tolerance` [m], or where it
        measured nothing.
        """
        T_camera_base = np.linalg.inv(self.seen.T_base_camera)
        local = points_base @ T_camera_base[:3, :3].T + T_camera_base[:3, 3]
        camera = self.seen.camera
        z = local[..., 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            u = np.round(local[..., 0] / z * camera.fx + camera.cx)
            v = np.round(local[..., 1] / z * camera.fy + camera.cy)
        inside = (z > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        u, v = np.where(inside, u, 0).astype(int), np.where(inside, v, 0).astype(int)
        # NaN compares false: what was not measured is not seen.
        return ~(inside & (z <= self.seen_to[v, u] + tolerance))

    def _age(self, hidden: np.ndarray, remembered: np.ndarray) -> np.ndarray:
        """Return 0 where the view shows the scene, the age of what is remembered, else NaN."""
        age = np.where(hidden, np.float32(np.nan), np.float32(0.0))
        memory = self.seen.background
        if memory is not None and memory.stamp_ns is not None:
            age[remembered] = (self.seen.stamp_ns - memory.stamp_ns[remembered]) * 1e-9
        return age
