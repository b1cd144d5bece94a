# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Jobs on a cluster by Ray Data; every node has this package and what items name under one path.

A job is a row of a dataset and a block of its own. Ray Data hands blocks to its actors as these get
free, streams the answers back as they come, and has a block of a lost actor or node done once more.
An actor keeps a process of a `LocalPool`, which does the job: one that kills its process, hangs or
leaks is treated as on one machine, and to Ray Data it is a row like any other.
"""
from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, JobError
from kinema4d_ros.jobs.job import FailureKind, PoolJob, JobFailure, JobResult
from kinema4d_ros.jobs.local_pool import LocalPool, pickled
from kinema4d_ros.jobs.settings import PoolSettings
from kinema4d_ros.jobs.worker import JobWorker, packed, TryAnswer

_CONNECT_TIMEOUT = 5.0      # [s]
_START_TIMEOUT = 120.0      # [s] for a cluster that is started here
#: jobs of one dataset, in all or for each worker: so many that the start of actors and the wait for
#: the last job do not count, so few that files are looked at shortly before their turn
_WAVE, _WAVE_EACH = 1000, 64

LOCAL = 'local'
"""Address of a cluster that is started here."""


class PackedWork:
    """Work that takes and gives pickles: only the process that does it needs the classes."""

    def __init__(self, work: bytes) -> None:
        """Remember the work."""
        self._work = work

    def __enter__(self) -> PackedWork:
        """Unpack it."""
        self._worker = JobWorker(pickle.loads(self._work))
        return self

    def __call__(self, item: bytes) -> bytes:
        """Do a job; what goes wrong is in its answer."""
        return packed(self._worker.do(pickle.loads(item)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the work."""
        self._worker.__exit__(kind, error, trace)


class TryCount:
    """Counts how often each job was begun; an actor, since workers are lost with what they know."""

    def __init__(self) -> None:
        """Begin with none."""
        self._begun: dict[int, int] = {}

    def begin(self, number: int) -> int:
        """Return how often a job was begun, with this time."""
        self._begun[number] = self._begun.get(number, 0) + 1
        return self._begun[number]


class RayWorker:
    """What an actor of Ray Data holds: a process that does its jobs."""

    def __init__(self, work: bytes, settings: PoolSettings, environment: Mapping[str, str],
                 count: Any) -> None:
        """
        Set the environment, which the process inherits; it starts with the first job.

        :param count: handle of a `TryCount`.
        """
        os.environ.update(environment)
        self._pool = LocalPool(PackedWork(work), replace(
            settings, workers=1, ray='', threads=settings.threads or 1))
        self._most, self._count = settings.tries, count

    def __call__(self, rows: Any) -> Any:
        """Return number, answer and tries of each row, an Arrow table."""
        import pyarrow as pa

        found = [(row['number'], *self._do(row['number'], row['item']))
                 for row in rows.to_pylist()]
        return pa.table([pa.array(column, kind) for column, kind in zip(
            zip(*found), (pa.int64(), pa.large_binary(), pa.int64()))],
            ('number', 'answer', 'tries'))

    def _do(self, number: int, item: bytes) -> tuple[bytes, int]:
        import ray

        begun = ray.get(self._count.begin.remote(number))
        if begun > self._most:      # Ray Data itself would go on with it for ever
            why = f'the worker of the cluster that had it was lost {self._most} times'
            return pickle.dumps(TryAnswer(failure=JobFailure(FailureKind.KILLED, why))), self._most
        result, = self._pool.results([PoolJob('', item)])
        return (result.answer if result.failure is None else pickle.dumps(TryAnswer(
            failure=result.failure, seconds=result.seconds))), begun - 1 + result.tries

    def __del__(self) -> None:
        """End the process, in order."""
        self._pool.__exit__(None, None, None)


