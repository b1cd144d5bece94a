# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that 4D episodes are made in: what was asked for, and a line for each recording."""
from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from kinema4d_ros.curation.one_episode import EPISODES, remove_clips, THUMBNAILS
from kinema4d_ros.curation.record import EpisodeRecord, Lineage
from kinema4d_ros.curation.settings import CurationSettings, FORMAT
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.serialization import from_plain, PlainError, to_plain, write_whole

HEAD, LOG, QUARANTINE = 'curation.json', 'curation.jsonl', 'quarantine'


class CurationLog:
    """
    The log of a folder, of which one process at a time may add to; a context manager.

    A recording that has a line is not made again where its lineage would be the same; of several
    lines of one recording the last counts. What is refused has a file in `quarantine/` besides.
    """

    def __init__(self, out: Path, settings: CurationSettings, depth_model: str) -> None:
        """
        Open a folder, which is made.

        :param depth_model: hash of the weights; '' without.
        :raises DatasetError: it cannot be written to, another process does, or what is there was
            made with other settings.
        """
        self.out = out
        asked = {'format': FORMAT, 'settings': to_plain(settings), 'depth_model': depth_model}
        head = out / HEAD
        try:
            for folder in (EPISODES, THUMBNAILS, QUARANTINE):
                (out / folder).mkdir(parents=True, exist_ok=True)
            if head.is_file():
                _compare(head, asked)
            elif any((out / EPISODES).iterdir()):
                raise DatasetError(f'{out} has episodes, and no {HEAD} that says how they were '
                                   'made; choose another folder')
            else:
                write_whole(head, json.dumps(asked, indent=1, sort_keys=True) + '\n')
            self._file = (out / LOG).open('a+b')
        except OSError as error:
            raise DatasetError(f'{out} cannot be written to: {error}; choose another folder'
                               ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DatasetError(f'another process is writing to {out}; wait for it, or choose '
                               'another folder') from error
        self._cut_torn_line()
        #: name -> its record
        self.records = {record.name: record for record in read_log(out)}

    def __enter__(self) -> CurationLog:
        """Return the log, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self._file.close()

    def is_done(self, name: str, lineage: Lineage) -> bool:
        """Return whether a recording has been made of the same, and all of it is still there."""
        record = self.records.get(name)
        return record is not None and record.lineage == lineage and not record.unwritable and all(
            (self.out / EPISODES / f'{clip}.mcap').is_file() for clip in record.clips)

    def begin(self, name: str) -> None:
        """Remove what was made of a recording before, of another lineage."""
        record = self.records.pop(name, None)
        if record is not None:
            remove_clips(self.out, record.clips)

    def add(self, record: EpisodeRecord) -> None:
        """
        Add a line; it is on the disk when this returns.

        :raises DatasetError: it cannot be written.
        """
        self.records[record.name] = record
        told = self.out / QUARANTINE / f'{record.name}.json'
        try:
            if record.refused:
                write_whole(told, json.dumps(to_plain(record), indent=1, sort_keys=True) + '\n')
            else:
                told.unlink(missing_ok=True)
            self._file.write(json.dumps(to_plain(record), sort_keys=True).encode() + b'\n')
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DatasetError(f'{self.out} cannot be written to: {error}; make room, and run the '
                               'same command again: it goes on from here') from error

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b'\n') + 1
        if whole < len(content):
            self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)


def read_log(out: Path) -> Iterator[EpisodeRecord]:
    """
    Yield the records of a folder in the order of their ends.

    :raises DatasetError: a line is no record.
    """
    path = out / LOG
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            yield from_plain(EpisodeRecord, json.loads(line), f'line {number}')
        except (ValueError, PlainError) as error:
            raise DatasetError(f'{path} is no log of curation: {error}; choose another folder'
                               ) from error


def _compare(head: Path, asked: dict[str, Any]) -> None:
    """Raise DatasetError where a folder was made otherwise, saying in what."""
    try:
        there = json.loads(head.read_text(encoding='utf-8'))
        was = {**there['settings'], **{key: there[key] for key in ('format', 'depth_model')}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f'{head} cannot be read: {error}; choose another folder') from error
    now = {**asked['settings'], **{key: asked[key] for key in ('format', 'depth_model')}}
    other = [f'{key} {was.get(key)!r} there, {value!r} now' for key, value in now.items()
             if was.get(key) != value]
    if other:
        raise DatasetError(f'the episodes in {head.parent} were made with other settings: '
                           f'{", ".join(other)}; choose another folder, or the settings of then')
