# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where the joints are at any time of a trajectory, as joint_trajectory_controller would have it.

The rules are those of ros2_controllers (jazzy) with its default settings:

* The fields that *both* ends of a segment have decide: positions -> linear, with velocities ->
  cubic, with accelerations -> quintic.
* Before the first point the motion is blended from the measured state, by the same rule: from
  the measured position, with the measured velocity where the first point states one, and with
  acceleration 0 where it states one (few drivers measure accelerations). A first point at time 0
  is jumped to.
* A continuous joint goes to the first point the shorter way round. The points themselves are
  taken as they are: from 3.1 to -3.1 rad it turns back by 6.2 rad.
* From the last point on, that point is held.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import TrajectoryError, UnknownJointError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.types import JointTrajectory, StartState

if TYPE_CHECKING:      # who records settings need not load what reads descriptions of robots
    from kinema4d_ros.robot.robot import Robot


@dataclass(frozen=True, eq=False)
class SampledMotion:
    """The state of all movable joints of a robot at T times."""

    times: np.ndarray             # (T,) float64 [s] from the start of the trajectory
    joint_names: tuple[str, ...]  # robot.joint_names
    positions: np.ndarray         # (T, J) float64 [rad or m]
    velocities: np.ndarray        # (T, J) float64 [rad/s or m/s]
    accelerations: np.ndarray     # (T, J) float64 [rad/s^2 or m/s^2]; 0 in linear segments


def frame_times(trajectory: JointTrajectory, frames: int) -> np.ndarray:
    """Return `frames` times from 0 to the end of the trajectory, evenly spaced, (T,) [s]."""
    if frames < 1:
        raise TrajectoryError(f'frames must be at least 1, got {frames}')
    return np.linspace(0.0, trajectory.duration, frames)


def sample_trajectory(trajectory: JointTrajectory, robot: Robot, times: np.ndarray,
                      start: Mapping[str, float]) -> SampledMotion:
    """
    Sample a trajectory.

    Joints that it does not name keep their start value; mimic joints follow their leader, so
    values for them are not used.

    :param times: (T,) float64 [s] from the start of the trajectory, in any order.
    :param start: positions [rad or m] by joint name when the trajectory starts; a StartState says
        how fast they move then, a plain mapping that they stand still. Names that the robot does
        not have are ignored (a /joint_states may carry several robots).
    :raises UnknownJointError: when the trajectory names a joint that the robot does not have.
    :raises TrajectoryError: when the controller would refuse it, or a start value is missing.
    """
    times = np.atleast_1d(np.asarray(times, np.float64))
    if times.ndim != 1 or not np.isfinite(times).all() or (len(times) and times.min() < 0):
        raise TrajectoryError('sample times must be finite, at least 0 [s], of shape (T,)')
    names = _check(trajectory, robot, start)
    rest = robot.configuration(start, strict=False)
    positions = np.repeat(rest[None], len(times), axis=0)
    velocities, accelerations = np.zeros_like(positions), np.zeros_like(positions)
    columns = [robot.joint_names.index(name) for name in names]
    picked = [trajectory.joint_names.index(name) for name in names]
    moving = StartState.of(start).velocities
    knots = _Knots(trajectory, picked, rest[columns],
                   np.array([moving.get(name, 0.0) for name in names], np.float64),
                   np.array([name in robot.continuous for name in names], bool))
    positions[:, columns], velocities[:, columns], accelerations[:, columns] = knots(times)
    return SampledMotion(times, robot.joint_names, positions, velocities, accelerations)


def is_blended_by_velocity(trajectory: JointTrajectory) -> bool:
    """Return whether the way to the first point depends on how fast the joints are before."""
    return trajectory.velocities is not None and bool(len(trajectory.times)) \
        and trajectory.times[0] > 0


