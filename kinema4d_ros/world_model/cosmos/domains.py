# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The robots and conventions that Cosmos 3 was trained on, as far as our motion can be put into them.

Rates, frames and quantiles are those of NVIDIA's cosmos-framework (commit 5eee9ed, OpenMDW-1.1):
`data/generator/action/normalizer_stats/*.json` and `datasets/{droid,bridge_orig,fractal}_
lerobot_dataset.py`. Its table of actions (NVIDIA/cosmos, cookbooks/cosmos3/generator/action) says
that they are normalised; its recipe for post-training on DROID does without.

All three have actions of 10 numbers: the relative pose of a frame at the hand (metres, then the
first two columns of the rotation), and the gripper.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from kinema4d_ros.errors import WorldModelError

ACTION_WIDTH = 10


def _pose(rows: tuple[tuple[float, ...], ...], shift: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    """Return the read-only (4, 4) float64 transform of a rotation (3, 3) and a shift [m]."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rows, shift
    T.flags.writeable = False
    return T


@dataclass(frozen=True, eq=False)
class Domain:
    """One embodiment of the model's training."""

    name: str                    # as diffusers calls it
    number: int                  # of its action projections in the checkpoint
    rate: float                  # [Hz] of its actions and frames
    links: tuple[str, ...]       # that carry its frame, by the last part of their name
    T_link_hand: np.ndarray      # (4, 4) float64 [m], the frame whose relative poses are actions
    q01: np.ndarray              # (10,) float64 quantiles of its actions, metres and no unit
    q99: np.ndarray              # (10,)
    view_point: str              # what the training called its camera
    note: str                    # what speaks against believing it

    def normalise(self, actions: np.ndarray) -> np.ndarray:
        """Return actions (..., 10) in the model's range: -1 at q01, 1 at q99, beyond not cut."""
        scaled: np.ndarray = 2 * (actions - self.q01) / (self.q99 - self.q01) - 1
        return scaled

    def denormalise(self, values: np.ndarray) -> np.ndarray:
        """Return the actions (..., 10) of what `normalise` returned."""
        actions: np.ndarray = (values + 1) / 2 * (self.q99 - self.q01) + self.q01
        return actions


_DROID = Domain(
    'droid_lerobot', 8, 15.0, ('panda_link8', 'fr3_link8'),
    _pose(((0, -1, 0), (1, 0, 0), (0, 0, 1))),
    np.array([-0.0142, -0.013416, -0.015206, 0.998459, -0.047659, -0.034774, -0.047609, 0.998428,
              -0.035553, 0.0]),
    np.array([0.014515, 0.011517, 0.01452, 1.0, 0.047596, 0.03466, 0.047654, 1.0, 0.038888, 1.0]),
    'third_person_view',
    'it was trained on three cameras in one picture (concat_view), and sees one here')
_BRIDGE = Domain(
    'bridge_orig_lerobot', 7, 5.0, ('ee_gripper_link',),
    # to gripper_link, 93.575 mm nearer to the wrist
    _pose(((0, 0, 1), (-1, 0, 0), (0, -1, 0)), (-0.093575, 0, 0)),
    np.array([-0.038884, -0.028667, -0.03784, 0.976292, -0.163098, -0.081545, -0.160193, 0.976322,
              -0.078872, 0.0]),
    np.array([0.039722, 0.029068, 0.026702, 1.0, 0.160195, 0.081655, 0.163227, 1.0, 0.095189,
              1.0]),
    'ego_view', 'its still camera is called ego_view, as in the training')
_TCP_TO_GRIPPER = np.array([      # of the Google robot's URDF: link_gripper_tcp to link_gripper
    [0.9999897671, -0.0008686425, 0.0044397163, -0.0050618476],
    [0.0008745501, 0.9999987346, -0.0013288658, -0.0016717725],
    [-0.0044385564, 0.0013327349, 0.9999892615, -0.1635144743],
    [0, 0, 0, 1]])
_FRACTAL = Domain(
    'fractal', 20, 3.0, ('link_gripper_tcp',),
    _TCP_TO_GRIPPER @ _pose(((0, 1, 0), (-1, 0, 0), (0, 0, 1))),
    np.array([-0.039816, -0.04927, -0.056266, 0.983667, -0.134543, -0.107048, -0.126518, 0.977277,
              -0.091363, 0.0]),
    np.array([0.04386, 0.050352, 0.072505, 1.0, 0.127404, 0.107273, 0.13414, 1.0, 0.179731, 1.0]),
    'ego_view', 'which end of its gripper column is open is not stated; 1 is taken')

DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {'droid': _DROID, 'bridge': _BRIDGE, 'fractal': _FRACTAL})
"""By the names that the setting `domain` takes."""

_NOT_STATED = 'neither the frame nor the range of its actions is stated for motions like ours'
_REFUSED = {
    'libero': 'the pipeline of diffusers knows no width of its actions, and whether the released '
              'weights were trained for it is not known',
    'umi': 'its camera is a fish-eye on the hand, and moves with it',
    'robomind-franka': _NOT_STATED, 'robomind-ur': _NOT_STATED,
    'robomind-franka-dual': 'it has two arms', 'agibotworld': 'it has two arms and a head',
    'galbot': 'it has two arms', 'hand_pose': 'it is no robot', 'pusht': 'it moves in a plane',
    'av': 'it is a car', 'camera_pose': 'it is a camera', 'no_action': 'it follows no action'}


def find_domain(name: str) -> Domain:
    """
    Return a domain by its short name, or by that of diffusers.

    :raises WorldModelError: there is no preset for it; with the reason where it is known.
    """
    for short, domain in DOMAINS.items():
        if name in (short, domain.name):
            return domain
    choices = ', '.join(DOMAINS)
    if name in _REFUSED:
        raise WorldModelError(
            f'domain {name!r} of cosmos cannot be used: {_REFUSED[name]}; choose one of: {choices}')
    raise WorldModelError(
        f'domain {name!r} of cosmos does not exist; choose the one whose robot and camera are most '
        f'like yours: {choices}')
