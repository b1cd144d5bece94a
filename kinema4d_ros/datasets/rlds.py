# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""RLDS as tensorflow_datasets stores it (DROID, Bridge V2, fractal): one Example is one episode."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import file_names, json_object, MOST_ROWS
from kinema4d_ros.datasets.source import FrameStream, SourceEpisode
from kinema4d_ros.datasets.tfrecord import (Example, parse_example, read_record, record_offsets,
                                            Values)
from kinema4d_ros.datasets.video import decode_image, EncodedFrames
from kinema4d_ros.errors import DatasetError

_SHARD = re.compile(r'(?P<split>[\w.+]+)\.tfrecord-(?P<number>\d+)-of-\d+$')
_VERSION = re.compile(r'\d+\.\d+\.\d+$')      # name of a folder, as tensorflow_datasets makes it
_STEPS = 'steps/'
_ONCE = 'episode_metadata/'
_BLACK = 12      # a JPEG of nothing is no brighter
_NOT_DATA = ('language_embedding', 'discount', 'reward', 'is_first', 'is_last', 'is_terminal')


class RldsSource:
    """The shards of one version of a set, or one shard alone."""

    def __init__(self, path: Path, rate: float | None = None, version: str = '') -> None:
        """
        Find the shards; none is read yet.

        :param path: folder of the version, of the set, or a .tfrecord file.
        :param rate: rows a second, which RLDS does not say.
        :param version: such as 1.0.1, where the folder has several; '' for the newest.
        :raises DatasetError: there is none, or none of that version.
        """
        self.path, self.rate = path, rate
        self._shards = [path] if path.is_file() else sorted(
            file for file in path.rglob('*') if '.tfrecord' in file.name and file.is_file())
        if not self._shards:
            raise DatasetError(f'{path} has no .tfrecord file in it')
        there = sorted({name for name in map(_version_of, self._shards) if name}, key=_order)
        self._shards = _of_version(self._shards, version)
        if not self._shards:
            raise DatasetError(f'{path} has no version {version}; it has '
                               f'{", ".join(there) or "no folders of versions"}')
        chosen = sorted({name for name in map(_version_of, self._shards) if name}, key=_order)
        self.form = 'RLDS (TFRecord)' + (
            f', version {", ".join(chosen)} of {", ".join(there)}' if len(there) > 1 else '')
        self._shapes_in: dict[Path, Mapping[str, tuple[int, ...]]] = {}

    def _shapes_of(self, shard: Path) -> Mapping[str, tuple[int, ...]]:
        """Shape of what is one tensor a step, by name, in the set of a shard."""
        folder = shard.parent
        if folder not in self._shapes_in:
            found: dict[str, tuple[int, ...]] = {}
            if (folder / 'features.json').is_file():
                _walk(json_object(folder / 'features.json'), '', found)
            self._shapes_in[folder] = found
        return self._shapes_in[folder]

    @cached_property
    def _at(self) -> Mapping[str, tuple[Path, int, int]]:
        """Episode -> shard, begin and length; a shard with a damaged length ends there."""
        found: list[tuple[str, tuple[Path, int, int]]] = []
        self._broken: dict[Path, str] = {}
        stems = [self._stem(shard) for shard in self._shards]
        counts = Counter(stems)
        for shard, stem in zip(self._shards, stems):
            if counts[stem] > 1:       # of several sets, which have the same shards
                stem = (shard.relative_to(self.path).parent / stem).as_posix()
            try:
                offsets = record_offsets(shard)
            except DatasetError as error:
                self._broken[shard] = str(error)
                found.append((f'{stem}_damaged', (shard, 0, 0)))
                continue
            found += [(f'{stem}_{number:04d}', (shard, begin, length))
                      for number, (begin, length) in enumerate(offsets)]
        return file_names(found)

    @staticmethod
    def _stem(shard: Path) -> str:
        match = _SHARD.search(shard.name)
        return f'{match["split"]}_{match["number"]}' if match else shard.name

    def episode_names(self) -> Sequence[str]:
        """Return shard and number of each record."""
        return tuple(self._at)

    def read(self, name: str) -> SourceEpisode:
        """
        Read one episode.

        :raises DatasetError: its record is damaged, or its steps differ in number.
        """
        shard, begin, length = self._at[name]
        if shard in self._broken:
            raise DatasetError(self._broken[shard])
        example = parse_example(read_record(shard, begin, length))
        return self._episode(name, shard, example)

    def _episode(self, name: str, shard: Path, example: Example) -> SourceEpisode:
        features = dict(example.features) | {
            key: _joined(steps) for key, steps in example.sequences.items()}
        shapes = self._shapes_of(shard)
        count = _steps(features, shapes)
        if not 0 < count <= MOST_ROWS:
            raise DatasetError(f'{name} has {count} steps')
        if self.rate is None:
            raise DatasetError(f'{self.path}: RLDS does not say how many steps a second there '
                               'are; name a robot preset that does, or give --rate')
        columns: dict[str, np.ndarray] = {}
        videos: dict[str, FrameStream] = {}
        text = ''
        for key, values in features.items():
            short = key.removeprefix(_STEPS).replace('/', '.')
            if not key.startswith(_STEPS) or short in _NOT_DATA:
                continue
            if isinstance(values, np.ndarray):
                columns[short] = _column(name, key, values, count, shapes)
            elif 'language' in short or 'instruction' in short:
                text = text or (values[0].decode('utf-8', 'replace') if values else '')
            elif values and len(values) == count and _is_image(values[0]):
                # Bridge has black pictures where there was no camera; its flags has_image_N are
                # not to be relied on.
                if decode_image(values[0], f'{name}: {key} 0').max() > _BLACK:
                    videos[short] = EncodedFrames(values)
        path = features.get(f'{_ONCE}file_path')
        where = path[0].decode('utf-8', 'replace') if isinstance(path, list) and path else ''
        return SourceEpisode(
            name, np.arange(count) / self.rate, columns, videos, text=text,
            success=True if '/success/' in where else False if '/failure/' in where else None,
            origin=f'{shard.name} {where}'.strip())


