# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of a set: one line an episode as it is done, and all of it at the end."""
from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.serialization import from_plain, PlainError, to_plain
from kinema4d_ros.types import Status

FORMAT = 1
LOG, REPORT = 'import.jsonl', 'import.json'


@dataclass(frozen=True)
class ImportedEpisode:
    """One line of the log."""

    name: str
    file: str                       # '' where it was refused
    refused: str                    # why; '' where it was imported
    checks: tuple[ImportCheck, ...] = ()
    camera: str = ''
    camera_known: bool = False
    camera_origin: str = ''
    frames: int = 0
    has_depth: bool = False
    by_ik: bool = False
    success: bool | None = None
    more_cameras: tuple[str, ...] = ()     # besides the first one
    unplaced: tuple[str, ...] = ()         # of these, those whose place is not known

    @property
    def doubts(self) -> tuple[ImportCheck, ...]:
        """What a person should look at."""
        return tuple(check for check in self.checks if check.status is Status.UNSURE)


@dataclass(frozen=True)
class ImportReport:
    """What became of a whole set."""

    source: str
    form: str
    robot: str
    episodes: tuple[ImportedEpisode, ...]
    remarks: tuple[str, ...] = field(default=())     # of the set as a whole

    @property
    def imported(self) -> tuple[ImportedEpisode, ...]:
        """Those that were written."""
        return tuple(episode for episode in self.episodes if not episode.refused)

    @property
    def refused(self) -> tuple[ImportedEpisode, ...]:
        """Those that were not."""
        return tuple(episode for episode in self.episodes if episode.refused)

    def by_check(self) -> Mapping[str, Counter[str]]:
        """Return check -> how many episodes had which verdict."""
        found: dict[str, Counter[str]] = {}
        for episode in self.episodes:
            for check in episode.checks:
                found.setdefault(check.name, Counter())[check.status.name] += 1
        return found

    def save(self, path: Path) -> None:
        """Write the report as JSON, all or nothing."""
        part = path.with_name(f'.{path.name}.part')
        part.write_text(json.dumps({'format': FORMAT, **to_plain(self)}, indent=1),
                        encoding='utf-8')
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> ImportReport:
        """
        Read a report.

        :raises DatasetError: it cannot be read, or is of another version.
        """
        try:
            values = json.loads(path.read_text(encoding='utf-8'))
            if values.pop('format') != FORMAT:
                raise DatasetError(f'{path} is of another version')
            return from_plain(cls, values, path.name)
        except (OSError, ValueError, KeyError, AttributeError, PlainError) as error:
            raise DatasetError(f'{path} is no report of an import: {error}') from error


def remarks_of(episodes: Iterable[ImportedEpisode]) -> tuple[str, ...]:
    """Return what many episodes say together and one alone does not."""
    seen = [check for episode in episodes for check in episode.checks
            if check.name == 'gripper' and check.unit == 'points']
    wrong = sum(check.status is not Status.PASS for check in seen)
    if seen and wrong > len(seen) / 2:
        return (f'the gripper looks flipped in {wrong} of {len(seen)} episodes where it moves: '
                'import again with --flip-gripper',)
    return ()


class ImportLog:
    """
    The log of an import: a line is added when an episode is done, so that it can go on later.

    The first line says what was asked for. A log of something else is begun anew, and the episodes
    that it names are removed: a folder holds the episodes of one import.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        """Read what is done already; what was refused is not, since the cause may be gone."""
        self.path = folder / LOG
        self.done: dict[str, ImportedEpisode] = {}
        head = json.dumps({'format': FORMAT, **to_plain(asked)}, sort_keys=True)
        lines = self.path.read_text(encoding='utf-8').split('\n') if self.path.is_file() else []
        written = {episode.name: episode for episode in _episodes(lines[1:])
                   if episode.file and (folder / episode.file).is_file()}
        self.was_other = bool(lines) and lines[0] != head
        if self.was_other:
            (folder / REPORT).unlink(missing_ok=True)
            for episode in written.values():
                (folder / episode.file).unlink()
        else:
            self.done = written
        folder.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f'.{LOG}.part')
        part.write_text('\n'.join([head, *map(_line, self.done.values()), '']), encoding='utf-8')
        os.replace(part, self.path)

    def add(self, episode: ImportedEpisode) -> None:
        """Add a line, on the disk when this returns."""
        self.done[episode.name] = episode
        with self.path.open('a', encoding='utf-8') as file:
            file.write(_line(episode) + '\n')
            file.flush()
            os.fsync(file.fileno())


def _episodes(lines: Iterable[str]) -> Iterator[ImportedEpisode]:
    for line in lines:
        try:
            episode = from_plain(ImportedEpisode, json.loads(line), LOG)
        except (ValueError, PlainError):      # the line that an end cut off
            continue
        if Path(episode.file).name == episode.file:      # in the folder, and nowhere else
            yield episode


def _line(episode: ImportedEpisode) -> str:
    return json.dumps(to_plain(episode), sort_keys=True)
