# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses and camera matrices in the forms that data sets have, as matrices."""
from __future__ import annotations

from typing import get_args, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import DatasetError

PoseForm = Literal['xyz_rpy', 'xyz_rotvec', 'xyz_quat_xyzw', 'xyz_quat_wxyz', 'matrix']
FORMS: tuple[str, ...] = get_args(PoseForm)
_LENGTHS = {'xyz_rpy': 6, 'xyz_rotvec': 6, 'xyz_quat_xyzw': 7, 'xyz_quat_wxyz': 7, 'matrix': 16}


def pose_matrices(values: np.ndarray, form: str) -> np.ndarray:
    """
    Return poses (N, 4, 4) float64.

    :param values: (N, k) in metres and radians: position, then roll, pitch, yaw about fixed axes,
        a rotation vector or a quaternion; or the matrix, row by row.
    :raises DatasetError: an unknown form, another k, a quaternion that is zero, or a matrix that is
        no rotation and translation.
    """
    if form not in _LENGTHS:
        raise DatasetError(f'{form!r} is no form of a pose; there are {", ".join(FORMS)}')
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] < _LENGTHS[form]:
        raise DatasetError(f'a pose of the form {form} has {_LENGTHS[form]} numbers, got '
                           f'{values.shape}')
    if not np.isfinite(values[:, :_LENGTHS[form]]).all():
        raise DatasetError('a pose has a number that is not finite')
    if form == 'matrix':
        return _rigid(values[:, :16].reshape(-1, 4, 4).copy())
    T = np.tile(np.eye(4), (len(values), 1, 1))
    T[:, :3, 3] = values[:, :3]
    turn = values[:, 3:_LENGTHS[form]]
    if form == 'xyz_rpy':
        rotation = Rotation.from_euler('xyz', turn)
    elif form == 'xyz_rotvec':
        rotation = Rotation.from_rotvec(turn)
    else:
        if (np.linalg.norm(turn, axis=1) < 1e-6).any():
            raise DatasetError('a quaternion is zero')
        rotation = Rotation.from_quat(turn if form.endswith('xyzw') else turn[:, [1, 2, 3, 0]])
    T[:, :3, :3] = rotation.as_matrix()
    return T


def _rigid(T: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) that are a rotation and a translation each."""
    R = T[:, :3, :3]
    wrong = (np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2)) > 1e-4) \
        | (np.linalg.det(R) < 0) | (np.abs(T[:, 3] - (0, 0, 0, 1)).max(axis=1) > 1e-9)
    if wrong.any():
        raise DatasetError(f'the pose of row {wrong.argmax()} is no rotation and translation: '
                           f'{T[wrong.argmax()].tolist()}')
    return T


def poses_by_width(values: np.ndarray, form: str) -> np.ndarray:
    """Return poses (N, 4, 4); 7, 12 or 16 numbers have the form that their count tells."""
    values = np.asarray(values, np.float64)
    if values.shape[1] == 12:
        values = np.c_[values, np.tile((0.0, 0.0, 0.0, 1.0), (len(values), 1))]
    return pose_matrices(values, {7: 'xyz_quat_xyzw', 16: 'matrix'}.get(values.shape[1], form))


def pose_matrix(values: np.ndarray, form: str) -> np.ndarray:
    """Return one pose (4, 4), as `poses_by_width`."""
    found: np.ndarray = poses_by_width(np.ravel(values)[None], form)[0]
    return found


def camera_matrix(values: np.ndarray) -> np.ndarray:
    """
    Return K (3, 3) of fx, fy, cx, cy or of the nine numbers of the matrix.

    :raises DatasetError: it is neither.
    """
    row = np.ravel(np.asarray(values, np.float64))
    if len(row) == 4:
        return np.array([[row[0], 0, row[2]], [0, row[1], row[3]], [0, 0, 1]])
    if len(row) == 9:
        return row.reshape(3, 3)
    raise DatasetError(f'a camera is 4 numbers (fx, fy, cx, cy) or 9, got {len(row)}')
