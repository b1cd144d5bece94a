# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What columns of actions may mean, and the motion that they stand for if they mean it."""
from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.preset import normalized_range
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

#: [m] that counts like a radian where motions of a tip are compared with those of joints
METRE_SCALE = 0.5
_OSC = (0.05, 0.5)      # [m], [rad] that robosuite's OSC_POSE makes of 1
_UNIT_NORM = 0.01       # by which a policy's quaternion may miss it
#: of changes, which are all next to no rotation: a gripper's -1 after small angles is near 1 too
_UNIT_NORM_OF_CHANGES = 1e-5


class ActionKind(enum.StrEnum):
    """What the numbers are added to; `Reference` and velocity together."""

    ABSOLUTE = 'absolute'
    START = 'start'
    PREVIOUS = 'previous'
    VELOCITY = 'velocity'


@dataclass(frozen=True)
class Hypothesis:
    """One meaning of the columns of the arm."""

    space: str              # joint or tip
    kind: ActionKind
    unit: str               # rad, deg, normalized; of a tip SI, or OSC (-1..1 of 0.05 m, 0.5 rad)
    first: int              # column that it begins in
    width: int              # columns
    rotation: str = ''      # of a tip: rotvec, rpy, quaternion
    frame: str = ''         # of a tip that is not absolute: base or tip
    link: str = ''


@dataclass(frozen=True, eq=False)
class ChunkScene:
    """The records as arrays, and the robot's kinematics in them."""

    robot: Robot
    rate: float
    arm: tuple[str, ...]
    tips: tuple[str, ...]           # links that places may be of, the likeliest first
    actions: np.ndarray             # (R, N, D)
    state: np.ndarray               # (R, J) of the robot
    after: np.ndarray | None        # (R, M, J)
    T_base_tip: dict[str, np.ndarray]           # link -> (R, 4, 4)
    T_after: dict[str, np.ndarray]              # link -> (R, M, 4, 4); empty without `after`

    @property
    def arm_state(self) -> np.ndarray:
        """(R, joints of the arm) [rad]."""
        out: np.ndarray = self.state[:, [self.robot.joint_names.index(name) for name in self.arm]]
        return out

    def driven(self, space: str, link: str = '') -> np.ndarray | None:
        """Return how the arm moved from the state on, (R, M, C); None where nobody knows."""
        if self.after is None:
            return None
        if space == 'joint':
            columns = [self.robot.joint_names.index(name) for name in self.arm]
            out: np.ndarray = self.after[:, :, columns] - self.arm_state[:, None]
            return out
        return displaced(self.T_after[link][..., :3, 3], self.T_after[link][..., :3, :3],
                         self.T_base_tip[link])


def make_scene(robot: Robot, rate: float, arm: tuple[str, ...], tips: tuple[str, ...],
               actions: np.ndarray, state: np.ndarray, after: np.ndarray | None) -> ChunkScene:
    """Return the scene with its forward kinematics."""
    fk = ForwardKinematics(robot)
    here = fk(state)
    T_base_tip = {link: here[:, robot.link_names.index(link)] for link in tips}
    T_after = {}
    if after is not None:
        there = fk(after.reshape(-1, after.shape[-1]))
        T_after = {link: there[:, robot.link_names.index(link)].reshape(*after.shape[:2], 4, 4)
                   for link in tips}
    return ChunkScene(robot, rate, arm, tips, actions, state, after, T_base_tip, T_after)


def displaced(places: np.ndarray, rotations: np.ndarray, T_base_tip: np.ndarray) -> np.ndarray:
    """Return how far (R, N, 3) and (R, N, 3, 3) are from (R, 4, 4): (R, N, 6), in radians each."""
    turned = rotations @ np.swapaxes(T_base_tip[:, None, :3, :3], -1, -2)
    flat = Rotation.from_matrix(turned.reshape(-1, 3, 3)).as_rotvec()
    moved = (places - T_base_tip[:, None, :3, 3]) / METRE_SCALE
    return np.concatenate([moved, flat.reshape(moved.shape)], axis=-1)


