# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the base that the arm stands on has moved in the world, by TF."""
from __future__ import annotations

import math
import time

import numpy as np

from kinema4d_ros.bridge.transforms import same_pose, TransformTree
from kinema4d_ros.errors import ContradictionError

#: [m], [rad] less is noise of odometry, and less than a voxel of 2 cm at an arm's length
MOVED, TURNED = 0.01, 0.01


class BaseWatch:
    """
    Tells whether the root link of the robot is where it was, in the highest frame above it.

    What is remembered by places in the root link (where the arm has been, what a camera on the base
    saw behind the arm) is of other places of the world once a mobile base has driven. Where TF has
    no frame above the root link nobody says that it moves, and it is taken for one that stays.
    """

    def __init__(self, tree: TransformTree):
        """
        Begin where the base is at the first question.

        :param tree: kept up to date from TF.
        """
        self._tree = tree
        self._anchor: tuple[str, str, np.ndarray] | None = None     # root, highest frame, pose
        self.moved_at = -math.inf      # [s] monotonic, when it was last found to have moved

    def has_moved(self, root_link: str) -> bool:
        """
        Return whether it has moved since this was true last, or since the first question.

        Two sources that contradict each other on where the base is count as motion: nobody knows.
        """
        try:
            top, T_top_root = self._tree.highest(root_link)
        except ContradictionError:
            self._anchor, self.moved_at = None, time.monotonic()
            return True
        before, self._anchor = self._anchor, self._anchor or (root_link, top, T_top_root)
        if before is None:
            return False
        if before[:2] == (root_link, top) and same_pose(
                before[2], T_top_root, position=MOVED, angle=TURNED):
            return False
        self._anchor, self.moved_at = (root_link, top, T_top_root), time.monotonic()
        return True
