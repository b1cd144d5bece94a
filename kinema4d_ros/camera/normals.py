# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Normals of a mesh for shading: smooth over curved surfaces, sharp at edges."""
from __future__ import annotations

import numba
import numpy as np

_CREASE = np.cos(np.deg2rad(40.0))     # faces that meet at a sharper angle are shaded apart


def corner_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """
    Return the normal of each corner of each face, (F, 3, 3) float32, unit length.

    It is the area-weighted mean over the faces around the vertex that are not across a crease.
    Vertices at the same place count as one, since files split them at seams.
    """
    if not len(faces):
        return np.zeros((0, 3, 3), np.float32)
    _, place = np.unique(np.round(vertices.astype(np.float64), 6), axis=0, return_inverse=True)
    place = place.reshape(-1)[faces]
    corner = vertices[faces].astype(np.float64)
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(area, axis=1, keepdims=True)
    unit = area / np.maximum(length, 1e-30)
    order = np.argsort(place.reshape(-1), kind='stable')
    start = np.searchsorted(place.reshape(-1)[order], np.arange(place.max() + 2))
    return _smooth(place, area, unit, order // 3, start)


@numba.njit(cache=True, nogil=True, error_model='numpy')
def _smooth(place: np.ndarray, area: np.ndarray, unit: np.ndarray, around: np.ndarray,
            start: np.ndarray) -> np.ndarray:
    """Average; `around[start[p]:start[p + 1]]` are the faces at place p."""
    out = np.empty((len(place), 3, 3), np.float32)
    for face in range(len(place)):
        for k in range(3):
            p = place[face, k]
            x, y, z = 0.0, 0.0, 0.0
            for i in range(start[p], start[p + 1]):
                other = around[i]
                if (unit[face, 0] * unit[other, 0] + unit[face, 1] * unit[other, 1]
                        + unit[face, 2] * unit[other, 2]) >= _CREASE or other == face:
                    x, y, z = x + area[other, 0], y + area[other, 1], z + area[other, 2]
            length = np.sqrt(x * x + y * y + z * z)
            if length > 0.0:
                out[face, k, 0], out[face, k, 1], out[face, k, 2] = \
                    x / length, y / length, z / length
            else:
                out[face, k, :] = 0.0
    return out
