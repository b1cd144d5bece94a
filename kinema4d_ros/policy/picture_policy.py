# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small behaviour-cloned policy that sees a picture and joints; trained in `picture_cloning`."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_format import ActionFormat, GripperColumn
from kinema4d_ros.policy.cloned import HALF, read_arrays, SCALE
from kinema4d_ros.policy.hand_features import (ACTIONS, CHUNK, chunk_of_hand, FEATURES,
                                                hand_features, LAYOUT)
from kinema4d_ros.policy.pick_and_place import GRIP
from kinema4d_ros.policy.scripted import CLOSED, FINGERS, HAND_LINK, OPEN, RATE
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.policy.wire.pictures import resized_with_pad
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

VIEW, SIDE = 'exterior', 96
_SENT = 224
_SEEN = (56, 40, 184, 168)       # left, top, right, bottom of 224 x 224: the table and the basket
_STILL, _STANDS = 0.01, 3        # as in `cloned`
#: kernel, stride, channels of each convolution
CONVOLUTIONS = ((8, 4, 16), (3, 1, 32))
_FORM = ActionFormat(RATE, (), tip_link=HAND_LINK, limited_joints=FINGERS, grippers=(
    GripperColumn(-1, open=1.0, closed=0.0, joints=dict.fromkeys(FINGERS, (OPEN, CLOSED))),))


def seen_picture(image: np.ndarray) -> np.ndarray:
    """
    Return the part of a picture that the network sees, (SIDE, SIDE, 3) uint8.

    :param image: (H, W, 3) uint8 RGB; openpi's clients send it at 224 x 224, with pad.
    :raises PolicyError: it is no such picture.
    """
    part = Image.fromarray(np.ascontiguousarray(resized_with_pad(image, _SENT, _SENT))).crop(_SEEN)
    return np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


