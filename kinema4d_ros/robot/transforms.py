# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
(4, 4) transforms from and to quaternions and the angles of URDF: the only place for these.

SciPy is loaded by what needs it (40 MB): most nodes only read poses.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

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
    # The formula of SciPy's Rotation, to the last bit, which a test holds it to.
    length = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    x, y, z, w = (q / length).tolist()
    xx, yy, zz, ww = x * x, y * y, z * z, w * w
    T = np.eye(4)
    T[:3, :3] = [[xx - yy - zz + ww, 2 * (x * y - z * w), 2 * (x * z + y * w)],
                 [2 * (x * y + z * w), -xx + yy - zz + ww, 2 * (y * z - x * w)],
                 [2 * (x * z - y * w), 2 * (y * z + x * w), -xx - yy + zz + ww]]
    T[:3, 3] = t
    return T


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) with w >= 0 of a rotation matrix (3, 3)."""
    m = np.asarray(rotation, np.float64)
    if not np.allclose(m @ m.T, np.eye(3), rtol=0.0, atol=1e-12):     # the nearest one that turns
        from scipy.spatial.transform import Rotation
        x, y, z, w = map(float, Rotation.from_matrix(m).as_quat(canonical=True))
        return x, y, z, w
    # As SciPy has it, from the largest of four numbers: a test holds it to that.
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    i = int(np.argmax((m[0, 0], m[1, 1], m[2, 2], trace)))
    if i == 3:
        q = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1 + trace])
    else:
        j, k, q = (i + 1) % 3, (i + 2) % 3, np.empty(4)
        q[[i, j, k, 3]] = (1 - trace + 2 * m[i, i], m[j, i] + m[i, j], m[k, i] + m[i, k],
                           m[k, j] - m[j, k])
    q /= np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if q[3] < 0 or (q[3] == 0 and next(value for value in q if value) < 0):
        q = -q
    x, y, z, w = q.tolist()
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
    from scipy.spatial.transform import Rotation
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Gimbal lock')
        roll, pitch, yaw = map(float, Rotation.from_matrix(rotation).as_euler('xyz'))
    return roll, pitch, yaw
