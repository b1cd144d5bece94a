# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_msgs/JointTrajectory and sensor_msgs/JointState to and from the core's types."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from kinema4d_ros.errors import ObservationError, TrajectoryError
from kinema4d_ros.types import JointTrajectory

_LONGEST = 2.0**31 - 1      # [s] that a Duration can hold


def duration_seconds(duration: Duration) -> float:
    """Return a Duration in seconds."""
    return duration.sec + duration.nanosec * 1e-9


def duration_message(seconds: float) -> Duration:
    """
    Return `seconds` as a Duration; negative ones have negative sec, as ROS wants it.

    :raises TrajectoryError: it is not finite, or does not fit.
    """
    if not abs(seconds) < _LONGEST:
        raise TrajectoryError(f'a time must be finite, and below 2**31 s, got {seconds}')
    sec, nanosec = divmod(round(float(seconds) * 1e9), 1_000_000_000)
    return Duration(sec=int(sec), nanosec=int(nanosec))


def time_message(nanoseconds: int) -> Time:
    """Return nanoseconds as a Time."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def stamp_ns(stamp: Time) -> int:
    """Return a builtin_interfaces/Time in nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def trajectory_from_message(message: JointTrajectoryMessage) -> JointTrajectory:
    """
    Return the trajectory as arrays; NaN, bad times and unknown names pass, for the precheck.

    :raises TrajectoryError: when a point does not hold one value per joint (or, for velocities
        and accelerations, none in any point).
    """
    names = tuple(message.joint_names)
    return JointTrajectory(
        joint_names=names,
        times=np.array([duration_seconds(p.time_from_start) for p in message.points]),
        positions=_column(message, 'positions'),
        velocities=_optional_column(message, 'velocities'),
        accelerations=_optional_column(message, 'accelerations'))


def _optional_column(message: JointTrajectoryMessage, name: str) -> np.ndarray | None:
    """Return one field of all points as (N, J) float64, None where no point fills it."""
    if not any(len(getattr(point, name)) for point in message.points):
        return None
    return _column(message, name, f'; fill {name} in every point or in none')


def _column(message: JointTrajectoryMessage, name: str, advice: str = '') -> np.ndarray:
    """Return one field of all points as (N, J) float64."""
    joints = len(message.joint_names)
    rows = [getattr(point, name) for point in message.points]
    for index, row in enumerate(rows):
        if len(row) != joints:
            raise TrajectoryError(
                f'point {index} of {len(rows)} of the trajectory has {len(row)} {name} for '
                f'{joints} joints ({", ".join(message.joint_names)}){advice}')
    return np.array(rows, np.float64).reshape(len(rows), joints)


def trajectory_message(trajectory: JointTrajectory, header: Header | None = None
                       ) -> JointTrajectoryMessage:
    """Return the message of a trajectory (time_from_start is rounded to nanoseconds)."""
    message = JointTrajectoryMessage(joint_names=list(trajectory.joint_names))
    if header is not None:
        message.header = header
    for index, time in enumerate(trajectory.times):
        point = JointTrajectoryPoint(time_from_start=duration_message(time))
        for name in ('positions', 'velocities', 'accelerations'):
            values = getattr(trajectory, name)
            if values is not None:
                setattr(point, name, values[index].tolist())
        message.points.append(point)
    return message


class JointStates(NamedTuple):
    """What one message, or several of them, tell of joints; in any order, by name."""

    positions: dict[str, float]     # [rad or m], finite
    velocities: dict[str, float]    # [rad/s or m/s], finite; of joints that have a position here
    unusable: dict[str, str] = {}   # joint -> why its position is none; never changed

    def of(self, names: Iterable[str]) -> JointStates:
        """Return what is told of the joints `names`, in their order."""
        wanted = tuple(names)
        return JointStates(
            {name: self.positions[name] for name in wanted if name in self.positions},
            {name: self.velocities[name] for name in wanted if name in self.velocities},
            {name: self.unusable[name] for name in wanted if name in self.unusable})


def joint_states(message: JointState) -> JointStates:
    """
    Return the positions and velocities of whatever joints a message has.

    A joint whose position is not finite is left out alone: joint_state_broadcaster sends NaN for
    what a joint does not measure, such as the position of a wheel. So is one that is named twice
    with two positions. Velocities are optional: fewer or more than there are names count as none.
    A message without any position, as a driver of velocities or efforts alone sends it, says
    nothing of where joints are; that is what JointState provides for.

    :raises ObservationError: names and positions do not match.
    """
    names, positions = message.name, message.position
    if not len(positions):
        return JointStates({}, {}, {})
    if len(names) != len(positions):
        raise ObservationError(
            f'joint state has {len(names)} names but {len(positions)} positions')
    velocities = message.velocity if len(message.velocity) == len(names) else ()
    found: dict[str, float] = {}
    speeds: dict[str, float] = {}
    unusable: dict[str, str] = {}
    for index, name in enumerate(names):
        position = float(positions[index])
        if not math.isfinite(position):
            unusable[name] = f'its position is {position}'
        elif found.get(name, position) != position:
            unusable[name] = f'it is named twice, with positions {found[name]} and {position}'
        else:
            found[name] = position
            if len(velocities) and math.isfinite(velocities[index]):
                speeds[name] = float(velocities[index])
    for name in unusable:
        found.pop(name, None)
        speeds.pop(name, None)
    return JointStates(found, speeds, unusable)


def joint_positions(message: JointState) -> dict[str, float]:
    """Return name -> position [rad or m], of what `joint_states` can use; raises as it does."""
    return joint_states(message).positions


def joint_state_message(positions: Mapping[str, float], header: Header,
                        velocities: Mapping[str, float] | None = None) -> JointState:
    """Return a JointState; with velocities [rad/s or m/s] where they are given for all joints."""
    return JointState(header=header, name=[str(name) for name in positions],
                      position=[float(value) for value in positions.values()],
                      velocity=[float(velocities[name]) for name in positions]
                      if velocities else [])
