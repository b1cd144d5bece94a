# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a trajectory would start as it was judged to; without ROS."""
from __future__ import annotations

import math

from kinema4d_ros.robot import is_blended_by_velocity
from kinema4d_ros.types import JointTrajectory, StartState

#: by how much a blend leaves its way at most, for each rad/s at its start and each second that it
#: lasts: the largest values of s (1 - s)^2 and, with accelerations, of s - 6 s^3 + 8 s^4 - 3 s^5
_CUBIC, _QUINTIC = 4 / 27, 16 / 81


def why_start_differs(trajectory: JointTrajectory, judged: StartState, live: StartState,
                      tolerance: float) -> str | None:
    """
    Return why the controller would take another way than was judged, None where it would not.

    It blends from where the joints are and from how fast they move when it receives a trajectory,
    so both make a difference: together they must not lead any joint away by more than `tolerance`.

    :param judged: that the verdict carries: the joints from which the motion was judged.
    :param live: the joints now; NaN velocities are not known.
    :param tolerance: [rad or m].
    """
    if not judged:
        return 'the verdict does not tell from which joints it was judged'
    over = 0.0      # [s] times the factor that makes a difference of velocity one of position
    if is_blended_by_velocity(trajectory):
        over = float(trajectory.times[0]) * (
            _CUBIC if trajectory.accelerations is None else _QUINTIC)
    for name, position in judged.items():
        if name not in live:
            return f'joint_states do not tell where {name} is'
        moved = abs(live[name] - position)
        speed = 0.0
        if over and name in trajectory.joint_names:
            speed = abs(live.velocities.get(name, 0.0) - judged.velocities.get(name, 0.0))
        if math.isnan(speed):
            return f'how fast {name} moves is not known, and the way to the first point ' \
                'depends on it'
        if not moved + over * speed <= tolerance:
            how = f'is {moved:.4f} from where' if not speed else \
                f'is {moved:.4f} from where, and {speed:.4f} per second faster or slower than'
            return (f'{name} {how} the motion was judged to start, which leads it '
                    f'{moved + over * speed:.4f} away, limit {tolerance:g}')
    return None
