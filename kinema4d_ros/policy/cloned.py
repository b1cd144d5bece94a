# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small behaviour-cloned policy that sees states; answered with NumPy, trained in `cloning`."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_chunks import ActionFormat
from kinema4d_ros.policy.hand_features import (ACTIONS, CHUNK, chunk_of_hand, FEATURES,
                                                hand_features)
from kinema4d_ros.policy.pick_and_place import GRIP, lay_out
from kinema4d_ros.policy.scripted import ARM, CLOSED, FINGERS, HAND_LINK, OPEN, RATE
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

SCALE = np.array([0.1, 0.1, 0.1, 0.5, OPEN])      # of an action: m, rad, m
_STILL = 0.01            # [m] a chunk that takes the hand less far than this stands still
_STANDS = 3              # chunks of standing still after letting go, after which the task is over
HALF = 0.5 * OPEN        # [m] the fingers are told to open above this, and to close below


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """
    Return the arrays of a file NAME.npz by name; nothing in it is executed.

    :raises PolicyError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:      # what is damaged makes libraries raise almost anything
        raise PolicyError(f'{path} cannot be read: {type(error).__name__}: {error}') from error


class HandView:
    """What a policy that sees states sees: the hand among the places that matter."""

    def __init__(self, start: TaskStart):
        """Lay the task out from what is known at its start."""
        self._robot = Robot.from_urdf(start.robot_description)
        if HAND_LINK not in self._robot.link_names:
            raise PolicyError(f'the policy moves a Panda; the robot has no {HAND_LINK}')
        self._forward = ForwardKinematics(self._robot)
        self._hand = self._robot.link_names.index(HAND_LINK)
        first = self._robot.configuration(start.joint_positions, strict=False)
        self.rotation = Rotation.from_matrix(self._forward(first[None])[0, self._hand, :3, :3])
        task = lay_out(start, self.rotation)
        #: (LAYOUT,), see `hand_features`
        self.layout = np.r_[task.grasp, task.release, task.lifted,
                            self._yaw(task.grasp_rotation), self._yaw(task.release_rotation)]

    def _yaw(self, rotation: Rotation) -> float:
        return float((rotation * self.rotation.inv()).as_rotvec()[2])

    def grip(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return places (N, 3) [m] and turns about z since the start (N,) [rad] of the grip point.

        :param positions: (N, J) of all joints of the robot.
        """
        T = self._forward(positions)[:, self._hand]
        turns = np.array([self._yaw(Rotation.from_matrix(R)) for R in T[:, :3, :3]])
        return T[:, :3, 3] + GRIP * T[:, :3, 2], turns

    def configurations(self, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Return positions (N, len(names)) as configurations (N, J) of the robot."""
        return np.array([self._robot.configuration(dict(zip(names, row)), strict=False)
                         for row in rows])

    def features(self, places: np.ndarray, turns: np.ndarray, is_open: np.ndarray,
                 has_closed: np.ndarray) -> np.ndarray:
        """
        Return what the network sees, (N, FEATURES).

        :param is_open: (N,) whether the fingers were told to be open last.
        :param has_closed: (N,) whether they were ever told to close.
        """
        layout = np.broadcast_to(self.layout, (len(places), len(self.layout)))
        features: np.ndarray = hand_features(np, places, turns, is_open.astype(np.float64),
                                             has_closed.astype(np.float64), layout)
        return features


class ClonedPolicy:
    """
    A network of a few layers that answers chunks of hand poses.

    Of the fingers it knows what it told them, not where they are, so it does the same whether they
    stop at what they hold, as real ones do, or not. They are opened and closed, nothing between.
    """

    action_format = ActionFormat(RATE, FINGERS, limited_joints=ARM + FINGERS, tip_link=HAND_LINK)

    def __init__(self, layers: Sequence[tuple[np.ndarray, np.ndarray]], start: TaskStart):
        """
        Make a policy for one start.

        :param layers: weights (in, out) and biases (out,), with rectifiers between them.
        :raises PolicyError: they do not fit what the policy sees and answers.
        """
        wide = FEATURES
        for weights, biases in layers:
            if weights.ndim != 2 or weights.shape[0] != wide or biases.shape != weights.shape[1:]:
                raise PolicyError(f'a layer has weights {weights.shape} and biases '
                                  f'{biases.shape}; its input has {wide} numbers')
            wide = weights.shape[1]
        if wide != CHUNK * ACTIONS:
            raise PolicyError(f'the last layer answers {wide} numbers, not {CHUNK * ACTIONS}')
        self._layers, self._view = list(layers), HandView(start)
        self._stands, self._is_open, self._has_closed = 0, True, False

    @classmethod
    def load(cls, path: Path, start: TaskStart) -> ClonedPolicy:
        """
        Read the layers from a file of arrays; nothing in it is executed.

        :raises PolicyError: it cannot be read or holds something else.
        """
        try:
            arrays = read_arrays(path)
            layers = [(arrays[f'weights_{number}'], arrays[f'biases_{number}'])
                      for number in range(len(arrays) // 2)]
        except (PolicyError, KeyError) as error:
            raise PolicyError(f'{path} holds no trained policy: {error}; make one with '
                              'scripts/evaluate_policies.py train') from error
        return cls(layers, start)

    def reset(self, instruction: str, seed: int) -> None:
        """Begin anew."""
        self._stands, self._is_open, self._has_closed = 0, True, False

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """Return the next hand poses and finger positions, (CHUNK, 9); (0, 9) at the end."""
        joints = observation.joint_positions
        names = list(joints)
        here, turn = self._view.grip(self._view.configurations(
            names, np.array([[joints[name] for name in names]])))
        x = self._view.features(here, turn, np.array([self._is_open]), np.array([self._has_closed]))
        for number, (weights, biases) in enumerate(self._layers):
            x = (np.maximum(x, 0.0) if number else x) @ weights + biases
        steps = x.reshape(CHUNK, ACTIONS) * SCALE
        fingers = np.where(steps[:, 4:] > HALF, OPEN, CLOSED)
        self._has_closed |= bool((fingers == CLOSED).any())
        self._is_open = bool(fingers[-1, 0] == OPEN)
        is_over = np.linalg.norm(steps[-1, :3]) < _STILL and self._is_open and self._has_closed
        self._stands = self._stands + 1 if is_over else 0
        if self._stands >= _STANDS:
            return np.zeros((0, 9))
        return np.c_[chunk_of_hand(here[0], turn[0], steps, self._view.rotation), fingers, fingers]