class PicturePolicy:
    """
    A convolutional network: picture -> where to grasp and let go -> the next half second.

    Of the state it sees the joints of the arm, and it remembers what it told the fingers. Tasks are
    told apart by their instruction; it knows those that it was trained on.
    """

    action_format = _FORM

    def __init__(self, arrays: Mapping[str, np.ndarray], robot: Robot):
        """
        Make a policy of the arrays of a network, see `picture_cloning`.

        :raises PolicyError: they are not those of one, or the robot is no Panda.
        """
        if HAND_LINK not in robot.link_names:
            raise PolicyError(f'the policy moves a Panda; the robot has no {HAND_LINK}')
        self._robot, self._forward = robot, ForwardKinematics(robot)
        self._hand = robot.link_names.index(HAND_LINK)
        try:
            self.instructions = tuple(map(str, arrays['instructions']))
            self._network = {name: np.asarray(array, np.float32)
                             for name, array in arrays.items() if name != 'instructions'}
            self.layout(np.zeros((SIDE, SIDE, 3), np.uint8), 0)
            answered = self._answer(np.zeros(FEATURES), 0)
            if answered.shape != (CHUNK * ACTIONS,):
                raise ValueError(f'it answers {answered.shape}')
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise PolicyError(f'the network is not one of a picture policy: {error}') from error
        self.reset('', 0)

    @classmethod
    def load(cls, path: Path, robot: Robot) -> PicturePolicy:
        """
        Read the network from a file of arrays; nothing in it is executed.

        :raises PolicyError: it cannot be read or holds something else.
        """
        try:
            arrays = read_arrays(path)
        except PolicyError as error:
            raise PolicyError(f'{path} holds no trained policy: {error}; make one with '
                              'scripts/evaluate_policies.py train --demonstrations') from error
        return cls(arrays, robot)

    def reset(self, instruction: str, seed: int) -> None:
        """Begin anew."""
        self._stands, self._is_open, self._has_closed = 0, True, False
        self._first: Rotation | None = None

    def layout(self, picture: np.ndarray, task: int) -> np.ndarray:
        """Return where it takes grasp and release to be, (LAYOUT,); see `hand_features`."""
        x = picture.transpose(2, 0, 1).astype(np.float32) / 255.0 - 0.5
        for number, (kernel, stride, _) in enumerate(CONVOLUTIONS):
            x = np.maximum(_convolved(x, self._network[f'convolution_{number}_weight'],
                                      self._network[f'convolution_{number}_bias'], kernel, stride),
                           0.0)
        points = _soft_points(x)
        told = np.concatenate([points, _one_hot(task, len(self.instructions))])
        told = np.maximum(told @ self._network['where_0_weight'].T
                          + self._network['where_0_bias'], 0.0)
        out: np.ndarray = (told @ self._network['where_1_weight'].T + self._network['where_1_bias']
                           ) * self._network['layout_scale'] + self._network['layout_mean']
        if out.shape != (LAYOUT,):
            raise ValueError(f'it finds {out.shape} numbers')
        return out

    def _answer(self, features: np.ndarray, task: int) -> np.ndarray:
        x = np.concatenate([features.astype(np.float32), _one_hot(task, len(self.instructions))])
        for number in range(3):
            x = (np.maximum(x, 0.0) if number else x) @ self._network[f'act_{number}_weight'].T \
                + self._network[f'act_{number}_bias']
        return x

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """
        Return the next hand poses and the opening, (CHUNK, 8); (0, 8) at the end.

        :raises PolicyError: the picture is missing, or the instruction is of a task unknown.
        """
        if observation.instruction not in self.instructions:
            raise PolicyError(f'the policy does not know the task {observation.instruction!r}; it '
                              f'knows: {"; ".join(self.instructions)}')
        if VIEW not in observation.images:
            raise PolicyError(f'the policy looks at the view {VIEW!r}; there are: '
                              f'{", ".join(observation.images) or "none"}')
        task = self.instructions.index(observation.instruction)
        q = self._robot.configuration(observation.joint_positions, strict=False)
        T = self._forward(q[None])[0, self._hand]
        rotation = Rotation.from_matrix(T[:3, :3])
        self._first = rotation if self._first is None else self._first
        turn = float((rotation * self._first.inv()).as_rotvec()[2])
        here = T[:3, 3] + GRIP * T[:3, 2]
        layout = self.layout(seen_picture(observation.images[VIEW]), task)
        features = hand_features(
            np, here[None], np.array([turn]), np.array([float(self._is_open)]),
            np.array([float(self._has_closed)]), layout[None])[0]
        steps = self._answer(features, task).reshape(CHUNK, ACTIONS) * SCALE
        is_open = steps[:, 4] > HALF
        self._has_closed |= bool((~is_open).any())
        self._is_open = bool(is_open[-1])
        is_over = np.linalg.norm(steps[-1, :3]) < _STILL and self._is_open and self._has_closed
        self._stands = self._stands + 1 if is_over else 0
        if self._stands >= _STANDS:
            return np.zeros((0, 8))
        return np.c_[chunk_of_hand(here, turn, steps, self._first), is_open]


def _one_hot(task: int, tasks: int) -> np.ndarray:
    return np.eye(tasks, dtype=np.float32)[task]


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, kernel: int, stride: int
               ) -> np.ndarray:
    """Return a convolution of (C, H, W), padded so that only the stride makes it smaller."""
    pad = kernel // 2
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (pad, pad), (pad, pad))), (kernel, kernel), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    out: np.ndarray = np.tensordot(weight, windows, axes=((1, 2, 3), (0, 3, 4)))
    return out + bias[:, None, None]


def _soft_points(x: np.ndarray) -> np.ndarray:
    """Return where each of (C, H, W) is largest, softly: (2 C,) of -1..1, columns then rows."""
    shares = np.exp(x - x.max((1, 2), keepdims=True))
    shares /= shares.sum((1, 2), keepdims=True)
    along = np.linspace(-1.0, 1.0, x.shape[1], dtype=np.float32)
    return np.concatenate([shares.sum(1) @ along, shares.sum(2) @ along])
