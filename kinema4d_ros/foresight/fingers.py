# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the fingers do in a rollout: when they close and open, and the space between them."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from kinema4d_ros.camera.points import inside_box
from kinema4d_ros.types import RobotRollout

_STILL = 2e-4       # [m] change of the gap between two frames that is not a motion
_SMALLEST = 3e-3    # [m] change of the gap over a whole motion that counts
_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T     # which end of a box along each axis


@dataclass(frozen=True)
class GapMotion:
    """The gap between the fingers changes from frame `first` to frame `last` (inclusive)."""

    first: int
    last: int
    closing: bool


def can_grasp(robot: RobotRollout) -> bool:
    """Return whether the rollout knows a gripper with two fingers or more, and their shapes."""
    return robot.gripper is not None and sum(
        box is not None for box in robot.gripper.finger_boxes) >= 2


class Fingers:
    """
    The two sides of a gripper over a rollout of T frames.

    Attributes, in the *palm* frame unless named otherwise:

    * ``axis`` (3,): unit vector along which the sides close.
    * ``lower``, ``upper`` (T,) [m]: inner faces of the two sides along ``axis``.
    * ``gap`` (T,) [m]: distance between them, never below zero.
    * ``lower_thickness``, ``upper_thickness`` (T,) [m]: of the two sides along ``axis``.
    * ``T_base_palm`` (T, 4, 4).
    """

    def __init__(self, robot: RobotRollout):
        """
        Make the sides of `robot.gripper`; `can_grasp` says whether its fingers are known.

        Finger links are sorted into two sides along the axis on which they move against each
        other. A finger of several links is represented by the one farthest from the palm.
        """
        gripper = robot.hand
        index = {name: number for number, name in enumerate(robot.link_names)}
        self.T_base_palm = robot.T_base_link[:, index[gripper.palm_link]]
        self._T_palm_base = np.linalg.inv(self.T_base_palm)
        of_fingers = []
        for link, box in zip(gripper.finger_links, gripper.finger_boxes):
            if box is None:
                continue
            T_palm_finger = self._T_palm_base @ robot.T_base_link[:, index[link]]
            local = np.asarray(box)[_CORNERS, [0, 1, 2]][:, None, None]
            turns = T_palm_finger[:, :3, :3]
            of_fingers.append((local[..., 0] * turns[..., 0] + local[..., 2] * turns[..., 2])
                              + local[..., 1] * turns[..., 1] + T_palm_finger[:, :3, 3])
        corners = np.stack(of_fingers, axis=1)                   # (8, fingers, T, 3)
        centers = corners.mean(0)
        spread = centers - centers.mean(0)
        size = np.linalg.norm(spread, axis=-1).sum(0)
        # How the fingers move against each other says the axis best; a gripper that never moves
        # in this rollout is left with the line through its fingers.
        change = spread[:, size.argmax()] - spread[:, size.argmin()]
        if np.linalg.norm(change, axis=-1).max() < _SMALLEST / 2:
            change = spread[:, 0]
        self.axis = np.linalg.svd(change, full_matrices=False)[2][0]
        upper_side = (centers @ self.axis).mean(1) > (centers.mean(0) @ self.axis).mean()
        distance = np.linalg.norm(centers, axis=-1).mean(1)
        sides = [int(np.where(side, distance, -1).argmax()) for side in (~upper_side, upper_side)]
        corners, centers = corners[:, sides], centers[sides]
        along = corners @ self.axis                              # (8, 2, T)
        low, high = along.min(0), along.max(0)
        self.lower, self.upper = high[0], low[1]
        self.gap = np.maximum(self.upper - self.lower, 0.0)
        self.lower_thickness, self.upper_thickness = self.lower - low[0], high[1] - self.upper
        # The space between: across the axis it is what all fingers cover, frame by frame.
        reach = centers.mean((0, 1)) - self.axis * (centers.mean((0, 1)) @ self.axis)
        length = np.linalg.norm(reach)
        reach = reach / length if length > 1e-6 else np.linalg.svd(self.axis[None])[2][1]
        self._across = np.stack([reach, np.cross(self.axis, reach)])          # (2, 3)
        across = corners @ self._across.T                        # (8, 2, T, 2)
        self._low, self._high = across.min(0).max(0), across.max(0).min(0)

    def motions(self) -> list[GapMotion]:
        """Return when the gap closes and opens, in order of time."""
        sign = np.diff(self.gap)
        sign = np.where(np.abs(sign) < _STILL, 0, np.sign(sign)).astype(int)
        found, start = [], 0
        for frame in range(1, len(sign) + 1):
            if frame == len(sign) or sign[frame] != sign[start]:
                change = self.gap[frame] - self.gap[start]
                if sign[start] and abs(change) >= _SMALLEST:
                    found.append(GapMotion(start, frame, sign[start] < 0))
                start = frame
        return found

    def between(self, points: np.ndarray, frame: int, gap: float | None = None,
                margin: float | tuple[float, float] = 0.0) -> np.ndarray:
        """
        Return which points are between the fingers.

        :param points: (..., 3) [m] base frame.
        :param gap: [m] as if the fingers were this far open; None for the gap of that frame.
        :param margin: [m] by which the space is widened across the closing axis; a pair for
            along the fingers and beside them.
        :return: (...) bool.
        """
        inside: np.ndarray = self._between(points.reshape(-1, 3), [frame], margin, gap).reshape(
            points.shape[:-1])
        return inside

    def _between(self, points: np.ndarray, frames: slice | list[int],
                 margin: float | tuple[float, float], gap: float | None = None) -> np.ndarray:
        """Return which points (N, 3) are between the fingers in any of some frames, (N,) bool."""
        wide = np.broadcast_to(np.asarray(margin, np.float64), 2)
        gaps = self.gap[frames] if gap is None else np.full(1, float(gap))
        return _between(
            np.ascontiguousarray(points, np.float64), self._T_palm_base[frames],
            np.vstack([self.axis, self._across]),
            0.5 * (self.lower[frames] + self.upper[frames]), 0.5 * gaps,
            self._low[frames] - wide, self._high[frames] + wide)

    def around(self, motion: GapMotion) -> np.ndarray:
        """Return a box around all places between the fingers as they move, (2, 3) [m] base."""
        widest = float(self.gap[motion.first])
        reach = self._samples(slice(motion.first, motion.last + 1), widest, 5).reshape(-1, 3)
        margin = 0.2 * np.ptp(reach, axis=0).max() + 0.01     # samples stop short of the ends
        return np.array([reach.min(0) - margin, reach.max(0) + margin])

    def closed_on(self, points: np.ndarray, motion: GapMotion,
                  around: np.ndarray | None = None) -> np.ndarray:
        """
        Return which points (..., 3) are between the fingers at any time of their closing.

        :param around: the box of `around`, from who has it already.
        """
        box = self.around(motion) if around is None else around
        near = inside_box(points.reshape(-1, 3), *box)
        close = points.reshape(-1, 3)[near]
        found = self._between(close, slice(motion.first, motion.last + 1), 0.003)
        touched = np.zeros(points.shape[:-1], bool)
        touched.reshape(-1)[near[found]] = True
        return touched

    def in_hand(self, points: np.ndarray, frame: int) -> np.ndarray:
        """
        Return points (N, 3) [m] base frame as the hand sees them at a frame, (N, 3) [m].

        The columns: along the closing axis, as ``lower`` and ``upper`` are; towards the tips,
        zero where the fingers end; beside the middle of the fingers.
        """
        T = self._T_palm_base[frame]
        local = points @ T[:3, :3].T + T[:3, 3]
        across = local @ self._across.T
        low, high = self._low[frame], self._high[frame]
        return np.column_stack([local @ self.axis, across[:, 0] - high[0],
                                across[:, 1] - 0.5 * (low[1] + high[1])])

    def size(self, frame: int) -> tuple[float, float]:
        """Return how long and how wide what all fingers cover is at a frame [m]."""
        long, wide = self._high[frame] - self._low[frame]
        return float(long), float(wide)

    def samples(self, frame: int, gap: float, steps: int = 5) -> np.ndarray:
        """Return a grid of points that fills the space between the fingers, (steps^3, 3) base."""
        return self._samples(slice(frame, frame + 1), gap, steps)[0]

    def _samples(self, frames: slice, gap: float | np.ndarray, steps: int) -> np.ndarray:
        """Return `samples` of several frames at once, (F, steps^3, 3) base; gap: [m] or (F, 1)."""
        a, b, c = _lattice(steps)
        middle = 0.5 * (self.lower[frames] + self.upper[frames])[:, None]
        low, high = self._low[frames, :, None], self._high[frames, :, None]      # (F, 2, 1)
        wide = high - low
        local = ((middle + (a - 0.5) * gap)[..., None] * self.axis
                 + (low[:, 0] + b * wide[:, 0])[..., None] * self._across[0]
                 + (low[:, 1] + c * wide[:, 1])[..., None] * self._across[1])
        T = self.T_base_palm[frames]
        return local @ np.swapaxes(T[:, :3, :3], 1, 2) + T[:, None, :3, 3]

    def axis_base(self, frame: int) -> np.ndarray:
        """Return the closing axis in the base frame, (3,)."""
        return self.T_base_palm[frame, :3, :3] @ self.axis

    @property
    def middles_base(self) -> np.ndarray:
        """The point half-way between the fingers in each frame, (T, 3) [m] base frame."""
        return self._samples(slice(None), self.gap[:, None], 1)[:, 0]

    def middle_base(self, frame: int) -> np.ndarray:
        """Return the point half-way between the fingers, (3,) [m] base frame."""
        return self.samples(frame, float(self.gap[frame]), 1)[0]


