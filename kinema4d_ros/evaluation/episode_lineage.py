# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is computed of a recording depends on it, and on the meshes that its robot is drawn with."""
from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.jobs import lineage_of
from kinema4d_ros.jobs.lineage import file_hash, text_hash
from kinema4d_ros.robot import mesh_files, Robot


def episode_lineage(path: str | Path, parameters: Any = None,
                    package_paths: tuple[str, ...] = (),
                    files: Iterable[str | Path] = ()) -> dict[str, str]:
    """
    Return what an answer about a recording depends on: `lineage_of`, and `meshes`.

    Those are the files that the URDF in the recording names, as they are found here now.

    :param package_paths: where mesh packages are.
    :param files: besides the recording, that the answer is made from.
    :raises OSError: a file is not there.
    """
    path = Path(path)
    state = path.stat()
    robot = _description(path, state.st_mtime_ns, state.st_size)
    return lineage_of(parameters, [path, *files]) | {'meshes': meshes_hash(robot, package_paths)}


def meshes_hash(robot_description: str, package_paths: tuple[str, ...] = ()) -> str:
    """Return a hash of the mesh files that a URDF names; '' for none."""
    found = {uri: [file_hash(path) for path in paths] for uri, paths
             in _files(robot_description, package_paths).items()}
    return text_hash(json.dumps(found, sort_keys=True)) if found else ''


@lru_cache(maxsize=8)
def _files(robot_description: str, package_paths: tuple[str, ...]
           ) -> dict[str, tuple[Path, ...]]:
    try:
        return mesh_files(Robot.from_urdf(robot_description, package_paths=package_paths))
    except Kinema4DError:      # whoever makes something of it says why
        return {}


@lru_cache(maxsize=1_000_000)
def _description(path: Path, changed: int, size: int) -> str:
    try:
        return sys.intern(Episode.open(path).robot_description)
    except Kinema4DError:      # likewise
        return ''
    except Exception:      # what is damaged makes libraries raise almost anything
        return ''
