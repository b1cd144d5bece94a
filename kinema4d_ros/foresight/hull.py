# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Convex hulls of points: their planes, how deep something is inside, their triangles."""
from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

GRID = 0.004      # [m] a hull is made of points this far apart


def hull_planes(points: np.ndarray) -> np.ndarray | None:
    """Return outward planes (F, 4) of the hull of points (N, 3) [m]; None when they are flat."""
    places = np.round(points / GRID).astype(int)
    order = np.lexsort(places.T[::-1])      # a place's first point comes first
    places = places[order]
    one = order[np.append(True, (places[1:] != places[:-1]).any(axis=1))[:len(order)]]
    try:
        planes: np.ndarray = ConvexHull(points[one]).equations
    except (QhullError, ValueError):      # flat, or too few points
        return None
    return planes


def depth_in(points: np.ndarray, planes: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """
    Return the signed distance of points (N, 3) to a hull, (N,) [m]; outside it is a bound.

    :param planes: (F, 4) of the hull as it was made.
    :param pose: (4, 4) how it has moved since.
    """
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    depth: np.ndarray = (local @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    return depth


def hull_mesh(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return vertices (V, 3) and faces (F, 3) int32 of the hull of points (N, 3).

    :raises ValueError: the points are flat, or too few.
    """
    try:
        hull = ConvexHull(points)
    except QhullError as error:
        raise ValueError(f'{len(points)} points span no volume') from error
    used, faces = np.unique(hull.simplices, return_inverse=True)
    return points[used], faces.reshape(hull.simplices.shape).astype(np.int32)
