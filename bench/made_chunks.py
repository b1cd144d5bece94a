# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of every convention, made from recorded motions by the definition of each."""
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.policy.detect import ChunkRecord, ends_of
from kinema4d_ros.robot import find_gripper, ForwardKinematics, Robot

OSC = np.repeat((0.05, 0.5), 3)
GRIPPERS = {'0..1': (0.0, 1.0), '-1..1': (-1.0, 1.0), '0..100': (0.0, 100.0), 'joint': None}


@dataclass(frozen=True)
class Convention:
    """What actions mean; the truth that a detector is asked for."""

    space: str = 'joint'
    reference: str = 'absolute'
    unit: str = 'rad'               # of joints; of a tip SI or OSC
    rotation: str = 'rotvec'
    frame: str = 'base'
    order: tuple[int, ...] = ()     # columns: joint of the arm; () as the robot
    gripper: str = '0..1'           # '' none
    opens_up: bool = False
    ahead: int = 0                  # periods that commands lead the state
    noise: float = 0.0              # of the numbers, as part of a radian or half metre


@dataclass(frozen=True, eq=False)
class Motion:
    """A recorded motion at an even rate."""

    name: str
    robot: Robot
    positions: np.ndarray           # (N, J) of robot.joint_names
    rate: float
    tip: str = ''
    arm: tuple[str, ...] = field(default=())

    def __post_init__(self):
        gripper = find_gripper(self.robot)
        object.__setattr__(self, 'arm', tuple(name for name in self.robot.joint_names
                                              if name not in gripper.finger_joints))
        if not self.tip:
            object.__setattr__(self, 'tip', gripper.palm_link)


def records_in(motion: Motion, told: Convention, *, chunks: int = 8, length: int = 10,
               seed: int = 0, after: bool = True) -> tuple[ChunkRecord, ...]:
    """Return chunks at random moments in which the arm moves."""
    random = np.random.default_rng(seed)
    where = [motion.robot.joint_names.index(name) for name in motion.arm]
    arm = motion.positions[:, where]
    last = len(arm) - length - told.ahead - 2
    moves = np.array([np.ptp(arm[k:k + length], axis=0).max() > 0.02 for k in range(last)])
    starts = np.flatnonzero(moves)
    starts = np.sort(random.choice(starts, min(chunks, len(starts)), replace=False))
    tips = ForwardKinematics(motion.robot)(motion.positions)[
        :, motion.robot.link_names.index(motion.tip)]
    out = []
    for k in starts:
        rows = np.arange(k + 1 + told.ahead, k + 1 + told.ahead + length)
        numbers = _joints(arm, k, rows, told, motion) if told.space == 'joint' else \
            _places(tips, k, rows, told, motion.rate)
        numbers = numbers + told.noise * random.normal(size=numbers.shape) * np.abs(
            numbers).mean()
        if told.gripper:
            numbers = np.hstack([numbers, _gripper(motion, rows, told)[:, None]])
        out.append(ChunkRecord(numbers, motion.positions[k],
                               motion.positions[k + 1:k + 1 + length] if after else None))
    return tuple(out)


def _joints(arm, k, rows, told, motion):
    told_at = arm[rows]
    before = np.vstack([arm[k:k + 1], told_at[:-1]]) if told.ahead == 0 else arm[rows - 1]
    numbers = {'absolute': told_at, 'start': told_at - arm[k], 'previous': told_at - before,
               'velocity': (told_at - before) * motion.rate}[told.reference]
    if told.unit == 'deg':
        numbers = np.degrees(numbers)
    if told.unit == 'normalized':
        lower = np.array([motion.robot.limits[name].lower for name in motion.arm])
        upper = np.array([motion.robot.limits[name].upper for name in motion.arm])
        middle = (lower + upper) / 2 if told.reference == 'absolute' else 0.0
        numbers = (numbers - middle) / ((upper - lower) / 200.0)
    return numbers[:, told.order] if told.order else numbers


def _places(tips, k, rows, told, rate):
    out = []
    for row in rows:
        base = {'absolute': np.eye(4), 'start': tips[k]}.get(told.reference, tips[row - 1])
        step = np.linalg.inv(base) @ tips[row]
        if told.frame == 'base' and told.reference != 'absolute':
            step[:3, :3] = tips[row][:3, :3] @ base[:3, :3].T
            step[:3, 3] = tips[row][:3, 3] - base[:3, 3]
        turn = Rotation.from_matrix(step[:3, :3])
        turns = {'rotvec': turn.as_rotvec, 'quaternion': turn.as_quat,
                 'rpy': lambda turn=turn: turn.as_euler('xyz')}[told.rotation]()
        numbers = np.r_[step[:3, 3], turns]
        if told.reference == 'velocity':
            numbers = numbers * rate
        out.append(numbers / OSC if told.unit == 'OSC' else numbers)
    return np.array(out)


def _gripper(motion, rows, told):
    ends = ends_of(motion.robot)
    name, (opened, closed) = next(iter(ends.items()))
    at = motion.positions[rows, motion.robot.joint_names.index(name)]
    if GRIPPERS[told.gripper] is None:
        return at
    opening = np.clip((at - closed) / (opened - closed), 0, 1)
    low, high = GRIPPERS[told.gripper]
    part = (opening if told.opens_up else 1 - opening) > 0.5    # as policies tell it: all or none
    return low + part * (high - low)
