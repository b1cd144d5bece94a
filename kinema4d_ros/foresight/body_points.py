# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which points of a scene are of a body that one view has seen, whichever camera they are from."""
from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.hull import depth_in
from kinema4d_ros.scene import Scene, ScenePoints

_BESIDE = 0.02        # [m] beside the hull of a body that one view saw, where its back may be
_INSIDE = 0.008       # [m] beside it that still is inside
_JOINED = 0.01        # [m] points closer than this hang together
_SUPPORT = 0.006      # [m] above what a body stands on


def points_of_body(scene: ScenePoints, body: Body, among: np.ndarray) -> np.ndarray:
    """
    Return the indices of points that are of a body which one view has seen.

    Those are the points in its hull, or within 2 cm of it and connected with those: nobody saw its
    back from there. What it stands on stays.

    :param among: (N,) bool, points of the scene that may be.
    """
    if body.planes is None or not among.any():
        return np.empty(0, int)
    near = scene.cubes.within(body.vertices.min(0) - _BESIDE, body.vertices.max(0) + _BESIDE)
    near = near[among[near]]
    points = scene.points_base[near].astype(np.float64)
    depth = depth_in(points, body.planes, np.eye(4))
    near, depth, points = (each[(depth <= _BESIDE) & (points[:, 2] > body.bottom + _SUPPORT)]
                           for each in (near, depth, points))
    if not len(near):
        return near
    pairs = cKDTree(points).query_pairs(_JOINED, output_type='ndarray')
    _, label = connected_components(coo_array(
        (np.ones(len(pairs), bool), tuple(pairs.T)), shape=(len(near),) * 2), directed=False)
    return near[np.isin(label, label[depth <= _INSIDE])]


def seen_by_others(scene: Scene, source: int, body: Body) -> np.ndarray:
    """
    Return what other views see of a body that one view has seen, (N, 3) [m] base frame.

    :param source: number of that view.
    """
    box = np.stack([body.vertices.min(0) - _BESIDE, body.vertices.max(0) + _BESIDE])
    points = scene.near(box[None]).points
    views = len(scene.views)
    among = ~points.of_source(source) & (points.pixels[:, 0] >= 0) if views > 1 \
        else np.zeros(len(points), bool)
    return points.points_base[points_of_body(points, body, among)]
