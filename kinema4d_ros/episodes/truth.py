# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What really happened, where a recording knows it; to compare predictions with."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class EpisodeTruth:
    """The truth beside an episode; empty for a recording of a real robot."""

    carried_object: str | None
    #: object -> times (N,) [s] from the start of the trajectory, T_base_object (N, 4, 4)
    object_poses: Mapping[str, tuple[np.ndarray, np.ndarray]]
    #: index of a frame -> its robot mask (H, W) bool, for the frames that have one
    robot_masks: Mapping[int, np.ndarray]
    frames: Sequence            # all frames of the episode

    def future(self, times: np.ndarray) -> tuple:
        """Return for each time [s] from the start of the trajectory the nearest frame."""
        there = self.frames.times
        return tuple(self.frames[int(np.abs(there - time).argmin())] for time in times)

    def object_center(self, name: str, offset: Sequence[float], times: np.ndarray) -> np.ndarray:
        """Return where a point of an object, (3,) [m] in its frame, is at times; (T, 3) base."""
        known, poses = self.object_poses[name]
        points = poses[:, :3, :3] @ np.asarray(offset, np.float64) + poses[:, :3, 3]
        return np.stack([np.interp(times, known, points[:, axis]) for axis in range(3)], -1)
