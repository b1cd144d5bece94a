# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a trajectory takes over from the one that is executed before it; without ROS.

A policy that streams sends its next chunk while the robot still moves along the last one. Such a
trajectory says where it begins: its first point is at time 0, and lies ahead on the path that was
checked and is executed. What the robot does from now on is then the rest of that path and after it
the new one. That whole motion is what shadow_sim is asked about, since it starts at what can be
seen now, and the trajectory is held until the robot is where it begins.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.gate.other_motions import LEAD, rounded
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.types import JointTrajectory

_SOONEST = 0.05  # [s] from now at which a handover can still be made
_TAIL = 0.05     # [s] before the handover without points, so that rounding makes no jerk of it
_STEP = 2        # samples of the path per point of the motion


@dataclass(frozen=True, eq=False)
class Handover:
    """Where and when a trajectory begins on the path that is executed."""

    time: float                  # [s] since the start of that path
    start: Mapping[str, float]   # [rad or m] joints of the trajectory there
    offset: float                # [s] in `motion` at which the trajectory begins
    motion: JointTrajectory      # all that the robot does from the question on


def find_handover(path: PathMonitor, newer: JointTrajectory, now: float,
                  tolerance: float) -> Handover | None:
    """
    Return where `newer` takes over from `path`, None where it does not begin ahead on it.

    :param now: [s] since the start of the path.
    :param tolerance: [rad or m] each joint may be off the path there.
    """
    if not len(newer.times) or newer.times[0] != 0.0 or not set(path.names) <= set(
            newer.joint_names):
        return None
    start = dict(zip(newer.joint_names, map(float, newer.positions[0])))
    time, off = path.nearest(start, now)
    if not off <= tolerance or time < now + _SOONEST:
        return None
    before = path.between(now + LEAD, time - _TAIL, start)
    parts = {}
    for name in ('positions', 'velocities', 'accelerations'):
        values = getattr(newer, name)
        if values is not None:
            parts[name] = np.concatenate([getattr(before, name)[::_STEP], values])
    times = np.concatenate([before.times[::_STEP] - now, newer.times + (time - now)])
    return Handover(time, start, time - now,
                    JointTrajectory(newer.joint_names, rounded(times), **parts))
