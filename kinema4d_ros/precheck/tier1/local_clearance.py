# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How far each link may be displaced from where it is, whichever way, by the rules of tier 1.

It is for motions of which nobody knows the path beforehand. Two things end the free space of a
link: the scene, less the margins of tier 1, and what nobody vouches for, from where on tier 1
would not let that link go. Near the link the scene is measured exactly; farther away, and for what
is not known, by voxels, rounded to the safe side.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numba
import numpy as np

from kinema4d_ros.foresight.hull import depth_in, hull_planes
from kinema4d_ros.precheck.settings import Tier1Settings, TouchRule, Unseen
from kinema4d_ros.precheck.tier1.clearance import own_points
from kinema4d_ros.precheck.tier1.holes import wide_pieces
from kinema4d_ros.precheck.tier1.swept_space import chamfer, Load, SweptSpace
from kinema4d_ros.precheck.tier1.unseen import (ARM, FEWEST, FINGERS, HAND, hidden_for,
                                                 limits, LinkTrail)
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.scene import Knowledge, Scene
from kinema4d_ros.types import HeldObject, LinkSpace, RobotRollout
from kinema4d_ros.types.local_clearance import UNSEEN

AROUND = 0.2            # [m] around the robot in which free space is looked for
_CHAMFER = 1.12         # a chamfer distance is at most this much too long
_DIAGONAL = 1.75        # voxels: from a point somewhere in one to a point somewhere in another
_FINE = 0.12            # [m] up to which voxels are looked at one by one
_LATTICE = 0.013        # [m] that a surface may be from the points that stand for a link
_HELD_SPEED = 0.05      # [m/s] of what fingers hold, where it may touch


class _Field(NamedTuple):
    """Some voxels of a grid, and how far it is to them."""

    marked: np.ndarray        # (X, Y, Z) bool
    distance: np.ndarray      # (X, Y, Z) float32 [m] to the nearest of them, by its middle

    @classmethod
    def of(cls, marked: np.ndarray, voxel: float) -> _Field:
        return cls(marked, chamfer(~marked, np.float32(voxel)))


class _Around(NamedTuple):
    """What ends the free space around the robot."""

    space: SweptSpace
    scene: _Field                      # voxels with a point of the scene
    unknown: Mapping[int, _Field]      # by role: where tier 1 would not let it go


def measure_local_clearance(scene: Scene, robot: RobotRollout, fields: DistanceFields,
                            surfaces: Mapping[str, np.ndarray], settings: Tier1Settings, *,
                            hand_links: Collection[str] = (), held: Collection[HeldObject] = (),
                            beside_robot: np.ndarray | None = None,
                            stood: Mapping[int, np.ndarray] | None = None,
                            trail: LinkTrail | None = None) -> tuple[LinkSpace, ...]:
    """
    Return the free space around each link that has a shape, and around what is held.

    :param robot: one frame, where the robot is.
    :param surfaces: vertices (V, 3) [m] of each link, link frame.
    :param beside_robot: (N,) bool, see `measure_clearance`.
    :param stood: see `measure_clearance`.
    :param trail: where the robot has been, which tier 1 takes for free where no camera can see.
    """
    rules = settings.touch
    if rules is None:
        fingers = () if robot.gripper is None else robot.gripper.finger_links
        rules = dict.fromkeys(fingers, TouchRule())
    # Where it may touch depends on the place, which a displacement does not tell.
    rules = {name: rule for name, rule in rules.items() if rule.within is None}
    names = fields.link_names
    index = [robot.link_names.index(name) for name in names]
    poses = robot.T_base_link[:1, index]
    own, _ = own_points(scene.points, poses, fields, settings, beside_robot, stood or {}, index)
    loads, planes = _loads(held, robot)
    roles = {name: FINGERS if name in rules else HAND if name in hand_links else ARM
             for name in names}
    roles |= {load.name: FINGERS if each.in_fingers else HAND
              for load, each in zip(loads, held)}
    around = _around(scene, robot, fields, roles, settings, loads, own, trail)
    distance, nearest = fields.closest(scene.points.cubes, poses, np.where(own, 0, 1))
    doubt = settings.confidence * float(scene.points.sigma.max(initial=0.0))
    found = []
    for number, name in enumerate(names):
        near, at = float(distance[0, number]), int(nearest[0, number])
        free, reason = _least(around, name, roles[name])
        if at >= 0:
            to_scene = near - settings.confidence * float(scene.points.sigma[at])
        else:
            to_scene = max(fields.reach, _distance(around, name, around.scene) - _LATTICE) - doubt
        found.append(_space(name, surfaces[name], to_scene, free, reason, rules.get(name)))
    for load, each, hull in zip(loads, held, planes):
        near, at = _nearest_to(scene.points.points_base[~own], hull, load.T_base_load[0])
        sigma = settings.carried_sigma if at < 0 else float(np.hypot(
            settings.carried_sigma, scene.points.sigma[~own][at]))
        free, reason = _least(around, load.name, roles[load.name])
        rule = TouchRule(depth=settings.carried_depth, speed=_HELD_SPEED) \
            if each.in_fingers else None
        found.append(_space(each.link, each.vertices, near - settings.confidence * sigma, free,
                            reason, rule, held=each.name or 'what it holds'))
    return tuple(found)


