# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion of a trajectory as polynomials, and exactly where they leave their limits."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, StartState

# u^3, u^4, u^5 and their first two derivatives at u = 1/2, to solve for the coefficients
_AT_HALF = np.linalg.inv([[1 / 8, 1 / 16, 1 / 32], [3 / 4, 1 / 2, 5 / 16], [3, 3, 5 / 2]])
_GRID = np.linspace(0.0, 1.0, 33)
_ZOOM = np.linspace(0.0, 1.0, 9)
_BATCH = 4096   # polynomials checked at once; bounds the memory for absurdly long trajectories


@dataclass(frozen=True, eq=False)
class MotionSplines:
    """What the controller would do between the points: one polynomial per segment and joint."""

    times: np.ndarray             # (S + 1,) float64 [s] knots, from 0
    joint_names: tuple[str, ...]  # joints that the trajectory moves
    coefficients: np.ndarray      # (S, 6, J) of u^0 .. u^5, u going from 0 to 1 in each segment
    start_velocities: np.ndarray  # (J,) [rad/s or m/s] measured before the first knot

    @classmethod
    def of(cls, trajectory: JointTrajectory, robot: Robot,
           start: Mapping[str, float]) -> MotionSplines:
        """
        Recover the polynomials from samples of the controller's interpolation.

        Position, velocity and acceleration at two places of a segment determine a polynomial of
        degree 5, the highest that the controller uses, so this is exact for every kind.
        """
        times = trajectory.times if trajectory.times[0] == 0 else np.r_[0.0, trajectory.times]
        if len(times) == 1:
            times = np.array([0.0, 1.0])   # one point at time 0: it is held
        h = np.diff(times)
        with np.errstate(over='ignore', invalid='ignore'):
            motion = sample_trajectory(
                trajectory, robot, np.r_[times[:-1], times[:-1] + h / 2], start)
            names = tuple(n for n in robot.joint_names if n in trajectory.joint_names)
            columns = [robot.joint_names.index(name) for name in names]
            (p, ph), (v, vh), (a, ah) = (
                np.split(x[:, columns], 2)
                for x in (motion.positions, motion.velocities, motion.accelerations))
            h = h[:, None]
            c0, c1, c2 = p, v * h, a * h**2 / 2
            rest = np.stack([ph - c0 - c1 / 2 - c2 / 4, vh * h - c1 - c2, ah * h**2 - 2 * c2])
            c3, c4, c5 = np.einsum('ij,jsk->isk', _AT_HALF, rest)
            moving = StartState.of(start).resting_where_unknown.velocities
            out = cls(times, names, np.stack([c0, c1, c2, c3, c4, c5], axis=1),
                      np.array([moving.get(name, 0.0) for name in names]))
            # NaN compares false with every limit, so it must not get any further.
            if not all(np.isfinite(out.derivative(order)).all() for order in range(4)):
                raise TrajectoryError('the numbers of the trajectory are too large to compute with')
        return out

    def derivative(self, order: int) -> np.ndarray:
        """Return the coefficients in u of a time derivative in SI units, (S, 6 - order, J)."""
        c, h = self.coefficients, np.diff(self.times)[:, None, None]
        for _ in range(order):
            c = c[:, 1:] * np.arange(1, c.shape[1])[None, :, None] / h
        return c

    def jumps(self, order: int) -> np.ndarray:
        """
        Return by how much a derivative jumps at each knot, (S + 1, J).

        Before the first knot the joints move as measured, without acceleration; after the last one
        they rest.
        """
        c = self.derivative(order)
        begins, ends = c[:, 0], c.sum(axis=1)
        rest = np.zeros((1, c.shape[2]))
        before = self.start_velocities[None] if order == 1 else rest
        return np.concatenate([begins, rest]) - np.concatenate([before, ends])


