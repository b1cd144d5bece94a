# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a motion brings two links of the robot together."""
from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import coal
import numpy as np
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.gripper import find_grippers
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.shapes import box_corners, LinkMesh
from kinema4d_ros.types import Gripper


@dataclass(frozen=True, eq=False)
class LinkContact:
    """Two links that come closer than asked for."""

    index: int                # which of the T configurations
    links: tuple[str, str]
    distance: float           # [m]; 0 when they touch or overlap
    point_base: np.ndarray    # (3,) float64 [m], between the two


class SelfCollision:
    """
    Finds contacts between the links of one robot, with coal.

    Not thread-safe (it keeps coal's request objects). Three sieves, each exact enough for the
    next: bounding spheres of all pairs at once, convex hulls, and the triangles themselves.

    Pairs never checked: links joined by a joint or rigidly to each other, links of one gripper
    (they are made to close on each other), pairs that the SRDF or the caller disables, and pairs
    that touch when every joint is at 0 (or at the limit next to it) and in most other poses, since
    their shapes overlap by construction. The last ones are told: see `warnings`. An
    ``enable_collisions`` of the SRDF makes a pair of the last two kinds checked after all.
    """

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh], *,
                 srdf: str | None = None, allowed: Iterable[tuple[str, str]] = (),
                 gripper: Gripper | None = None) -> None:
        """
        Make a checker: hulls and trees of the links' triangles, and the pairs to check.

        :param srdf: text of an SRDF; its ``disable_collisions`` pairs are not checked, its
            ``enable_collisions`` pairs are.
        :param allowed: further pairs that may touch.
        :param gripper: one that is not found by the names of its links.
        :raises RobotDescriptionError: when a pair names a link that the robot does not have.
        """
        self.robot = robot
        self._links = [name for name in robot.link_names
                       if name in meshes and len(meshes[name].faces)]
        self._index = np.array([robot.link_names.index(name) for name in self._links], int)
        #: vertices (V, 3) float32 [m] of the links with a shape, link frame
        self.surfaces = {name: meshes[name].vertices for name in self._links}
        #: corners (8, 3) of the boxes around these
        self.boxes = {name: box_corners(points) for name, points in self.surfaces.items()}
        self._bodies = [_Body(meshes[name]) for name in self._links]
        disabled, enabled = _stated_pairs(srdf)
        decided = {_pair(robot, links) for links in (*allowed, *disabled)}
        wanted = {_pair(robot, links) for links in enabled} - decided
        excluded = _neighbours(robot) | (_within_grippers(robot, gripper) - wanted) | decided
        self._set_pairs(excluded)
        #: pairs that touch where every joint is at 0, which some robots are parked at
        self.touching_at_rest = self._touching_at_rest()
        overlapping = self._overlapping(self.touching_at_rest) - wanted
        self._set_pairs(excluded | overlapping)
        #: pairs of links that are never checked, for one of the reasons above; for a caller that
        #: has to say what a check left out
        self.excluded: frozenset[frozenset[str]] = frozenset(excluded | overlapping)
        #: those of them that nobody named and that no joint explains: they touch in most poses
        self.overlapping: tuple[tuple[str, str], ...] = tuple(
            (a, b) for a, b in sorted(map(_in_order, overlapping)))
        #: link -> why it cannot be checked, for links whose shapes cannot be read
        self.unreadable: Mapping[str, str] = dict(getattr(meshes, 'unreadable', {}))
        #: links that a joint moves and that have no shape, nor has what is fixed to them
        self.shapeless: tuple[str, ...] = _shapeless(robot, {*self._links, *self.unreadable})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator has to know of what is not checked, one sentence each."""
        said = []
        if self.overlapping:
            said.append(
                'whether these links touch each other is not checked, since their shapes overlap '
                'in most poses: ' + ', '.join(f'{a} and {b}' for a, b in self.overlapping)
                + '; an SRDF with enable_collisions or disable_collisions decides it')
        if self.shapeless:
            said.append('these links have no shape, so what they touch is not checked: '
                        + ', '.join(self.shapeless))
        return tuple(said)

    def _set_pairs(self, excluded: set[frozenset[str]]) -> None:
        self._pairs = np.array([
            (a, b) for a, b in itertools.combinations(range(len(self._links)), 2)
            if frozenset((self._links[a], self._links[b])) not in excluded], int).reshape(-1, 2)

    def _touching_at_rest(self) -> frozenset[frozenset[str]]:
        rest = ForwardKinematics(self.robot)(self.robot.configuration({})[None])
        return frozenset(frozenset(contact.links) for contact in self(rest))

    def _overlapping(self, touching: Collection[frozenset[str]]) -> set[frozenset[str]]:
        """Return the pairs of these that touch in most poses."""
        if not touching:
            return set()
        all_pairs, self._pairs = self._pairs, self._pairs[[
            frozenset((self._links[a], self._links[b])) in touching for a, b in self._pairs]]
        contacts = self(ForwardKinematics(self.robot)(_poses(self.robot)))
        self._pairs = all_pairs
        often = Counter(frozenset(contact.links) for contact in contacts)
        return {pair for pair in touching if often[pair] > _MOST * _POSES}

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of links that are checked."""
        return tuple((self._links[a], self._links[b]) for a, b in self._pairs)

    def __call__(self, T_base_link: np.ndarray, margin: float = 0.0, *,
                 until_touch: bool = False) -> list[LinkContact]:
        """
        Return the contacts of all configurations, in their order.

        :param T_base_link: (T, L, 4, 4) float64 in the order of ``robot.link_names``.
        :param margin: [m] >= 0; pairs closer than this are returned as well.
        :param until_touch: of each pair, leave out what follows its first touch; one in which it
            stands from the first configuration on does not count as that.
        """
        poses = T_base_link[:, self._index]
        contacts: list[LinkContact] = []
        if not len(self._pairs):
            return contacts
        centers = np.einsum('tlij,lj->tli', poses[..., :3, :3],
                            np.array([body.center for body in self._bodies])) + poses[..., :3, 3]
        radii = np.array([body.radius for body in self._bodies])
        # First by spheres around all that a body's own sphere sweeps through: most pairs of a robot
        # of many links never meet, and must not cost something at every configuration.
        low, high = centers.min(axis=0), centers.max(axis=0)
        middle, ranges = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2 + radii
        a, b = self._pairs.T
        pairs = self._pairs[np.linalg.norm(middle[a] - middle[b], axis=1)
                            <= ranges[a] + ranges[b] + margin]
        a, b = pairs.T
        gap = np.linalg.norm(centers[:, a] - centers[:, b], axis=-1) - radii[a] - radii[b]
        for pair in np.flatnonzero((gap <= margin).any(axis=0)):
            frames = np.flatnonzero(gap[:, pair] <= margin)
            first, second = pairs[pair]
            links = self._links[first], self._links[second]
            contacts += [LinkContact(int(frames[at]), links, *contact) for at, contact in
                         self._along(poses[frames, first], first, poses[frames, second], second,
                                     centers[frames, second], margin, until_touch, frames)]
        return sorted(contacts, key=lambda contact: contact.index)

    def _along(self, T_base_a: np.ndarray, a: int, T_base_b: np.ndarray, b: int,
               center_b: np.ndarray, margin: float, until_touch: bool,
               frames: np.ndarray) -> Iterator[tuple[int, tuple[float, np.ndarray]]]:
        """
        Yield (which, (distance [m], point between)) where the pair is within the margin.

        Between two configurations no point of one body moves farther against the other than its
        middle does and its radius turns, so those that this cannot bring together are passed over.
        """
        turned = np.swapaxes(T_base_a[:, :3, :3], 1, 2)
        middle = np.einsum('tij,tj->ti', turned, center_b - T_base_a[:, :3, 3])
        turned = turned @ T_base_b[:, :3, :3]
        radius, at, stands = self._bodies[b].radius, 0, frames[0] == 0
        while at < len(T_base_a):
            free, contact = self._check(T_base_a[at], a, T_base_b[at], b, margin)
            if contact is not None:
                yield at, contact
                stands &= bool(frames[at] == at)
                if until_touch and not stands and contact[0] <= 0.0:
                    return
            else:
                stands = False
            if free > margin + _TINY:
                way = np.linalg.norm(middle[at + 1:] - middle[at], axis=1) + radius \
                    * np.linalg.norm(turned[at + 1:] - turned[at], axis=(1, 2)) / np.sqrt(2)
                near = np.flatnonzero(way >= free - margin - _TINY)
                at += int(near[0]) if len(near) else len(way)
            at += 1

    def _check(self, T_base_a: np.ndarray, a: int, T_base_b: np.ndarray, b: int,
                 margin: float) -> tuple[float, tuple[float, np.ndarray] | None]:
        """
        Check one configuration of a pair.

        :return: how far apart they are at least [m]; (distance [m], point between) when that is
            within the margin.
        """
        pose_a, pose_b = _transform(T_base_a), _transform(T_base_b)
        body_a, body_b = self._bodies[a], self._bodies[b]
        if body_a.hull and body_b.hull:
            apart = coal.distance(body_a.hull, pose_a, body_b.hull, pose_b, _DISTANCE,
                                  coal.DistanceResult())
            if apart > margin:
                return apart, None
        touch = coal.CollisionResult()
        if coal.collide(body_a.mesh, pose_a, body_b.mesh, pose_b, _TOUCH, touch):
            return 0.0, (0.0, np.array(touch.getContact(0).pos, np.float64).reshape(3))
        if margin <= 0.0:
            return 0.0, None
        result = coal.DistanceResult()
        distance = coal.distance(body_a.mesh, pose_a, body_b.mesh, pose_b, _DISTANCE, result)
        if distance > margin:
            return distance, None
        between = (np.array(result.getNearestPoint1()) + np.array(result.getNearestPoint2())) / 2
        return 0.0, (max(float(distance), 0.0), between.astype(np.float64).reshape(3))


