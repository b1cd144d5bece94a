# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera that stays has seen of the scene while the robot was elsewhere."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.types import Background, Observation, PinholeCamera

_MOVED, _TURNED = 0.002, np.deg2rad(0.2)    # [m], [rad] beyond this the camera has moved


class SceneMemory:
    """
    Remembers the newest value of each pixel that did not show the robot, and when that was.

    It holds one image, one depth, one mask and one stamp for each pixel, however many it is shown.
    When the camera moves or its image changes size, it starts again. One thread owns it.
    """

    def __init__(self) -> None:
        """Make an empty memory."""
        self._camera: PinholeCamera | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._camera = None
        self._snapshot: Background | None = None

    def update(self, observation: Observation, robot_mask: np.ndarray) -> None:
        """
        Add what an observation shows of the scene.

        :param robot_mask: (H, W) bool, pixels of the robot; a rim around it is left out too.
        :raises CameraError: the mask does not have the size of the image.
        """
        view = observation.view
        scene = ~grow_robot(robot_mask, view.camera)
        if self._camera != view.camera or self._has_moved(view.T_base_camera):
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
    def background(self) -> Background | None:
        """What is remembered, a copy that later updates do not change; None before any."""
        if self._camera is None:
            return None
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
