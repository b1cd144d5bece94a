# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What MoveIt knows of the world: moveit_msgs/PlanningScene and CollisionObject as solids.

Anything with the fields of these messages will do, so that nothing of MoveIt is needed here.
"""
from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from kinema4d_ros.errors import Kinema4DError, ObservationError
from kinema4d_ros.robot.transforms import transform_from_quaternion
from kinema4d_ros.types import Solid

KINDS = {1: 'box', 2: 'sphere', 3: 'cylinder', 4: 'cone'}    # of shape_msgs/SolidPrimitive
_ADD, _REMOVE, _APPEND, _MOVE = range(4)                     # of moveit_msgs/CollisionObject
_MOST_TRIANGLES = 50_000
_MOST_OBJECTS = 2_000
_MOST_PROBLEMS = 20          # that are named
_MORE = (f'more objects than the {_MOST_PROBLEMS} that are named are not known; send the whole '
         'scene, or remove all objects and add them anew')


@dataclass(frozen=True)
class _Object:
    """One collision object: its frame, its place there, and its shapes at theirs in it."""

    frame: str
    T_frame_object: np.ndarray
    solids: tuple[Solid, ...]      # their poses are in the object


class Declared(NamedTuple):
    """All objects at one moment; it is never changed, so any thread may read it."""

    objects: Mapping[str, _Object] = MappingProxyType({})
    problems: Mapping[str, str] = MappingProxyType({})     # object -> why it is not known
    is_whole: bool = False     # a scene has come that was no difference
    has_more: bool = False     # there were more problems than are kept

    def solids(self, pose_of: Callable[[str], np.ndarray]
               ) -> tuple[tuple[Solid, ...], dict[str, str]]:
        """
        Return all shapes in the base frame, and why those that are not among them are not known.

        :param pose_of: returns T_base_frame (4, 4) of a frame; where it raises Kinema4DError the
            place of that object is not known, and those of the others are.
        """
        found, problems, has_more = list[Solid](), dict(self.problems), self.has_more
        for name, each in self.objects.items():
            try:
                T = pose_of(each.frame) @ each.T_frame_object  # noqa: N806 - a transform
            except Kinema4DError as error:
                has_more |= not _noted(
                    problems, name, f'the place of object {name!r} is not known: {error}')
                continue
            found += [Solid(solid.kind, solid.dimensions, T @ solid.T_base_solid, solid.vertices,
                            solid.faces, name) for solid in each.solids]
        return tuple(found), problems | ({'and more': _MORE} if has_more else {})


class CollisionObjects:
    """
    Keeps the objects that messages add, move and remove; `now` is what is known of them.

    One that cannot be understood is among the problems until the next message about it: nobody
    knows then where it is. Messages come in one thread while others read, so each message makes
    a new `now`, which takes the place of the one before in one step.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()     # held by whoever makes the next `now`
        self.now = Declared()

    def take_scene(self, message: Any) -> str:
        """
        Take in a PlanningScene: all there is, or the difference to what there was.

        :return: what is wrong with its objects, '' where nothing is.
        """
        with self._lock:
            before = self.now if message.is_diff else Declared(is_whole=True)
            return self._take(message.world.collision_objects, before)

    def take(self, message: Any) -> str:
        """Take in a CollisionObject; return what is wrong with it, '' where nothing is."""
        with self._lock:
            return self._take([message], self.now)

    def _take(self, messages: Sequence[Any], before: Declared) -> str:
        objects, problems, has_more = dict(before.objects), dict(before.problems), before.has_more
        said: dict[str, str] = {}      # of these messages
        for message in messages:
            name = str(message.id)
            try:
                operation = message.operation
                operation = operation[0] if isinstance(operation, bytes) else int(operation)
                if operation != _REMOVE:
                    objects[name] = _made(message, operation, objects)
            except (Kinema4DError, ArithmeticError, AttributeError, LookupError, TypeError,
                    ValueError) as error:
                objects.pop(name, None)
                why = f'object {name!r} cannot be understood: {error}'
                has_more |= not _noted(problems, name, why)
                _noted(said, name, why)
                continue
            if operation == _REMOVE and not name:     # all
                objects, problems, has_more = {}, {}, False
            elif operation == _REMOVE:
                objects.pop(name, None)
            problems.pop(name, None)
        self.now = Declared(objects, problems, before.is_whole, has_more)
        return '; '.join(said.values())


