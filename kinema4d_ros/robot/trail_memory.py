# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints have been; a robot that repeats itself needs no more memory for it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.types import JointTrail

STEP = 0.02      # [rad or m] joints that are all this near to a place of before are there again
MOST = 1000      # places that are kept; then the oldest goes


class TrailMemory:
    """
    Remembers joint positions: places, each with when the joints were last there.

    A place within `STEP` of one that is remembered takes its place, so that an arm that repeats a
    motion needs no more memory the second time; there are `MOST` at most. One thread owns it.
    """

    def __init__(self, joint_names: Sequence[str]):
        """
        Begin without a place.

        :param joint_names: of the robot.
        """
        self.joint_names = tuple(joint_names)
        self._positions = np.zeros((MOST, len(self.joint_names)))
        self._stamps_ns = np.zeros(MOST, np.int64)
        self._count = 0

    def __len__(self) -> int:
        """Return how many places are remembered."""
        return self._count

    def clear(self) -> None:
        """Forget all."""
        self._count = 0

    def add(self, stamp_ns: int, positions: Mapping[str, float]) -> None:
        """
        Take where the joints were measured to be.

        What is not finite, or lacks a joint, is not taken: nobody knows where the robot was.

        :param positions: [rad or m] by name.
        """
        here = np.array([positions.get(name, np.nan) for name in self.joint_names])
        if not len(here) or not np.isfinite(here).all():
            return
        place = self._count
        if self._count:
            away = np.abs(self._positions[:self._count] - here).max(axis=1)
            nearest = int(away.argmin())
            if away[nearest] <= STEP:
                place = nearest
        if place == MOST:
            place = int(self._stamps_ns.argmin())
        self._positions[place], self._stamps_ns[place] = here, stamp_ns
        self._count = max(self._count, min(place + 1, MOST))

    def since(self, stamp_ns: int) -> JointTrail | None:
        """Return where the joints were at a stamp or later; None for nowhere."""
        chosen = np.flatnonzero(self._stamps_ns[:self._count] >= stamp_ns)
        if not len(chosen):
            return None
        return JointTrail(self.joint_names, self._positions[chosen], self._stamps_ns[chosen])
