# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a robot is made of: joints, links and their shapes, as the URDF describes them."""
from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.types import JointLimit


class JointType(enum.StrEnum):
    """Kinds of joints that a chain of KDL can hold."""

    FIXED = 'fixed'
    REVOLUTE = 'revolute'
    CONTINUOUS = 'continuous'
    PRISMATIC = 'prismatic'


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another: ``position = multiplier * position(joint) + offset``."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0           # [rad or m]


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint of the URDF."""

    name: str
    type: JointType
    parent: str
    child: str
    T_parent_joint: np.ndarray    # (4, 4) float64, pose of the joint frame at position 0
    axis: np.ndarray              # (3,) float64, unit vector in the joint frame
    limit: JointLimit             # what <limit> states; see `Robot.limits` for what holds
    mimic: Mimic | None = None


@dataclass(frozen=True)
class Box:
    """A box, centred on its frame."""

    size: tuple[float, float, float]   # [m]


@dataclass(frozen=True)
class Cylinder:
    """A cylinder along z, centred on its frame."""

    radius: float                 # [m]
    length: float                 # [m]


@dataclass(frozen=True)
class Sphere:
    """A sphere, centred on its frame."""

    radius: float                 # [m]


@dataclass(frozen=True)
class Capsule:
    """A cylinder along z with half a sphere on either end, centred on its frame."""

    radius: float                 # [m]
    length: float                 # [m] of the cylinder, without the half spheres; 0 or more


@dataclass(frozen=True)
class UnreadShape:
    """A shape that is there, but that cannot be read: nobody knows what it occupies."""

    reason: str


@dataclass(frozen=True)
class MeshFile:
    """A mesh in a file; its coordinates times `scale` are metres."""

    uri: str
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Shape:
    """One visual or collision element of a link."""

    geometry: Box | Cylinder | Sphere | Capsule | MeshFile | UnreadShape
    T_link_shape: np.ndarray      # (4, 4) float64
    color: tuple[int, int, int] | None = None   # RGB 0-255; None: what the mesh file says


@dataclass(frozen=True)
class Link:
    """One link of the URDF with its shapes."""

    name: str
    visuals: tuple[Shape, ...] = ()
    collisions: tuple[Shape, ...] = ()
