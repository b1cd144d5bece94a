# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the joints move now: as their driver says, or else from where they have been."""
from __future__ import annotations

import math
from collections.abc import Callable

from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.types import StartState

_NS = 1_000_000_000
_SPAN_NS = _NS // 10    # over which a velocity is taken from positions that are dense
_GAP_NS = _NS // 2      # positions farther apart say nothing of a velocity


def start_state(states: JointStates,
                history: Callable[[str], list[tuple[int, float]]]) -> StartState:
    """
    Return the joints as a motion starts from them.

    A joint whose driver tells no velocity gets the mean one of the last 0.1 s, or between its last
    two positions where they are rarer. Where there are no two within 0.5 s it is NaN, not known.

    :param states: the newest of the robot's joints.
    :param history: returns (stamp [ns], position) of a joint by its name, newest first.
    """
    velocities = {name: states.velocities.get(name, math.nan) for name in states.positions}
    for name in [name for name, value in velocities.items() if math.isnan(value)]:
        velocities[name] = _mean_velocity(history(name))
    return StartState(states.positions, velocities)


def _mean_velocity(positions: list[tuple[int, float]]) -> float:
    """Return the velocity of (stamp [ns], position), newest first; NaN where none can be had."""
    if not positions:
        return math.nan
    newest_ns, newest = positions[0]
    earlier = [(newest_ns - stamp, position) for stamp, position in positions
               if 0 < newest_ns - stamp <= _GAP_NS]
    if not earlier:
        return math.nan
    recent = [each for each in earlier if each[0] <= _SPAN_NS] or earlier[:1]
    ago, position = recent[-1]
    return (newest - position) * _NS / ago
