# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints are, how fast, and since when they stand still."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

STILL = 0.002           # [rad or m] a joint that stands still stays within this of one place
_FIRST = 0.25           # [s] that a joint is taken to have stood that was not heard before
_RESTS = 0.5            # [s] in one place, after which a joint that tells no velocity has none
_VELOCITY_SPAN = 0.045  # [s] over which the velocity of a joint is measured that tells none


@dataclass(frozen=True)
class JointReading:
    """Where a joint was when it was last heard of."""

    position: float     # [rad or m]
    stamp_ns: int       # ROS time of the measurement
    arrival: float      # steady time [s] when this measurement came, not one with its stamp again
    still_since: float = -math.inf      # steady time [s] since which it is where it is
    velocity: float = math.nan          # [rad/s or m/s] as the driver tells, or as measured here


@dataclass(frozen=True)
class _Mark:
    """A place where a joint was, and when."""

    position: float
    arrival: float


class JointTracker:
    """Makes readings of what joint_states tell, one message after the other."""

    def __init__(self) -> None:
        """Begin without any joint."""
        self.readings: Mapping[str, JointReading] = {}      # replaced, and never changed
        self._still: dict[str, _Mark] = {}          # where it stands, and since when
        self._before: dict[str, _Mark] = {}         # for the velocity
        self._velocity: dict[str, float] = {}

    def take(self, positions: Mapping[str, float], stamp_ns: int, arrival: float,
             velocities: Mapping[str, float] | None = None) -> Mapping[str, JointReading]:
        """
        Return the readings of all joints after a message.

        :param positions: [rad or m] by name.
        :param stamp_ns: ROS time of the measurement.
        :param arrival: steady time [s] when the message came.
        :param velocities: [rad/s or m/s] of joints that tell theirs.
        """
        told, new = velocities or {}, {}
        for name, position in positions.items():
            known = self.readings.get(name)
            if known is not None and (known.stamp_ns, known.position) == (stamp_ns, position):
                new[name] = known   # a driver that hangs repeats itself: nothing new was measured
                continue
            still = self._still.get(name)
            if still is None:
                still = self._still[name] = _Mark(position, arrival - _FIRST)
            elif not abs(_way(still.position, position)) <= STILL:
                still = self._still[name] = _Mark(position, arrival)
            velocity = told.get(name, math.nan)
            if math.isnan(velocity):
                velocity = self._measured(name, position, arrival)
                if arrival - still.arrival >= _RESTS and not math.isnan(velocity):
                    velocity = 0.0      # what is measured over so short a time is noise
            new[name] = JointReading(position, stamp_ns, arrival, still.arrival, velocity)
        self.readings = {**self.readings, **new}
        return self.readings

    def _measured(self, name: str, position: float, arrival: float) -> float:
        """Return the velocity between two messages that are some time apart; NaN before these."""
        before = self._before.get(name)
        if before is None:
            self._before[name] = _Mark(position, arrival)
        elif arrival - before.arrival >= _VELOCITY_SPAN:
            self._velocity[name] = _way(before.position, position) / (arrival - before.arrival)
            self._before[name] = _Mark(position, arrival)
        return self._velocity.get(name, math.nan)


def _way(one: float, other: float) -> float:
    """Return how far it is to another place; where a turning joint changes its sign it is near."""
    way = other - one
    return math.remainder(way, math.tau) if math.isfinite(way) else way
