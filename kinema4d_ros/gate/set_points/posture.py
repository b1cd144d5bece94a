# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints are, and where they can be before they stand still again."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.gate.joints import JointReading
from kinema4d_ros.gate.set_points.settings import SetPointSettings
from kinema4d_ros.robot import Robot


@dataclass(frozen=True, eq=False)
class Posture:
    """All joints of a robot at one moment, in the order of `robot.joint_names`."""

    positions: np.ndarray     # (J,) float64 [rad or m]
    velocities: np.ndarray    # (J,) float64 [rad/s or m/s]
    age: float = 0.0          # [s] of the oldest of them


def cubic_overshoot(velocities: np.ndarray, lasts: float) -> np.ndarray:
    """
    Return by how much a cubic leaves the range between its ends at most, (n,) [rad or m].

    :param velocities: (n,) [rad/s or m/s] at one of its ends.
    :param lasts: [s] that it takes.
    """
    out: np.ndarray = np.abs(velocities) * lasts * 4 / 27
    return out


def posture_of(robot: Robot, readings: Mapping[str, JointReading], now: float,
               max_age: float) -> Posture | str:
    """
    Return the joints as they were measured last, or why they are not known.

    :param now: steady time [s].
    :param max_age: [s] that a measurement may be old.
    """
    positions, velocities, oldest = [], [], 0.0
    for name in robot.joint_names:
        reading = readings.get(name)
        if reading is None:
            return f'joint_states have not told where {name} is'
        age = now - reading.arrival
        if age > max_age:
            return f'joint_states of {name} are {age:.2f} s old, limit {max_age} s'
        if not math.isfinite(reading.position):
            return f'joint_states say that {name} is at {reading.position}'
        if math.isnan(reading.velocity):
            return f'how fast {name} moves is not known yet'
        if not math.isfinite(reading.velocity * reading.velocity):      # as of its way to a stand
            return f'joint_states say that {name} moves at {reading.velocity}'
        oldest = max(oldest, age)
        positions.append(reading.position)
        velocities.append(reading.velocity)
    return Posture(np.array(positions), np.array(velocities), oldest)


def stopping_way(velocities: np.ndarray, delay: float, settings: SetPointSettings) -> np.ndarray:
    """
    Return how far joints go on until they stand still, (J,) [rad or m], signed.

    :param velocities: (J,) [rad/s or m/s].
    :param delay: [s] until it is decided that they are to stop.
    """
    way: np.ndarray = velocities * (delay + settings.reaction) \
        + velocities * np.abs(velocities) / (2 * settings.deceleration)
    return way


def reachable_by_position(posture: Posture, target: np.ndarray, settings: SetPointSettings
                          ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the smallest and the largest position that each joint can have, (J,) each.

    The robot is on its way to `target` (J,), each joint at its own pace, or brakes first; then it
    stands there, whatever else happens.
    """
    here = posture.positions
    stop = here + stopping_way(posture.velocities, posture.age, settings)
    return (np.minimum(np.minimum(here, target), stop), np.maximum(np.maximum(here, target), stop))


def stops_by_velocity(posture: Posture, wanted: np.ndarray, settings: SetPointSettings
                      ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where the robot stands still again, (J,) [rad or m] each.

    It moves by velocities `wanted` (J,) until the source is taken for silent, and then brakes; or
    it does so by what it moves at now.
    """
    here, delay = posture.positions, settings.timeout + posture.age
    return (here + stopping_way(wanted, delay, settings),
            here + stopping_way(posture.velocities, delay, settings))
