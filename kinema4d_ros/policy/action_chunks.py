# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy's chunk of actions as a joint trajectory, whatever its actions mean."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import ConfigurationError, TrajectoryError, UnknownJointError
from kinema4d_ros.policy.action_format import ActionFormat, Reference
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.ik import InverseKinematics
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import JointTrajectory

__all__ = ['ActionFormat', 'ActionReader', 'Reference']


class ActionReader:
    """Turns chunks of actions into trajectories of one robot."""

    def __init__(self, robot: Robot, form: ActionFormat) -> None:
        """
        Make a reader of actions, with inverse kinematics where they are places of a link.

        :raises UnknownJointError: the robot lacks one of the joints.
        :raises KinematicsError: the tip link is unknown or does not move.
        :raises ConfigurationError: a joint is commanded both by its position and by the tip, or is
            to be limited and is not commanded or has no velocity limit.
        """
        fingers = tuple(name for gripper in form.grippers for name in gripper.joints)
        unknown = tuple(name for name in form.joints + fingers if name not in robot.joint_names)
        if unknown:
            raise UnknownJointError(unknown, robot.joint_names, 'action format')
        self.robot, self.form = robot, form
        self._inverse = InverseKinematics(robot, form.tip_link) if form.tip_link else None
        arm = tuple(joint.name for joint in robot.path(form.tip_link)
                    if joint.type is not JointType.FIXED) if form.tip_link else ()
        if both := sorted(set(arm) & set(form.joints + fingers)):
            raise ConfigurationError(
                f'{", ".join(both)} moves {form.tip_link}, so its place commands it already; take '
                'it out of joints')
        self.joint_names = arm + form.joints + fingers
        if strange := sorted(set(form.limited_joints) - set(self.joint_names)):
            raise ConfigurationError(f'limited_joints {", ".join(strange)} are not among the '
                                     f'joints that are commanded: {", ".join(self.joint_names)}')
        free = [name for name in form.limited_joints if robot.limits[name].velocity is None]
        if free:
            raise ConfigurationError(f'limited_joints {", ".join(free)} have no velocity limit in '
                                     'the robot description')

    def trajectory(self, actions: np.ndarray, start: Mapping[str, float],
                   before: np.ndarray | None = None) -> JointTrajectory:
        """
        Return the motion of a chunk: from `start` at time 0, one point per action after it.

        Limits are not checked here but by the precheck, except that a place must be in reach.

        :param actions: (N, columns) float; to execute fewer of them, give fewer.
        :param start: [rad or m] by name, of all joints: where the robot is or, for a chunk that
            continues a motion, where that motion will have brought it.
        :param before: (M, columns) the actions that were sent just before; only a response to
            velocities with a delay asks for them, and takes none for standing still.
        :raises TrajectoryError: the chunk or the start has not the numbers that it should.
        :raises KinematicsError: names the first place that cannot be reached, and its time.
        """
        actions, here = self._checked(actions), self._here(start)
        times = np.arange(len(actions) + 1) / self.form.rate
        motion = np.repeat(here[None], len(times), axis=0)
        places, positions = self._read(actions, here, before)
        if self._inverse is not None:
            motion[1:] = self._inverse.solve(self._poses(places, here), here, times=times[1:])
            for name in sorted(set(self.form.limited_joints) & set(self.joint_names)):
                joint = self.robot.joint_names.index(name)
                motion[1:, joint] = self._limited(name, motion[1:, joint], here[joint])
        for name, column in positions.items():
            motion[1:, self.robot.joint_names.index(name)] = column
        columns = [self.robot.joint_names.index(name) for name in self.joint_names]
        return JointTrajectory(self.joint_names, times, motion[:, columns])

    def tip_poses(self, actions: np.ndarray, start: Mapping[str, float]) -> np.ndarray:
        """
        Return where a chunk sends the tip, whether or not it is in reach.

        :return: T_base_tip of the start and of each action, (N + 1, 4, 4).
        :raises TrajectoryError: the chunk or the start has not the numbers that it should, or the
            actions are not of a tip.
        """
        if self._inverse is None:
            raise TrajectoryError('the actions are of joints, so there is no tip link')
        actions, here = self._checked(actions), self._here(start)
        link = self.robot.link_names.index(self.form.tip_link)
        return np.concatenate([ForwardKinematics(self.robot)(here[None])[:, link],
                               self._poses(self._read(actions, here, None)[0], here)])

    def column_positions(self, actions: np.ndarray, start: Mapping[str, float]) -> np.ndarray:
        """
        Return where a chunk sends the joints that have a column of their own.

        :return: of the start and of each action, (N + 1, `form.joints`) [rad or m].
        :raises TrajectoryError: the chunk or the start has not the numbers that it should.
        """
        actions, here = self._checked(actions), self._here(start)
        positions = self._read(actions, here, None)[1]
        begin = [here[self.robot.joint_names.index(name)] for name in self.form.joints]
        return np.vstack([begin, np.stack([positions[name] for name in self.form.joints], axis=1)])

    def _here(self, start: Mapping[str, float]) -> np.ndarray:
        missing = [name for name in self.robot.joint_names if name not in start]
        if missing:
            raise TrajectoryError(f'the start lacks {", ".join(missing)}')
        return self.robot.configuration(start, strict=False)

    def _read(self, actions: np.ndarray, here: np.ndarray, before: np.ndarray | None
              ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the columns of the tip in SI units, and each joint's positions (N,)."""
        arm, fingers = self.form.split(actions)
        if self.form.velocity is not None:
            arm = self._distances(arm, before)
        wide = arm.shape[1] - len(self.form.joints)
        numbers = dict(zip(self.form.joints, arm[:, wide:].T)) | fingers
        return arm[:, :wide], {
            name: self._positions(name, column, here[self.robot.joint_names.index(name)],
                                  absolute=name in fingers)
            for name, column in numbers.items()}

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions, np.float64)
        widths = self.form.widths
        if actions.ndim != 2 or actions.shape[1] not in widths or not len(actions):
            raise TrajectoryError(
                f'a chunk must have shape (actions, {" or ".join(map(str, widths))}), got '
                f'{actions.shape}')
        if not np.isfinite(actions).all():
            row, column = np.argwhere(~np.isfinite(actions))[0]
            raise TrajectoryError(f'column {column} of action {row} is {actions[row, column]}')
        return actions

    def _distances(self, velocities: np.ndarray, before: np.ndarray | None) -> np.ndarray:
        """Return how far velocities (N, C) have led since the start, after each of them."""
        response = self.form.velocity
        assert response is not None
        earlier = np.zeros((0, velocities.shape[1])) if before is None or not len(before) \
            else self.form.split(self._checked(before))[0]
        told = np.vstack([earlier, velocities])
        driven = np.vstack([0 * told[:1], np.cumsum(told, axis=0)]) / self.form.rate
        times = (np.arange(len(driven)) - len(earlier)) / self.form.rate
        asked = np.arange(len(velocities) + 1) / self.form.rate - response.delay
        led = np.stack([np.interp(asked, times, column) for column in driven.T], axis=1)
        out: np.ndarray = response.gain * (led[1:] - led[0])
        # absolute joints beside them are places already
        for name in self.form.absolute_joints:
            at = velocities.shape[1] - len(self.form.joints) + self.form.joints.index(name)
            out[:, at] = velocities[:, at]
        return out

    @property
    def _reference(self) -> Reference:
        return self.form.reference if self.form.velocity is None else Reference.START

    def _positions(self, name: str, numbers: np.ndarray, here: float, *, absolute: bool
                   ) -> np.ndarray:
        """Return the positions of one joint [rad or m], (N,)."""
        if not absolute and name not in self.form.absolute_joints:
            if self._reference is Reference.PREVIOUS:
                numbers = np.cumsum(numbers)
            if self._reference is not Reference.ABSOLUTE:
                numbers = here + numbers
        return self._limited(name, numbers, here)

    def _limited(self, name: str, numbers: np.ndarray, here: float) -> np.ndarray:
        """Return the positions of one joint (N,) as a client sends them that clips velocities."""
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
            else Rotation.from_euler('xyz', turns) if self.form.rpy and self.form.velocity is None \
            else Rotation.from_rotvec(turns)
        steps[:, :3, :3] = rotations.as_matrix()
        steps[:, :3, 3] = numbers[:, :3]
        if self._reference is Reference.ABSOLUTE:
            return steps
        link = self.robot.link_names.index(self.form.tip_link)
        begin = before = ForwardKinematics(self.robot)(here[None])[0, link]
        poses = []
        for step in steps:
            poses.append(self._moved(
                begin if self._reference is Reference.START else before, step))
            before = poses[-1]
        return np.stack(poses)

    def _moved(self, pose: np.ndarray, step: np.ndarray) -> np.ndarray:
        if self.form.in_tip_frame:
            return pose @ step
        out = pose.copy()
        out[:3, :3], out[:3, 3] = step[:3, :3] @ pose[:3, :3], pose[:3, 3] + step[:3, 3]
        return out
