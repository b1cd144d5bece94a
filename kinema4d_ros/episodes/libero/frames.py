# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms, boxes and rotations, whatever simulates what is in them."""
from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def transform(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the (4, 4) float64 transform of a rotation (9,) or (3, 3) and a position (3,)."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.reshape(rotation, (3, 3)), position
    return T


def base_aligned(pose: np.ndarray, low: np.ndarray,
                 high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (3,) of the axis-aligned box around a box (low, high) at a pose."""
    corners = np.array(np.meshgrid(*np.stack([low, high], 1))).reshape(3, 8)
    points = pose[:3, :3] @ corners + pose[:3, 3:]
    return points.min(axis=1), points.max(axis=1)


def about_z(angle: float) -> np.ndarray:
    """Return the (3, 3) rotation about the vertical by an angle [rad]."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def tilted(out: np.ndarray, angle: float, yaw: float = 0.0) -> np.ndarray:
    """
    Return the turn (3, 3) of a hand from straight down towards where something opens from.

    :param out: (3,) horizontal, on which it opens: the hand comes to point the other way.
    :param angle: [rad] pi / 2 is a level hand.
    :param yaw: [rad] about the vertical, before.
    """
    axis = np.cross([0.0, 0.0, 1.0], out)      # turns -z towards -out
    return Rotation.from_rotvec(angle * axis).as_matrix() @ about_z(yaw)