def _space(link: str, vertices: np.ndarray, to_scene: float, free: float, reason: str,
           rule: TouchRule | None, held: str = '') -> LinkSpace:
    """Return the space of one body: to the scene, or to where it must not go, whichever is less."""
    low, high = vertices.min(0).tolist(), vertices.max(0).tolist()
    until = to_scene if rule is None else to_scene + rule.depth
    return LinkSpace(
        link, (low[0], low[1], low[2]), (high[0], high[1], high[2]), min(until, free),
        np.inf if rule is None else max(to_scene, 0.0), 0.0 if rule is None else rule.speed, held,
        reason if free < until else 'the scene')


def _around(scene: Scene, robot: RobotRollout, fields: DistanceFields, roles: Mapping[str, int],
            settings: Tier1Settings, loads: Collection[Load], own: np.ndarray,
            trail: LinkTrail | None) -> _Around:
    space = SweptSpace.of(scene, robot, fields, roles, settings.known_free, loads, around=AROUND)
    if trail is not None:
        space = space.with_trail(*trail)
    shape = space.knowledge.shape
    cells = np.floor((scene.points.points_base[~own] - space.low) / space.voxel).astype(int)
    cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
    taken = np.zeros(shape, bool)
    taken[tuple(cells.T)] = True
    to_unknown, pieces = {}, dict[tuple[Knowledge, ...], np.ndarray]()
    for role in set(roles.values()):
        bad = np.zeros(shape, bool)
        held_back = limits(role, settings) if settings.unseen is Unseen.UNSURE else {}
        for why, limit in held_back.items():
            bad |= (space.knowledge == why) & (space.distance > limit)
        if held_back:       # a way of any kind may go through all of a piece
            whys = tuple(hidden_for(role, settings))
            if whys not in pieces:
                hidden = np.isin(space.knowledge, whys)
                pieces[whys] = wide_pieces(hidden, hidden, space.voxel, settings.unseen_hole)
            bad |= pieces[whys]
        to_unknown[role] = _Field.of(bad if np.count_nonzero(bad) >= FEWEST
                                     else np.zeros(shape, bool), space.voxel)
    return _Around(space, _Field.of(taken, space.voxel), to_unknown)


def _least(around: _Around, name: str, role: int) -> tuple[float, str]:
    """Return how far it is to where a body must not go [m], and what that is."""
    return _distance(around, name, around.unknown[role]) - _LATTICE, UNSEEN


def _distance(around: _Around, name: str, field: _Field) -> float:
    """Return the smallest distance of the points of a body to marked voxels [m], not too long."""
    space = around.space
    points, poses = space.body(name)
    if not len(points):
        return 0.0
    # Beyond the grid nothing is known.
    return float(_smallest(points, poses[0], space.low, space.voxel, field.marked, field.distance,
                           _FINE, AROUND - space.voxel))


@numba.njit(cache=True, nogil=True)
def _smallest(points: np.ndarray, T: np.ndarray, low: np.ndarray, voxel: float,
              marked: np.ndarray, distance: np.ndarray, fine: float, most: float) -> float:
    """
    Return the smallest distance of points to marked voxels, none of them too long, up to `most`.

    :param distance: of each voxel to the nearest marked one, at most `_CHAMFER` times too long.
    :param fine: [m] up to which that is looked up exactly.
    """
    nx, ny, nz = distance.shape
    best = most
    for n in range(len(points)):
        x, y, z = points[n]
        a = (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3] - low[0]) / voxel
        b = (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3] - low[1]) / voxel
        c = (T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3] - low[2]) / voxel
        i, j, k = int(a), int(b), int(c)
        if not (0 <= i < nx and 0 <= j < ny and 0 <= k < nz):
            continue
        away = distance[i, j, k]
        coarse = away / _CHAMFER - _DIAGONAL * voxel
        if coarse >= best:
            continue
        if away > fine:
            best = coarse
            continue
        w = int(np.ceil(away / voxel)) + 2
        least = best / voxel
        for u in range(max(i - w, 0), min(i + w + 1, nx)):
            du = max(u - a, a - u - 1.0, 0.0)
            for v in range(max(j - w, 0), min(j + w + 1, ny)):
                dv = max(v - b, b - v - 1.0, 0.0)
                if du * du + dv * dv >= least * least:
                    continue
                for t in range(max(k - w, 0), min(k + w + 1, nz)):
                    if marked[u, v, t]:
                        dt = max(t - c, c - t - 1.0, 0.0)
                        least = min(least, np.sqrt(du * du + dv * dv + dt * dt))
        best = least * voxel
    return best


def _loads(held: Collection[HeldObject], robot: RobotRollout
           ) -> tuple[list[Load], list[np.ndarray]]:
    """Return what is held as convex bodies, and the planes of each."""
    loads, planes = [], []
    for number, each in enumerate(held):
        hull = hull_planes(each.vertices)
        if hull is None:       # flat: as thick as a sheet
            hull = hull_planes(np.concatenate([each.vertices - 5e-4, each.vertices + 5e-4]))
        if hull is None:
            raise ValueError(f'the shape of {each.name or "what is held"} is no body')
        T = robot.T_base_link[:1, robot.link_names.index(each.link)]
        loads.append(Load(f'load {number}', each.vertices, hull, T))
        planes.append(hull)
    return loads, planes


def _nearest_to(points: np.ndarray, planes: np.ndarray, T_base_link: np.ndarray
                ) -> tuple[float, int]:
    """
    Return how near the nearest point is to a convex body [m], negative inside, and which it is.

    The largest distance to a plane is never more than that to the body.
    """
    if not len(points):
        return AROUND, -1
    local = (points - T_base_link[:3, 3]) @ T_base_link[:3, :3]
    depth = depth_in(local, planes, np.eye(4))
    at = int(depth.argmin())
    return (float(depth[at]), at) if depth[at] < AROUND else (AROUND, -1)
