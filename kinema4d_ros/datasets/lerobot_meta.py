# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a LeRobot set says of itself in meta/: version, rate, features, episodes, tasks."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kinema4d_ros.datasets.parquet import table_rows
from kinema4d_ros.datasets.paths import json_lines, json_object, MOST_ROWS
from kinema4d_ros.errors import DatasetError

DEFAULT_DATA = {'v2': 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
                'v3': 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'}
DEFAULT_VIDEO = {
    'v2': 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    'v3': 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'}
_VERSIONS = ('v2.0', 'v2.1', 'v3.0')


@dataclass(frozen=True)
class EpisodeRow:
    """Where the parts of one episode are."""

    index: int
    tasks: tuple[str, ...] = ()
    length: int = 0                     # rows, as the list says; 0 where it does not
    data: tuple[int, int] = (0, 0)      # chunk and file, of version 3
    #: camera -> chunk, file, begin and end [s] in the video, of version 3
    videos: Mapping[str, tuple[int, int, float, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class LeRobotMeta:
    """The folder meta/ of a set."""

    path: Path
    version: str
    rate: float                                 # [Hz]
    robot: str
    chunks_size: int
    data_path: str
    video_path: str
    features: Mapping[str, Mapping[str, Any]]
    licence: str = ''

    @classmethod
    def load(cls, path: Path) -> LeRobotMeta:
        """
        Read meta/info.json.

        :raises DatasetError: it cannot be read, lacks a field, or is of another version.
        """
        info = json_object(path / 'meta' / 'info.json')
        version = str(info.get('codebase_version', ''))
        version = version if version.startswith('v') else f'v{version}'
        if version not in _VERSIONS:
            raise DatasetError(f'{path} is a LeRobot set of version {version!r}; read are '
                               f'{", ".join(_VERSIONS)}: convert it with LeRobot')
        features = info.get('features')
        try:
            rate = float(info['fps'])
            if not 0.01 < rate < 1e5 or not isinstance(features, dict):
                raise ValueError('fps or features')
            return cls(path, version, rate, str(info.get('robot_type') or ''),
                       max(1, int(info.get('chunks_size') or 1000)),
                       str(info.get('data_path') or ''), str(info.get('video_path') or ''),
                       {str(key): value for key, value in features.items()
                        if isinstance(value, dict)}, str(info.get('license') or ''))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f'{path}/meta/info.json does not say {error} as LeRobot '
                               'does') from error

    def episodes(self) -> Iterator[EpisodeRow]:
        """
        Yield where the episodes are.

        :raises DatasetError: the list of episodes is damaged.
        """
        if self.version.startswith('v3'):
            files = sorted((self.path / 'meta' / 'episodes').rglob('*.parquet'))
            if not files:
                raise DatasetError(f'{self.path} has no list of its episodes in meta/episodes')
            for file in files:
                for values in table_rows(file, without='stats/'):
                    yield _row(file, values)
            return
        listed = self.path / 'meta' / 'episodes.jsonl'
        if listed.is_file():
            for values in json_lines(listed):
                yield _row(listed, values)
            return
        for file in sorted((self.path / 'data').rglob('episode_*.parquet')):
            yield EpisodeRow(int(re.sub(r'\D', '', file.stem)))

    @cached_property
    def tasks(self) -> Mapping[int, str]:
        """Instruction by number; empty where there is no list."""
        table, lines = self.path / 'meta' / 'tasks.parquet', self.path / 'meta' / 'tasks.jsonl'
        rows: Iterator[Mapping[str, Any]] = iter(())
        if table.is_file():
            rows = table_rows(table)
        elif lines.is_file():
            rows = json_lines(lines)
        found = {}
        for row in rows:
            text = row.get('task', row.get('__index_level_0__'))
            if isinstance(row.get('task_index'), int) and isinstance(text, str):
                found[row['task_index']] = text
        return found


def _row(file: Path, values: Mapping[str, Any]) -> EpisodeRow:
    try:
        tasks = values.get('tasks') or ()
        index, length = int(values['episode_index']), int(values.get('length') or 0)
        if not 0 <= index or not 0 <= length <= MOST_ROWS:
            raise ValueError(f'episode {index} has {length} rows')
        videos = {}
        for key, chunk in values.items():
            if key.startswith('videos/') and key.endswith('/chunk_index') and chunk is not None:
                stem = key.removesuffix('/chunk_index')
                end = values.get(f'{stem}/to_timestamp')
                videos[stem.removeprefix('videos/')] = (
                    int(chunk), int(values.get(f'{stem}/file_index') or 0),
                    float(values.get(f'{stem}/from_timestamp') or 0.0),
                    None if end is None else float(end))
        return EpisodeRow(
            index, (tasks,) if isinstance(tasks, str) else tuple(map(str, tasks)), length,
            (int(values.get('data/chunk_index') or 0), int(values.get('data/file_index') or 0)),
            videos)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{file}: an episode is not as LeRobot writes it: {error}') from error


def components(names: Any) -> tuple[str, ...]:
    """Return the names of a column's values from a list, a dict of lists, or nested ones."""
    if isinstance(names, str):
        return (names,)
    if isinstance(names, Mapping):
        if all(isinstance(value, int) for value in names.values()):      # name -> position
            return tuple(sorted(map(str, names), key=lambda name: names[name]))
        names = list(names.values())
    if isinstance(names, Sequence):
        return tuple(name for item in names for name in components(item))
    return ()
