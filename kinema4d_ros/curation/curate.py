# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Many recordings made into 4D episodes: what is done stays, what is bad is set apart."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema4d_ros.curation.depth_backend import load_backend
from kinema4d_ros.curation.index_page import write_index
from kinema4d_ros.curation.log import CurationLog
from kinema4d_ros.curation.one_episode import CurationItem, EPISODES, LAYOUT
from kinema4d_ros.curation.record import EpisodeRecord, Lineage, SourceState
from kinema4d_ros.curation.robo4d_form import write_lists
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.datasets.lerobot_writer import write_lerobot
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import DatasetError

#: makes the records of items, in the order in which they end, wherever that is
Runner = Callable[[Sequence[CurationItem]], Iterator[EpisodeRecord]]
Report = Callable[[EpisodeRecord | None, int, int], None]


@dataclass(frozen=True)
class CurationResult:
    """What a folder of 4D episodes has."""

    records: tuple[EpisodeRecord, ...]      # in the order of the sources
    made: int                               # of these, now; the others were there
    index: Path                             # the page

    @property
    def kept(self) -> tuple[EpisodeRecord, ...]:
        """Recordings of which clips were made."""
        return tuple(record for record in self.records if not record.refused)

    @property
    def refused(self) -> tuple[EpisodeRecord, ...]:
        """Those of which none were."""
        return tuple(record for record in self.records if record.refused)

    @property
    def clips(self) -> tuple[str, ...]:
        """All clips."""
        return tuple(clip for record in self.records for clip in record.clips)


def curate(sources: Sequence[str | Path], out: Path, settings: CurationSettings, run: Runner,
           report: Report = lambda record, done, total: None) -> CurationResult:
    """
    Make the 4D episodes of recordings, as far as they are not there.

    :param sources: files, folders of them, or names of bundled episodes.
    :param run: makes records of items; `jobs`.
    :param report: called with None and what is there before it begins, then with each record.
    :raises DatasetError: no recording is found, or the folder cannot be written to or holds others.
    :raises ConfigurationError: settings mean nothing, or the depth model cannot be loaded.
    """
    settings.check()
    model = load_backend(settings.depth_backend, settings.depth_model,
                         settings.depth_quantity).fingerprint if settings.depth_model else ''
    paths = named(sources)
    with CurationLog(out, settings, model) as log:
        todo = []
        for name, path in paths.items():
            if not _is_done(log, name, path, settings, model):
                log.begin(name)
                todo.append(CurationItem(name, str(path), str(out), settings, model))
        done = len(paths) - len(todo)
        report(None, done, len(paths))
        for record in run(todo) if todo else ():
            if record.unwritable:
                raise DatasetError(f'{record.unwritable}; make room, or choose another folder; '
                                   'the same command goes on from here')
            log.add(record)
            done += 1
            report(record, done, len(paths))
        records = tuple(log.records[name] for name in paths if name in log.records)
    result = CurationResult(records, len(todo), out / 'index.html')
    write_index(result.index, records, settings)
    _write_form(out, settings, result)
    return result


def _is_done(log: CurationLog, name: str, path: Path, settings: CurationSettings, model: str
             ) -> bool:
    record = log.records.get(name)
    try:
        state = SourceState.of(path, record.state if record else None)
    except OSError:
        return False      # its record will say why
    return log.is_done(name, Lineage.now(state, settings, model))


def _write_form(out: Path, settings: CurationSettings, result: CurationResult) -> None:
    """Write what is of all episodes together: the lists of the layout, or the LeRobot set."""
    if not result.clips:
        return
    if settings.form == 'robo4d':
        write_lists(out / LAYOUT)
    elif settings.form == 'lerobot' and (result.made or not (out / 'lerobot').is_dir()):
        write_lerobot([out / EPISODES / f'{clip}.mcap' for clip in result.clips], out / 'lerobot')


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
            files |= dict.fromkeys(found)
        else:
            files[find_episode(source)] = None
    if not files:
        raise DatasetError('no recording is named')
    alike = Counter(path.stem for path in files)
    names: dict[str, Path] = {}
    for path in files:
        stem = path.stem if alike[path.stem] == 1 else f'{path.absolute().parent.name}_{path.stem}'
        # the official scripts of Robo4D-200k take these words apart
        name = re.sub(r'[^A-Za-z0-9_-]', '_', stem).replace('videos', 'vids').replace('mp4', 'm4')
        if name in names:
            raise DatasetError(f'{names[name]} and {path} would both be called {name}; give them '
                               'names of their own')
        names[name] = path
    return names
