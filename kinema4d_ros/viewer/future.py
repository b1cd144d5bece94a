# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted futures as the viewer keeps them: made ready once, shown any number of times."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import Verdict

if TYPE_CHECKING:
    from kinema4d_ros.viewer.execution import Execution


@dataclass(frozen=True, eq=False)
class FutureFrame:
    """One predicted frame, thinned to the point budget."""

    index: int
    count: int
    time: float                  # [s] from the start of the trajectory
    stamp_ns: int                # of the observation that was predicted from
    points: np.ndarray           # (N, 3) float16 [m], all known, in the frame of T_base_cloud
    colors: np.ndarray           # (N, 3) uint8
    is_robot: np.ndarray         # (N,) bool
    image: np.ndarray            # (H, W, 3) uint8
    T_base_cloud: np.ndarray     # (4, 4) float64
    T_base_camera: np.ndarray    # (4, 4) float64, at this frame
    joint_positions: Mapping[str, float]   # [rad or m]

    @classmethod
    def thinned(cls, budget: int, *, points: np.ndarray, colors: np.ndarray,
                robot_mask: np.ndarray, **others) -> FutureFrame:
        """
        Return a frame with at most `budget` points.

        :param points: (H, W, 3) float32 [m] in the frame of `T_base_cloud`, NaN unknown.
        :param colors: (H, W, 3) uint8.
        :param robot_mask: (H, W) bool.
        :param others: the remaining fields.
        """
        known, colors, is_robot = thin(points, budget, colors, robot_mask)
        return cls(points=known.astype(np.float16), colors=colors, is_robot=is_robot, **others)


@dataclass(frozen=True, eq=False)
class Step:
    """Where the robot would be at a time, and what the camera would see, if that is predicted."""

    time: float                            # [s] from the start of the trajectory
    joint_positions: Mapping[str, float]   # [rad or m]
    frame: FutureFrame | None = None


@dataclass(eq=False)
class Future:
    """A rollout and the verdict about it; either may come first, and either may be missing."""

    number: int                  # counts what the viewer has seen
    clock: str                   # when it came, for people
    source: str = ''             # which of the shadow simulators it came from
    frames: dict[int, FutureFrame] = field(default_factory=dict)
    motion: tuple[Step, ...] = ()     # what is shown where there are no frames
    real: dict[int, np.ndarray] = field(default_factory=dict)    # images of the execution
    verdict: Verdict | None = None
    execution: Execution | None = None      # while it may be going on
    _bounds: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def label(self) -> str:
        """One line that tells it from others."""
        word = 'predicting' if self.verdict is None else self.verdict.status.name
        return ' '.join(filter(None, (f'{self.number}.', self.clock, word, self.model)))

    @property
    def model(self) -> str:
        """What predicted it: the name of the world model and where it runs, where that is told."""
        name = '' if self.verdict is None else self.verdict.world_model
        return f'{name} ({self.source})' if name and self.source else name or self.source

    @property
    def steps(self) -> tuple[Step, ...]:
        """What can be shown, in order of time: frames as they come, or first the whole motion."""
        if self.motion and not self.is_complete:
            return self.motion
        return tuple(Step(frame.time, frame.joint_positions, frame) for frame in self.ordered)

    @property
    def is_complete(self) -> bool:
        """Whether all frames are there."""
        return bool(self.frames) and len(self.frames) == next(iter(self.frames.values())).count

    @property
    def ordered(self) -> list[FutureFrame]:
        """The frames that are there, by index."""
        return [self.frames[index] for index in sorted(self.frames)]

    def what_happened(self, index: int) -> np.ndarray | None:
        """Return the picture of the execution at a frame, or the last before it; None without."""
        if max(self.real, default=0) < max(index, 1):
            return None
        return self.real.get(max((seen for seen in self.real if seen <= index), default=-1))

    def pointmap_colors(self, frame: FutureFrame) -> np.ndarray:
        """Return the colours of a frame, (N, 3) uint8, with the robot as a pointmap."""
        if self._bounds is None:     # those of the first frame hold for all
            points = self.ordered[0].points.astype(np.float32)
            self._bounds = tuple(np.percentile(points, (2, 98), axis=0)) if len(points) else (
                np.zeros(3), np.ones(3))
        colors = frame.colors.copy()
        colors[frame.is_robot] = position_colors(frame.points[frame.is_robot], *self._bounds)
        return colors


def thin(points: np.ndarray, budget: int, *attributes: np.ndarray) -> tuple[np.ndarray, ...]:
    """
    Return at most `budget` known points, evenly taken, and the same rows of `attributes`.

    :param points: (H, W, 3) [m], NaN where unknown.
    :param attributes: (H, W, ...) arrays, one entry for each point.
    :return: (N, 3) and (N, ...).
    """
    flat = points.reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    if len(known) > budget:
        known = known[np.linspace(0, len(known) - 1, budget).astype(np.intp)]
    rows = (array.reshape(flat.shape[0], *array.shape[2:])[known] for array in attributes)
    return flat[known], *rows


def position_colors(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """
    Return x, y, z as red, green, blue: how a pointmap looks as a picture.

    :param points: (N, 3) [m].
    :param low: (3,) [m], black; `high` is white.
    """
    share = (points.astype(np.float32) - low) / np.maximum(high - low, 1e-6)
    return (np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)