_TINY = 1e-4     # [m] that coal's distances may be off
_POSES = 100     # at random, to tell shapes that overlap from a pose in which links collide
#: share of them; of about 80 robots most pairs that collide touch in up to 0.1, and overlapping
#: ones from 0.7 on; a few lie between
_MOST = 0.5
_DISTANCE = coal.DistanceRequest()
_TOUCH = coal.CollisionRequest(coal.CollisionRequestFlag.CONTACT, 1)


class _Body:
    """The triangles of a link, their convex hull and a sphere around them."""

    def __init__(self, mesh: LinkMesh) -> None:
        vertices, triangles = coal.StdVec_Vec3s(), coal.StdVec_Triangle()
        for vertex in mesh.vertices.astype(np.float64):
            vertices.append(vertex)
        for face in mesh.faces:
            triangles.append(coal.Triangle(*map(int, face)))
        self.mesh = coal.BVHModelOBBRSS()
        self.mesh.beginModel(len(triangles), len(vertices))
        self.mesh.addSubModel(vertices, triangles)
        self.mesh.endModel()
        # Qhull has no hull for a flat mesh; its triangles are checked at once instead.
        self.hull = None
        spread = np.linalg.svd(mesh.vertices - mesh.vertices.mean(0), compute_uv=False)
        if len(spread) == 3 and spread[2] > 1e-6 * spread[0]:
            self.mesh.buildConvexHull(True, 'Qt')
            self.hull = self.mesh.convex
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self.center = ((low + high) / 2).astype(np.float64)
        self.radius = float(np.linalg.norm(mesh.vertices - self.center, axis=1).max())


