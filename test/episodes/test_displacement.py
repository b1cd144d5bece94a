# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of a thing, told from its true poses."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes.displacement import Displacement, Happened

TIMES = np.arange(0.0, 2.01, 0.05)
STEPS = np.linspace(0.0, 1.0, len(TIMES))


def path(offsets, rotations=None):
    poses = np.tile(np.eye(4), (len(TIMES), 1, 1))
    poses[:, :3, 3] = [0.5, 0.1, 0.2] + np.asarray(offsets)
    if rotations is not None:
        poses[:, :3, :3] = rotations.as_matrix()
    return poses


def turned(axis, degrees):
    return Rotation.from_euler(axis, degrees * STEPS[:, None], degrees=True)


def along(x=0.0, y=0.0, z=0.0):
    return STEPS[:, None] * [x, y, z]


def lifted(height, end):
    up = height * np.interp(TIMES, [0.0, 0.9, 1.8, 2.0], [0.0, 1.0, 1.0, end])
    return along(y=0.1) + np.c_[np.zeros((len(TIMES), 2)), up]


@pytest.mark.parametrize(('poses', 'happened'), [
    (path(along(x=0.009)), Happened.STAY),
    (path(along(x=0.011)), Happened.PUSH),
    (path(along(x=0.05), turned('x', 44)), Happened.PUSH),
    (path(along(x=0.05), turned('x', 46)), Happened.TOPPLE),
    (path(along(x=0.05), turned('z', 120)), Happened.PUSH),
    (path(lifted(0.15, 1.0)), Happened.CARRY),
    (path(lifted(0.18, 0.0)), Happened.DROP),
])
def test_what_happened_is_told_by_the_poses(poses, happened):
    assert Displacement.of(TIMES, poses, np.zeros(3)).happened() is happened


def test_a_turn_about_a_far_origin_moves_the_middle():
    turn = turned('z', 90)
    displacement = Displacement.of(TIMES, path(along(), turn), np.array([0.1, 0.0, 0.0]))
    assert displacement.distance == pytest.approx(0.1 * np.sqrt(2))
    assert displacement.tilt == pytest.approx(0.0, abs=1e-5)


def test_what_is_pulled_along_is_told_by_who_pulls():
    displacement = Displacement.of(TIMES, path(along(x=0.05)), np.zeros(3))
    assert displacement.happened(in_drag=True) is Happened.DRAG
