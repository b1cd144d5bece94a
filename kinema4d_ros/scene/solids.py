# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Declared solids as points on their surfaces."""
from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.types import Solid

_ROUND = 48      # corners of a circle


def surface_points(solid: Solid, spacing: float, reach: float) -> np.ndarray:
    """
    Return points on the surface of a solid, (N, 3) float64 [m] base frame.

    :param spacing: [m] between neighbours, at most.
    :param reach: [m] from the origin of the base frame; what is farther is left out.
    :raises ObservationError: a mesh without faces is flat.
    """
    vertices, faces = _mesh_of(solid)
    T = solid.T_base_solid
    corners = (vertices @ T[:3, :3].T + T[:3, 3])[faces]          # (F, 3, 3)
    corners = _within(corners, spacing, reach)
    if not len(corners):
        return np.empty((0, 3))
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.ceil(longest / spacing).astype(int).clip(1)
    found = []
    for count in np.unique(parts):
        a, b = np.mgrid[0:count + 1, 0:count + 1].reshape(2, -1)
        inside = a + b <= count
        weights = np.stack([a, b, count - a - b], -1)[inside] / count
        found.append(np.einsum('wk,fkd->fwd', weights, corners[parts == count]).reshape(-1, 3))
    points = np.concatenate(found)
    return points[np.linalg.norm(points, axis=1) <= reach]


def _within(corners: np.ndarray, spacing: float, reach: float) -> np.ndarray:
    """Return triangles (F, 3, 3) cut down to those near the origin; large ones are quartered."""
    while len(corners):
        middle = corners.mean(axis=1)
        radius = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
        corners = corners[np.linalg.norm(middle, axis=1) - radius <= reach]
        large = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1) \
            > max(0.5, 4 * spacing)
        if not large.any():
            break
        a, b, c = corners[large].swapaxes(0, 1)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [np.stack(each, 1) for each in (
            (a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        corners = np.concatenate([corners[~large], *quarters])
    return corners


def _mesh_of(solid: Solid) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) [m] and faces (F, 3) of a solid, its own frame."""
    size = np.array(solid.dimensions)
    if solid.kind == 'mesh':
        return (solid.vertices, solid.faces) if len(solid.faces) else _hull(solid, solid.vertices)
    angle = np.arange(_ROUND) * 2 * np.pi / _ROUND
    circle = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(_ROUND)])
    if solid.kind == 'box':
        points = np.stack(np.meshgrid(*np.outer(size, [-0.5, 0.5])), -1).reshape(-1, 3)
    elif solid.kind == 'sphere':
        lift = np.sin(np.linspace(-np.pi / 2, np.pi / 2, _ROUND // 2 + 1))[1:-1]
        rings = [np.sqrt(1 - z * z) * circle + [0, 0, z] for z in lift]
        points = size[0] * np.concatenate([[[0, 0, -1], [0, 0, 1]], *rings])
    else:
        height, radius = size
        top = radius * circle if solid.kind == 'cylinder' else np.zeros((1, 3))
        points = np.concatenate([radius * circle - [0, 0, height / 2], top + [0, 0, height / 2]])
    return _hull(solid, points)


def _hull(solid: Solid, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return points, ConvexHull(points).simplices
    except QhullError as error:
        raise ObservationError(f'the solid mesh {solid.name!r} has no faces, and its '
                               f'{len(points)} vertices span no volume') from error