@lru_cache(maxsize=4)
def _lattice(steps: int) -> tuple[np.ndarray, ...]:
    """Return the coordinates of points that fill the unit cube, each (steps^3,)."""
    unit = (np.arange(steps) + 0.5) / steps
    return tuple(axis.ravel() for axis in np.meshgrid(unit, unit, unit, indexing='ij'))


@numba.njit(cache=True, nogil=True)
def _between(points: np.ndarray, T_palm_base: np.ndarray, axes: np.ndarray, middle: np.ndarray,
             half: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """
    Return which points (N, 3) are between fingers at any of their poses (F, 4, 4), (N,) bool.

    :param axes: (3, 3) along which the fingers close, along them, and beside them; palm frame.
    :param middle: (F,) of the gap along the first axis, and `half` of its width.
    :param low: (F, 2) ends along the others, and `high`.
    """
    found = np.zeros(len(points), np.bool_)
    for f in range(len(T_palm_base)):
        T = T_palm_base[f]
        for n in range(len(points)):
            if found[n]:
                continue
            x, y, z = points[n]
            a = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]
            b = T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]
            c = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
            along = a * axes[0, 0] + b * axes[0, 1] + c * axes[0, 2]
            reach = a * axes[1, 0] + b * axes[1, 1] + c * axes[1, 2]
            beside = a * axes[2, 0] + b * axes[2, 1] + c * axes[2, 2]
            found[n] = abs(along - middle[f]) <= half[f] and low[f, 0] <= reach <= high[f, 0] \
                and low[f, 1] <= beside <= high[f, 1]
    return found
