# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that 4D episodes are made in: what was asked for, clips, and what is set apart."""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinema4d_ros.curation.one_episode import EPISODES, remove_clips, THUMBNAILS
from kinema4d_ros.curation.record import EpisodeRecord
from kinema4d_ros.curation.settings import CurationSettings, FORMAT
from kinema4d_ros.errors import DatasetError, JobError
from kinema4d_ros.jobs import JobRecord, read_jobs
from kinema4d_ros.serialization import from_plain, PlainError, to_plain, write_whole

HEAD, LOG, QUARANTINE, LOCK = 'curation.json', 'curation.jsonl', 'quarantine', '.curation.lock'


class CurationFolder:
    """A folder of 4D episodes, all made with the same settings."""

    def __init__(self, out: Path, settings: CurationSettings, depth_model: str) -> None:
        """
        Open a folder, which is made.

        :param depth_model: hash of the weights; '' without.
        :raises DatasetError: it cannot be written to, or what is there was made otherwise.
        """
        self.path = out
        asked = {'format': FORMAT, 'settings': to_plain(settings), 'depth_model': depth_model}
        try:
            for folder in (EPISODES, THUMBNAILS, QUARANTINE):
                (out / folder).mkdir(parents=True, exist_ok=True)
            if (out / HEAD).is_file():
                _compare(out / HEAD, asked)
            elif any((out / EPISODES).iterdir()):
                raise DatasetError(f'{out} has episodes, and no {HEAD} that says how they were '
                                   'made; choose another folder')
            else:
                write_whole(out / HEAD, json.dumps(asked, indent=1, sort_keys=True) + '\n')
        except OSError as error:
            raise DatasetError(f'{out} cannot be written to: {error}; choose another folder'
                               ) from error

    def records(self) -> Iterator[EpisodeRecord]:
        """
        Yield what was made before, the newest of each recording last.

        :raises DatasetError: the log is damaged, or another process writes it.
        """
        if not (self.path / LOG).is_file():
            return
        try:
            for record in read_jobs(self.path, LOG):
                if record.failure is None:
                    yield record.answer_as(EpisodeRecord)
        except (JobError, PlainError) as error:
            raise DatasetError(f'{error}; choose another folder') from error

    def newest(self) -> Iterator[EpisodeRecord]:
        """
        Yield the newest record of each recording, one in memory at a time.

        Those without answer, as of a killed process, are from the quarantine.

        :raises DatasetError: as `records`.
        """
        last = {record.name: number for number, record in enumerate(self.records())}
        for number, record in enumerate(self.records()):
            if last[record.name] == number:
                yield record
        for path in sorted((self.path / QUARANTINE).glob('*.json')):
            if path.stem not in last:
                try:
                    yield from_plain(EpisodeRecord, json.loads(path.read_text('utf-8')), path.name)
                except (OSError, ValueError, PlainError) as error:
                    raise DatasetError(f'{path} cannot be read: {error}; remove it') from error

    def is_whole(self, record: EpisodeRecord) -> bool:
        """Return whether all clips of a record are still there."""
        return all((self.path / EPISODES / f'{clip}.mcap').is_file() for clip in record.clips)

    def forget(self, record: EpisodeRecord) -> None:
        """Remove what was made of a recording as it was, or with other weights or code."""
        remove_clips(self.path, record.clips)

    def forget_halves(self) -> None:
        """Remove parts of files that a process which was killed has left; none may be at work."""
        for path in (self.path / EPISODES).glob('.episode_*'):
            shutil.rmtree(path, ignore_errors=True)

    def forget_clips_of(self, name: str) -> None:
        """Remove the clips of a recording that has no record, as its process was killed."""
        remove_clips(self.path, [path.stem for path in (self.path / EPISODES).glob(
            f'{name}_*.mcap') if re.fullmatch(r'\d{3,}', path.stem[len(name) + 1:])])

    def set_apart(self, record: EpisodeRecord) -> None:
        """Write why a recording was left out, or remove that where it no longer is."""
        path = self.path / QUARANTINE / f'{record.name}.json'
        if record.refused:
            write_whole(path, json.dumps(to_plain(record), indent=1, sort_keys=True) + '\n')
        else:
            path.unlink(missing_ok=True)


def record_of(job: JobRecord, source: Path) -> EpisodeRecord:
    """Return the record of a job; one without answer, as of a killed process, is left out."""
    if job.failure is None:
        found: EpisodeRecord = job.answer_as(EpisodeRecord)
        return found
    return EpisodeRecord(job.key, str(source), job.lineage,
                         f'{job.failure.why} (after {job.tries} tries; the same command tries it '
                         'again)')


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
