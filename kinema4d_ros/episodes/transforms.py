# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses in messages and in robot descriptions, as matrices and back."""
from __future__ import annotations

import warnings
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import EpisodeError


def matrix_from_message(transform: Any) -> np.ndarray:
    """
    Return a geometry_msgs/Transform as (4, 4) float64; the quaternion is normalised.

    :raises EpisodeError: a number is not finite, or the quaternion is zero.
    """
    t, q, T = transform.translation, transform.rotation, np.eye(4)
    turn, T[:3, 3] = np.array([q.x, q.y, q.z, q.w]), (t.x, t.y, t.z)
    if not np.isfinite(T).all() or not np.isfinite(turn).all() or not turn.any():
        raise EpisodeError('a pose is not finite, or has no rotation')
    T[:3, :3] = Rotation.from_quat(turn).as_matrix()
    return T


def quaternion(R: np.ndarray) -> np.ndarray:  # noqa: N803 - a rotation matrix
    """Return (x, y, z, w), w >= 0, of a rotation matrix (3, 3)."""
    found: np.ndarray = Rotation.from_matrix(R).as_quat(canonical=True)
    return found


def rpy(R: np.ndarray) -> np.ndarray:  # noqa: N803
    """Return URDF's roll, pitch, yaw [rad] of a rotation matrix: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    with warnings.catch_warnings():
        # In gimbal lock only yaw -+ roll is determined; SciPy says so and sets yaw to 0.
        warnings.filterwarnings('ignore', 'Gimbal lock')
        found: np.ndarray = Rotation.from_matrix(R).as_euler('xyz')
    return found


def with_camera(urdf: str, camera_frame: str, parent: str, T_parent_camera: np.ndarray) -> str:
    """Return the URDF with the camera's optical frame as a link on `parent`."""
    numbers = [' '.join(f'{value:.9g}' for value in row) for row in (
        T_parent_camera[:3, 3], rpy(T_parent_camera[:3, :3]))]
    frame, joint = quoteattr(camera_frame), quoteattr(f'{camera_frame}_joint')
    link = (f'  <link name={frame}/>\n'
            f'  <joint name={joint} type="fixed">\n'
            f'    <parent link={quoteattr(parent)}/>\n    <child link={frame}/>\n'
            f'    <origin xyz="{numbers[0]}" rpy="{numbers[1]}"/>\n  </joint>\n')
    head, end, tail = urdf.rpartition('</robot>')
    if not end:
        raise EpisodeError('the robot description has no closing </robot>')
    return head + link + end + tail