def _transform(T: np.ndarray) -> coal.Transform3s:
    return coal.Transform3s(np.ascontiguousarray(T[:3, :3]), np.ascontiguousarray(T[:3, 3]))


def _neighbours(robot: Robot) -> set[frozenset[str]]:
    """Return the pairs that no motion separates: rigidly joined, or next to each other."""
    group: dict[str, str] = {}     # link -> first link of its rigid group
    parents = {joint.child: joint for joint in robot.joints.values()}
    for link in robot.link_names:
        joint = parents.get(link)
        group[link] = link if joint is None or joint.type is not JointType.FIXED \
            else group[joint.parent]
    joined = {frozenset((group[joint.parent], group[joint.child]))
              for joint in robot.joints.values()}
    return {frozenset((a, b)) for a, b in itertools.combinations(robot.link_names, 2)
            if group[a] == group[b] or frozenset((group[a], group[b])) in joined}


def _within_grippers(robot: Robot, given: Gripper | None) -> set[frozenset[str]]:
    """Return the pairs of links that belong to the same gripper, its palm among them."""
    return {frozenset(pair) for gripper in (*find_grippers(robot), *([given] if given else []))
            for pair in itertools.combinations({gripper.palm_link, *gripper.finger_links}, 2)}


def _shapeless(robot: Robot, shaped: Collection[str]) -> tuple[str, ...]:
    """Return the links that a joint moves and that have no shape, nor anything fixed to them."""
    carried = {joint.child: joint for joint in robot.joints.values()}
    group: dict[str, str] = {}
    for link in robot.link_names:
        joint = carried.get(link)
        fixed = joint is not None and joint.type is JointType.FIXED
        group[link] = group[joint.parent] if joint is not None and fixed else link
    known = {group[link] for link in shaped}
    return tuple(link for link in robot.link_names
                 if group[link] == link and link in carried and link not in known)


def _poses(robot: Robot) -> np.ndarray:
    """Return configurations all over the limits, the same ones each time, (_POSES, J) float64."""
    low, high = (np.array([side if value is None else value for value in values])
                 for side, values in (
                     (-np.pi, [limit.lower for limit in robot.limits.values()]),
                     (np.pi, [limit.upper for limit in robot.limits.values()])))
    share = np.random.default_rng(0).random((_POSES, len(robot.joint_names)))
    return low + (high - low) * share


def _in_order(pair: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(pair))


def _pair(robot: Robot, links: tuple[str, str]) -> frozenset[str]:
    """Return two links as a pair."""
    unknown = [link for link in links if link not in robot.links]
    if unknown:
        raise RobotDescriptionError(
            f'allowed collision of unknown link "{unknown[0]}"; the robot has: '
            f'{", ".join(robot.link_names)}')
    return frozenset(links)


def _stated_pairs(srdf: str | None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the pairs of links whose collisions an SRDF disables, and those that it enables."""
    if srdf is None:
        return [], []
    try:
        root = ElementTree.fromstring(srdf)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise RobotDescriptionError(f'the SRDF cannot be read: {error!r}') from error
    disabled, enabled = ([(element.get('link1', ''), element.get('link2', ''))
                          for element in root.iter(f'{what}_collisions')]
                         for what in ('disable', 'enable'))
    return disabled, enabled
