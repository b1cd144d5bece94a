# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Motions as straight lines of the hand, solved for the joints and made beforehand.

What solves a task, or fails to, is laid out in `solving.py`, what pushes, topples, drags and drops
things in `handling.py`. Every plan is made from
the scene as it is at the start, alone: straight lines of the grip point with minimum-jerk timing,
solved for the joints by damped least squares. The simulator then follows it blindly. What happens
on the way (an object between the fingers, a table in the way) therefore cannot leak into the
trajectory, which is exactly what a policy would have handed over.
"""
from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import JointTrajectory

ARM_JOINTS = tuple(f'panda_joint{i}' for i in range(1, 8))
FINGER_JOINTS = ('panda_finger_joint1', 'panda_finger_joint2')
OPEN, CLOSED = 0.04, 0.0      # [m] commanded position of each finger
SPEED = 0.35                  # [m/s] mean speed of the grip point
RETURN = 4.0                  # [1/m, 1/rad] of the elbow to where it started
TURNING = 0.6                 # [rad/s] mean speed of turning the hand
ACCELERATION = 3.0            # [m/s^2] largest of the grip point
PALM, FINGERTIP = 0.031, 0.012      # [m] from the grip point up to the palm, down to the tips
FINGER_TIME = 0.5             # [s] to open or close: at most 0.15 m/s per finger
FINGER_HOLD = 0.25            # [s] that the arm waits after the fingers' command has ended
RATE, FINE = 20, 100          # [Hz] of the points of the trajectory, of the inverse kinematics
MAX_SPEED = np.array([2.175] * 4 + [2.61] * 3) * 0.9      # [rad/s] a tenth below the limits
MAX_ACCELERATION = np.array([15, 7.5, 10, 12.5, 15, 20, 20])      # [rad/s^2] as Franka states it


class Kind(enum.StrEnum):
    """What the script sets out to do."""

    SUCCESS = 'success'
    MISSED_GRASP = 'missed_grasp'      # the fingers close 5.5 cm beside the object
    MISSED_PLACE = 'missed_place'      # released 14 cm beside the goal
    SLIP = 'slip'                      # the fingers open half-way to the goal
    INTO_TABLE = 'into_table'          # the hand goes down to 3 cm below a free spot of the table
    INACCURATE = 'inaccurate'          # a success with an error of aim drawn at random
    PUSH = 'push'                      # closed fingers push something low
    TOPPLE = 'topple'                  # closed fingers push something tall, high up
    DRAG = 'drag'                      # something is grasped and pulled along without lifting it
    DROP = 'drop'                      # something is let go well above the ground
    CARRY = 'carry'                    # something is put down elsewhere


HANDLING = frozenset({Kind.PUSH, Kind.TOPPLE, Kind.DRAG, Kind.DROP, Kind.CARRY})


class UnreachableError(EpisodeError):
    """A place that the arm does not reach, or not within its limits."""


class ArmScene(Protocol):
    """What a plan is made from, whatever simulates it; poses in the robot's base frame [m]."""

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of what stands around."""

    @property
    def movable(self) -> tuple[str, ...]:
        """Those of them that nothing fastens."""

    @property
    def arm_positions(self) -> np.ndarray:
        """Arm joint positions, (7,) float64 [rad]."""

    @property
    def arm_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest arm joint positions, (7,) each [rad]."""

    def object_pose(self, name: str) -> np.ndarray:
        """Return T_base_object, (4, 4) float64."""

    def bounds(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return lowest and highest corner (3,) [m] of an object as it lies."""

    def scratch(self) -> Any:
        """Return what `grip_kinematics` computes in."""

    def grip_kinematics(self, positions: np.ndarray,
                        scratch: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return T_base_grip (4, 4) and its Jacobian (6, 7), linear rows first."""


@dataclass(frozen=True)
class Step:
    """Move the grip point by a straight line, turning on the way, or move the fingers."""

    goal_base: np.ndarray | None       # (3,) [m], None to stay
    opening: float                     # [m] commanded position of each finger at the end
    speed: float = SPEED               # [m/s] mean speed of the grip point; it turns as slowly
    #: (3, 3) how the hand is turned from how it was at the start, base frame; None to stay
    turn: np.ndarray | None = None


def follow(scene: ArmScene, steps: list[Step], multiple: int = 1) -> JointTrajectory:
    """
    Plan a motion through steps from where the arm is now.

    :param multiple: the duration is a whole multiple of this many points of the trajectory.
    :return: arm and finger joints at 20 Hz with velocities, first point = where the arm is now.
    :raises EpisodeError: when a step cannot be reached within the joint limits.
    """
    scratch = scene.scratch()
    start = scene.arm_positions
    grip = scene.grip_kinematics(start, scratch)[0]
    stretch = 1.0
    for _ in range(4):
        points, turns, openings = _lay_out(steps, grip[:3, 3], stretch,
                                           multiple * (FINE // RATE))
        positions = _solve(scene, scratch, points, turns @ grip[:3, :3], start)
        velocities = np.gradient(positions, 1 / FINE, axis=0)
        velocities[[0, -1]] = 0.0
        accelerations = np.gradient(velocities, 1 / FINE, axis=0)
        excess = float(max((np.abs(velocities) / MAX_SPEED).max(),
                           np.sqrt((np.abs(accelerations) / MAX_ACCELERATION).max())))
        if excess <= 1.0:
            break
        stretch *= excess * 1.02
    else:
        raise UnreachableError('the script needs joint speeds or accelerations beyond the limits; '
                           'try another initial state')
    rates = np.gradient(openings, 1 / FINE)
    rates[[0, -1]] = 0.0
    pick = slice(None, None, FINE // RATE)
    fingers = np.repeat(openings[pick, None], 2, 1), np.repeat(rates[pick, None], 2, 1)
    times = np.arange(len(positions))[pick] / FINE
    return JointTrajectory(ARM_JOINTS + FINGER_JOINTS, times,
                           np.c_[positions[pick], fingers[0]],
                           np.c_[velocities[pick], fingers[1]])


def _lay_out(steps: list[Step], start: np.ndarray, stretch: float,
             multiple: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return grip points (N, 3) [m], turns (N, 3, 3), fingers (N,) [m], 100 Hz, N = k * m + 1."""
    ways, turns, grips = [start[None]], [np.eye(3)[None]], [np.array([OPEN])]
    for step in steps:
        here, turned, opening = ways[-1][-1], turns[-1][-1], grips[-1][-1]
        if step.goal_base is None:
            move = _minimum_jerk(FINGER_TIME)
            grips.append(np.r_[opening + move * (step.opening - opening),
                               np.full(round(FINGER_HOLD * FINE), step.opening)])
            ways.append(np.tile(here, (len(grips[-1]), 1)))
            turns.append(np.tile(turned, (len(grips[-1]), 1, 1)))
        else:
            way = step.goal_base - here
            turn = np.zeros(3) if step.turn is None else Rotation.from_matrix(
                step.turn @ turned.T).as_rotvec()
            length, angle = np.linalg.norm(way), np.linalg.norm(turn)
            # The peak acceleration is 5.774 length / duration^2.
            duration = max(length / step.speed, np.sqrt(5.774 * length / ACCELERATION),
                           angle / (TURNING * min(1.0, step.speed / SPEED)))
            move = _minimum_jerk(stretch * duration)
            ways.append(here + move[:, None] * way)
            turns.append(Rotation.from_rotvec(move[:, None] * turn).as_matrix() @ turned)
            grips.append(np.full(len(move), opening))
    points, openings = np.concatenate(ways), np.concatenate(grips)
    rotations = np.concatenate(turns)
    rest = -(len(points) - 1) % multiple + multiple
    return (np.r_[points, np.tile(points[-1], (rest, 1))],
            np.r_[rotations, np.tile(rotations[-1], (rest, 1, 1))],
            np.r_[openings, np.full(rest, openings[-1])])


def _minimum_jerk(duration: float) -> np.ndarray:
    """Return the way from 0 (left out) to 1 of a move that starts and ends at rest, at 100 Hz."""
    n = max(1, round(duration * FINE))
    s = np.arange(1, n + 1) / n
    return s ** 3 * (10 - 15 * s + 6 * s ** 2)


def _solve(scene: ArmScene, scratch: Any, points: np.ndarray,
           rotations: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Follow the points (N, 3) with the hand's orientations (N, 3, 3); return (N, 7) [rad]."""
    joints, configurations = start.copy(), [start.copy()]
    for index, point in enumerate(points[1:], 1):
        for trial in range(8):
            pose, jacobian = scene.grip_kinematics(joints, scratch)
            turn = rotations[index] @ pose[:3, :3].T
            error = np.r_[point - pose[:3, 3], 0.5 * np.array(
                [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])]
            if np.linalg.norm(error) < 1e-6:
                break
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + 1e-6 * np.eye(6))
            joints = joints + inverse @ error
            if not trial:
                # The seventh degree of freedom goes back to where it started, as fast as the hand
                # moves: anything else would be a jerk.
                joints = joints + (np.eye(7) - inverse @ jacobian) @ (
                    min(0.02, RETURN * float(np.linalg.norm(error))) * (start - joints))
        else:
            if np.linalg.norm(error[:3]) > 1e-3 or np.linalg.norm(error[3:]) > 0.01:
                raise UnreachableError(f'the script cannot reach {point.round(3)} m (base frame), '
                                   f'point {index} of {len(points)}')
        configurations.append(joints.copy())
    solved = np.array(configurations)
    low, high = scene.arm_limits
    if (solved < low).any() or (solved > high).any():
        raise UnreachableError('the script needs joint positions beyond the limits')
    return solved


class CubicInterpolation:
    """A trajectory between its points: cubic, as joint_trajectory_controller interpolates it."""

    def __init__(self, trajectory: JointTrajectory):
        """
        Make the interpolation of a trajectory.

        :raises EpisodeError: it has no velocities.
        """
        if trajectory.velocities is None:
            raise EpisodeError('a trajectory without velocities cannot be followed smoothly')
        self._times, self._positions = trajectory.times, trajectory.positions
        self._velocities = trajectory.velocities

    def __call__(self, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, velocities and accelerations (9,) at a time [s], ends held."""
        times, p, v = self._times, self._positions, self._velocities
        if time <= times[0] or time >= times[-1]:
            end = p[0] if time <= times[0] else p[-1]
            return end, np.zeros_like(end), np.zeros_like(end)
        i = int(np.searchsorted(times, time, 'right')) - 1
        h = times[i + 1] - times[i]
        s = time - times[i]
        way = (p[i + 1] - p[i]) / h
        c2, c3 = (3 * way - 2 * v[i] - v[i + 1]) / h, (v[i] + v[i + 1] - 2 * way) / h**2
        return (p[i] + s * (v[i] + s * (c2 + s * c3)), v[i] + s * (2 * c2 + 3 * s * c3),
                2 * c2 + 6 * s * c3)
