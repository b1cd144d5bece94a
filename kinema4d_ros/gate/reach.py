# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""By how much the robot can be displaced when its joints are off their path."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.robot import (Box, Capsule, Cylinder, JointType, MeshFile, Robot, Shape,
                                Sphere, UnreadShape)
from kinema4d_ros.types import Verdict

_MESH = 0.15     # [m] that a mesh reaches beyond its frame, where files are not read
_SIGMAS = 2.0    # standard deviations that the judged clearance is taken to be smaller


def reaches(robot: Robot) -> dict[str, float]:
    """
    Return how far the most distant point that a joint moves goes per radian or metre of it.

    For a revolute joint that is an upper bound of the distance of any such point from the axis, in
    whatever pose [m/rad]; for a prismatic one it is 1. Joints that mimic count for their leader.
    """
    out = {}
    for name in robot.joint_names:
        total = 0.0
        for joint in robot.joints.values():
            factor = 1.0 if joint.name == name else 0.0
            if joint.mimic is not None and joint.mimic.joint == name:
                factor = abs(joint.mimic.multiplier)
            if factor and joint.type is not JointType.FIXED:
                total = max(total, factor * (
                    1.0 if joint.type is JointType.PRISMATIC else _extent(robot, joint.child)))
        out[name] = total
    return out


def _extent(robot: Robot, link: str) -> float:
    """Return how far from the frame of a link anything is that it carries [m], at most."""
    shapes = robot.links[link].collisions or robot.links[link].visuals
    most = max(map(_radius, shapes), default=0.0)
    for joint in robot.joints.values():
        if joint.parent == link:
            limit, travel = joint.limit, 0.0
            if joint.type is JointType.PRISMATIC:
                travel = max(abs(limit.lower or 0.0), abs(limit.upper or 0.0))
            away = float(np.linalg.norm(joint.T_parent_joint[:3, 3])) + travel
            most = max(most, away + _extent(robot, joint.child))
    return most


def _radius(shape: Shape) -> float:
    geometry, away = shape.geometry, float(np.linalg.norm(shape.T_link_shape[:3, 3]))
    match geometry:
        case Box():
            return away + float(np.linalg.norm(geometry.size)) / 2
        case Cylinder():
            return away + float(np.hypot(geometry.radius, geometry.length / 2))
        case Sphere():
            return away + geometry.radius
        case Capsule():
            return away + geometry.radius + geometry.length / 2
        case MeshFile() | UnreadShape():
            return away + _MESH


@dataclass(frozen=True, eq=False)
class ProtectedClearance:
    """The free space around a motion, as its verdict measured it, along the motion."""

    times: np.ndarray       # (N,) float64 [s] on the path, increasing
    space: np.ndarray       # (N,) float64 [m], not below 0

    @classmethod
    def of(cls, verdict: Verdict | None, offset: float = 0.0) -> ProtectedClearance | None:
        """
        Return what a verdict measured; None where it measured nothing.

        :param offset: [s] in what was judged at which the motion begins.
        """
        if verdict is None:
            return None
        samples = [(sample.time - offset, sample.distance, sample.sigma)
                   for sample in verdict.clearances]
        if not samples and verdict.min_clearance:       # 0 is what nobody filled in: no PASS is
            samples = [(0.0, verdict.min_clearance, verdict.clearance_sigma or 0.0)]
        if not samples:
            return None
        values = np.array(samples, np.float64)
        space = values[:, 1] - _SIGMAS * np.nan_to_num(values[:, 2])
        return cls(values[:, 0], np.maximum(np.nan_to_num(space, nan=0.0), 0.0))

    @property
    def least(self) -> float:
        """The smallest free space of the motion [m]."""
        later = self.times >= 0.0
        return float(self.space[later].min() if later.any() else self.space[-1])

    def at(self, time: float) -> float:
        """Return the free space at a time on the path [m]: the less of its neighbours' values."""
        after = int(np.searchsorted(self.times, time, side='right'))
        near = self.space[max(after - 1, 0):after + 1]
        return float(near.min())
