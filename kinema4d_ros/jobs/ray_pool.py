# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on a Ray cluster; every node has this package and what the items name under one path."""
from __future__ import annotations

import os
import pickle
import socket
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, JobError
from kinema4d_ros.jobs.job import FailureKind, PoolJob, JobResult
from kinema4d_ros.jobs.local_pool import pickled, took_too_long, Try
from kinema4d_ros.jobs.settings import PoolSettings
from kinema4d_ros.jobs.worker import TryAnswer, packed, JobWorker

_CONNECT_TIMEOUT = 5.0      # [s]

LOCAL = 'local'
"""Address of a cluster that is started here."""


class RayWorker:
    """Does jobs in a process of Ray's; pickles in, pickles out."""

    def __init__(self, work: bytes, environment: Mapping[str, str]) -> None:
        """Set the environment first: what the work imports reads it."""
        os.environ.update(environment)
        self._worker = JobWorker(pickle.loads(work))

    def ask(self, question: bytes) -> bytes:
        """Answer a question about the work."""
        return packed(TryAnswer(self._worker.ask(*pickle.loads(question))))

    def do(self, item: bytes) -> bytes:
        """Do a job."""
        return packed(self._worker.do(pickle.loads(item)))


@dataclass
class _Actor:
    """A process of Ray's, which ends when nobody holds its handle."""

    handle: Any
    done: int = 0      # jobs


class RayPool:
    """Does jobs on Ray; a context manager, which leaves the cluster."""

    def __init__(self, work: Callable[[Any], Any], settings: PoolSettings) -> None:
        """
        Join a cluster, or start one.

        :param work: see `open_pool`.
        :raises ConfigurationError: Ray is not installed, or other processes cannot have the work.
        :raises JobError: the cluster cannot be reached.
        """
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError('for --ray, Ray is needed: install the extra [cluster]') \
                from error
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
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise JobError(f'the Ray cluster {settings.ray} cannot be joined: {error}') from error
        # Each takes a processor: those beyond would wait for the others, which end with the pool.
        there = ray.cluster_resources() if is_local else ray.available_resources()
        free = max(1, int(there.get('CPU', 1)))
        self._workers = min(most or free, free)

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
        ray, actor = self._ray, self._start()
        try:
            answer: TryAnswer = pickle.loads(ray.get(
                actor.ask.remote(pickle.dumps((question, *arguments))), timeout=timeout))
        except ray.exceptions.RayError as error:
            raise JobError(f'the process ended: {type(error).__name__}') from error
        finally:
            ray.kill(actor)
        return answer.value

    def results(self, jobs: Iterable[PoolJob]) -> Iterator[JobResult]:
        """
        Yield what came of each job when it is over, in the order in which they end.

        :param jobs: taken one by one, when there is a process that can do it.
        """
        ray, settings = self._ray, self._settings
        coming, again = iter(jobs), deque[Try]()
        working: dict[Any, tuple[_Actor, Try]] = {}      # by Ray's task: who does what
        idle: list[_Actor] = []
        while True:
            while len(working) < self._workers:
                job = None if again else next(coming, None)
                if not again and job is None:
                    break
                task = (again.popleft() if job is None else Try(job)).begun()
                actor = idle.pop() if idle else _Actor(self._start())
                working[actor.handle.do.remote(pickle.dumps(task.job.item))] = actor, task
            if not working:
                return
            if len(working) < self._workers:
                idle.clear()      # their processors are for others
            ready, _ = ray.wait(list(working), num_returns=1, timeout=_until_late(
                (task for _, task in working.values()), settings.timeout))
            for late in [] if ready else _late(working, settings.timeout):
                actor, task = working.pop(late)
                ray.kill(actor.handle)
                yield task.result(FailureKind.TIMEOUT, took_too_long(settings.timeout))
            for each in ready:
                actor, task = working.pop(each)
                try:
                    answer: TryAnswer = pickle.loads(ray.get(each))
                except ray.exceptions.RayError as error:
                    if task.tries < settings.tries:
                        again.append(task)
                    else:
                        yield task.result(FailureKind.KILLED, f'its process ended {task.tries} '
                                                              f'times: {type(error).__name__}')
                    continue
                except Exception as error:      # of a class of anybody's
                    ray.kill(actor.handle)
                    yield task.result(FailureKind.EXCEPTION, 'its answer cannot be read: '
                                      f'{type(error).__name__}: {error}')
                    continue
                actor.done += 1
                if actor.done == settings.recycle:
                    ray.kill(actor.handle)
                else:
                    idle.append(actor)
                yield answer.result(task.job, task.tries)

    def _start(self) -> Any:
        return self._ray.remote(num_cpus=1)(RayWorker).remote(
            self._work, dict(self._settings.environment))


def _until_late(tasks: Iterable[Try], timeout: float) -> float | None:
    """Return for how long [s] no job can take too long."""
    if not timeout:
        return None
    return max(0.0, min(task.began for task in tasks) + timeout - time.monotonic())


def _late(working: Mapping[Any, tuple[_Actor, Try]], timeout: float) -> list[Any]:
    """Return the tasks of Ray that take too long."""
    return [each for each, (_, task) in working.items()
            if timeout and time.monotonic() >= task.began + timeout]


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
