# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How far the joints have come along a path, whatever the clock says.

A robot whose speed is scaled, that is paused, or that starts late is where it was to be, only
later. It can be later by any time, and not earlier than the clock allows. From one reading to the
next it goes back by no more than noise, and ahead by no more than has passed, or as far as the path
stays near it: so progress does not jump where the path meets itself.
"""
from __future__ import annotations

from collections.abc import Mapping

from kinema4d_ros.gate.path_monitor import PathPlace, PathMonitor

_BACK = 0.1     # [s] by which noise may take progress back
_SLACK = 0.1    # [s] by which it may come further from one reading to the next than time does
_FAR = 5.0      # [s] looked ahead at most


class PathProgress:
    """Follows live joints along the path of a trajectory."""

    def __init__(self, path: PathMonitor, window: float, *, wait: float = 0.0, at: float = 0.0):
        """
        Begin at the start of the path.

        :param window: [s] by which joints may be earlier than the clock, or make up what they
            lag behind.
        :param wait: [s] for which the joints are to stand at the start first.
        :param at: [s] where on the path they are already.
        """
        self.path, self._window, self._wait = path, window, wait
        self.at = self._began = at      # [s] on the path
        self.moved_at = 0.0             # [s] since the start, when they came further last
        self._furthest, self._seen, self._measured = at, 0.0, -window

    @property
    def has_arrived(self) -> bool:
        """Whether they are at the end."""
        return self.at >= self.path.duration

    def update(self, positions: Mapping[str, float], elapsed: float, age: float = 0.0,
               speed: float = 1.0) -> PathPlace:
        """
        Take where the joints are; return where on the path that is, and how far they are off it.

        :param elapsed: [s] since the start, by a clock that never steps back.
        :param age: [s] by which the positions are older than that.
        :param speed: share of the speed at which the robot moves, as it tells: where the path
            stands still, positions do not.
        """
        clock, end = self._clock(elapsed), self.path.duration
        # What comes late in a burst was measured over a longer time than it came in.
        step = max(elapsed - self._seen, elapsed - age - self._measured, 0.0)
        self._seen, self._measured = elapsed, elapsed - age
        most = min(max(self.at, clock + self._window), end)
        expected = min(self.at + speed * min(step, max(clock - self._began, 0.0)), most)
        found = self.path.best(
            positions, max(self._furthest - _BACK, 0.0), min(self.at + step + _SLACK, most),
            min(most, self.at + step + _FAR), expected)
        # Finer than samples are, or small steps would never lead to the next one.
        near = abs(found.time - expected) <= self.path.step
        self.at = expected if near else found.time
        if self.at > self._furthest or clock <= self._began or self.has_arrived:
            self._furthest, self.moved_at = max(self.at, self._furthest), elapsed
        return found

    def expect(self, elapsed: float) -> float:
        """
        Return where on the path the controller is [s].

        That is where the clock is while the joints do not lag behind it by more than the window.
        """
        clock = self._clock(elapsed)
        return clock if self.at <= clock <= self.at + self._window else self.at

    def late_at(self, elapsed: float) -> float:
        """Return by how much they are later than the clock [s], should they not have moved on."""
        return max(0.0, self._clock(elapsed) - self.at)

    def _clock(self, elapsed: float) -> float:
        return elapsed - self._wait + self._began
