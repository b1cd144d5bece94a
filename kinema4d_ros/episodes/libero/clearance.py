# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The true distance of the robot's links to everything around, on the simulator's own meshes."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from kinema4d_ros.episodes.libero.meshes import triangles
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
        """
        Return the distance of each link to the nearest of some shapes [m].

        Only what can be nearest is measured: nothing is nearer than the boxes around it are, or
        than it was when it was last measured, less the way that it has gone since.
        """
        if not others:
            return [np.inf] * len(self._links)
        lows, highs = np.array([other.box for other in others]).transpose(1, 0, 2)
        found = []
        for link in self._links:
            low, high = link.box
            gaps = np.linalg.norm(np.maximum(np.maximum(lows - high, low - highs), 0.0), axis=1)
            for index in np.flatnonzero(gaps <= REACH):
                gaps[index] = max(gaps[index], link.least(others[index]))
            nearest = np.inf
            for index in np.argsort(gaps):
                if gaps[index] > min(REACH, nearest):
                    break
                nearest = min(nearest, link.distance(others[index]))
            found.append(nearest)
        return found

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
        self._corners = np.array(np.meshgrid(*np.stack([vertices.min(0), vertices.max(0)], 1))
                                 ).reshape(3, 8).T
        mesh = fcl.BVHModel()
        mesh.beginModel(len(faces), len(vertices))
        mesh.addSubModel(vertices, faces)
        mesh.endModel()
        self._object = fcl.CollisionObject(mesh)
        #: (3,) each [m], world frame once moved
        self.box = vertices.min(0), vertices.max(0)
        self._rotation, self._place = np.eye(3), np.zeros(3)
        #: of other shapes: the distance [m] when measured, and where the corners were for them
        self._measured: dict[int, tuple[float, np.ndarray]] = {}

    def move(self, data: mujoco.MjData) -> None:
        """Go where the body is."""
        rotation, place = data.xmat[self.body].reshape(3, 3), data.xpos[self.body]
        self._object.setTransform(fcl.Transform(rotation, place))
        self._rotation, self._place = rotation, place
        corners = self._corners @ rotation.T + place
        self.box = corners.min(0), corners.max(0)

    def _corners_for(self, other: _Shape) -> np.ndarray:
        """Return the corners (8, 3) [m] of the box around it in the frame of another."""
        world = self._corners @ self._rotation.T + self._place
        return (world - other._place) @ other._rotation

    def least(self, other: _Shape) -> float:
        """Return what the distance is at least [m], by when it was measured last."""
        if other.body not in self._measured:
            return 0.0
        distance, before = self._measured[other.body]
        # No point inside of a box goes farther than the corner that goes farthest.
        way = np.linalg.norm(self._corners_for(other) - before, axis=1).max()
        return distance - float(way) - 1e-9

    def distance(self, other: _Shape) -> float:
        """Return the distance [m], inf beyond REACH."""
        found = max(0.0, fcl.distance(self._object, other._object))
        self._measured[other.body] = found, self._corners_for(other)
        return found if found <= REACH else np.inf


@lru_cache(maxsize=1)
def _shapes(scene: LiberoScene) -> dict[str, _Shape]:
    """Return the visible bodies of a scene by name, but what does not move of the robot."""
    found, model = {}, scene.model
    for body in range(model.nbody):
        name = model.body(body).name
        if name in LINKS or not name.startswith(('robot0_', 'gripper0_', 'mount0_')):
            surface = triangles(model, body)
            if surface is not None:
                found[name] = _Shape(body, *surface)
    return found
