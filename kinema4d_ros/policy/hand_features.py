# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a small network is told of the hand among the places that matter, and what it answers."""
from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.policy.pick_and_place import GRIP

CHUNK = 10               # actions of an answer
FEATURES, ACTIONS = 17, 5      # numbers that it sees, and of an action: dx dy dz, dyaw, opening
#: of a layout: grasp xyz, release xyz, lifted height [m], yaws of the hand there [rad]
LAYOUT = 9
_FAR, _NEAR = 0.1, 0.02  # [m] by which places are measured


def hand_features(xp: Any, places: Any, turns: Any, is_open: Any, has_closed: Any,
                  layout: Any) -> Any:
    """
    Return what the network sees, (N, FEATURES).

    :param xp: NumPy or PyTorch, whose arrays the others are.
    :param places: (N, 3) of the grip point [m].
    :param turns: (N,) about z since the start [rad].
    :param is_open: (N,) whether the fingers were told to be open last, 0 or 1.
    :param has_closed: (N,) whether they were ever told to close, 0 or 1.
    :param layout: (N, LAYOUT).
    """
    to_grasp, to_release = places - layout[:, :3], places - layout[:, 3:6]
    one = [(places[:, 2] - layout[:, 6]) / _FAR, is_open, has_closed, turns - layout[:, 7],
           turns - layout[:, 8]]
    return xp.concatenate([to_grasp / _FAR, to_release / _FAR, xp.stack(one, -1),
                           xp.tanh(to_grasp / _NEAR), xp.tanh(to_release / _NEAR)], -1)


def chunk_of_hand(here: np.ndarray, turn: float, steps: np.ndarray, first: Rotation) -> np.ndarray:
    """
    Return hand poses x y z [m] x y z w, (CHUNK, 7), of answered steps.

    :param here: (3,) of the grip point [m].
    :param turn: about z since the start [rad].
    :param steps: (CHUNK, ACTIONS) [m, rad, m].
    :param first: T_base_hand's rotation at the start.
    """
    rotations = Rotation.from_rotvec(
        np.c_[np.zeros((len(steps), 2)), turn + steps[:, 3]]) * first
    down = rotations.as_matrix()[:, :, 2]
    return np.c_[here + steps[:, :3] - GRIP * down, rotations.as_quat()]
