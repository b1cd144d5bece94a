# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where joint_trajectory_controller has its joints at a time of a trajectory message.

Written from the behaviour of ros2_controllers 4.42 (jazzy), and from nothing of the package under
test: it is an oracle for `sample_trajectory`. Times are whole nanoseconds, as the controller's.
"""
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Point:
    """A point of a trajectory; arrays (J,) in the controller's order of joints."""

    after: int                              # [ns] from the start of the trajectory
    positions: np.ndarray
    velocities: np.ndarray | None = None
    accelerations: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """What a trajectory has the joints do at a time."""

    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray
    segment: int        # the point that the segment begins with; 0 also before the first
    ended: bool         # the last point has been reached


class Spline:
    """A trajectory, blended to its first point from the state in which it is first sampled."""

    def __init__(self, points: list[Point], start: int = 0):
        """Make it; `start` [ns] is the stamp of its header, 0 being when it is first sampled."""
        self.points, self.start = points, start
        self._before: Point | None = None       # its `after` is a time, not since the start

    @property
    def begun(self) -> bool:
        """Whether it has been sampled."""
        return self._before is not None

    def begin(self, now, place, speed=None, continuous=None):
        """Give the state that it is blended from; speed None is one that nobody measures."""
        first = self.points[0]
        if speed is None and first.velocities is not None:
            speed = np.zeros_like(place)
        accelerations = None if first.accelerations is None else np.zeros_like(place)
        place = np.array(place, float)
        if continuous is not None:
            place = np.where(continuous, _nearest(place, first.positions), place)
        self._before = Point(now, place, speed, accelerations)
        self.start = self.start or now

    def sample(self, now) -> Sample:
        """Return what it says for a time [ns]."""
        begins = self.start + self.points[0].after
        if now < begins:
            return _between(self._before, replace(self.points[0], after=begins), now, 0)
        since = now - self.start
        for i, (a, b) in enumerate(pairwise(self.points)):
            if a.after <= since < b.after:
                return _between(a, b, since, i)
        last = self.points[-1]
        rest = np.zeros_like(last.positions)
        return Sample(last.positions, rest if last.velocities is None else last.velocities,
                      rest if last.accelerations is None else last.accelerations,
                      len(self.points) - 1, True)


def _between(a: Point, b: Point, now: int, segment: int) -> Sample:
    """Interpolate by the fields that both ends have."""
    h, s = (b.after - a.after) / NS, (now - a.after) / NS
    has_v = a.velocities is not None and b.velocities is not None
    has_a = a.accelerations is not None and b.accelerations is not None
    if has_a and not has_v:         # there is no branch for it: nothing is filled in
        return Sample(*np.zeros((3, len(a.positions))), segment, False)
    knots = [(a.positions, b.positions)]
    if has_v:
        knots.append((a.velocities, b.velocities))
    if has_a:
        knots.append((a.accelerations, b.accelerations))
    c = _coefficients(knots, h)
    return Sample(*(polyval(s, polyder(c, order)) for order in range(3)), segment, False)


def _coefficients(knots, h):
    """Return those of the polynomial (N, J) that meets value and derivatives at 0 and h [s]."""
    orders, size = range(len(knots)), 2 * len(knots)
    rows, right = [], []
    for order, (begin, end) in zip(orders, knots):
        for at, value in (0.0, begin), (h, end):
            rows.append([_falling(power, order) * at ** max(power - order, 0)
                         for power in range(size)])
            right.append(value)
    return np.linalg.solve(np.array(rows, float), np.array(right, float))


def _falling(power, order):
    """Return power * (power - 1) * ..., `order` factors: what differentiating leaves."""
    return float(np.prod([power - i for i in range(order)]))


def _nearest(place, target):
    """Return the turn of `place` from which `target` is reached the shorter way round."""
    way = np.remainder(target - place + np.pi, 2 * np.pi) - np.pi
    half = np.abs(np.abs(way) - np.pi) < 1e-9
    way = np.where(half, np.where(target > place, np.abs(way), -np.abs(way)), way)
    return target - way
