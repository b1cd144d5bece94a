# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer depends on: code, libraries, parameters and files, each by its contents."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kinema4d_ros import __version__
from kinema4d_ros.resources import share_dir
from kinema4d_ros.serialization import to_plain

_PACKAGE = Path(__file__).resolve().parents[1]
_DIGITS = 16      # of a hash that are kept
#: distributions whose versions may change an answer; torch and transformers are told by those who
#: use them
_LIBRARIES = ('numpy', 'scipy', 'numba', 'opencv-python-headless', 'opencv-python', 'coal',
              'mujoco', 'trimesh', 'open3d-cpu', 'open3d', 'av', 'pillow', 'PyKDL')


def lineage_of(parameters: Any = None, files: Iterable[str | Path] = ()) -> dict[str, str]:
    """
    Return what an answer depends on, each part as a hash that changes with it.

    :param parameters: dataclasses, mappings, lists, numbers and strings.
    :param files: that the answer is made from; a folder counts with all files in it.
    :returns: `code` (version and contents of this package), `libraries` (of numbers, pictures,
        meshes and physics, by their versions), `parameters` and `source`.
    :raises OSError: a file is not there.
    """
    found = {path: file_hash(path) for path in sorted(_all_files(files))}
    return {
        'code': code_hash(), 'libraries': versions_hash(_LIBRARIES),
        'parameters': text_hash(json.dumps(to_plain(parameters), sort_keys=True)),
        'source': text_hash(json.dumps([[path.name, text] for path, text in found.items()]))}


def _all_files(paths: Iterable[str | Path]) -> Iterable[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from (each for each in path.rglob('*') if each.is_file())
        else:
            yield path


@cache
def code_hash() -> str:
    """Return the version of this package with a hash of its Python and configuration files."""
    content, config = hashlib.sha256(), share_dir() / 'config'
    for folder, ending in (_PACKAGE, '*.py'), (config, '*.yaml'):
        for path in sorted(folder.rglob(ending)):
            content.update(str(path.relative_to(folder)).encode() + b'\0' + path.read_bytes())
    return f'{__version__} {content.hexdigest()[:_DIGITS]}'


@cache
def versions_hash(distributions: tuple[str, ...]) -> str:
    """Return a hash of the versions of what is installed, by the names of pip."""
    found = {}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return text_hash(json.dumps(found, sort_keys=True))


def text_hash(text: str) -> str:
    """Return a hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def file_hash(path: str | Path) -> str:
    """
    Return a hash of the contents of a file, which is read again only when it has changed.

    :raises OSError: it is not there.
    """
    path = Path(path)
    state = path.stat()
    return _content(str(path.resolve()), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=10_000)
def _content(path: str, changed: int, size: int) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()[:_DIGITS]
