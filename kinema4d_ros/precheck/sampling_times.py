# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""At which times to sample a motion so that nothing moves far between two samples."""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.robot import ForwardKinematics, Robot, sample_trajectory
from kinema4d_ros.types import Finding, JointTrajectory

_FEWEST, _MOST = 33, 2000
_COARSE = 64            # samples that measure the way
_SAME = 1e-9            # [of the duration] closer samples are one


@lru_cache(maxsize=4)
def kinematics_of(robot: Robot) -> ForwardKinematics:
    """Return the forward kinematics of a robot, built once."""
    return ForwardKinematics(robot)


def sampling_times(trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float],
                   travel: float, boxes: Mapping[str, np.ndarray],
                   ) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """
    Return evenly spaced times at which to sample the motion, (T,) float64 [s], 33 to 2000.

    :param travel: [m] how far any point of a link moves between two samples, at most.
    :param boxes: corners (8, 3) [m] of boxes around the links that have a shape, link frame.
    :return: the times, and a finding that forbids a PASS where 2000 samples are too few.
    """
    duration = trajectory.duration
    if duration <= 0:
        return np.zeros(1), ()
    # Two samples that differ by rounding alone would give any speed. The start is no double: the
    # robot may be elsewhere than where the trajectory begins.
    even = np.linspace(0.0, duration, _COARSE)
    after = np.searchsorted(trajectory.times, even - _SAME * duration)
    doubles = trajectory.times[np.minimum(after, len(trajectory.times) - 1)]
    even = even[(even == 0.0) | (np.abs(even - doubles) > _SAME * duration)]
    times = np.union1d(even, trajectory.times)
    motion = sample_trajectory(trajectory, robot, times, start)
    step = _farthest_steps(kinematics_of(robot)(motion.positions), robot, boxes)
    speed = (step / np.diff(times)).max() if len(times) > 1 else 0.0
    count = int(max(np.ceil(speed * duration / travel - 1e-6) + 1, _FEWEST))
    found = () if count <= _MOST else (not_checked(
        f'looking at the robot whenever it has moved by {travel:g} m would take {count} looks at '
        f'this motion, more than {_MOST}: send a shorter trajectory, or choose a larger '
        'tier0.travel and tier1.travel'),)
    return np.linspace(0.0, duration, min(count, _MOST)), found


def _farthest_steps(T_base_link: np.ndarray, robot: Robot,
                    boxes: Mapping[str, np.ndarray]) -> np.ndarray:
    """
    Return how far the farthest point of any link moves in each step, (T - 1,) [m].

    The way of a point is a convex function of its place in the link, so within the box around a
    link no point moves farther than the farthest corner.
    """
    steps = np.diff(T_base_link[:, :, :3], axis=0)                 # (T - 1, L, 3, 4)
    corners = np.zeros((len(robot.link_names), 8, 3))              # a frame is its origin
    for link, name in enumerate(robot.link_names):
        if name in boxes:
            corners[link] = boxes[name]
    ways = corners @ np.swapaxes(steps[..., :3], -1, -2) + steps[..., None, :, 3]
    return np.sqrt(ways[..., 0] ** 2 + ways[..., 1] ** 2 + ways[..., 2] ** 2).max(axis=(1, 2))
