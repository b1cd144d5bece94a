# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""(4, 4) transforms from and to quaternions and the angles of URDF: the only place for these."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import CameraError


def transform_from_quaternion(position: Sequence[float], quaternion: Sequence[float]
                              ) -> np.ndarray:
    """
    Return the pose as a (4, 4) float64 transform.

    :param position: x, y, z [m].
    :param quaternion: x, y, z, w, of any length but 0.
    :raises CameraError: a value is not finite, or the quaternion is all zero (never filled in).
    """
    t, q = np.array(position, np.float64), np.array(quaternion, np.float64)
    norm = np.linalg.norm(q)
    if not np.all(np.isfinite(t)) or not np.isfinite(norm) or norm < 1e-6:
        raise CameraError(f'not a pose: position {t.tolist()}, quaternion xyzw {q.tolist()}')
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_quat(q).as_matrix(), t
    return T


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) with w >= 0 of a rotation matrix (3, 3)."""
    x, y, z, w = map(float, Rotation.from_matrix(rotation).as_quat(canonical=True))
    return x, y, z, w


def transform_from_rpy(xyz: Sequence[float], rpy: Sequence[float]) -> np.ndarray:
    """
    Return the read-only (4, 4) float64 transform of a URDF origin.

    :param xyz: [m].
    :param rpy: roll, pitch, yaw about fixed axes [rad].
    """
    # Written out, since SciPy goes over a quaternion, and then one origin in six of the robots
    # that we know differs in its last bit. Forward kinematics, and with it every verdict, starts
    # from these numbers.
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in rpy)
    out = np.eye(4)
    out[:3, :3] = [[cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                   [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                   [-sp, cp * sr, cp * cr]]
    out[:3, 3] = xyz
    out.flags.writeable = False
    return out


def rpy(rotation: np.ndarray) -> tuple[float, float, float]:
    """Return URDF's roll, pitch, yaw [rad] of a rotation matrix (3, 3); in gimbal lock yaw is 0."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Gimbal lock')
        roll, pitch, yaw = map(float, Rotation.from_matrix(rotation).as_euler('xyz'))
    return roll, pitch, yaw
