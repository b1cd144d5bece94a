# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which mesh files a robot is made of, so that a replay can say when they are others."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kinema4d_ros.errors import MeshError
from kinema4d_ros.robot import MeshFile, Robot


def mesh_hashes(robot: Robot) -> dict[str, str]:
    """Return URI -> SHA-256 (hex) of every mesh file of the robot, '' for one that is missing."""
    found = {}
    for name, link in robot.links.items():
        for shape in (*link.visuals, *link.collisions):
            if isinstance(shape.geometry, MeshFile) and shape.geometry.uri not in found:
                found[shape.geometry.uri] = _hash(robot, shape.geometry.uri, name)
    return found


def changed_meshes(robot: Robot, recorded: Mapping[str, str]) -> list[str]:
    """Return a sentence for each mesh file that is another here than where it was recorded."""
    here = mesh_hashes(robot)
    notes = []
    for uri, then in recorded.items():
        now = here.get(uri, '')
        if now != then:
            notes.append(f'mesh {uri} ' + (
                'is missing here' if not now else 'was missing then' if not then
                else 'is another file than then'))
    return notes


def _hash(robot: Robot, uri: str, link: str) -> str:
    try:
        return hashlib.sha256(robot.mesh_finder.find(uri, link).read_bytes()).hexdigest()
    except (MeshError, OSError):
        return ''
