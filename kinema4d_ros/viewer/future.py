# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What would happen: predicted futures, and the motions of candidates, as the viewer keeps them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.robot import frame_times, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, Verdict
from kinema4d_ros.viewer.execution import ExecutionMatcher
from kinema4d_ros.viewer.future_frame import FutureFrame, OtherPicture, position_colors

_STEPS = 49      # of a candidate's motion


@dataclass(frozen=True, eq=False)
class MotionStep:
    """Where the robot would be at a time, and what the camera would see, if that is predicted."""

    time: float                            # [s] from the start of the trajectory
    joint_positions: Mapping[str, float]   # [rad or m]
    frame: FutureFrame | None = None


@dataclass(frozen=True, eq=False)
class CandidateTrajectory:
    """One of several trajectories from the same start."""

    rollout_id: str
    verdict: Verdict
    motion: tuple[MotionStep, ...]      # empty when the trajectory cannot be followed
    source: str = ''              # names the shadow simulator, where there are several

    @classmethod
    def of(cls, rollout_id: str, verdict: Verdict, trajectory: JointTrajectory | None,
           robot: Robot, start: Mapping[str, float], source: str = '') -> CandidateTrajectory:
        """
        Return a candidate with its motion sampled.

        :param start: positions [rad or m] by joint name when the trajectory starts.
        """
        if trajectory is None:
            return cls(rollout_id, verdict, (), source)
        try:
            motion = sample_trajectory(trajectory, robot, frame_times(trajectory, _STEPS), start)
        except Kinema4DError:      # the verdict says what is wrong with it
            return cls(rollout_id, verdict, (), source)
        return cls(rollout_id, verdict, tuple(
            MotionStep(time, dict(zip(motion.joint_names, row)))
            for time, row in zip(motion.times.tolist(), motion.positions.tolist())), source)


@dataclass(eq=False)
class Future:
    """A rollout and the verdict about it; either may come first, and either may be missing."""

    number: int                  # counts what the viewer has seen
    clock: str                   # when it came, for people
    source: str = ''             # which of the shadow simulators it came from
    frames: dict[int, FutureFrame] = field(default_factory=dict)
    motion: tuple[MotionStep, ...] = ()     # what is shown where there are no frames
    views: dict[int, dict[str, OtherPicture]] = field(default_factory=dict)   # of more cameras
    #: pictures of the execution, by the name of the camera
    real: dict[int, Mapping[str, np.ndarray]] = field(default_factory=dict)
    verdict: Verdict | None = None
    execution: ExecutionMatcher | None = None      # while it may be going on
    _bounds: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def label(self) -> str:
        """One line that distinguishes it from others."""
        word = 'predicting' if self.verdict is None else self.verdict.status.name
        return ' '.join(filter(None, (f'{self.number}.', self.clock, word, self.model)))

    @property
    def model(self) -> str:
        """What predicted it: the name of the world model and where it runs, where that is known."""
        name = '' if self.verdict is None else self.verdict.world_model
        return f'{name} ({self.source})' if name and self.source else name or self.source

    @property
    def steps(self) -> tuple[MotionStep, ...]:
        """What can be shown, in order of time: frames as they come, or first the whole motion."""
        if self.motion and not self.is_complete:
            return self.motion
        return tuple(MotionStep(frame.time, frame.joint_positions, frame) for frame in self.ordered)

    @property
    def is_complete(self) -> bool:
        """Whether all frames are there."""
        return bool(self.frames) and len(self.frames) == next(iter(self.frames.values())).count

    @property
    def ordered(self) -> list[FutureFrame]:
        """The frames that are there, by index."""
        return [self.frames[index] for index in sorted(self.frames)]

    def add(self, frame: FutureFrame) -> None:
        """Take a frame, with what came of it from more cameras before."""
        self.frames[frame.index] = replace(
            frame, others={**frame.others, **self.views.get(frame.index, {})})

    def add_view(self, index: int, camera: str, picture: OtherPicture) -> None:
        """Take what one more camera would see at a frame, which may come later."""
        self.views.setdefault(index, {})[camera] = picture
        if index in self.frames:
            self.add(self.frames[index])

    def what_happened(self, index: int) -> Mapping[str, np.ndarray] | None:
        """Return the pictures of the execution at a frame, or the last before; None without."""
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
