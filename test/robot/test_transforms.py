# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quaternions and URDF's angles, against products of elementary rotations."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import CameraError
from kinema4d_ros.robot.transforms import (quaternion, rpy, transform_from_quaternion,
                                           transform_from_rpy)

_COMPONENT = st.floats(-1, 1).map(lambda value: round(value, 6))
ANGLES = st.tuples(*[st.floats(-math.pi, math.pi)] * 3)


def elementary(roll, pitch, yaw) -> np.ndarray:
    """Return Rz(yaw) Ry(pitch) Rx(roll)."""
    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    cy, sy = np.cos(yaw), np.sin(yaw)
    return (np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
            @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
            @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]]))


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[_COMPONENT] * 4).filter(lambda q: np.linalg.norm(q) > 1e-3))
def test_there_and_back(q):
    R = transform_from_quaternion((0, 0, 0), q)[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    again = quaternion(R)
    assert again[3] >= 0
    np.testing.assert_allclose(transform_from_quaternion((0, 0, 0), again)[:3, :3], R, atol=1e-9)
    np.testing.assert_allclose(elementary(*rpy(R)), R, atol=3e-6)   # in gimbal lock no better


@given(st.tuples(*[st.floats(-1e3, 1e3)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-3))
def test_it_is_scipys_to_the_last_bit(q):
    R = Rotation.from_quat(q).as_matrix()
    assert np.array_equal(transform_from_quaternion((0, 0, 0), q)[:3, :3], R)
    for rotation in R, R.astype(np.float32):      # the second turns and stretches a little
        assert quaternion(rotation) == tuple(Rotation.from_matrix(rotation).as_quat(canonical=True))


@given(ANGLES)
def test_rpy_agrees_with_elementary_rotations_and_scipy(angles):
    T = transform_from_rpy((1, 2, 3), angles)
    np.testing.assert_allclose(T[:3, :3], elementary(*angles), atol=1e-15)
    np.testing.assert_allclose(T[:3, :3], Rotation.from_euler('xyz', angles).as_matrix(),
                               atol=1e-15)
    assert T[:, 3].tolist() == [1, 2, 3, 1] and not T.flags.writeable


@pytest.mark.parametrize('axis', range(3))
def test_half_turns(axis):
    R = -np.eye(3)
    R[axis, axis] = 1
    np.testing.assert_allclose(np.abs(quaternion(R)), np.eye(4)[axis], atol=1e-12)


@pytest.mark.parametrize('pitch', [math.pi / 2, -math.pi / 2])
@pytest.mark.filterwarnings('error')
def test_gimbal_lock_is_no_warning(pitch):
    R = elementary(0.3, pitch, 0.4)
    roll, _, yaw = rpy(R)
    assert yaw == 0.0 and roll != 0.0
    np.testing.assert_allclose(elementary(*rpy(R)), R, atol=1e-6)


@pytest.mark.parametrize(('position', 'q'), [
    ((0, 0, 0), (0, 0, 0, 0)), ((0, 0, 0), (0, 0, 0, math.nan)), ((0, math.inf, 0), (0, 0, 0, 1))])
def test_what_is_no_pose(position, q):
    with pytest.raises(CameraError, match='not a pose'):
        transform_from_quaternion(position, q)