def hypotheses(scene: ChunkScene) -> Iterator[Hypothesis]:
    """Yield all meanings that fit the number of columns."""
    columns, joints = scene.actions.shape[2], len(scene.arm)
    extra = 2 + len(scene.robot.joint_names) - joints
    if joints <= columns <= joints + extra:
        units = ['rad', 'deg']
        try:
            normalized_range(scene.robot, scene.arm)
            units.append('normalized')
        except ConfigurationError:
            pass            # a joint without a range
        for first in sorted({0, columns - joints}):
            for kind in ActionKind:
                for unit in units:
                    yield Hypothesis('joint', kind, unit, first, joints)
    for width, rotations in ((6, ('rotvec', 'rpy')), (7, ('quaternion',))):
        if not width <= columns <= width + extra:
            continue
        norms = np.linalg.norm(scene.actions[:, :, 3:7], axis=2)
        off = float(np.abs(norms - 1).max()) if width == 7 else 0.0
        for rotation in rotations if off <= _UNIT_NORM else ():
            for link in scene.tips:
                yield Hypothesis('tip', ActionKind.ABSOLUTE, 'SI', 0, width, rotation, '', link)
            if off > _UNIT_NORM_OF_CHANGES:
                continue
            changes = [ActionKind.START, ActionKind.PREVIOUS]
            if width == 6:
                changes.append(ActionKind.VELOCITY)
            for kind in changes:
                controller = width == 6 and kind is ActionKind.PREVIOUS
                for frame in ('base', 'tip'):
                    for unit in ('SI', 'OSC') if controller else ('SI',):
                        yield Hypothesis('tip', kind, unit, 0, width, rotation, frame,
                                         scene.tips[0])


def scales(scene: ChunkScene, told: Hypothesis) -> tuple[np.ndarray, np.ndarray]:
    """Return SI units per number and what is added, each (columns of the arm,)."""
    if told.space == 'tip':
        per = (1.0, 1.0) if told.unit == 'SI' else _OSC
        return np.repeat(per, (3, told.width - 3)), np.zeros(told.width)
    ones = np.ones(told.width)
    if told.unit == 'normalized':
        scale, offset = normalized_range(scene.robot, scene.arm)
        absolute = told.kind is ActionKind.ABSOLUTE
        return np.array(scale), np.array(offset) if absolute else 0 * ones
    return ones * (np.pi / 180 if told.unit == 'deg' else 1.0), 0 * ones


def led(scene: ChunkScene, told: Hypothesis) -> np.ndarray:
    """Return where the chunk leads from the state on, (R, N, C) in radians each."""
    scale, offset = scales(scene, told)
    numbers = scene.actions[:, :, told.first:told.first + told.width] * scale + offset
    if told.space == 'joint':
        if told.kind is ActionKind.ABSOLUTE:
            out: np.ndarray = numbers - scene.arm_state[:, None]
            return out
        a_second = scene.rate if told.kind is ActionKind.VELOCITY else 1.0
        return _added(numbers / a_second, told.kind)
    T = scene.T_base_tip[told.link]
    if told.kind is ActionKind.ABSOLUTE:
        flat = numbers[:, :, 3:].reshape(-1, told.width - 3)
        return displaced(numbers[:, :, :3], _turn(flat, told.rotation).as_matrix().reshape(
            *numbers.shape[:2], 3, 3), T)
    if told.kind is ActionKind.VELOCITY:
        numbers = numbers / scene.rate
    turns = _turn(numbers[:, :, 3:].reshape(-1, told.width - 3), told.rotation).as_rotvec()
    steps = np.concatenate([numbers[:, :, :3], turns.reshape(*numbers.shape[:2], 3)], axis=2)
    if told.frame == 'tip':     # the tip hardly turns in a chunk
        rotation = T[:, None, :3, :3]
        steps = np.concatenate([(rotation @ steps[..., :3, None])[..., 0],
                                (rotation @ steps[..., 3:, None])[..., 0]], axis=2)
    steps[..., :3] /= METRE_SCALE
    return _added(steps, told.kind)


def _turn(numbers: np.ndarray, rotation: str) -> Rotation:
    if rotation == 'quaternion':
        return Rotation.from_quat(numbers)
    if rotation == 'rpy':
        return Rotation.from_euler('xyz', numbers)
    return Rotation.from_rotvec(numbers)


def _added(numbers: np.ndarray, kind: ActionKind) -> np.ndarray:
    if kind is ActionKind.START:
        return numbers
    out: np.ndarray = np.cumsum(numbers, axis=1)
    return out


def per_number(scene: ChunkScene, told: Hypothesis) -> np.ndarray:
    """Return radians per number of each coordinate of `led`, (C,)."""
    scale: np.ndarray = np.abs(scales(scene, told)[0])[:6 if told.space == 'tip' else None].copy()
    if told.space == 'tip':
        scale[:3] /= METRE_SCALE
    if told.kind is ActionKind.VELOCITY:
        scale = scale / scene.rate
    return scale
