# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a motion brings two links of the robot together."""
from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import coal
import numpy as np
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.shapes import LinkMesh


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

    Pairs never checked: links joined by a joint or rigidly to each other, pairs that touch when
    every joint is at 0 (or at the limit next to it), and pairs that the SRDF disables.
    """

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh], *,
                 srdf: str | None = None, allowed: Iterable[tuple[str, str]] = ()) -> None:
        """
        Make a checker: hulls and trees of the links' triangles, and the pairs to check.

        :param srdf: text of an SRDF; its ``disable_collisions`` pairs are not checked.
        :param allowed: further pairs that may touch.
        :raises RobotDescriptionError: when a pair names a link that the robot does not have.
        """
        self.robot = robot
        self._links = [name for name in robot.link_names
                       if name in meshes and len(meshes[name].faces)]
        self._index = np.array([robot.link_names.index(name) for name in self._links], int)
        #: vertices (V, 3) float32 [m] of the links with a shape, link frame
        self.surfaces = {name: meshes[name].vertices for name in self._links}
        self._bodies = [_Body(meshes[name]) for name in self._links]
        excluded = _neighbours(robot)
        for pair in itertools.chain(allowed, _disabled(srdf)):
            unknown = [link for link in pair if link not in robot.links]
            if unknown:
                raise RobotDescriptionError(
                    f'allowed collision of unknown link "{unknown[0]}"; the robot has: '
                    f'{", ".join(robot.link_names)}')
            excluded.add(frozenset(pair))
        self._pairs = np.array([
            (a, b) for a, b in itertools.combinations(range(len(self._links)), 2)
            if frozenset((self._links[a], self._links[b])) not in excluded], int).reshape(-1, 2)
        rest = ForwardKinematics(robot)(robot.configuration({})[None])
        touching = {frozenset(contact.links) for contact in self(rest)}
        self._pairs = self._pairs[[
            frozenset((self._links[a], self._links[b])) not in touching for a, b in self._pairs]]
        #: pairs of links that are never checked, for one of the reasons above; for a caller that
        #: has to say what a check left out
        self.excluded: frozenset[frozenset[str]] = frozenset(excluded | touching)

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


def _disabled(srdf: str | None) -> list[tuple[str, str]]:
    """Return the pairs of links whose collisions an SRDF disables."""
    if srdf is None:
        return []
    try:
        root = ElementTree.fromstring(srdf)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise RobotDescriptionError(f'the SRDF cannot be read: {error!r}') from error
    return [(element.get('link1', ''), element.get('link2', ''))
            for element in root.iter('disable_collisions')]
