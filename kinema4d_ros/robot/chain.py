# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tree of a robot's links with a convex hull each, as a simulation of contacts needs it."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from kinema4d_ros.robot.description import Joint, JointType
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.shapes import LinkMesh
from kinema4d_ros.types import ChainJoint, ChainLink

_GRID = 0.004     # [m] corners of a hull that are closer than this are one
_THIN = 0.001     # [m] half the thickness that a flat link is given
_KINDS = {JointType.FIXED: ChainJoint.FIXED, JointType.PRISMATIC: ChainJoint.SLIDE,
          JointType.REVOLUTE: ChainJoint.HINGE, JointType.CONTINUOUS: ChainJoint.HINGE}


def robot_chain(robot: Robot, meshes: Mapping[str, LinkMesh]) -> tuple[ChainLink, ...]:
    """
    Return the links of a robot, parents before children, in the order of ``robot.link_names``.

    A joint that mimics another is a joint like any other here: how it moves is in the poses of
    the links.

    :param meshes: triangles by link; a link without has a hull without corners.
    """
    carriers = {joint.child: joint for joint in robot.joints.values()}
    index = {name: number for number, name in enumerate(robot.link_names)}
    return tuple(_link(name, carriers.get(name), index, meshes.get(name))
                 for name in robot.link_names)


def _link(name: str, joint: Joint | None, index: Mapping[str, int],
          mesh: LinkMesh | None) -> ChainLink:
    hull = np.empty((0, 3)) if mesh is None else hull_corners(mesh.vertices)
    if joint is None:
        return ChainLink(name, -1, ChainJoint.FIXED, np.eye(4), np.array([0.0, 0.0, 1.0]), None,
                         hull)
    return ChainLink(name, index[joint.parent], _KINDS[joint.type], joint.T_parent_joint,
                     joint.axis, joint.limit.effort, hull)


def hull_corners(vertices: np.ndarray) -> np.ndarray:
    """
    Return the corners (V, 3) of the convex hull of points (N, 3) [m], thinned to `_GRID`.

    Points in a plane or on a line are given a little thickness; fewer than two have no hull.
    """
    points = np.asarray(vertices, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return np.empty((0, 3))
    _, one = np.unique(np.round(points / _GRID).astype(int), axis=0, return_index=True)
    extremes = [int(pick) for axis in range(3)
                for pick in (points[:, axis].argmin(), points[:, axis].argmax())]
    points = points[np.unique(np.r_[one, extremes])]
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        steps = _THIN * np.concatenate([np.eye(3), -np.eye(3)])
        thick = (points[:, None] + steps).reshape(-1, 3)
        return thick[ConvexHull(thick).vertices]
