# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a thing moved during an episode, by its true poses, and what one calls that."""
from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

MOVED = 0.01            # [m] a thing has moved when its middle is farther than this from the start
TOPPLED = 45.0          # [deg] and has toppled when its upright axis leans by more
_LIFTED = 0.03          # [m] what was this far above its start was in the air
_FALLING = 0.8          # [m/s] downwards, which the arm does not reach with something in hand


class Happened(enum.StrEnum):
    """What became of a thing; the worst that holds."""

    STAY = 'stay'
    PUSH = 'push'          # moved along what it stands on, by fingers, palm or another thing
    TOPPLE = 'topple'
    DRAG = 'drag'          # moved in the grip without being lifted, or on or under what is
    DROP = 'drop'          # lifted, and fell
    CARRY = 'carry'        # lifted, and put down


@dataclass(frozen=True)
class Displacement:
    """The motion of a thing from its first pose to its last."""

    distance: float      # [m] of its middle
    tilt: float          # [deg] of the axis that was upright, 0 to 180
    lifted: float        # [m] its middle's highest place above its first
    fall_speed: float    # [m/s] its middle's largest speed downwards

    @classmethod
    def of(cls, times: np.ndarray, T_base_thing: np.ndarray, middle: np.ndarray) -> Displacement:
        """
        Return it from true poses.

        :param times: (N,) [s], N >= 2, increasing.
        :param T_base_thing: (N, 4, 4), z of the base frame up.
        :param middle: (3,) [m] in the thing's frame.
        """
        places = T_base_thing[:, :3, :3] @ np.asarray(middle, np.float64) + T_base_thing[:, :3, 3]
        turn = T_base_thing[-1, :3, :3] @ T_base_thing[0, :3, :3].T
        heights = places[:, 2]
        return cls(float(np.linalg.norm(places[-1] - places[0])),
                   float(np.degrees(np.arccos(np.clip(turn[2, 2], -1.0, 1.0)))),
                   float(heights.max() - heights[0]),
                   float(max((-np.diff(heights) / np.diff(times)).max(), 0.0)))

    @property
    def has_moved(self) -> bool:
        """Whether it ended more than 1 cm from where it began."""
        return self.distance > MOVED

    @property
    def has_toppled(self) -> bool:
        """Whether it ended leaning by more than 45 deg from how it stood."""
        return self.tilt > TOPPLED

    def happened(self, *, in_drag: bool = False) -> Happened:
        """
        Return what became of the thing.

        :param in_drag: the hand pulled something along: poses cannot tell that from a push.
        """
        if self.lifted > _LIFTED and self.fall_speed > _FALLING:
            return Happened.DROP
        if self.has_toppled:
            return Happened.TOPPLE
        if not self.has_moved:
            return Happened.STAY
        if self.lifted > _LIFTED:
            return Happened.CARRY
        return Happened.DRAG if in_drag else Happened.PUSH
