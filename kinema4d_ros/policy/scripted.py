# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted pick-and-place policies with graded errors, of which success is known to differ."""
from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_chunks import ActionFormat
from kinema4d_ros.policy.pick_and_place import GRIP, lay_out, PickAndPlace
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

HAND_LINK = 'panda_hand'
ARM = tuple(f'panda_joint{number}' for number in range(1, 8))
FINGERS = 'panda_finger_joint1', 'panda_finger_joint2'
RATE = 20.0                   # [Hz] of the actions
OPEN, CLOSED = 0.04, 0.0      # [m] commanded position of each finger
_SPEED = 0.30                 # [m/s] mean of the grip point
_ACCELERATION = 3.0           # [m/s^2] largest of the grip point
_TURN = 0.5                   # [rad/s] mean of the hand
_FINGER_TIME, _WAIT = 0.5, 0.25      # [s] to move the fingers, and that the arm waits after it
_EARLY = 0.02, 0.08           # [m] above the object that hasty fingers close
_RETREAT = 0.12               # [m]


@dataclass(frozen=True)
class ScriptedErrors:
    """
    What a script does wrong; drawn anew for each run from the run's seed.

    :param aim: [m] standard deviation of the grasp, along x and along y each.
    :param place: [m] standard deviation of where the object is let go, likewise.
    :param early_closing: share of runs in which the fingers close 2 to 8 cm above the object.
    :param early_release: share of runs in which they open on the way, at a random place of it.
    :param grip: [m] the fingers stop closing at a random opening of each, up to this.
    :param speed: factor on the speed of the hand.
    """

    aim: float = 0.0
    place: float = 0.0
    early_closing: float = 0.0
    early_release: float = 0.0
    grip: float = 0.0
    speed: float = 1.0


#: name -> what it does wrong, from good to bad of each kind of error
SCRIPTED: Mapping[str, ScriptedErrors] = MappingProxyType({
    'expert': ScriptedErrors(),
    'fast': ScriptedErrors(aim=0.004, speed=1.8),
    'aim_1cm': ScriptedErrors(aim=0.012),
    'aim_3cm': ScriptedErrors(aim=0.03),
    'place_4cm': ScriptedErrors(place=0.04),
    'place_10cm': ScriptedErrors(place=0.10),
    'hasty': ScriptedErrors(early_closing=0.6),
    'slippery': ScriptedErrors(early_release=0.6),
    'weak': ScriptedErrors(grip=0.04)})


