# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triangles of the simple shapes of URDF, and the mesh type that everything is turned into."""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.robot.description import Box, Capsule, Cylinder, Sphere

_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))     # of a box, (8, 3)
_AROUND = 32    # edges of a circle; a 10 cm radius is met within 0.5 mm


@dataclass(frozen=True, eq=False)
class LinkMesh:
    """The triangles of one link, in the frame of the link, outside counter-clockwise."""

    vertices: np.ndarray    # (V, 3) float32 [m]
    faces: np.ndarray       # (F, 3) int32
    colors: np.ndarray      # (V, 3) uint8 RGB


def merge_meshes(meshes: Sequence[LinkMesh]) -> LinkMesh:
    """Put meshes into one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return LinkMesh(
        np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
                       ).astype(np.int32),
        np.concatenate([mesh.colors for mesh in meshes]).astype(np.uint8))


def box_corners(points: np.ndarray) -> np.ndarray:
    """Return the corners (8, 3) of the box around points (N, 3), N > 0."""
    ends = np.stack([points.min(axis=0), points.max(axis=0)])
    return ends[_CORNERS, range(3)]


def ball_around(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return middle (3,) and radius of a ball around points (N, 3), N > 0."""
    middle = (points.min(0) + points.max(0)) / 2
    return middle, float(np.linalg.norm(points - middle, axis=1).max())


def triangles(shape: Box | Cylinder | Sphere | Capsule) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) float64 [m] and faces (F, 3) int64 of a simple shape."""
    if isinstance(shape, Box):
        return _box(shape)
    if isinstance(shape, Cylinder):
        half = shape.length / 2
        return _turned([(0.0, -half), (shape.radius, -half), (shape.radius, half), (0.0, half)])
    angle = np.linspace(-np.pi / 2, np.pi / 2, _AROUND // 2 + 1)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=1) * shape.radius
    profile[[0, -1], 0] = 0.0
    if isinstance(shape, Capsule) and shape.length > 0:
        half, middle = shape.length / 2, len(profile) // 2      # the ring in the middle twice
        profile = np.concatenate([profile[:middle + 1] - (0.0, half),
                                  profile[middle:] + (0.0, half)])
    return _turned([tuple(point) for point in profile])


def _box(shape: Box) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    # Corner 4a + 2b + c lies at signs (a, b, c).
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                      [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])
    return corners * np.asarray(shape.size) / 2, faces


def _turned(profile: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Turn a profile of (radius, z), from bottom to top, both ends on the axis, around z."""
    turn = np.arange(_AROUND) * 2 * np.pi / _AROUND
    rings = [np.stack([r * np.cos(turn), r * np.sin(turn), np.full(_AROUND, z)], axis=1)
             for r, z in profile[1:-1]]
    vertices = np.concatenate([[(0, 0, profile[0][1])], *rings, [(0, 0, profile[-1][1])]])
    here = np.arange(_AROUND)
    there = np.roll(here, -1)
    zero = np.zeros_like(here)
    faces = [np.stack([zero, 1 + there, 1 + here], axis=1)]
    for ring in range(len(rings) - 1):
        low, high = 1 + ring * _AROUND, 1 + (ring + 1) * _AROUND
        faces.append(np.stack([low + here, low + there, high + there], axis=1))
        faces.append(np.stack([low + here, high + there, high + here], axis=1))
    top, last = 1 + (len(rings) - 1) * _AROUND, len(vertices) - 1
    faces.append(np.stack([top + here, top + there, zero + last], axis=1))
    return vertices, np.concatenate(faces)
