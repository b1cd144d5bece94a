# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The visible surface of the bodies of a MuJoCo model, as triangles and as points."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.episodes.libero.simulator import mujoco
from kinema4d_ros.errors import EpisodeError

_ROUND = 64        # sides of what stands in for something round
_INFINITE = 5.0    # [m] half the side of what stands in for an endless plane


def triangles(model: mujoco.MjModel, body: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the visible geometry of a body: vertices (V, 3) [m] body frame, faces (F, 3)."""
    vertices, faces, count = [], [], 0
    for geom in np.flatnonzero(model.geom_bodyid == body):
        if model.geom_group[geom] == 0 or model.geom_rgba[geom][3] == 0:
            continue
        points, corners = _shape(model, int(geom))
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        vertices.append(points @ rotation.reshape(3, 3).T + model.geom_pos[geom])
        faces.append(corners + count)
        count += len(points)
    return (np.concatenate(vertices), np.concatenate(faces)) if vertices else None


def _shape(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) [m] and faces (F, 3) of one geometry in its own frame."""
    kind, size = model.geom_type[geom], model.geom_size[geom]
    types = mujoco.mjtGeom
    if kind == types.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        at, first = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
        return (model.mesh_vert[at:at + model.mesh_vertnum[mesh]].astype(np.float64),
                model.mesh_face[first:first + model.mesh_facenum[mesh]].astype(np.int64))
    if kind == types.mjGEOM_PLANE:
        half = np.where(size[:2] > 0, size[:2], _INFINITE)
        corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * [*half, 0]
        return corners.astype(np.float64), np.array([[0, 1, 2], [0, 2, 3]])
    if kind == types.mjGEOM_BOX:
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4),
                 (1, 5, 7, 3)]
        return signs * size, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    if kind == types.mjGEOM_CYLINDER:
        angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
        ring = np.stack([size[0] * np.cos(angle), size[0] * np.sin(angle)], 1)
        points = np.concatenate([np.c_[ring, np.full(_ROUND, z)] for z in (-size[1], size[1])])
        k, n = np.arange(_ROUND), (np.arange(_ROUND) + 1) % _ROUND
        return points, np.concatenate([
            np.stack([k, n, n + _ROUND], 1), np.stack([k, n + _ROUND, k + _ROUND], 1),
            *(np.stack([np.full(_ROUND - 2, z), z + k[1:-1], z + n[1:-1]], 1)
              for z in (0, _ROUND))])
    if kind in (types.mjGEOM_CAPSULE, types.mjGEOM_SPHERE):
        radius = float(size[0])
        length = float(size[1]) if kind == types.mjGEOM_CAPSULE else 0.0
        latitude = np.linspace(-np.pi / 2, np.pi / 2, _ROUND // 2)
        angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        points = np.concatenate([np.c_[radius * np.cos(at) * ring, np.full(
            _ROUND, radius * np.sin(at) + np.copysign(length, at))] for at in latitude])
        k, n = np.arange(_ROUND), (np.arange(_ROUND) + 1) % _ROUND
        return points, np.concatenate([
            row * _ROUND + np.concatenate([np.stack([k, n, n + _ROUND], 1),
                                           np.stack([k, n + _ROUND, k + _ROUND], 1)])
            for row in range(len(latitude) - 1)])
    raise EpisodeError(f'the scene shows a geometry of type {kind}, whose distance is not '
                       f'measured; known: mesh, plane, box, '
                       'cylinder, capsule, sphere')


def surface_points(model: mujoco.MjModel, body: int, count: int) -> np.ndarray:
    """
    Return points all over the visible surface of a body, the same at each call.

    :return: (count, 3) [m] body frame, (0, 3) for a body that nothing is seen of.
    """
    surface = triangles(model, body)
    if surface is None:
        return np.empty((0, 3))
    corners = surface[0][surface[1]]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0],
                                    corners[:, 2] - corners[:, 0]), axis=1)
    random = np.random.default_rng(0)
    chosen = corners[random.choice(len(corners), count, p=areas / areas.sum())]
    u, v = np.sqrt(random.uniform(size=count)), random.uniform(size=count)
    weights = np.stack([1 - u, u * (1 - v), u * v], 1)
    return np.einsum('nij,ni->nj', chosen, weights)