class ScriptedPolicy:
    """A script that knows the state at the start, and answers chunks of hand poses."""

    #: its client clips velocities of the arm to the robot's limits
    action_format = ActionFormat(RATE, FINGERS, limited_joints=ARM, tip_link=HAND_LINK)

    def __init__(self, start: TaskStart, errors: ScriptedErrors = ScriptedErrors(),
                 chunk: int = 10):
        """
        Make a policy for one start.

        :param chunk: actions of an answer.
        :raises PolicyError: the robot of the start has no Panda hand.
        """
        robot = Robot.from_urdf(start.robot_description)
        lacking = [name for name in (HAND_LINK, *FINGERS)
                   if name not in (*robot.link_names, *robot.joint_names)]
        if lacking:
            raise PolicyError(f'the script moves a Panda; the robot has no {", ".join(lacking)}')
        self._start, self._errors, self._chunk = start, errors, chunk
        self._robot, self._forward = robot, ForwardKinematics(robot)
        self._hand = robot.link_names.index(HAND_LINK)
        self._random = np.random.default_rng(0)
        self._rows: np.ndarray | None = None
        self._next = 0

    def reset(self, instruction: str, seed: int) -> None:
        """Begin anew; the same seed and start draw the same errors."""
        self._random = np.random.default_rng([seed, zlib.crc32(self._start.name.encode())])
        self._rows, self._next = None, 0

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """
        Return the next hand poses and finger positions: x y z [m], x y z w, fingers [m].

        :return: (at most `chunk`, 9); (0, 9) when the script has come to its end.
        """
        if self._rows is None:
            q = self._robot.configuration(observation.joint_positions, strict=False)
            self._rows = np.array(list(self._script(self._forward(q[None])[0, self._hand])))
        rows = self._rows[self._next:self._next + self._chunk]
        self._next += self._chunk
        return rows

    def _script(self, T_base_hand: np.ndarray) -> Iterator[np.ndarray]:
        """Yield all actions of the task, from where the hand is."""
        # every error is drawn, used or not, so that policies share the draws of what they share
        random, errors = self._random, self._errors
        aim, place = errors.aim * random.normal(size=2), errors.place * random.normal(size=2)
        hasty, slips = random.random(2) < [errors.early_closing, errors.early_release]
        early, way = random.uniform(*_EARLY), random.uniform(0.15, 0.85)
        closed = random.uniform(CLOSED, errors.grip)
        hand = Rotation.from_matrix(T_base_hand[:3, :3])
        task = lay_out(self._start, hand)
        grasp = task.grasp + np.r_[aim, early if hasty else 0.0]
        release = task.release + np.r_[place, 0.0]
        pen = _Pen(T_base_hand[:3, 3] + GRIP * T_base_hand[:3, 2], hand, errors.speed)
        yield from pen.move(np.r_[grasp[:2], task.raised], task.grasp_rotation)
        yield from pen.move(grasp)
        yield from pen.grip(closed)
        yield from pen.move(np.r_[grasp[:2], task.lifted])
        over = np.r_[release[:2], task.lifted]
        if slips:
            yield from pen.move(pen.place + way * (over - pen.place),
                                _between(task, way))
            yield from pen.grip(OPEN)
        yield from pen.move(over, task.release_rotation)
        yield from pen.move(release)
        yield from pen.grip(OPEN)
        yield from pen.move(release + [0, 0, _RETREAT])


def _between(task: PickAndPlace, share: float) -> Rotation:
    return Slerp([0, 1], Rotation.concatenate(
        [task.grasp_rotation, task.release_rotation]))(share)


class _Pen:
    """Draws the way of the grip point: straight lines that start and end at rest."""

    def __init__(self, place: np.ndarray, rotation: Rotation, speed: float):
        self.place, self._rotation, self._speed = place, rotation, speed
        self._opening = OPEN

    def move(self, goal: np.ndarray, rotation: Rotation | None = None) -> Iterator[np.ndarray]:
        """Yield actions that bring the grip point to a place, and turn the hand on the way."""
        turned = self._rotation if rotation is None else rotation
        length = float(np.linalg.norm(goal - self.place))
        angle = float((turned * self._rotation.inv()).magnitude())
        # minimum jerk: its peak acceleration is 5.774 length / duration^2
        duration = max(length / _SPEED, np.sqrt(5.774 * length / _ACCELERATION), angle / _TURN)
        begin, between = self.place, Slerp([0, 1], Rotation.concatenate([self._rotation, turned]))
        for share in _minimum_jerk(duration / self._speed):
            self.place = begin + share * (goal - begin)
            self._rotation = between(share)
            yield self._action()
        self._rotation = turned

    def grip(self, opening: float) -> Iterator[np.ndarray]:
        """Yield actions that move the fingers while the hand stands."""
        begin = self._opening
        for share in (*_minimum_jerk(_FINGER_TIME), *np.ones(round(_WAIT * RATE))):
            self._opening = begin + share * (opening - begin)
            yield self._action()

    def _action(self) -> np.ndarray:
        down = self._rotation.as_matrix()[:, 2]
        return np.r_[self.place - GRIP * down, self._rotation.as_quat(), [self._opening] * 2]


def _minimum_jerk(duration: float) -> np.ndarray:
    """Return the shares of the way, without 0, of a move that starts and ends at rest."""
    s = np.arange(1, max(2, int(np.ceil(duration * RATE))) + 1)
    s = s / s[-1]
    return s ** 3 * (10 - 15 * s + 6 * s ** 2)