@dataclass(frozen=True)
class Exceedance:
    """A joint beyond its limit: since when, and the value farthest beyond."""

    joint: int       # index into joint_names
    time: float      # [s] when it first leaves the limits
    value: float     # the worst value
    limit: float     # the limit that this value breaks
    worst_time: float   # [s] when it has that value


def exceedances(times: np.ndarray, polynomials: np.ndarray, lower: np.ndarray,
                upper: np.ndarray) -> list[Exceedance]:
    """
    Return each joint that leaves lower..upper, at most one entry per joint.

    :param times: (S + 1,) knots [s].
    :param polynomials: (S, n, J) coefficients of u^0 .. u^(n-1), u from 0 to 1.
    :param lower: (J,), -inf where there is none; `upper` likewise.
    """
    # A polynomial stays within the hull of its Bernstein coefficients, so almost all segments
    # are cleared without computing a single value between the knots.
    hull = np.einsum('ik,skj->sij', _bernstein(polynomials.shape[1]), polynomials)
    segments, joints = np.nonzero((hull.max(axis=1) > upper) | (hull.min(axis=1) < lower))
    if not len(segments):
        return []
    c, low, high = polynomials[segments, :, joints], lower[joints], upper[joints]
    worst_u, value, beyond = (np.concatenate(parts) for parts in zip(*(
        _worst(c[i:i + _BATCH], low[i:i + _BATCH], high[i:i + _BATCH])
        for i in range(0, len(c), _BATCH))))
    out = []
    for joint in np.unique(joints[beyond > 0]):
        mine = np.flatnonzero((joints == joint) & (beyond > 0))
        row, first = mine[beyond[mine].argmax()], mine[0]    # rows are in the order of segments
        u = _leaves(c[first], worst_u[first], low[first], high[first])
        out.append(Exceedance(
            int(joint), _at(times, segments[first], u), float(value[row]),
            float(high[row] if value[row] > high[row] else low[row]),
            _at(times, segments[row], worst_u[row])))
    return out


def _worst(c: np.ndarray, low: np.ndarray,
           high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each of M polynomials is farthest beyond its limits, the value, how far."""
    def excess(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.einsum('mk,mgk->mg', c, u[..., None] ** np.arange(c.shape[1]))
        return values, np.maximum(values - high[:, None], low[:, None] - values)

    # The grid finds the highest hill; sampling an ever smaller part of it finds its top. Newton's
    # method would be quicker, but fails where the second derivative vanishes, as at a rest.
    centre, half = np.full(len(c), 0.5), 0.5
    for grid in (_GRID, *[_ZOOM] * 8):
        places = np.clip(centre[:, None] + (grid - 0.5) * (2 * half), 0.0, 1.0)
        values, beyond = excess(places)
        pick = np.arange(len(c)), beyond.argmax(axis=1)
        centre, half = places[pick], 2 * half / (len(grid) - 1)
    return centre, values[pick], beyond[pick]


def _leaves(c: np.ndarray, worst: float, low: float, high: float) -> float:
    """Return the first place up to `worst`, which is outside, where the polynomial leaves."""
    def within(u: float | np.ndarray) -> np.ndarray:
        value = np.polynomial.polynomial.polyval(u, c)
        return (low <= value) & (value <= high)

    places = np.append(_GRID[worst > _GRID], worst)
    first = int(np.argmin(within(places)))
    if first == 0:
        return float(places[0])
    inside, outside = places[first - 1], places[first]
    for _ in range(30):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if within(middle) else (inside, middle)
    return float(outside)


def _at(times: np.ndarray, segment: int, u: float) -> float:
    return float(times[segment] + u * (times[segment + 1] - times[segment]))


def _bernstein(n: int) -> np.ndarray:
    """Return the (n, n) matrix from power to Bernstein coefficients on 0..1."""
    return np.array([[math.comb(i, k) / math.comb(n - 1, k) if k <= i else 0.0
                      for k in range(n)] for i in range(n)])
