# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Many recordings made into 4D episodes: what is done stays, what is bad is set apart."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema4d_ros.curation.depth_backend import load_backend
from kinema4d_ros.curation.folder import CurationFolder, LOCK, LOG, record_of
from kinema4d_ros.curation.index_page import write_index
from kinema4d_ros.curation.names import named, renamed
from kinema4d_ros.curation.one_episode import CurationItem, EPISODES, LAYOUT, one_episode
from kinema4d_ros.curation.robo4d_form import write_lists
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.curation.summary import CurationSummary
from kinema4d_ros.datasets import load_extrinsics
from kinema4d_ros.datasets.lerobot_writer import write_lerobot
from kinema4d_ros.errors import DatasetError, JobError
from kinema4d_ros.evaluation.episode_lineage import episode_lineage
from kinema4d_ros.jobs import FailureKind, Job, JobProgress, LineFile, PoolSettings, run_jobs
from kinema4d_ros.serialization import write_whole

CurationReport = Callable[[JobProgress, CurationSummary], None]


@dataclass(frozen=True)
class CurationResult:
    """What a folder of 4D episodes has."""

    summary: CurationSummary
    made: int            # recordings that this run has gone through; the others were there
    seconds: float       # [s] that this took
    index: Path          # the page


def curate(sources: Sequence[str | Path], out: Path, settings: CurationSettings,
           pool: PoolSettings = PoolSettings(),
           report: CurationReport = lambda progress, summary: None) -> CurationResult:
    """
    Make the 4D episodes of recordings, as far as they are not there.

    A recording counts as done where the file, the meshes of its robot, the settings, the depth
    model, this package and the libraries that it computes with are the same as when it was made.
    One that is left out is not tried again then, but for one that took its process with it. What
    other runs made in the folder stays, and is in the summary.

    :param sources: files, folders of them, or names of bundled episodes.
    :param pool: where they are made.
    :param report: called with how far it is, at the beginning and after each recording.
    :raises DatasetError: no recording is found, or the folder cannot be written to or holds others.
    :raises ConfigurationError: settings mean nothing, or the depth model cannot be loaded.
    :raises CalibrationError: the file of extrinsics cannot be read.
    """
    settings.check()
    model = load_backend(settings.depth_backend, settings.depth_model,
                         settings.depth_quantity).fingerprint if settings.depth_model else ''
    if settings.extrinsics:
        load_extrinsics(Path(settings.extrinsics))      # says what is wrong before all begins
    paths = named(sources)
    folder = CurationFolder(out, settings, model)
    try:
        lock = LineFile(out / LOCK)      # from before the first clip is removed to the last list
    except JobError as error:
        raise DatasetError(f'{out} is being written by another run, or cannot be written: {error}'
                           ) from error
    with lock:
        return _curate(folder, paths, settings, model, pool, report)


def _curate(folder: CurationFolder, paths: Mapping[str, Path], settings: CurationSettings,
            model: str, pool: PoolSettings, report: CurationReport) -> CurationResult:
    """Do as `curate`, alone in the folder."""
    paths = renamed(paths, folder, settings.extrinsics)
    out, lost = folder.path, _clean(folder, paths, settings, model)
    summary, progress = CurationSummary(), JobProgress()
    for record in folder.newest():      # of other runs: the page shows all that is in the folder
        if record.name not in paths and folder.is_whole(record):
            summary.add(record)

    def told(so_far: JobProgress) -> None:
        nonlocal progress
        progress = so_far
        report(so_far, summary)

    try:
        for job in run_jobs(_jobs(paths, out, settings, model), one_episode, out, settings=pool,
                            retry=True, total=len(paths), name=LOG, again=lost, progress=told):
            if job.failure is not None:
                folder.forget_clips_of(job.key)
                if job.failure.kind is FailureKind.REFUSED:      # UnwritableError, nothing else
                    raise DatasetError(job.failure.why + _GO_ON)
            record = record_of(job, paths[job.key])
            folder.set_apart(record)
            summary.add(record, job.cpu_seconds)
        index = out / 'index.html'
        write_index(index, summary, settings)
        _write_form(out, settings, summary)
    except (JobError, OSError) as error:
        raise DatasetError(f'{out}: {error}{_GO_ON}') from error
    return CurationResult(summary, progress.done - progress.kept, progress.seconds, index)


_GO_ON = '; make room or choose another folder: the same command goes on from here'


def _jobs(paths: Mapping[str, Path], out: Path, settings: CurationSettings, model: str
          ) -> Iterator[Job]:
    """Yield the job of each recording; what it depends on is read when its turn comes."""
    for name, path in paths.items():
        try:
            lineage = episode_lineage(path, settings, settings.package_paths, filter(
                None, [settings.extrinsics])) | {'depth_model': model}
        except OSError as error:
            lineage = {'unreadable': str(error)}
        yield Job(name, CurationItem(name, str(path), str(out), settings, lineage), lineage)


def _clean(folder: CurationFolder, paths: Mapping[str, Path], settings: CurationSettings,
           model: str) -> set[str]:
    """
    Remove clips of another lineage; return the recordings whose clips are not those of a record.

    The newest record of a recording says whose clips are there: one whose lineage was the last but
    one, and is again the wanted one, has a record and no clips.
    """
    folder.forget_halves()
    lost, other = set(), []
    for record in folder.newest():
        name = record.name
        if name not in paths:
            continue
        job, = _jobs({name: paths[name]}, folder.path, settings, model)
        if record.lineage != job.lineage:
            other.append(record)
        elif folder.is_whole(record):
            continue
        lost.add(name)
    for record in other:
        folder.forget(record)
    return lost


def _write_form(out: Path, settings: CurationSettings, summary: CurationSummary) -> None:
    """Write what is of all episodes together: the lists of the layout, or the LeRobot set."""
    if not summary.clips:
        return
    if settings.form == 'robo4d':
        write_lists(out / LAYOUT)
    elif settings.form == 'lerobot':
        paths = [out / EPISODES / f'{clip}.mcap' for clip in sorted(summary.clips)]
        made_of = json.dumps([[path.name, path.stat().st_mtime_ns, path.stat().st_size]
                              for path in paths])
        note = out / 'lerobot' / 'meta' / 'curation.json'
        if not note.is_file() or note.read_text(encoding='utf-8') != made_of:
            write_lerobot(paths, out / 'lerobot')
            write_whole(note, made_of)
