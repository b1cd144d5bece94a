# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When to look at a motion so that nothing moves far between two looks."""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from kinema4d_ros.robot import ForwardKinematics, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory

_FEWEST, _MOST = 33, 400
_COARSE = 64            # samples that measure the way


@lru_cache(maxsize=4)
def kinematics_of(robot: Robot) -> ForwardKinematics:
    """Return the forward kinematics of a robot, built once."""
    return ForwardKinematics(robot)


def looking_times(trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float],
                  travel: float) -> np.ndarray:
    """
    Return evenly spaced times at which to look at the motion, (T,) float64 [s], 33 to 400.

    :param travel: [m] how far a link's origin moves between two looks, at most; more where the
        limit of 400 is reached.
    """
    duration = trajectory.duration
    if duration <= 0:
        return np.zeros(1)
    times = np.union1d(np.linspace(0.0, duration, _COARSE), trajectory.times)
    motion = sample_trajectory(trajectory, robot, times, start)
    origins = kinematics_of(robot)(motion.positions)[:, :, :3, 3]
    step = np.linalg.norm(np.diff(origins, axis=0), axis=-1)
    speed = (step.max(axis=1) / np.diff(times)).max() if len(times) > 1 else 0.0
    count = int(np.clip(np.ceil(speed * duration / travel - 1e-6) + 1, _FEWEST, _MOST))
    return np.linspace(0.0, duration, count)
