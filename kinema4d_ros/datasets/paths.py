# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that a data set names itself: only inside of its folder, and only of a size that fits."""
from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from kinema4d_ros.errors import DatasetError

T = TypeVar('T')
MOST_JSON = 256 << 20           # [bytes] of a JSON file
MOST_BYTES = 2 << 30            # [bytes] of one table, array or record, unpacked
MOST_PIXELS = 8192 * 8192       # of one image
MOST_ROWS = 1_000_000           # of one episode
_FIELD = re.compile(r'\{(\w+)(?::0?(\d{1,2})d?)?\}')
_POINTER = b'version https://git-lfs'
_SAFE = re.compile(r'[^A-Za-z0-9._-]+')


def inside(root: Path, relative: str) -> Path:
    """
    Return the path of a file that a set names, which must stay in its folder.

    Links are followed where they lead, since caches are made of them; what is refused is a name
    that leaves the folder by itself.

    :raises DatasetError: it is absolute, or has ``..`` in it.
    """
    pure = PurePosixPath(relative.replace('\\', '/'))
    if pure.is_absolute() or '..' in pure.parts or '\0' in relative or \
            re.match(r'[A-Za-z]:', relative):
        raise DatasetError(f'{root}: the set names the file {relative!r}, which is outside of it; '
                           'it is not read')
    return root / pure


def fill(template: str, values: Mapping[str, str | int]) -> str:
    """
    Return a template of info.json with its fields filled in, ``{name}`` or ``{name:03d}``.

    :raises DatasetError: it has other fields than `values`, or asks for more than that.
    """
    def value(match: re.Match[str]) -> str:
        name, width = match[1], match[2]
        if name not in values:
            raise DatasetError(f'the template {template!r} has the unknown field {name!r}; known: '
                               f'{", ".join(sorted(values))}')
        return str(values[name]).zfill(int(width or 0))

    filled = _FIELD.sub(value, template)
    if '{' in filled or '}' in filled:
        raise DatasetError(f'the template {template!r} is not of the form a/{{name:03d}}.parquet')
    return filled


def lfs_hint(path: Path) -> str:
    """Return what to do about a file that Git LFS has left its pointer for; '' for any other."""
    try:
        with path.open('rb') as file:
            is_pointer = file.read(len(_POINTER)) == _POINTER
    except OSError:
        return ''
    return ': it is a pointer of Git LFS, and not the file; run git lfs pull' * is_pointer


def load_json(path: Path) -> Any:
    """
    Return what a JSON file holds.

    :raises DatasetError: it cannot be read, is too large, or is no JSON.
    """
    try:
        size = path.stat().st_size
        if size > MOST_JSON:
            raise DatasetError(f'{path} has {size} bytes, more than the {MOST_JSON} that are read')
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path} is no JSON ({error}); fetch the file again'
                           f'{lfs_hint(path)}') from error


def json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; as `load_json`, and refuses anything else."""
    found = load_json(path)
    if not isinstance(found, dict):
        raise DatasetError(f'{path} holds a {type(found).__name__} and no object')
    return found


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """
    Yield the objects of a file with one on each line.

    :raises DatasetError: it cannot be read, or a line is no object; the message has its number.
    """
    number = 0
    try:
        with path.open(encoding='utf-8') as file:
            for line in file:
                number += 1
                if not line.strip():
                    continue
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError('it is no object')
                yield value
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path}: line {number} is no JSON ({error})') from error


def file_name(text: str) -> str:
    """Return a text as the name of a file: letters, digits and ``._-``, never hidden."""
    return _SAFE.sub('_', text).strip('._') or 'episode'


def file_names(paths: Iterable[tuple[str, T]], suffixes: tuple[str, ...] = ()) -> dict[str, T]:
    """
    Return things by names of files that differ, also where upper and lower case do not.

    :param paths: each thing with its path in the set, parts joined by ``/``. Where the paths of
        several give the same name, all of them get the checksum of theirs besides, so that a
        name does not depend on what else comes before it.
    :param suffixes: of the paths, that are left out of the names.
    :raises DatasetError: two paths are the same.
    """
    told = []
    for text, item in paths:
        end = next((suffix for suffix in suffixes if text.endswith(suffix)), '')
        told.append((file_name(text.removesuffix(end).replace('/', '_')), text, item))
    counts = Counter(name.lower() for name, _, _ in told)
    found: dict[str, T] = {}
    for name, text, item in told:
        if counts[name.lower()] > 1:
            name += f'_{hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]}'
        if name in found:
            raise DatasetError(f'two episodes of the set are called {text}; rename one of them')
        found[name] = item
    return found
