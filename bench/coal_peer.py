# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Distances of a robot's meshes to points of a scene by coal (FCL), per link and look.

The points are an octree, or a bounding volume hierarchy of triangles of a micrometre, one at each
point, since coal knows no distance to points. Only the time in coal counts: for building, and for
the distances; what Python takes to hand the points over does not.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import coal
import numpy as np

from kinema4d_ros.robot import LinkMesh

_SIZE = 1e-6      # [m] of the triangles that stand for points


class CoalWay:
    """The meshes of some links, for distances at their poses."""

    def __init__(self, meshes: Mapping[str, LinkMesh], names: Sequence[str]):
        """Make the hierarchies of these links."""
        self._links = []
        for name in names:
            model, _ = _hierarchy(meshes[name].vertices.astype(np.float64), meshes[name].faces)
            self._links.append(model)

    def octree(self, points: np.ndarray, poses: np.ndarray, voxel: float
               ) -> tuple[np.ndarray, float, float]:
        """
        Return distances (T, L) [m] to points (N, 3), and the seconds of building and of all looks.

        :param poses: (T, L, 4, 4) of the links.
        :param voxel: [m] of the leaves of the tree.
        """
        started = time.thread_time()
        tree = coal.makeOctree(points.astype(np.float64), voxel)
        return self._distances(tree, poses, time.thread_time() - started)

    def hierarchy(self, points: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Return the same by a bounding volume hierarchy."""
        corners = points.astype(np.float64)[:, None] + [[0, 0, 0], [_SIZE, 0, 0], [0, _SIZE, 0]]
        model, seconds = _hierarchy(corners.reshape(-1, 3),
                                    np.arange(3 * len(points)).reshape(-1, 3))
        return self._distances(model, poses, seconds)

    def _distances(self, scene, poses: np.ndarray, built: float
                   ) -> tuple[np.ndarray, float, float]:
        found = np.empty(poses.shape[:2])
        here = coal.Transform3s.Identity()
        started = time.thread_time()
        for t, of_links in enumerate(poses):
            for number, (model, T) in enumerate(zip(self._links, of_links)):
                place = coal.Transform3s(T[:3, :3].copy(), T[:3, 3].copy())
                found[t, number] = coal.distance(model, place, scene, here,
                                                 coal.DistanceRequest(), coal.DistanceResult())
        return found, built, time.thread_time() - started


def _hierarchy(vertices: np.ndarray, faces: np.ndarray) -> tuple[coal.BVHModelOBBRSS, float]:
    """Return the hierarchy of a mesh, and the seconds that coal takes to build it."""
    model = coal.BVHModelOBBRSS()
    corners, triangles = coal.StdVec_Vec3s(), coal.StdVec_Triangle()
    for vertex in vertices:
        corners.append(vertex)
    for face in faces.tolist():
        triangles.append(coal.Triangle(*face))
    started = time.thread_time()
    model.beginModel(len(faces), len(vertices))
    model.addSubModel(corners, triangles)
    model.endModel()
    return model, time.thread_time() - started
