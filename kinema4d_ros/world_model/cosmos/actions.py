# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The exact motion as actions of a domain, and back.

An action is the pose of the hand's frame one step later, seen from that frame: ``T_i^-1 T_{i+1}``,
as x, y, z [m], the first two columns of its rotation, and the gripper after the step (0 closed, 1
open).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import RobotRollout
from kinema4d_ros.world_model.cosmos.domains import Domain

#: finger joint, by the last part of its name -> position when (closed, open) [rad or m]
FINGERS = {'panda_finger_joint1': (0.0, 0.04), 'fr3_finger_joint1': (0.0, 0.04),
           'finger_joint': (0.8, 0.0), 'robotiq_85_left_knuckle_joint': (0.8, 0.0),
           'left_finger': (0.015, 0.037)}


def encode_actions(T_base_hand: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """
    Return the actions between successive poses, (N, 10) float64, not normalised.

    :param T_base_hand: (N + 1, 4, 4), of the domain's frame.
    :param opening: (N + 1,) 0 closed to 1 open; the one after each step is used.
    """
    step = np.linalg.inv(T_base_hand[:-1]) @ T_base_hand[1:]
    columns = step[:, :3, :2].transpose(0, 2, 1).reshape(-1, 6)
    return np.concatenate([step[:, :3, 3], columns, opening[1:, None]], axis=1)


def decode_actions(actions: np.ndarray, T_base_hand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the poses and openings that actions lead to; the inverse of `encode_actions`.

    Columns that are not quite a rotation, as a model predicts them, are made one.

    :param actions: (N, 10), not normalised.
    :param T_base_hand: (4, 4), where the motion starts.
    :return: (N + 1, 4, 4) poses, and (N,) openings after each step.
    """
    poses = [np.asarray(T_base_hand, np.float64)]
    for action in np.asarray(actions, np.float64):
        x = action[3:6] / np.linalg.norm(action[3:6])
        y = action[6:9] - x * (x @ action[6:9])
        y /= np.linalg.norm(y)
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = np.column_stack([x, y, np.cross(x, y)]), action[:3]
        poses.append(poses[-1] @ step)
    return np.stack(poses), np.asarray(actions)[:, 9].astype(np.float64)


@dataclass(frozen=True, eq=False)
class ActionPlan:
    """A rollout at the rate of a domain; between its frames poses are interpolated."""

    rate: float              # [Hz]
    actions: np.ndarray      # (N, 10) float64, not normalised, N at least 1
    shown_at: np.ndarray     # (T,) int, generated frame that shows each frame of the rollout
    #: (T,) bool, the one frame of the rollout that is nearest in time to each generated frame
    is_nearest: np.ndarray
    #: for each frame of the rollout those from before to after what is shown, both ends included
    between: tuple[range, ...]

    @classmethod
    def of(cls, robot: RobotRollout, domain: Domain, *, link: str = '',
           closed: float = 0.0, opened: float = 0.0) -> ActionPlan:
        """
        Return the plan of a rollout.

        :param link: that carries the domain's frame; '' to find it by its name.
        :param closed: position of the first finger joint when the gripper is closed [rad or m].
        :param opened: when it is open; both equal to find them by the name of the joint.
        :raises WorldModelError: the link or the positions cannot be found; with what to set.
        """
        number = robot.link_names.index(_find_link(robot, domain, link))
        T_base_hand = robot.T_base_link[:, number] @ domain.T_link_hand
        opening = _opening(robot, closed, opened)
        start, end = float(robot.times[0]), float(robot.times[-1])
        count = max(1, math.ceil((end - start) * domain.rate - 1e-6))
        wanted = np.minimum(start + np.arange(count + 1) / domain.rate, end)
        shown_at = np.clip(np.rint((robot.times - start) * domain.rate), 0, count).astype(int)
        away = np.abs(robot.times - start - shown_at / domain.rate)
        nearest = np.zeros(len(away), bool)
        for frame in np.unique(shown_at):
            group = np.flatnonzero(shown_at == frame)
            nearest[group[away[group].argmin()]] = True
        actions = encode_actions(_interpolated(robot.times, T_base_hand, wanted),
                                 np.interp(wanted, robot.times, opening))
        return cls(domain.rate, actions, shown_at, nearest, tuple(
            _around(robot.times, *sorted((time, wanted[frame])))
            for time, frame in zip(robot.times.tolist(), shown_at)))


def _interpolated(times: np.ndarray, T: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) at the wanted times: straight lines, and the shortest turns."""
    if len(times) == 1:
        return np.repeat(T, len(wanted), axis=0)
    out = np.repeat(np.eye(4)[None], len(wanted), axis=0)
    out[:, :3, :3] = Slerp(times, Rotation.from_matrix(T[:, :3, :3]))(wanted).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(wanted, times, T[:, axis, 3])
    return out


def _around(times: np.ndarray, start: float, end: float) -> range:
    """Return the frames from the last before a span of time to the first after it."""
    first = max(int(np.searchsorted(times, start, 'left')) - 1, 0)
    last = min(int(np.searchsorted(times, end, 'right')), len(times) - 1)
    return range(first, last + 1)


def _last_part(name: str) -> str:
    """Return a name without the prefix of a namespace, as in wx250s/ee_gripper_link."""
    return name.rsplit('/', 1)[-1]


def _find_link(robot: RobotRollout, domain: Domain, link: str) -> str:
    """Return the name of the link that carries the domain's frame."""
    wanted = (link,) if link else domain.links
    for name in robot.link_names:
        if name in wanted or _last_part(name) in wanted:
            return name
    raise WorldModelError(
        f'the robot has no link {" or ".join(wanted)}, whose poses are the actions of the domain '
        f'{domain.name}; set link to the one that stands for it, of: '
        f'{", ".join(robot.link_names)}')


def _opening(robot: RobotRollout, closed: float, opened: float) -> np.ndarray:
    """Return how far the gripper is open, (T,) 0 to 1; a robot without one is taken as open."""
    gripper = robot.gripper
    if gripper is None or not gripper.finger_joints:
        return np.ones(len(robot.times))
    joint = gripper.finger_joints[0]
    if closed == opened:
        if _last_part(joint) not in FINGERS:
            raise WorldModelError(
                f'where the finger joint {joint} is closed and open is not known; set '
                'gripper_closed and gripper_open to its positions [rad or m]')
        closed, opened = FINGERS[_last_part(joint)]
    positions = robot.positions[:, robot.joint_names.index(joint)]
    return np.clip((positions - closed) / (opened - closed), 0.0, 1.0)