class RayPool:
    """Does jobs on Ray; a context manager, which leaves the cluster."""

    def __init__(self, work: Callable[[Any], Any], settings: PoolSettings, *,
                 wave: int = 0) -> None:
        """
        Join a cluster, or start one.

        :param work: see `open_pool`.
        :param wave: jobs that are taken together; 0 for 1000, or 64 for each worker.
        :raises ConfigurationError: Ray is not installed, or other processes cannot have the work.
        :raises JobError: the cluster cannot be reached.
        """
        if settings.ray == LOCAL:      # where Ray reads it; its own 30 s are few on a busy machine
            os.environ.setdefault('RAY_raylet_start_wait_time_s', f'{_START_TIMEOUT:.0f}')
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise ConfigurationError(f'for --ray, Ray Data is needed ({error}): install the extra '
                                     '[cluster]') from error
        self._ray: Any = ray
        self._work, self._settings = pickled(work), settings
        is_local, most = settings.ray == LOCAL, settings.workers
        if (why := _why_unreachable(settings.ray)) is not None:
            raise JobError(f'the Ray cluster {settings.ray} cannot be joined: {why}')
        try:
            # `local` is Ray's word, too: without an address it would join one that runs here
            ray.init(address=settings.ray, log_to_driver=False,
                     include_dashboard=False, configure_logging=False,
                     **({'num_cpus': most} if most and is_local else {}))
        except Exception as error:      # of many kinds, one of a late start is of none
            raise JobError(f'the Ray cluster {settings.ray} cannot be joined: {error}') from error
        # Each takes a processor: those beyond would wait for the others, which end with the pool.
        there = ray.cluster_resources() if is_local else ray.available_resources()
        free = max(1, int(there.get('CPU', 1)))
        self._workers = min(most or free, free)
        self._wave = wave or max(_WAVE, _WAVE_EACH * self._workers)

    def __enter__(self) -> RayPool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the cluster; its processes that work for us end."""
        self._ray.shutdown()

    def ask(self, question: Callable[..., Any], *arguments: Any,
            timeout: float | None = None) -> Any:
        """
        Return ``question(work, *arguments)``, asked on a node.

        :param timeout: [s] for the answer; None for any.
        :raises JobError: there is none.
        """
        ray = self._ray
        asked = ray.remote(num_cpus=1, max_calls=1)(_ask).remote(
            self._work, dict(self._settings.environment), pickle.dumps((question, *arguments)))
        try:
            answer: TryAnswer = pickle.loads(ray.get(asked, timeout=timeout))
        except ray.exceptions.RayError as error:
            ray.cancel(asked, force=True)
            raise JobError(f'the process ended: {type(error).__name__}') from error
        return answer.value

    def results(self, jobs: Iterable[PoolJob]) -> Iterator[JobResult]:
        """
        Yield what came of each job when it is over, in the order in which they end.

        :param jobs: taken in waves of a thousand or more, each when the one before is over.
        :raises JobError: the cluster does no jobs, as where its nodes lack this package.
        """
        coming = iter(jobs)
        while wave := list(islice(coming, self._wave)):
            try:
                for number, answer, tries in self._rows(wave):
                    yield _result(wave[number], answer, tries)
            except self._ray.exceptions.RayError as error:
                raise JobError(f'the Ray cluster {self._settings.ray} does no jobs: '
                               f'{str(error).strip().splitlines()[-1]}') from error

    def _rows(self, wave: list[PoolJob]) -> Iterator[tuple[int, bytes, int]]:
        """Yield number, answer and tries of jobs as they end."""
        data: Any = self._ray.data
        count = self._ray.remote(num_cpus=0, max_restarts=-1)(TryCount).remote()
        most = min(self._workers, len(wave))
        dataset = data.from_items([
            {'number': number, 'item': pickle.dumps(job.item)}
            for number, job in enumerate(wave)], override_num_blocks=len(wave))
        context = dataset.context
        context.enable_progress_bars = context.print_on_execution_start = False
        done = dataset.map_batches(
            RayWorker, batch_size=1, batch_format='pyarrow', num_cpus=1,
            # the process ends by itself, and leaves the work in order first
            runtime_env={'env_vars': {'RAY_kill_child_processes_on_worker_exit': 'false'}},
            fn_constructor_args=(self._work, self._settings, dict(self._settings.environment),
                                 count),
            compute=data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most,
                                           max_tasks_in_flight_per_actor=1))
        with _quiet():
            for table in done.iter_batches(batch_size=None, batch_format='pyarrow',
                                           prefetch_batches=0):
                for row in table.to_pylist():
                    yield row['number'], row['answer'], row['tries']


def _result(job: PoolJob, answer: bytes, tries: int) -> JobResult:
    """Return an answer as that of a job."""
    try:
        found: TryAnswer = pickle.loads(answer)
    except Exception as error:      # of a class of anybody's
        return JobResult(job, failure=JobFailure(
            FailureKind.EXCEPTION, f'its answer cannot be read: {type(error).__name__}: {error}'),
            tries=tries)
    return found.result(job, tries)


def _ask(work: bytes, environment: Mapping[str, str], question: bytes) -> bytes:
    """Answer a question about the work, in a process that ends then."""
    os.environ.update(environment)      # first: what the work imports reads it
    with JobWorker(pickle.loads(work)) as worker:
        return packed(TryAnswer(worker.ask(*pickle.loads(question))))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray Data logs of its runs from stderr; what goes wrong is raised."""
    logger = logging.getLogger('ray.data')
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _why_unreachable(address: str) -> str | None:
    """Return why nobody answers at a HOST:PORT; Ray itself would try for minutes."""
    try:
        place = urllib.parse.urlsplit(address if '://' in address else f'ray://{address}')
        if place.port is None:
            return None
        socket.create_connection((place.hostname, place.port), _CONNECT_TIMEOUT).close()
    except (OSError, ValueError) as error:
        return str(error)
    return None
