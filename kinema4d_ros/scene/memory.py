# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What cameras that stay have seen of the scene while the robot was elsewhere."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.types import Background, CameraView, Observation, PinholeCamera

_MOVED, _TURNED = 0.002, np.deg2rad(0.2)    # [m], [rad] beyond this the camera has moved


class SceneMemory:
    """
    Remembers the newest value of each pixel that did not show the robot, and when that was.

    It holds one image, one depth, one mask and one stamp for each pixel of each camera, however
    many it is shown. When a camera moves or its image changes size, that one starts again. One
    thread owns it.
    """

    def __init__(self) -> None:
        """Make an empty memory."""
        self._cameras: dict[str, _CameraMemory] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._cameras.clear()

    def update(self, observation: Observation,
               robot_masks: np.ndarray | Mapping[str, np.ndarray]) -> None:
        """
        Add what an observation shows of the scene.

        :param robot_masks: (H, W) bool by name of the view, pixels of the robot; a rim around it is
            left out too, and so is a view without one. The mask itself where there is one view.
        :raises CameraError: a mask does not have the size of the image.
        """
        if isinstance(robot_masks, np.ndarray):
            robot_masks = {observation.view.name: robot_masks}
        for view in observation.views:
            if (mask := robot_masks.get(view.name)) is not None:
                self._cameras.setdefault(view.name, _CameraMemory()).update(view, mask)

    @property
    def background(self) -> Background | None:
        """
        What is remembered of one camera, a copy that later updates do not change; None before any.

        Of several it is that of the one that was remembered first; see `remembered`.
        """
        return next((each.background for each in self._cameras.values()), None)

    def remembered(self, observation: Observation) -> Observation:
        """Return an observation whose views have what is remembered from where they are seen."""
        views = []
        for view in observation.views:
            kept = self._cameras.get(view.name)
            views.append(view if kept is None or not kept.is_of(view) else dataclasses.replace(
                view, background=kept.background))
        return dataclasses.replace(observation, views=tuple(views))


class _CameraMemory:
    """The memory of one camera."""

    def __init__(self) -> None:
        self._camera: PinholeCamera | None = None
        self._snapshot: Background | None = None

    def is_of(self, view: CameraView) -> bool:
        """Return whether it is of a camera like that of the view, at the same place."""
        return self._camera == view.camera and not self._has_moved(view.T_base_camera)

    def update(self, view: CameraView, robot_mask: np.ndarray) -> None:
        scene = ~grow_robot(robot_mask, view.camera)
        if not self.is_of(view):
            size = (view.camera.height, view.camera.width)
            self._camera, self._T = view.camera, view.T_base_camera
            self._image = np.zeros((*size, 3), np.uint8)
            self._depth = np.full(size, np.nan, np.float32)
            self._known = np.zeros(size, bool)
            self._stamp_ns = np.zeros(size, np.int64)
        np.copyto(self._image, view.image, where=scene[..., None])
        self._known |= scene
        # A depth that stays keeps its age, however new the colour that goes with it is.
        fresh = scene & np.isnan(self._depth)
        if view.depth is not None:
            measured = scene & np.isfinite(view.depth)
            np.copyto(self._depth, view.depth, where=measured)
            fresh |= measured
        self._stamp_ns[fresh] = view.stamp_ns
        self._snapshot = None

    @property
    def background(self) -> Background:
        """A copy of what is remembered."""
        if self._snapshot is None:
            arrays = [a.copy() for a in (self._image, self._depth, self._known,
                                         self._stamp_ns)]
            for array in arrays:
                array.flags.writeable = False
            self._snapshot = Background(*arrays)
        return self._snapshot

    def _has_moved(self, T_base_camera: np.ndarray) -> bool:
        step = np.linalg.inv(self._T) @ T_base_camera
        cosine = np.clip((np.trace(step[:3, :3]) - 1) / 2, -1, 1)
        return bool(np.linalg.norm(step[:3, 3]) > _MOVED or np.arccos(cosine) > _TURNED)
