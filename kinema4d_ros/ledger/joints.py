# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints went, against where the trajectory was to take them."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.robot import frame_times, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, StartState

MOST_SAMPLES = 4000     # that a history keeps; then every other one goes
_FEWEST = 5
_GAP = 1.0              # [s] without a sample after which nobody knows where the joints have been
_STEPS = 200            # of the trajectory that measured joints are compared with
_THIN = 150             # samples that stand for the motion when its clearance is measured


@dataclass(frozen=True, eq=False)
class Followed:
    """How a motion was followed; [rad or m], the worst joint."""

    path_error: float
    end_error: float
    seconds: float       # from the first sample that is away from the start to the last that moves


class JointHistory:
    """Measured joints over one motion; bounded, whatever its length."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self._times: list[float] = []
        self._positions: list[Mapping[str, float]] = []
        self._every, self._count = 1, 0

    def __len__(self) -> int:
        """Return how many samples are kept."""
        return len(self._times)

    def add(self, time: float, positions: Mapping[str, float]) -> None:
        """
        Take where the joints are; a time that is not after the one before begins anew.

        :param time: [s] of any clock; stamps that jump back are of another time line.
        :param positions: [rad or m] by name.
        """
        if self._times and time <= self._times[-1]:
            if time == self._times[-1]:
                return
            self._times, self._positions, self._every, self._count = [], [], 1, 0
        self._count += 1
        if self._count % self._every:
            return
        self._times.append(float(time))
        self._positions.append(dict(positions))
        if len(self._times) > MOST_SAMPLES:
            del self._times[1::2], self._positions[1::2]
            self._every *= 2

    def why_unknown(self) -> str | None:
        """Return why it is not known where the joints have been; None where it is."""
        if len(self._times) < _FEWEST:
            return f'{len(self._times)} joint states came while it moved, {_FEWEST} are needed'
        gap = float(np.diff(self._times).max())
        return f'no joint states came for {gap:.1f} s while it moved' if gap > _GAP else None

    def of(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return times (N,) [s] from the first sample, positions (N, J), NaN where not heard."""
        times = np.array(self._times) - (self._times[0] if self._times else 0.0)
        return times, np.array([[row.get(name, math.nan) for name in names]
                                for row in self._positions]).reshape(len(times), len(names))


def follow(history: JointHistory, trajectory: JointTrajectory, robot: Robot,
           start: Mapping[str, float]) -> Followed | None:
    """
    Compare where joints were with the path of a trajectory, at whatever speed they went.

    :param start: [rad or m] where the motion was to begin.
    :return: None where too few samples came, or none of a joint.
    """
    if history.why_unknown() is not None or not len(trajectory.times):
        return None
    motion = sample_trajectory(trajectory, robot, frame_times(trajectory, _STEPS),
                               StartState.of(start).resting_where_unknown)
    # a joint that mimics another is where that one takes it
    names = [name for name in trajectory.joint_names if name in motion.joint_names]
    times, measured = history.of(names)
    path = motion.positions[:, [motion.joint_names.index(name) for name in names]]
    wraps = np.array([name in robot.continuous for name in names])
    apart = measured[:, None] - path[None]
    apart[..., wraps] = (apart[..., wraps] + math.pi) % (2 * math.pi) - math.pi
    far = np.abs(apart).max(axis=-1)
    if not np.isfinite(far).all():
        return None
    moving = np.flatnonzero(np.abs(np.diff(measured, axis=0)).max(axis=1) > 1e-4)
    seconds = float(times[moving[-1] + 1] - times[moving[0]]) if len(moving) else 0.0
    return Followed(float(far.min(axis=1).max()), float(far[-1, -1]), seconds)


def executed(history: JointHistory, robot: Robot) -> JointTrajectory | None:
    """Return the motion as it was measured, thinned; None where that is not known."""
    if history.why_unknown() is not None:
        return None
    names = list(robot.joint_names)
    times, positions = history.of(names)
    known = np.isfinite(positions).all(axis=0)
    step = max(1, -(-len(times) // _THIN))
    index = np.unique(np.r_[np.arange(0, len(times), step), len(times) - 1])
    return JointTrajectory(tuple(name for name, heard in zip(names, known) if heard),
                           times[index], positions[index][:, known])
