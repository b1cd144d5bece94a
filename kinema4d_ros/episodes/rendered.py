# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot of a 4D episode as it was drawn: read back frame by frame."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from kinema4d_ros.episodes import images
from kinema4d_ros.episodes.storage import Messages
from kinema4d_ros.episodes.topics import Topic
from kinema4d_ros.types import PinholeCamera


@dataclass(frozen=True, eq=False)
class RenderedRobot:
    """The robot at one frame, drawn as joints and camera say."""

    stamp_ns: int
    pointmap: np.ndarray    # (H, W, 3) float32 [m] camera frame, NaN where no robot; z to 1 mm
    link_id: np.ndarray     # (H, W) int16, index of a link of the URDF's robot, -1 where no robot
    image: np.ndarray       # (H, W, 3) uint8 RGB, black where no robot

    @property
    def mask(self) -> np.ndarray:
        """Where the robot is, (H, W) bool."""
        found: np.ndarray = self.link_id >= 0
        return found


class RenderedFrames(Sequence[RenderedRobot]):
    """The drawn robot of each frame; empty for an episode that is no 4D episode."""

    def __init__(self, messages: Messages, camera: PinholeCamera):
        """Make the sequence from what was recorded; `camera` is that of the pictures."""
        self._messages, self._rays = messages, camera.rays()
        self._size = camera.height, camera.width
        self.stamps_ns = messages.stamps(Topic.RENDERED_LINKS)

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.stamps_ns)

    @overload
    def __getitem__(self, index: int) -> RenderedRobot: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[RenderedRobot, ...]: ...

    def __getitem__(self, index: int | slice) -> RenderedRobot | tuple[RenderedRobot, ...]:
        """
        Decode a frame, or a tuple of frames for a slice.

        :raises EpisodeError: an image is damaged.
        """
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        index, decode = range(len(self))[index], self._messages.decode
        depth = decode(Topic.RENDERED_DEPTH, index, images.decode_depth, *self._size)
        return RenderedRobot(
            int(self.stamps_ns[index]), self._rays * depth[..., None],
            decode(Topic.RENDERED_LINKS, index, images.decode_links, *self._size),
            decode(Topic.RENDERED_IMAGE, index, images.decode_color, *self._size))
