# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the base that the arm stands on has moved in the world, by TF."""
from __future__ import annotations

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

    def __init__(self, tree: TransformTree, frame_prefix: str = ''):
        """
        Begin where the base is at the first question.

        :param tree: kept up to date from TF.
        :param frame_prefix: what TF has before the names of the robot's links, as CameraFinder's.
        """
        self._tree, self._prefix = tree, frame_prefix
        self._anchor: tuple[str, str, np.ndarray] | None = None     # root, highest frame, pose

    def has_moved(self, root_link: str) -> bool:
        """
        Return whether it has moved since this was true last, or since the first question.

        Two sources that contradict each other on where the base is count as motion: nobody knows.
        """
        root = f'{self._prefix}{root_link}'.lstrip('/')
        if root not in self._tree.frames:
            root = root_link
        try:
            here = root, *self._tree.highest(root)
        except ContradictionError:
            self._anchor = None
            return True
        before, self._anchor = self._anchor, self._anchor or here
        if before is None or before[:2] == here[:2] and same_pose(
                before[2], here[2], position=MOVED, angle=TURNED):
            return False
        self._anchor = here
        return True
