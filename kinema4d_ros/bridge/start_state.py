# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the joints move now: as their driver says, or else from where they have been."""
from __future__ import annotations

import math
from typing import Protocol

from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.stamped_buffer import Entry
from kinema4d_ros.types import StartState

_NS = 1_000_000_000
_SPAN_NS = _NS // 10    # over which a velocity is taken from positions that are dense
_GAP_NS = _NS // 2      # positions farther apart say nothing of a velocity


class Past(Protocol):
    """What was received of joint states."""

    def by_distance(self, stamp_ns: int, within_ns: int) -> list[Entry]:
        """Return the entries whose stamps are at most `within_ns` away, with JointStates."""


def start_state(states: JointStates, buffer: Past, at_ns: int) -> StartState:
    """
    Return the joints as a motion starts from them.

    A joint whose driver tells no velocity gets the mean one of the last 0.1 s, or between its last
    two positions where they are rarer. Where there are no two within 0.5 s it is NaN, not known.

    :param states: the newest of the robot's joints.
    :param buffer: of JointStates, to take velocities from.
    :param at_ns: stamp of the newest joint states.
    """
    velocities = {name: states.velocities.get(name, math.nan) for name in states.positions}
    silent = [name for name, value in velocities.items() if math.isnan(value)]
    if silent:
        entries = sorted(buffer.by_distance(at_ns, 2 * _GAP_NS), key=lambda entry: -entry.stamp_ns)
        for name in silent:
            velocities[name] = _mean_velocity(
                [(entry.stamp_ns, entry.value.positions[name]) for entry in entries
                 if name in entry.value.positions])
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