def _noted(problems: dict[str, str], name: str, why: str) -> bool:
    """Note what is wrong with an object; return False where that would be too many."""
    if name not in problems and len(problems) >= _MOST_PROBLEMS:
        return False
    problems[name] = why
    return True


def _made(message: Any, operation: int, objects: Mapping[str, _Object]) -> _Object:
    """Return what an object becomes by a message that does not remove it."""
    before = objects.get(str(message.id))
    if operation not in (_ADD, _APPEND, _MOVE):
        raise ObservationError('the operation must be ADD (0), REMOVE (1), APPEND (2) or MOVE '
                               f'(3), got {operation}')
    if len(objects) >= _MOST_OBJECTS and before is None:
        raise ObservationError(f'there are {_MOST_OBJECTS} objects already')
    if not message.id:
        raise ObservationError('it has no id')
    frame, T = str(message.header.frame_id), _pose(message.pose)  # noqa: N806 - a transform
    if operation == _MOVE:
        if before is None:
            raise ObservationError('it is moved, and was never added')
        return _Object(frame, T, before.solids)
    solids = _solids(message)
    if operation == _APPEND and before is not None:
        if frame != before.frame or not np.allclose(T, before.T_frame_object):
            raise ObservationError('shapes are appended at another pose than it has')
        solids = before.solids + solids
    return _Object(frame, T, solids)


def _solids(message: Any) -> tuple[Solid, ...]:
    """Return the shapes of a CollisionObject, with their poses in it."""
    if getattr(message, 'planes', ()):
        raise ObservationError('planes have no end; send a box')
    for shapes, poses, word in ((message.primitives, message.primitive_poses, 'primitives'),
                                (message.meshes, message.mesh_poses, 'meshes')):
        if len(shapes) != len(poses):
            raise ObservationError(f'{len(shapes)} {word} have {len(poses)} poses')
    solids = []
    for primitive, pose in zip(message.primitives, message.primitive_poses):
        kind = int(primitive.type)
        if kind not in KINDS:
            raise ObservationError(f'a primitive of type {kind}; known: '
                                   f'{", ".join(f"{n} {k}" for n, k in KINDS.items())}')
        solids.append(Solid(KINDS[kind], tuple(map(float, primitive.dimensions)), _pose(pose)))
    for mesh, pose in zip(message.meshes, message.mesh_poses):
        if len(mesh.triangles) > _MOST_TRIANGLES or len(mesh.vertices) > _MOST_TRIANGLES:
            raise ObservationError(f'a mesh of {len(mesh.triangles)} triangles and '
                                   f'{len(mesh.vertices)} vertices; at most {_MOST_TRIANGLES} of '
                                   'either are taken')
        solids.append(Solid(
            'mesh', (), _pose(pose), np.array([(p.x, p.y, p.z) for p in mesh.vertices], float),
            np.array([tuple(t.vertex_indices) for t in mesh.triangles], np.int32).reshape(-1, 3)))
    if not solids:
        raise ObservationError('it has no shape')
    return tuple(solids)


def _pose(pose: Any) -> np.ndarray:
    """Return a Pose as (4, 4); all zeros, as messages begin, is no turn."""
    p, q = pose.position, pose.orientation
    turn = tuple(float(value) for value in (q.x, q.y, q.z, q.w))
    place = tuple(float(value) for value in (p.x, p.y, p.z))
    if not all(map(math.isfinite, (*place, *turn))):
        raise ObservationError(f'a pose is not finite: {place}, {turn}')
    return transform_from_quaternion(place, turn if any(turn) else (0.0, 0.0, 0.0, 1.0))
