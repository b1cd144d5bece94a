# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the joints move now: as their driver says, or else from where they have been."""
from __future__ import annotations

import math
from collections.abc import Sequence
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
    # First of what is mostly enough: at 500 Hz a fifth of what there may be, and a robot waits.
    for gap_ns in (_SPAN_NS, _GAP_NS):
        if not silent:
            break
        entries = sorted(buffer.by_distance(at_ns, 2 * gap_ns), key=lambda entry: -entry.stamp_ns)
        velocities |= {name: _mean_velocity(name, entries, at_ns, gap_ns) for name in silent}
        silent = [name for name in silent if math.isnan(velocities[name])]
    return StartState(states.positions, velocities)


def _mean_velocity(name: str, entries: Sequence[Entry], at_ns: int, gap_ns: int) -> float:
    """
    Return the velocity of a joint from entries, newest first; NaN where none can be had.

    :param entries: all that are at most twice `gap_ns` from `at_ns`.
    :param gap_ns: positions farther apart are left out.
    """
    newest = next((entry for entry in entries if name in entry.value.positions), None)
    if newest is None or gap_ns < _GAP_NS and newest.stamp_ns < at_ns - gap_ns:
        return math.nan      # what is before it may not be among these
    earliest = next((entry for entry in reversed(entries)
                     if newest.stamp_ns - entry.stamp_ns <= _SPAN_NS
                     and name in entry.value.positions), newest)
    if earliest.stamp_ns == newest.stamp_ns:       # they are rarer
        earliest = next((entry for entry in entries
                         if 0 < newest.stamp_ns - entry.stamp_ns <= gap_ns
                         and name in entry.value.positions), newest)
    ago = newest.stamp_ns - earliest.stamp_ns
    if ago == 0:
        return math.nan
    moved = newest.value.positions[name] - earliest.value.positions[name]
    return float(moved * _NS / ago)
