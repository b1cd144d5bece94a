# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The workspace box: where the links may be, in the base frame."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.precheck.numbers import distinct
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, plain_point, Severity

_PERIOD, _FEWEST, _MOST = 0.05, 32, 256   # [s] between samples, and bounds of their number
_STILL = 1e-6                             # [m] a link that moves less stands still


def check_workspace(trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float],
                    box: tuple[float, ...]) -> list[Finding]:
    """
    Return where the origin of a moving link first leaves the box, one finding per link.

    The motion is checked at every point of the trajectory and at 20 Hz between (32 to 256
    samples). Links that stand still are the cell's business, not the trajectory's.

    :param box: x0 y0 z0 x1 y1 z1 [m].
    """
    duration = trajectory.duration
    count = int(np.clip(duration / _PERIOD, _FEWEST, _MOST))
    times = np.union1d(np.linspace(0.0, duration, count), trajectory.times)
    motion = sample_trajectory(trajectory, robot, times, start)
    origins = kinematics_of(robot)(motion.positions)[:, :, :3, 3]           # (T, L, 3)
    low, high = np.array(box[:3]), np.array(box[3:])
    beyond = np.maximum(low - origins, origins - high)                    # (T, L, 3)
    moving = np.ptp(origins, axis=0).max(axis=-1) > _STILL
    found = []
    for link in np.flatnonzero(moving & (beyond > 0).any(axis=(0, 2))):
        first = int((beyond[:, link] > 0).any(axis=1).argmax())
        worst, axis = np.unravel_index(beyond[:, link].argmax(), beyond[:, link].shape)
        value = float(origins[worst, link, axis])
        limit = float(high[axis] if value > high[axis] else low[axis])
        shown, bound = distinct(value, limit)
        name, letter = robot.link_names[link], 'xyz'[axis]
        found.append(Finding(
            FindingCode.WORKSPACE, Severity.FAIL,
            f"link '{name}' would leave the workspace: {letter} = {shown} m at "
            f'{times[worst]:.2f} s, limit {bound}; outside since {times[first]:.2f} s',
            link=name, point_base=plain_point(origins[worst, link]),
            time=float(times[first]), value=value, limit=limit, unit='m'))
    return found