def _version_of(shard: Path) -> str:
    """Return the version that a shard's folder is of; '' for none."""
    return shard.parent.name if _VERSION.match(shard.parent.name) else ''


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split('.'))) if version else ()


def _of_version(shards: Sequence[Path], wanted: str) -> list[Path]:
    """Return the shards of a version; '' takes the newest of each set, and what has no version."""
    if wanted:
        return [shard for shard in shards if _version_of(shard) == wanted]
    newest: dict[Path, tuple[int, ...]] = {}
    for shard in shards:
        if name := _version_of(shard):
            folder = shard.parent.parent
            newest[folder] = max(newest.get(folder, ()), _order(name))
    return [shard for shard in shards if not _version_of(shard)
            or _order(_version_of(shard)) == newest[shard.parent.parent]]


def _column(name: str, key: str, values: np.ndarray, count: int,
            shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    width = int(np.prod(shapes.get(key, ()), initial=1))
    if key not in shapes and len(values) % count == 0:
        width = len(values) // count
    if len(values) != count * width:
        raise DatasetError(f'{name}: {key} has {len(values)} numbers in {count} steps; '
                           f'features.json says {width} each')
    return values.astype(np.float64).reshape(count, width)


def _walk(node: Any, path: str, found: dict[str, tuple[int, ...]]) -> None:
    """Collect the shapes of tensors from features.json."""
    if not isinstance(node, dict):
        return
    for key, child in node.get('featuresDict', {}).get('features', {}).items():
        _walk(child, f'{path}/{key}' if path else key, found)
    if 'sequence' in node:
        _walk(node['sequence'].get('feature'), path, found)
    if 'tensor' in node:
        sizes = node['tensor'].get('shape', {}).get('dimensions', [])
        try:
            found[path] = tuple(int(size) for size in sizes)
        except (TypeError, ValueError) as error:
            raise DatasetError(f'features.json: {path} has the shape {sizes}') from error


def _joined(steps: Sequence[Values]) -> Values:
    """Return the values of all steps of a SequenceExample as those of an Example."""
    arrays = [step for step in steps if isinstance(step, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)
    return [item for step in steps if isinstance(step, list) for item in step]


def _steps(features: Mapping[str, Values], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many steps there are: what has one value in each says so."""
    for key in ('steps/is_first', 'steps/is_last', 'steps/reward', 'steps/discount'):
        if key in features:
            return len(features[key])
    counts = [len(values) for key, values in features.items() if key.startswith(_STEPS)
              and isinstance(values, list)]
    counts += [len(features[key]) // int(np.prod(shape, initial=1))
               for key, shape in shapes.items() if key.startswith(_STEPS) and key in features
               and int(np.prod(shape, initial=1)) > 0]
    return min(counts, default=0)


def _is_image(data: bytes) -> bool:
    return data[:3] == b'\xff\xd8\xff' or data[:8] == b'\x89PNG\r\n\x1a\n'