def _check(trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float]) -> list[str]:
    """Refuse what the controller would refuse; return the joints that the trajectory moves."""
    mimics = {joint.name for joint in robot.joints.values()
              if joint.mimic is not None and joint.type is not JointType.FIXED}
    unknown = tuple(name for name in trajectory.joint_names
                    if name not in robot.limits and name not in mimics)
    if unknown:
        raise UnknownJointError(unknown, robot.joint_names, 'trajectory')
    if not len(trajectory.times):
        raise TrajectoryError('the trajectory has no points')
    names = [name for name in trajectory.joint_names if name not in mimics]
    if not names:
        raise TrajectoryError(
            f'{", ".join(trajectory.joint_names) or "no joint"}: the trajectory moves no joint of '
            'its own, only joints that mimic others, which no controller takes; name the joint '
            'that they follow')
    for field in ('times', 'positions', 'velocities', 'accelerations'):
        values = getattr(trajectory, field)
        if values is not None and not np.isfinite(values).all():
            point = int(np.argwhere(~np.isfinite(values))[0][0])
            raise TrajectoryError(f'{field} of trajectory point {point} are not finite')
    if trajectory.times[0] < 0:
        raise TrajectoryError(f'the first point is at {trajectory.times[0]} s, before the start')
    late = np.flatnonzero(np.diff(trajectory.times) <= 0)
    if len(late):
        i = int(late[0])
        raise TrajectoryError(
            f'times must increase from point to point, but point {i + 1} is at '
            f'{trajectory.times[i + 1]} s and point {i} at {trajectory.times[i]} s')
    if trajectory.accelerations is not None and trajectory.velocities is None:
        raise TrajectoryError('the trajectory has accelerations but no velocities, for which '
                              'joint_trajectory_controller has no interpolation; add velocities')
    missing = [name for name in names if name not in start]
    if missing and trajectory.times[0] > 0:
        raise TrajectoryError(f'the first point is at {trajectory.times[0]} s, so the motion '
                              f'begins at the current position, which is missing for '
                              f'{", ".join(missing)}')
    bad = [name for name in robot.joint_names if not np.isfinite(start.get(name, 0.0))]
    if bad:
        raise TrajectoryError(f'the start position of {", ".join(bad)} is not finite')
    if is_blended_by_velocity(trajectory):
        velocities = StartState.of(start).velocities
        bad = [name for name in names if not np.isfinite(velocities.get(name, 0.0))]
        if bad:
            raise TrajectoryError(
                f'how fast {", ".join(bad)} is at the start is not known, and the way to the first '
                f'point, at {trajectory.times[0]:g} s, depends on it')
    return names


class _Knots:
    """The points of a trajectory, the start state among them, and the splines between."""

    def __init__(self, trajectory: JointTrajectory, picked: list[int], start: np.ndarray,
                 velocity: np.ndarray, continuous: np.ndarray) -> None:
        """
        Make them of columns `picked` of the trajectory, which the other arrays, (J,), match.

        :param velocity: before the first point, where that is later than 0.
        """
        def column(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[:, picked]

        self.t = trajectory.times
        self.p = trajectory.positions[:, picked]
        self.v = column(trajectory.velocities)
        self.a = column(trajectory.accelerations)
        if self.t[0] > 0:
            nearest = np.where(continuous, self.p[0] - _shortest(start, self.p[0]), start)
            zero = np.zeros((1, len(picked)))
            self.t = np.concatenate([[0.0], self.t])
            self.p = np.concatenate([nearest[None], self.p])
            self.v = None if self.v is None else np.concatenate([velocity[None], self.v])
            self.a = None if self.a is None else np.concatenate([zero, self.a])

    def __call__(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, velocities and accelerations, each (T, J)."""
        last = len(self.t) - 1
        v = np.zeros_like(self.p) if self.v is None else self.v
        a = np.zeros_like(self.p) if self.a is None else self.a
        held = times >= self.t[last]
        position, velocity, acceleration = (
            np.repeat(x[last][None], len(times), axis=0) for x in (self.p, v, a))
        moving = np.flatnonzero(~held)
        if len(moving):
            i = np.searchsorted(self.t, times[moving], side='right') - 1
            h = (self.t[i + 1] - self.t[i])[:, None]
            c = self._coefficients(i, h, v, a)
            s = (times[moving] - self.t[i])[:, None]
            position[moving] = _polynomial(c, s)
            c = [n * x for n, x in enumerate(c)][1:]
            velocity[moving] = _polynomial(c, s)
            c = [n * x for n, x in enumerate(c)][1:]
            acceleration[moving] = _polynomial(c, s) if c else 0.0
        return position, velocity, acceleration

    def _coefficients(self, i: np.ndarray, h: np.ndarray, v: np.ndarray,
                      a: np.ndarray) -> list[np.ndarray]:
        """Return the coefficients of 1, s, s^2, ... of segments i, s being time since knot i."""
        p0, step = self.p[i], self.p[i + 1] - self.p[i]
        if self.v is None:
            return [p0, step / h]
        v0, v1 = v[i], v[i + 1]
        if self.a is None:
            return [p0, v0, (3 * step - (2 * v0 + v1) * h) / h**2,
                    ((v0 + v1) * h - 2 * step) / h**3]
        a0, a1 = a[i], a[i + 1]
        # What is left to reach at the end of the segment by the terms s^3, s^4 and s^5.
        x = step - v0 * h - a0 * h**2 / 2
        y = (v1 - v0 - a0 * h) * h
        z = (a1 - a0) * h**2
        return [p0, v0, a0 / 2, (10 * x - 4 * y + z / 2) / h**3,
                (-15 * x + 7 * y - z) / h**4, (6 * x - 3 * y + z / 2) / h**5]


def _polynomial(coefficients: list[np.ndarray], s: np.ndarray) -> np.ndarray:
    out = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        out = out * s + c
    return out


def _shortest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the shortest way from start to end on the circle; half a turn keeps its sign."""
    way = np.mod(end - start + np.pi, 2 * np.pi) - np.pi
    half = np.abs(np.abs(way) - np.pi) < 1e-9
    return np.where(half, np.where(end > start, np.abs(way), -np.abs(way)), way)
