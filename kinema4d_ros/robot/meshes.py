# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What each link of a robot looks like, as triangles in the frame of the link."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from kinema4d_ros.errors import MeshError
from kinema4d_ros.robot.description import MeshFile, Shape, UnreadShape
from kinema4d_ros.robot.mesh_file import (default_cache_dir, GREY, load_mesh_file,
                                           material_files)
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.shapes import LinkMesh, merge_meshes, triangles

MAX_FACES = 40_000
TOLERANCE = 1e-3         # [m] that the reduction may move a surface, whatever the face budget
_FEWEST_FACES = 200      # per mesh file, however many files a robot has


class LinkMeshes(dict[str, LinkMesh]):
    """
    Meshes by link name, for links that have a shape.

    `warnings` says what was replaced or is missing, and `unreadable` holds the links that have a
    shape which cannot be read, whole or in part, with the reason: no check knows what they occupy.
    """

    def __init__(self) -> None:
        """Make a collection without meshes."""
        super().__init__()
        self.warnings: list[str] = []
        self.unreadable: dict[str, str] = {}


def load_meshes(robot: Robot, *, max_faces: int = MAX_FACES, tolerance: float = TOLERANCE,
                cache_dir: str | Path | None = None) -> LinkMeshes:
    """
    Load what the robot looks like: visual shapes, else collision shapes.

    Collision shapes stand in where a link has no visual ones, and where a mesh file misses. A link
    of which neither can be read whole is in `unreadable`, with what can be read as its mesh.

    :param max_faces: triangles of all mesh files of the robot together. Each file is reduced to
        its equal share of them, unless that would move its surface by more than `tolerance`.
    :param tolerance: [m] above 0.
    :param cache_dir: folder for reduced meshes, default in the user's cache folder.
    :return: only links that have a shape.
    :raises MeshError: naming link, URI and the places searched, when no shape of any link can be
        read though there are some.
    """
    if max_faces < 1:
        raise MeshError(f'max_faces must be at least 1, got {max_faces}')
    if not tolerance > 0:
        raise MeshError(f'tolerance must be a positive distance [m], got {tolerance}')
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()
    files = sum(isinstance(shape.geometry, MeshFile)
                for link in robot.links.values() for shape in link.visuals or link.collisions)
    share = max(_FEWEST_FACES, max_faces // max(files, 1))
    out, first = LinkMeshes(), None
    for name in robot.link_names:
        link = robot.links[name]
        shapes, error = _load_shapes(robot, name, link.visuals or link.collisions, share,
                                     tolerance, folder)
        if error is not None:
            stand_ins, second = _load_shapes(robot, name, link.collisions, share, tolerance,
                                             folder)
            if second is None and stand_ins:
                shapes = stand_ins
                out.warnings.append(f'{error}; its collision shape is shown instead')
            else:
                first = first or error
                out.unreadable[name] = str(error)
                out.warnings.append(f'{error}; what the link may touch is not known')
                shapes += stand_ins     # better a part of it than nothing
        if shapes:
            out[name] = merge_meshes(shapes)
    if first is not None and not out:
        raise first
    return out


def mesh_files(robot: Robot) -> dict[str, tuple[Path, ...]]:
    """
    Return the files that a robot is drawn and checked with, by the URI in its description.

    With a file come the material files that it names; a URI whose file is not found has none.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for name, link in robot.links.items():
        for shape in (*link.visuals, *link.collisions):
            if isinstance(shape.geometry, MeshFile) and shape.geometry.uri not in found:
                try:
                    path = robot.mesh_finder.find(shape.geometry.uri, name)
                    found[shape.geometry.uri] = path, *material_files(path)
                except (MeshError, OSError):
                    found[shape.geometry.uri] = ()
    return found


def _load_shapes(robot: Robot, link: str, shapes: tuple[Shape, ...], share: int,
                 tolerance: float, folder: Path) -> tuple[list[LinkMesh], MeshError | None]:
    """Return the shapes that can be read, and the first reason why one cannot."""
    meshes, first = [], None
    for shape in shapes:
        try:
            meshes.append(_load(robot, link, shape, share, tolerance, folder))
        except MeshError as error:
            first = first or error
    return meshes, first


def _load(robot: Robot, link: str, shape: Shape, share: int, tolerance: float,
          folder: Path) -> LinkMesh:
    geometry = shape.geometry
    if isinstance(geometry, UnreadShape):
        raise MeshError(f'link "{link}": {geometry.reason}')
    if isinstance(geometry, MeshFile):
        path = robot.mesh_finder.find(geometry.uri, link)
        unit = max(map(abs, geometry.scale))
        vertices, faces, colors = load_mesh_file(path, link, share, tolerance / unit, folder)
        vertices = vertices * np.array(geometry.scale, np.float64)
        if np.prod(geometry.scale) < 0:
            faces = faces[:, ::-1]      # a mirrored mesh is inside out
    else:
        vertices, faces = triangles(geometry)
        colors = np.tile(np.array(GREY, np.uint8), (len(vertices), 1))
    if shape.color is not None:
        colors = np.tile(np.array(shape.color, np.uint8), (len(vertices), 1))
    T = shape.T_link_shape
    return LinkMesh((vertices @ T[:3, :3].T + T[:3, 3]).astype(np.float32),
                    np.ascontiguousarray(faces, np.int32), colors)
