# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run of jobs: what has a record is kept, the rest is done, each record written as it comes."""
from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError, JobError
from kinema4d_ros.jobs.job import PoolJob
from kinema4d_ros.jobs.line_file import LineFile
from kinema4d_ros.jobs.pool import JobPool, open_pool
from kinema4d_ros.jobs.progress import JobProgress
from kinema4d_ros.jobs.record import JobRecord, lineage_hash
from kinema4d_ros.jobs.settings import PoolSettings

NAME = 'jobs.jsonl'
"""Of the file of records in a folder."""


def run_jobs(jobs: Iterable[PoolJob], work: Callable[[Any], Any], folder: str | Path, *,
             settings: PoolSettings = PoolSettings(), retry: bool = False,
             total: int | None = None, name: str = NAME, again: Collection[str] = (),
             progress: Callable[[JobProgress], None] = lambda _: None) -> Iterator[JobRecord]:
    """
    Do the jobs that have no record in a folder; yield the record of each job, as they come.

    Stopped at any time, by Ctrl-C, a killed process or a power failure, it goes on from there when
    it is called again: each record is on the disk before it is yielded. A record counts for a job
    of the same key and lineage. A job that failed is in quarantine: its record says why, the others
    go on, and it is tried again with `retry`, or when its lineage has changed.

    Neither jobs nor answers are held in memory: jobs are taken when they can be begun, and there
    are no more answers than are being yielded. What stays is a number for each record of the file.

    :param jobs: any number, in the order in which they are begun.
    :param work: called with the item of each, see `open_pool`; it returns dataclasses, arrays or
        what JSON has.
    :param total: jobs, for the progress; by default their number, where they have one.
    :param name: of the file of records in the folder.
    :param again: keys of jobs that are done whatever record they have, as what they made is lost.
    :param progress: called with how far it is, at the beginning and after each job.
    :raises ConfigurationError: two jobs have one key; else as `open_pool`.
    :raises JobError: the records cannot be read or written, or another process writes them.
    :raises PlainError: an answer has no plain form.
    """
    with open_pool(work, settings) as pool:
        yield from run_jobs_in(pool, jobs, folder, retry=retry, total=total, name=name,
                               again=again, progress=progress)


def run_jobs_in(pool: JobPool, jobs: Iterable[PoolJob], folder: str | Path, *, retry: bool = False,
                total: int | None = None, name: str = NAME, again: Collection[str] = (),
                progress: Callable[[JobProgress], None] = lambda _: None) -> Iterator[JobRecord]:
    """Do jobs as `run_jobs`, in a pool that is used for others too."""
    if total is None and isinstance(jobs, Sized):
        total = len(jobs)
    with LineFile(Path(folder) / name) as file:
        there = _places(file, retry)
        kept: deque[int] = deque()      # places of records that are to be yielded

        def left() -> Iterator[PoolJob]:
            seen = set()
            for job in jobs:
                if job.key in seen:
                    raise ConfigurationError(f'two jobs have the key {job.key!r}, and would have '
                                             'one record')
                seen.add(job.key)
                place = there.get((job.key, lineage_hash(job.lineage)))
                if place is None or job.key in again:
                    yield job
                else:
                    kept.append(place)

        began = time.monotonic()
        so_far = JobProgress(total=total)
        progress(so_far)

        def counted(record: JobRecord, is_kept: bool) -> JobRecord:
            nonlocal so_far
            so_far = JobProgress(so_far.done + 1, total, so_far.kept + is_kept,
                                 so_far.failed + record.is_quarantined,
                                 time.monotonic() - began)
            progress(so_far)
            return record

        for result in pool.results(left()):
            while kept:
                yield counted(_read(file, kept.popleft()), True)
            record = JobRecord.of(result)
            file.add(record.to_json())
            yield counted(record, False)
        while kept:
            yield counted(_read(file, kept.popleft()), True)


def read_jobs(folder: str | Path, name: str = NAME) -> Iterator[JobRecord]:
    """
    Yield the records of a folder, the last one of each key and lineage, as they were written.

    Of several of one, an answer counts before a failure.

    :raises JobError: there are none, they cannot be read, or are being written.
    """
    if not (Path(folder) / name).is_file():
        raise JobError(f'there are no records {Path(folder) / name}')
    with LineFile(Path(folder) / name) as file:
        for place in sorted(_places(file, retry=False).values()):
            yield _read(file, place)


def _places(file: LineFile, retry: bool) -> dict[tuple[str, str], int]:
    """Return where the record of each key and lineage stands; with `retry` of answers only."""
    found, answered = {}, set()
    for place, line in file.lines():
        record = JobRecord.from_json(line, f'{file.path}, at byte {place}')
        key = record.key, lineage_hash(record.lineage)
        if not record.is_quarantined:
            answered.add(key)
        elif retry or key in answered:
            continue
        found[key] = place
    return found


def _read(file: LineFile, place: int) -> JobRecord:
    return JobRecord.from_json(file.line_at(place), f'{file.path}, at byte {place}')


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, as of `timeout` and batch systems, end the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield      # where signals cannot be handled
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
