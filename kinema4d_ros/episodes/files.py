# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes by path, or by the name of a bundled one."""
from __future__ import annotations

from pathlib import Path

from kinema4d_ros.episodes.storage import in_folder
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.resources import share_dir


def find_episode(name: str | Path) -> Path:
    """
    Return the path of an episode given as a path or as the name of a bundled one.

    A folder with one .mcap file, as a recording is, stands for that file.

    :raises EpisodeError: there is no such file; the message lists what there is.
    """
    path = in_folder(Path(name).expanduser())
    if path.is_file():
        return path
    bundled_folder = share_dir() / 'data' / 'episodes'
    for candidate in (bundled_folder / name, bundled_folder / f'{name}.mcap'):
        if candidate.is_file():
            return candidate
    folder = path if path.is_dir() else path.parent
    here = sorted(file.name for file in folder.glob('*.mcap')) if folder.is_dir() else []
    bundled = sorted(file.stem for file in bundled_folder.glob('*.mcap'))
    raise EpisodeError(
        f'no such episode: {str(name)!r}; in {folder}: {", ".join(here) or "no .mcap file"}; '
        f'bundled: {", ".join(bundled) or "none"}')
