# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What recordings are called in a folder of 4D episodes, so that no two are called alike."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from kinema4d_ros.curation.folder import CurationFolder
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.jobs.lineage import file_hash, lineage_of


def named(sources: Iterable[str | Path]) -> dict[str, Path]:
    """
    Return name -> file of the recordings that are meant; a folder stands for all files in it.

    The name is that of the file; where files of several folders are called alike, the folder's
    comes before it.

    :raises DatasetError: there is none, or two cannot be told apart.
    """
    files: dict[Path, None] = {}
    for source in sources:
        folder = Path(source).expanduser()
        if folder.is_dir():
            found = sorted(folder.glob('*.mcap')) or sorted(folder.glob('*/*.mcap'))
            if not found:
                raise DatasetError(f'{folder} has no episode (*.mcap); make some of a data set '
                                   'with kinema4d import')
            files |= dict.fromkeys(path.absolute() for path in found)
        else:
            files[find_episode(source).absolute()] = None
    if not files:
        raise DatasetError('no recording is named')
    alike = Counter(path.stem for path in files)
    names: dict[str, Path] = {}
    for path in files:
        stem = path.stem if alike[path.stem] == 1 else f'{path.absolute().parent.name}_{path.stem}'
        name = clip_name(stem)
        if name in names:
            raise DatasetError(f'{names[name]} and {path} would both be called {name}; give them '
                               'names of their own')
        names[name] = path
    return names


def renamed(paths: Mapping[str, Path], folder: CurationFolder, extrinsics: str = ''
            ) -> dict[str, Path]:
    """
    Return the recordings by names that no other recording has in a folder.

    One that is there keeps its name. One whose name another recording has there, be its file still
    there or not, gets that of its folder before it: imported sets all begin with `episode_000000`.

    :param extrinsics: the file that the recordings are made with, which their lineage has.
    :raises DatasetError: that name is taken, too.
    """
    taken = {record.name: (Path(record.source).resolve(), record.lineage.get('source', ''))
             for record in folder.newest()}
    names = {source: name for name, (source, _) in taken.items()}
    same = Counter(path.resolve() for path in paths.values())      # links to one file are several
    found: dict[str, Path] = {}
    for name, path in paths.items():
        own = names.get(path.resolve(), name) if same[path.resolve()] == 1 else name
        if _is_other(path, taken.get(own), extrinsics):
            own = clip_name(f'{path.absolute().parent.name}_{path.stem}')
        if own in found or _is_other(path, taken.get(own), extrinsics):
            raise DatasetError(f'{folder.path} has clips of {found.get(own) or taken[own][0]} that '
                               f'are called {own}, as those of {path} would be; choose another '
                               'folder, or rename the file')
        found[own] = path
    return found


def _is_other(path: Path, there: tuple[Path, str] | None, extrinsics: str) -> bool:
    """Return whether a file is another one than that which is there, which may have moved."""
    if there is None or there[0] == path.resolve():
        return False
    source, lineage = there
    try:
        if source.is_file():
            return file_hash(source) != file_hash(path)
        return lineage_of(files=[path, *filter(None, [extrinsics])])['source'] != lineage
    except OSError:      # whoever makes something of it says why
        return True


def clip_name(text: str) -> str:
    """Return a text as the name of clips; the scripts of Robo4D-200k take two words apart."""
    return re.sub(r'[^A-Za-z0-9_-]', '_', text).replace('videos', 'vids').replace('mp4', 'm4')
