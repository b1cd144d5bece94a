# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The true distance of the robot's links to everything around, on the simulator's own meshes."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.episodes.truth import TrueClearance
from kinema4d_ros.errors import EpisodeError

try:
    import fcl
    import mujoco
except ImportError as error:
    raise EpisodeError(f'the recorder measures true distances with FCL, which is not installed '
                       f'({error}); run `pip install -r requirements/sim.txt`') from error

REACH = 0.10       # [m] larger distances count as infinite
#: bodies of the simulator -> links of the robot description that can come near to something
LINKS = {**{f'robot0_link{i}': f'panda_link{i}' for i in range(1, 8)},
         'gripper0_right_gripper': 'panda_hand', 'gripper0_leftfinger': 'panda_leftfinger',
         'gripper0_rightfinger': 'panda_rightfinger'}
_ROUND = 64        # sides of what stands in for something round
_INFINITE = 5.0    # [m] half the side of what stands in for an endless plane


class ClearanceMeter:
    """
    Measures, as the simulation runs, between the triangles that the camera sees.

    Those are the scene's visual geometry, exact but for round shapes (below 0.2 mm for a radius
    of 15 cm). Distances are 0 where triangles cross.
    """

    def __init__(self, scene: LiberoScene, carried: str | None):
        """
        Make a meter for the links of the robot in `scene`.

        :param carried: the object that is to be moved, measured apart from the rest.
        """
        self._scene = scene
        mine = set() if carried is None else set(scene.object_bodies(carried).tolist())
        shapes = _shapes(scene)
        self._links = [shapes[body] for body in LINKS]
        others = [shape for body, shape in shapes.items() if body not in LINKS]
        self._around = [shape for shape in others if shape.body not in mine]
        self._target = [shape for shape in others if shape.body in mine]
        self._times: list[float] = []
        self._rows: list[tuple[list[float], list[float]]] = []

    def measure(self, time: float) -> None:
        """Measure the scene as it is now."""
        data = self._scene.data
        for shape in (*self._links, *self._around, *self._target):
            shape.move(data)
        self._times.append(time)
        self._rows.append((self._distances(self._around), self._distances(self._target)))

    def _distances(self, others: list[_Shape]) -> list[float]:
        """Return the distance of each link to the nearest of some shapes [m]."""
        return [min((link.distance(other) for other in others), default=np.inf)
                for link in self._links]

    def record(self) -> TrueClearance:
        """Return what was measured."""
        rows = np.array(self._rows, np.float64).reshape(len(self._times), 2, len(self._links))
        return TrueClearance(np.array(self._times), tuple(LINKS.values()), rows[:, 0], rows[:, 1])


class _Shape:
    """The triangles of one body."""

    def __init__(self, body: int, vertices: np.ndarray, faces: np.ndarray):
        """
        Make the collision object of a mesh.

        :param vertices: (V, 3) [m] body frame.
        """
        self.body = body
        self._middle = 0.5 * (vertices.min(0) + vertices.max(0))
        self._radius = float(np.linalg.norm(vertices - self._middle, axis=1).max())
        mesh = fcl.BVHModel()
        mesh.beginModel(len(faces), len(vertices))
        mesh.addSubModel(vertices, faces)
        mesh.endModel()
        self._object = fcl.CollisionObject(mesh)
        self._at = np.zeros(3)

    def move(self, data: mujoco.MjData) -> None:
        """Go where the body is."""
        rotation, place = data.xmat[self.body].reshape(3, 3), data.xpos[self.body]
        self._object.setTransform(fcl.Transform(rotation, place))
        self._at = rotation @ self._middle + place

    def distance(self, other: _Shape) -> float:
        """Return the distance [m], inf beyond REACH."""
        apart = np.linalg.norm(self._at - other._at) - self._radius - other._radius
        if apart > REACH:
            return np.inf
        found = max(0.0, fcl.distance(self._object, other._object))
        return found if found <= REACH else np.inf


@lru_cache(maxsize=1)
def _shapes(scene: LiberoScene) -> dict[str, _Shape]:
    """Return the visible bodies of a scene by name, but what does not move of the robot."""
    found, model = {}, scene.model
    for body in range(model.nbody):
        name = model.body(body).name
        if name in LINKS or not name.startswith(('robot0_', 'gripper0_', 'mount0_')):
            triangles = _triangles(model, body)
            if triangles is not None:
                found[name] = _Shape(body, *triangles)
    return found


def _triangles(model: mujoco.MjModel, body: int) -> tuple[np.ndarray, np.ndarray] | None:
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
    raise EpisodeError(f'the scene shows a geometry of type {kind}, whose distance is not '
                       f'measured; known: mesh, plane, box, cylinder')
