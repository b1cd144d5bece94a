# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy's chunk of actions as a joint trajectory, whatever its actions mean."""
from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import ConfigurationError, TrajectoryError, UnknownJointError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.ik import InverseKinematics
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import JointTrajectory


class Reference(enum.StrEnum):
    """What the numbers of an action are added to."""

    ABSOLUTE = 'absolute'    # to nothing
    START = 'start'          # to the state in which the chunk begins
    PREVIOUS = 'previous'    # to what the action before it commands


@dataclass(frozen=True)
class ActionFormat:
    """
    What the columns of a policy's actions mean, in SI units (undo its normalisation first).

    Without `tip_link`: a position, or its change, of each of `joints`. With it: the place of that
    link in the base frame (x y z [m], then a rotation vector [rad], 3 columns, or a quaternion
    x y z w), or how that changes; after it come the columns of `joints`, usually the fingers.
    """

    rate: float                             # [Hz] actions per second
    joints: tuple[str, ...]
    reference: Reference = Reference.ABSOLUTE
    absolute_joints: tuple[str, ...] = ()   # of `joints`, that are absolute in any case
    #: of `joints`, that go as fast as they may where the policy asks for more, as grippers do
    limited_joints: tuple[str, ...] = ()
    tip_link: str = ''
    in_tip_frame: bool = False              # changes of place are along the tip's own axes

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        object.__setattr__(self, 'reference', Reference(self.reference))
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ConfigurationError(f'rate must be more than 0 Hz, got {self.rate}')
        if len(set(self.joints)) != len(self.joints):
            raise ConfigurationError(f'a joint is named twice: {", ".join(self.joints)}')
        for key in ('absolute_joints', 'limited_joints'):
            if strange := sorted(set(getattr(self, key)) - set(self.joints)):
                raise ConfigurationError(f'{key} {", ".join(strange)} are not among joints '
                                         f'{", ".join(self.joints)}')


class ActionReader:
    """Turns chunks of actions into trajectories of one robot."""

    def __init__(self, robot: Robot, form: ActionFormat) -> None:
        """
        Make a reader of actions, with inverse kinematics where they are places of a link.

        :raises UnknownJointError: the robot lacks one of the joints.
        :raises KinematicsError: the tip link is unknown or does not move.
        :raises ConfigurationError: a joint is commanded both by its position and by the tip, or is
            to be limited and has no velocity limit.
        """
        unknown = tuple(name for name in form.joints if name not in robot.joint_names)
        if unknown:
            raise UnknownJointError(unknown, robot.joint_names, 'action format')
        self.robot, self.form = robot, form
        self._inverse = InverseKinematics(robot, form.tip_link) if form.tip_link else None
        arm = tuple(joint.name for joint in robot.path(form.tip_link)
                    if joint.type is not JointType.FIXED) if form.tip_link else ()
        if both := sorted(set(arm) & set(form.joints)):
            raise ConfigurationError(
                f'{", ".join(both)} moves {form.tip_link}, so its place commands it already; take '
                'it out of joints')
        free = [name for name in form.limited_joints if robot.limits[name].velocity is None]
        if free:
            raise ConfigurationError(f'limited_joints {", ".join(free)} have no velocity limit in '
                                     'the robot description')
        self.joint_names = arm + form.joints

    def trajectory(self, actions: np.ndarray, start: Mapping[str, float]) -> JointTrajectory:
        """
        Return the motion of a chunk: from `start` at time 0, one point per action after it.

        Limits are not checked here but by the precheck, except that a place must be in reach.

        :param actions: (N, columns) float; to execute fewer of them, give fewer.
        :param start: [rad or m] by name, of all joints: where the robot is or, for a chunk that
            continues a motion, where that motion will have brought it.
        :raises TrajectoryError: the chunk or the start has not the numbers that it should.
        :raises KinematicsError: names the first place that cannot be reached, and its time.
        """
        actions = np.asarray(actions, np.float64)
        wide = len(self.form.joints)
        widths = (wide + 6, wide + 7) if self._inverse else (wide,)
        if actions.ndim != 2 or actions.shape[1] not in widths or not len(actions):
            raise TrajectoryError(
                f'a chunk must have shape (actions, {" or ".join(map(str, widths))}), got '
                f'{actions.shape}')
        if not np.isfinite(actions).all():
            row, column = np.argwhere(~np.isfinite(actions))[0]
            raise TrajectoryError(f'column {column} of action {row} is {actions[row, column]}')
        missing = [name for name in self.robot.joint_names if name not in start]
        if missing:
            raise TrajectoryError(f'the start lacks {", ".join(missing)}')
        here = self.robot.configuration(start, strict=False)
        times = np.arange(len(actions) + 1) / self.form.rate
        motion = np.repeat(here[None], len(times), axis=0)
        if self._inverse is not None:
            poses = self._poses(actions[:, :actions.shape[1] - wide], here)
            motion[1:] = self._inverse.solve(poses, here, times=times[1:])
        for name, numbers in zip(self.form.joints, actions[:, actions.shape[1] - wide:].T):
            column = self.robot.joint_names.index(name)
            motion[1:, column] = self._positions(name, numbers, here[column])
        columns = [self.robot.joint_names.index(name) for name in self.joint_names]
        return JointTrajectory(self.joint_names, times, motion[:, columns])

    def _positions(self, name: str, numbers: np.ndarray, here: float) -> np.ndarray:
        """Return the positions of one joint [rad or m], (N,)."""
        if self.form.reference is Reference.PREVIOUS and name not in self.form.absolute_joints:
            numbers = np.cumsum(numbers)
        if self.form.reference is not Reference.ABSOLUTE and name not in self.form.absolute_joints:
            numbers = here + numbers
        if name not in self.form.limited_joints:
            return numbers
        limit = self.robot.limits[name].velocity
        assert limit is not None      # asked for when the reader was made
        most, limited = limit / self.form.rate, []
        for number in numbers:
            here += float(np.clip(number - here, -most, most))
            limited.append(here)
        return np.array(limited)

    def _poses(self, numbers: np.ndarray, here: np.ndarray) -> np.ndarray:
        """Return T_base_tip of each action, (N, 4, 4)."""
        turns, norms = numbers[:, 3:], np.linalg.norm(numbers[:, 3:], axis=1)
        if turns.shape[1] == 4 and np.abs(norms - 1).max() > 0.01:
            row = int(np.abs(norms - 1).argmax())
            raise TrajectoryError(f'the quaternion of action {row} has length {norms[row]:.3f}, '
                                  'not 1')
        steps = np.tile(np.eye(4), (len(numbers), 1, 1))
        rotations = Rotation.from_quat(turns) if turns.shape[1] == 4 \
            else Rotation.from_rotvec(turns)
        steps[:, :3, :3] = rotations.as_matrix()
        steps[:, :3, 3] = numbers[:, :3]
        if self.form.reference is Reference.ABSOLUTE:
            return steps
        link = self.robot.link_names.index(self.form.tip_link)
        begin = before = ForwardKinematics(self.robot)(here[None])[0, link]
        poses = []
        for step in steps:
            poses.append(self._moved(
                begin if self.form.reference is Reference.START else before, step))
            before = poses[-1]
        return np.stack(poses)

    def _moved(self, pose: np.ndarray, step: np.ndarray) -> np.ndarray:
        if self.form.in_tip_frame:
            return pose @ step
        out = pose.copy()
        out[:3, :3], out[:3, 3] = step[:3, :3] @ pose[:3, :3], pose[:3, 3] + step[:3, 3]
        return out
