# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far the fingers are from a thing, on the geometry that the simulator collides."""
from __future__ import annotations

from typing import Any

import numpy as np

from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.errors import EpisodeError

try:
    import fcl
    import mujoco
except ImportError as error:
    raise EpisodeError(f'the gap of the fingers is measured with FCL, which is not installed '
                       f'({error}); run `pip install -r requirements/sim.txt`') from error


class FingerGap:
    """The distance of the fingers to one object of a scene."""

    def __init__(self, scene: LiberoScene, name: str):
        """
        Make it for an object.

        :raises EpisodeError: a geometry of it has a form whose distance is not measured.
        """
        self._data = scene.data
        self._fingers = _shapes(scene, scene.finger_bodies())
        self._object = _shapes(scene, set(scene.object_bodies(name).tolist()))

    def __call__(self) -> float:
        """Return the least distance as the scene is now [m], 0 where they touch."""
        for geom, shape in (*self._fingers, *self._object):
            shape.setTransform(fcl.Transform(
                self._data.geom_xmat[geom].reshape(3, 3), self._data.geom_xpos[geom]))
        return max(0.0, min(fcl.distance(one, other) for _, one in self._fingers
                            for _, other in self._object))


def _shapes(scene: LiberoScene, bodies: set[int]) -> list[tuple[int, Any]]:
    """Return the geometry of bodies that collides, by its number."""
    model = scene.model
    return [(geom, fcl.CollisionObject(_form(model, geom))) for geom in range(model.ngeom)
            if model.geom_bodyid[geom] in bodies
            and (model.geom_contype[geom] or model.geom_conaffinity[geom])]


def _form(model: mujoco.MjModel, geom: int) -> Any:
    """Return the form of one geometry in its own frame."""
    kind, size, types = model.geom_type[geom], model.geom_size[geom], mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return fcl.Box(*(2 * size))
    if kind == types.mjGEOM_SPHERE:
        return fcl.Sphere(size[0])
    if kind == types.mjGEOM_CYLINDER:
        return fcl.Cylinder(size[0], 2 * size[1])
    if kind == types.mjGEOM_CAPSULE:
        return fcl.Capsule(size[0], 2 * size[1])
    if kind != types.mjGEOM_MESH:
        raise EpisodeError(f'the distance to a geometry of type {kind} is not measured; known: '
                           'mesh, box, sphere, cylinder, capsule')
    mesh = model.geom_dataid[geom]
    at, first = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
    points = model.mesh_vert[at:at + model.mesh_vertnum[mesh]].astype(np.float64)
    corners = model.mesh_face[first:first + model.mesh_facenum[mesh]].astype(np.int64)
    form = fcl.BVHModel()
    form.beginModel(len(corners), len(points))
    form.addSubModel(points, corners)
    form.endModel()
    return form
