# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rotation matrices to quaternions and to URDF's angles, and back."""
from __future__ import annotations

import numpy as np


def quaternion_from_matrix(R: np.ndarray) -> np.ndarray:  # noqa: N803 - a rotation matrix
    """Return (x, y, z, w), w >= 0, of a rotation matrix (3, 3), by its largest component."""
    # The four squares of the components, each of which is exact where it is large.
    diagonal = np.diag(R)
    squares = np.r_[1 - diagonal.sum() + 2 * diagonal, 1 + diagonal.sum()]
    q, largest = np.empty(4), int(np.argmax(squares))
    if largest == 3:
        q[:] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], squares[3]
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        q[i], q[j], q[k] = squares[i], R[j, i] + R[i, j], R[k, i] + R[i, k]
        q[3] = R[k, j] - R[j, k]
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def matrix_from_quaternion(q: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (..., 3, 3) of quaternions (..., 4), xyzw, normalised here."""
    q = np.asarray(q, np.float64)
    x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1)], -2)


def rpy_from_matrix(R: np.ndarray) -> tuple[float, float, float]:  # noqa: N803
    """Return URDF's roll, pitch, yaw [rad] of a rotation matrix: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    pitch = np.arctan2(-R[2, 0], np.hypot(R[0, 0], R[1, 0]))
    if np.hypot(R[0, 0], R[1, 0]) < 1e-6:      # gimbal lock: only yaw -+ roll is determined
        return float(np.arctan2(-R[1, 2], R[1, 1])), float(pitch), 0.0
    return (float(np.arctan2(R[2, 1], R[2, 2])), float(pitch),
            float(np.arctan2(R[1, 0], R[0, 0])))
