# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trajectories that somebody has to choose from, each with its verdict and its motion."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.robot import frame_times, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, Verdict
from kinema4d_ros.viewer.future import Step

_STEPS = 49


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of several trajectories from the same start."""

    rollout_id: str
    verdict: Verdict
    motion: tuple[Step, ...]      # empty when the trajectory cannot be followed
    source: str = ''              # names the shadow simulator, where there are several

    @classmethod
    def of(cls, rollout_id: str, verdict: Verdict, trajectory: JointTrajectory | None,
           robot: Robot, start: Mapping[str, float], source: str = '') -> Candidate:
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
            Step(time, dict(zip(motion.joint_names, row)))
            for time, row in zip(motion.times.tolist(), motion.positions.tolist())), source)
