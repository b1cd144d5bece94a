# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a picture with depth to a world of rigid things on their support."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from kinema4d_ros.foresight import Body
from kinema4d_ros.foresight.attached import body_of
from kinema4d_ros.foresight.hull import depth_in, hull_planes
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.view import SceneView
from kinema4d_ros.types import HeldObject, RobotRollout
from kinema4d_ros.world_model.physics.blocks import blocks_of, IsFree, seen_free
from kinema4d_ros.world_model.physics.pieces import pieces_of, tilted_pieces
from kinema4d_ros.world_model.physics.things import LARGEST, see_things
from kinema4d_ros.world_model.physics.world import Thing, RigidWorld

_FARTHEST = 1.5       # [m] horizontally from the base; nothing farther is looked at
_FEWEST = 10          # vertices of a body
_SAME = 0.012         # [m] two views see one surface within this
_SHARED = 0.3         # share of a thing that is where another one is: they are one
_IN_ROBOT = 0.3       # share of a thing inside of a link: it is a remainder of the robot itself
_NEAR = 0.002         # [m]
_RAISED = 0.008       # [m] what stands higher than this above the ground stands on something
_AROUND = 0.15        # [m] from a thing's outline its shelf is taken to be level with what is seen
_LEVEL = 0.006        # [m]
_STACK = 0.015        # [m] between the top of one thing and the bottom of another that it carries
_ROOF = 0.008         # [m] the top of a thing is this thick
_LEAST_SHIFT = 0.003  # [m] by which the top has a thing's axis elsewhere
_DEEPEST = 1.15       # times its width a thing is deep, at most, where only the top says how deep
_LEAST_BENEATH = 1e-4  # [m^2] of the outline of what carries a thing that are beneath it
_LEAST_AROUND = 20    # points at the level of a thing that make a fixture its shelf


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What one look at a scene is taken for, whatever the robot does next."""

    ground: float                        # [m] base frame
    things: tuple[Thing, ...]
    fixtures: tuple[np.ndarray, ...]     # (N, 3) float64 [m] base frame, points of each
    blocks: tuple[np.ndarray, ...]       # (N, 3) float64 [m] base frame, hulls that they occupy
    source: int = 0                      # number of the view, among the scene's, of the masks

    def world(self, robot: RobotRollout) -> RigidWorld:
        """Return what is simulated with a motion of the robot: that, and what the robot holds."""
        held = [held_thing(each, robot) for each in robot.held]
        remains = remains_of_robot(self.things, robot)
        things = [thing for number, thing in enumerate(self.things) if number not in remains]
        blocks = [*self.blocks, *shelves(self.things, self.fixtures, self.ground)]
        return RigidWorld(self.ground,
                          [*(each for each in held if each is not None), *things], blocks)


def reconstruct(view: SceneView, largest: float = LARGEST, *,
                pictures: bool = True) -> Reconstruction | None:
    """
    Return what a view shows, as ground, things and fixtures; None without any level surface.

    :param largest: [m] longest horizontal extent of a thing; what is larger stays.
    :param pictures: whether the bodies are to be drawn; otherwise they are black.
    """
    points, camera = view.points_base, view.seen.camera
    seen = see_things(points, _FARTHEST, largest)
    if seen is None:
        return None
    things, bodies = [], []
    fixtures = [points[mask].astype(np.float64) for mask in seen.fixtures]
    for each in seen.things:
        body = Body.seen(view.image if pictures else None, view.depth, each.mask, camera,
                         view.seen.T_base_camera, each.support)
        if len(body.vertices) >= _FEWEST:
            bodies.append((body, each.mask))
    for body, mask in bodies:
        upper = _carried_by(body, [other for other, _ in bodies], seen.ground)
        if upper is not None:
            pieces = pieces_of(body, upper.center[:2])
        else:
            axis = axis_of_top(points[mask], body.center[:2], view.seen.T_base_camera[:2, 3])
            pieces = pieces_of(body, axis, None if axis is None else points[mask])
            if pieces is not None and pieces.is_hollow:
                pieces = tilted_pieces(points[mask]) or pieces
        if pieces is not None:
            things.append(Thing(body, pieces, mask))
    is_free = seen_free(view)
    blocks = tuple(block for each in fixtures for block in blocks_of(each, seen.ground, is_free))
    return Reconstruction(seen.ground, tuple(things), tuple(fixtures), blocks)


def reconstruct_all(scene: Scene, largest: float = LARGEST, *,
                    pictures: bool = True) -> Reconstruction | None:
    """
    Return what all views of a scene show, fused; see `reconstruct`.

    One thing that two views see is one thing, with the shape that the first of them gives it. What
    only another view sees is added to what the first one shows, without a mask.
    """
    fused: Reconstruction | None = None
    for view in scene.measuring:
        seen = reconstruct(view, largest, pictures=pictures)
        if seen is None:
            continue
        if fused is None:
            fused = dataclasses.replace(seen, source=scene.views.index(view))
        else:
            fused = _fused(fused, seen, seen_free(view))
    return fused


def _fused(one: Reconstruction, other: Reconstruction, is_free: IsFree) -> Reconstruction:
    """Return what one view shows with what another one adds to it."""
    fixtures = np.concatenate([np.empty((0, 3)), *one.fixtures])
    tree = cKDTree(fixtures) if len(fixtures) else None
    added = []
    for thing in other.things:
        points = thing.body.vertices
        is_fixture = tree is not None and \
            float((tree.query(points, distance_upper_bound=_SAME)[0] < np.inf).mean()) > _SHARED
        if not is_fixture and not any(_are_one(thing.body, known.body) for known in one.things):
            added.append(dataclasses.replace(thing, mask=np.zeros((0, 0), bool)))
    things = (*one.things, *added)
    more = []
    for points in other.fixtures:       # what is a fixture from here may be a thing from there
        for thing in one.things:
            if thing.body.planes is not None and len(points):
                points = points[depth_in(points, thing.body.planes, np.eye(4)) > _SAME]
        if len(points) >= _FEWEST:
            more.append(points)
    blocks = [block for points in more for block in blocks_of(points, one.ground, is_free)]
    return dataclasses.replace(one, things=things, fixtures=(*one.fixtures, *more),
                               blocks=(*one.blocks, *blocks))


def _are_one(body: Body, other: Body) -> bool:
    """Return whether two views show one thing: much of one is where the other is."""
    for inner, outer in ((body, other), (other, body)):
        if outer.planes is not None and float(
                (depth_in(inner.vertices, outer.planes, np.eye(4)) <= _SAME).mean()) > _SHARED:
            return True
    return False


def axis_of_top(points: np.ndarray, middle: np.ndarray, eye: np.ndarray) -> np.ndarray | None:
    """
    Return where the top of a thing says that its upright axis is, (2,) [m]; None for no more.

    Of a carton with a gable, or a bottle, the front and its part of the roof are seen; the middle
    of these lies well before the ridge or the cap, and what is behind that is as deep as what is
    before it.

    :param points: (N, 3) [m] base frame, as seen.
    :param middle: (2,) [m] of all that is seen.
    :param eye: (2,) [m] from where.
    """
    away = middle - eye
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    along, across = points[:, :2] @ away, points[:, :2] @ [-away[1], away[0]]
    top = float(np.quantile(points[:, 2], 0.98))
    roof = along[points[:, 2] > top - max(_ROOF, 0.06 * (top - float(points[:, 2].min())))]
    axis = 0.5 * float(roof.min() + roof.max())
    shift = axis - float(middle @ away)
    deep = 2 * (axis - float(np.quantile(along, 0.02)))
    if shift < _LEAST_SHIFT or deep > _DEEPEST * float(np.ptp(across)):
        return None
    return np.asarray(middle + shift * away)


def _carried_by(body: Body, others: Sequence[Body], ground: float) -> Body | None:
    """
    Return what stands on a body and hides so much of it that its middle is not known, if any does.

    All that is seen of a ramekin under a bowl is a sickle, and its middle is below the bowl's.
    """
    for upper in others:
        if upper is body or upper.bottom < ground + _RAISED \
                or abs(body.top - upper.bottom) > _STACK:
            continue
        outline = cv2.convexHull(body.vertices[:, :2].astype(np.float32))
        middle = (float(upper.center[0]), float(upper.center[1]))
        radius = 0.5 * float(np.ptp(upper.vertices[:, :2], axis=0).max())
        apart = float(np.linalg.norm(body.center[:2] - upper.center[:2]))
        if apart < radius and cv2.pointPolygonTest(outline, middle, False) < 0:
            return upper
    return None


def shelves(things: Sequence[Thing], fixtures: Sequence[np.ndarray],
            ground: float) -> list[np.ndarray]:
    """
    Return the level parts of fixtures that things stand on, (N, 3) hulls, also below the things.

    The thing hides what carries it, and what is seen around is taken to go on below, unless
    another thing is seen to carry it: a plate in the place of that would throw it up.
    """
    found = []
    for thing in things:
        level = thing.body.bottom
        if level < ground + _RAISED or _stands_on_a_thing(thing, things):
            continue
        outline = thing.body.base_outline
        low, high = outline.min(0) - _AROUND, outline.max(0) + _AROUND
        for points in fixtures:
            around = points[(np.abs(points[:, 2] - level) < _LEVEL)
                            & (points[:, :2] > low).all(1) & (points[:, :2] < high).all(1)]
            if len(around) < _LEAST_AROUND:
                continue
            plate = np.concatenate([outline, around[:, :2]]).astype(np.float32)
            corners = cv2.convexHull(plate)[:, 0].astype(np.float64)
            found.append(np.concatenate([np.column_stack([corners, np.full(len(corners), z)])
                                         for z in (ground - 0.02, level)]))
            break
    return found


def _stands_on_a_thing(thing: Thing, things: Sequence[Thing]) -> bool:
    """Return whether a thing ends below where another one, seen beneath it, has its top."""
    outline = cv2.convexHull(thing.body.vertices[:, :2].astype(np.float32))
    for other in things:
        if other is thing or abs(other.body.top - thing.body.bottom) > _STACK:
            continue
        beneath = cv2.convexHull(other.body.vertices[:, :2].astype(np.float32))
        if cv2.intersectConvexConvex(outline, beneath)[0] > _LEAST_BENEATH:
            return True
    return False


def held_thing(held: HeldObject, robot: RobotRollout) -> Thing | None:
    """Return what a link holds as a thing, where it is at frame 0."""
    body = body_of(held, robot.T_base_link[0, robot.link_names.index(held.link)])
    pieces = pieces_of(body)
    return None if pieces is None else Thing(body, pieces, np.zeros((0, 0), bool), held)


def remains_of_robot(things: Sequence[Thing], robot: RobotRollout) -> frozenset[int]:
    """Return the things that lie in a link at frame 0: pixels of the robot that were left over."""
    found = set()
    for number, link in enumerate(robot.chain):
        planes = hull_planes(link.hull) if len(link.hull) >= 4 else None
        if planes is None:
            continue
        T = robot.T_base_link[0, number]
        corners = link.hull @ T[:3, :3].T + T[:3, 3]
        low, high = corners.min(0), corners.max(0)
        for index, thing in enumerate(things):
            points = thing.body.vertices
            if index in found or (points.min(0) > high).any() or (points.max(0) < low).any():
                continue
            inside = depth_in(points, planes, T) < _NEAR
            if inside.mean() > _IN_ROBOT:
                found.add(index)
    return frozenset(found)
