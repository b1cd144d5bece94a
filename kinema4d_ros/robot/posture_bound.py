# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far any point of a link can be from where it was, for all postures near another one."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.kinematics import drive
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.shapes import LinkMesh


_BEYOND = 0.1      # [m] that a sliding joint may be beyond its limits


@dataclass(frozen=True)
class LinkBox:
    """A box that is fixed to a link and holds what is of interest of it, or of what it carries."""

    link: str
    low: tuple[float, float, float]      # [m] smallest corner, link frame
    high: tuple[float, float, float]     # [m] largest corner, link frame


def link_boxes(meshes: Mapping[str, LinkMesh]) -> tuple[LinkBox, ...]:
    """Return the box around each link that has a shape."""
    found = []
    for name, mesh in meshes.items():
        if len(mesh.vertices):
            low, high = mesh.vertices.min(0).tolist(), mesh.vertices.max(0).tolist()
            found.append(LinkBox(name, (low[0], low[1], low[2]), (high[0], high[1], high[2])))
    return tuple(found)


class PostureBound:
    """
    Bounds the displacement of boxes on links; a call takes some microseconds.

    For a single posture it is exact for the corners, and so an upper bound for all that is in a
    box: the way of a point is a convex function of its place in the link. For all postures within
    a range of each joint it is the one of the middle of the ranges, and what each joint adds from
    there at most: half of its range times the largest distance of a corner from its axis. That
    distance is taken in the middle, and what the joints between may change of it is added.
    """

    def __init__(self, robot: Robot, boxes: Sequence[LinkBox]) -> None:
        """
        Make the bound of some boxes.

        :raises KinematicsError: the robot does not have a link of them, or one is no box.
        """
        self.robot, self.boxes = robot, tuple(boxes)
        carriers = {joint.child: joint for joint in robot.joints.values()}
        steps = [carriers[link] for link in robot.link_names[1:]]
        index = {link: i for i, link in enumerate(robot.link_names)}
        self._parent = np.array([index[joint.parent] for joint in steps], np.int64)
        kinds = {JointType.FIXED: 0, JointType.PRISMATIC: 2}
        self._kind = np.array([kinds.get(joint.type, 1) for joint in steps], np.int64)
        drives = [drive(robot, joint) if joint.type is not JointType.FIXED else (0.0, 0.0, 0)
                  for joint in steps]
        self._drive = np.array([(offset, factor) for offset, factor, _ in drives],
                               np.float64).reshape(-1, 2)
        self._column = np.array([column for *_, column in drives], np.int64)
        self._zero = np.array([joint.T_parent_joint for joint in steps],
                              np.float64).reshape(-1, 4, 4)
        self._axis = np.array([joint.axis for joint in steps], np.float64).reshape(-1, 3)
        for box in self.boxes:
            if box.link not in index:
                raise KinematicsError(f'there is no link "{box.link}"; the robot has '
                                      f'{", ".join(robot.link_names)}')
            if not all(np.isfinite(box.low)) or not all(np.isfinite(box.high)) \
                    or any(low > high for low, high in zip(box.low, box.high)):
                raise KinematicsError(f'{box} is no box')
        self._link = np.array([index[box.link] for box in self.boxes], np.int64)
        self._corners = np.array([
            [[(box.low, box.high)[(corner >> k) & 1][k] for k in range(3)] for corner in range(8)]
            for box in self.boxes], np.float64).reshape(-1, 8, 3)
        self._farthest = self._reach()

    @cached_property
    def joints_of(self) -> tuple[frozenset[str], ...]:
        """The joints that move each box, by the name of the leader where one mimics."""
        found = []
        for box in self.boxes:
            found.append(frozenset(
                self.robot.joint_names[drive(self.robot, joint)[2]]
                for joint in self.robot.path(box.link) if joint.type is not JointType.FIXED))
        return tuple(found)

    def poses(self, positions: np.ndarray) -> np.ndarray:
        """Return T_base_link (L, 4, 4) float64 at positions (J,) [rad or m]."""
        poses: np.ndarray = _poses(np.ascontiguousarray(positions, np.float64), *self._tree)
        return poses

    def __call__(self, origin: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """
        Return how far any point of each box can be from where it is at `origin`, (N,) [m].

        :param origin: T_base_link (L, 4, 4), see `poses`.
        :param low: (J,) [rad or m], smallest positions of the joints.
        :param high: (J,) [rad or m], largest ones; the same for a single posture.
        """
        middle = (low + high) / 2
        bound: np.ndarray = _bound(
            origin, _poses(middle, *self._tree), (high - low) / 2, *self._tree, self._link,
            self._corners, self._farthest)
        return bound

    @property
    def _tree(self) -> tuple[np.ndarray, ...]:
        return self._parent, self._kind, self._drive, self._column, self._zero, self._axis

    def _reach(self) -> np.ndarray:
        """Return how far each box can be from the axis of each joint, (N, L - 1) [m], at most."""
        out = np.zeros((len(self.boxes), len(self._parent)))
        for number, box in enumerate(self.boxes):
            away = float(np.linalg.norm(self._corners[number], axis=1).max())
            for joint in reversed(self.robot.path(box.link)):
                step = self.robot.link_names.index(joint.child) - 1
                out[number, step] = away
                travel = 0.0
                if joint.type is JointType.PRISMATIC:
                    limit = joint.limit
                    if limit.lower is None or limit.upper is None:
                        travel = np.inf
                    else:
                        travel = max(abs(limit.lower), abs(limit.upper)) + _BEYOND
                away += float(np.linalg.norm(joint.T_parent_joint[:3, 3])) + travel
        return out


@numba.njit(cache=True, nogil=True)
def _poses(positions: np.ndarray, parent: np.ndarray, kind: np.ndarray, drives: np.ndarray,
           column: np.ndarray, zero: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the poses of all links, (L, 4, 4); step i leads to link i + 1."""
    out = np.zeros((len(parent) + 1, 4, 4))
    for k in range(4):
        out[0, k, k] = 1.0
    motion = np.zeros((4, 4))
    for i in range(len(parent)):
        motion[:] = 0.0
        for k in range(4):
            motion[k, k] = 1.0
        q = drives[i, 0] + drives[i, 1] * positions[column[i]] if kind[i] else 0.0
        x, y, z = axes[i, 0], axes[i, 1], axes[i, 2]
        if kind[i] == 2:
            motion[0, 3], motion[1, 3], motion[2, 3] = q * x, q * y, q * z
        elif kind[i] == 1:
            c, s = np.cos(q), np.sin(q)
            v = 1.0 - c
            motion[0, 0], motion[0, 1], motion[0, 2] = c + x * x * v, x * y * v - z * s, \
                x * z * v + y * s
            motion[1, 0], motion[1, 1], motion[1, 2] = y * x * v + z * s, c + y * y * v, \
                y * z * v - x * s
            motion[2, 0], motion[2, 1], motion[2, 2] = z * x * v - y * s, z * y * v + x * s, \
                c + z * z * v
        out[i + 1] = out[parent[i]] @ zero[i] @ motion
    return out


@numba.njit(cache=True, nogil=True)
def _bound(origin: np.ndarray, middle: np.ndarray, half: np.ndarray, parent: np.ndarray,
           kind: np.ndarray, drives: np.ndarray, column: np.ndarray, zero: np.ndarray,
           axes: np.ndarray, link: np.ndarray, corners: np.ndarray,
           farthest: np.ndarray) -> np.ndarray:
    out = np.zeros(len(link))
    places = np.zeros((8, 3))
    for n in range(len(link)):
        at = link[n]
        for c in range(8):
            way = 0.0
            for k in range(3):
                here = middle[at, k, 3]
                there = origin[at, k, 3]
                for m in range(3):
                    here += middle[at, k, m] * corners[n, c, m]
                    there += origin[at, k, m] * corners[n, c, m]
                places[c, k] = here
                way += (here - there) ** 2
            out[n] = max(out[n], np.sqrt(way))
        between = 0.0      # [m] that the joints from here to the box displace it, at most
        while at > 0:
            i = at - 1
            turn = abs(drives[i, 1]) * half[column[i]] if kind[i] else 0.0
            if turn > 0.0 and kind[i] == 2:
                out[n] += turn
                between += turn
            elif turn > 0.0:
                ax = middle[at, 0, 0] * axes[i, 0] + middle[at, 0, 1] * axes[i, 1] \
                    + middle[at, 0, 2] * axes[i, 2]
                ay = middle[at, 1, 0] * axes[i, 0] + middle[at, 1, 1] * axes[i, 1] \
                    + middle[at, 1, 2] * axes[i, 2]
                az = middle[at, 2, 0] * axes[i, 0] + middle[at, 2, 1] * axes[i, 1] \
                    + middle[at, 2, 2] * axes[i, 2]
                lever = 0.0
                for c in range(8):
                    px = places[c, 0] - middle[at, 0, 3]
                    py = places[c, 1] - middle[at, 1, 3]
                    pz = places[c, 2] - middle[at, 2, 3]
                    lever = max(lever, np.sqrt((ay * pz - az * py) ** 2 + (az * px - ax * pz) ** 2
                                               + (ax * py - ay * px) ** 2))
                out[n] += turn * min(lever + between, farthest[n, i])
                between += turn * farthest[n, i]
            at = parent[i]
    return out
