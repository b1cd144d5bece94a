# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Jobs in processes of this machine, or in this one.

A process does one job at a time and tells what came of it, so one that dies takes one job with it,
which another does again. No more than that is under way, so nothing waits in memory, neither jobs
nor answers.
"""
from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, JobError
from kinema4d_ros.jobs.job import FailureKind, PoolJob, JobFailure, JobResult
from kinema4d_ros.jobs.settings import PoolSettings
from kinema4d_ros.jobs.worker import TryAnswer, JobWorker

# with -m its classes would be of `__main__`, which is another module here
_PROGRAM = 'from kinema4d_ros.jobs.worker import main; main()'
_END = 2.0      # [s] for a process to end by itself
_KILLED = 10.0  # [s] for one that was killed to be gone
_LOOK = 1.0     # [s] between two looks at whether processes are alive


@dataclasses.dataclass
class Try:
    """A job that is under way, or is to be tried again."""

    job: PoolJob
    tries: int = 0
    began: float = 0.0      # [s] by the monotonic clock

    def begun(self) -> Try:
        """Return it as it begins once more."""
        return Try(self.job, self.tries + 1, time.monotonic())

    def result(self, kind: FailureKind, why: str) -> JobResult:
        """Return what came of it when its process gave no answer."""
        return JobResult(self.job, failure=JobFailure(kind, why), tries=self.tries,
                         seconds=time.monotonic() - self.began)


class _Process:
    """One process that does jobs."""

    def __init__(self, work: bytes, environment: Mapping[str, str]) -> None:
        self.pipe, other = Pipe()
        # as here: a file of the working directory must not stand for a module
        paths = [path or str(Path.cwd()) for path in sys.path]
        self.child = subprocess.Popen(
            [sys.executable, '-P', '-c', _PROGRAM, str(other.fileno())],
            pass_fds=[other.fileno()], stdin=subprocess.DEVNULL,
            env={**os.environ, **environment, 'PYTHONPATH': os.pathsep.join(paths)},
            # what work prints must not get among results, and Ctrl-C is for the parent
            stdout=sys.stderr.fileno() if _has_file(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True)
        other.close()
        self.task: Try | None = None
        self.done = 0      # jobs
        with contextlib.suppress(OSError):      # it has died already, which reading tells
            self.pipe.send_bytes(work)

    def send(self, question: Callable[..., Any] | None, *arguments: Any) -> None:
        """Send an item, or a question about the work."""
        message = pickle.dumps((question, arguments))
        with contextlib.suppress(OSError):      # it has died meanwhile, which reading tells
            self.pipe.send_bytes(message)

    def end(self, at_once: bool = False) -> str:
        """End it with all that it has started, and return how it ended, for people."""
        self.pipe.close()
        if at_once and self.child.poll() is None:
            self._signal(signal.SIGTERM)
        try:
            code = self.child.wait(_END)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            try:
                code = self.child.wait(_KILLED)
            except subprocess.TimeoutExpired:       # it waits for a device, say
                return f'process {self.child.pid} lives on after it was killed, and is left behind'
        self._signal(signal.SIGKILL)      # what the work has left behind
        return f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)      # it has a session of its own


class LocalPool:
    """
    Does jobs in processes of this machine; a context manager, which ends them.

    Leaving it early, as by Ctrl-C, ends them at once: what they are doing is lost, what has been
    yielded is not.
    """

    def __init__(self, work: Callable[[Any], Any], settings: PoolSettings) -> None:
        """
        Start nothing yet.

        :param work: see `open_pool`.
        :raises ConfigurationError: other processes cannot have it.
        """
        self._work, self._settings = pickled(work), settings
        self._processes: list[_Process] = []

    def __enter__(self) -> LocalPool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the processes."""
        for process in self._processes:
            process.end(at_once=kind is not None or process.task is not None)
        self._processes.clear()

    def ask(self, question: Callable[..., Any], *arguments: Any,
            timeout: float | None = None) -> Any:
        """
        Return ``question(work, *arguments)``, asked in the process that does the first job.

        :param timeout: [s] for the answer; None for any.
        :raises JobError: there is none.
        """
        process = self._start()
        process.send(question, *arguments)
        try:
            if not process.pipe.poll(timeout):
                raise JobError(f'no answer in {timeout:g} s')
            answer: TryAnswer = pickle.loads(process.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            self._processes.remove(process)
            raise JobError(f'the process ended: {process.end()}') from error
        return answer.value

    def results(self, jobs: Iterable[PoolJob]) -> Iterator[JobResult]:
        """
        Yield what came of each job when it is over, in the order in which they end.

        :param jobs: taken one by one, when there is a process that can do it.
        """
        coming, again = iter(jobs), deque[Try]()
        while True:
            self._feed(coming, again)
            busy = {each.pipe: each for each in self._processes if each.task is not None}
            if not busy:
                return
            for pipe in wait(list(busy), min(self._until_late(), _LOOK)):
                assert isinstance(pipe, Connection)
                yield from self._read(busy[pipe], again)
            # its pipe does not end where something that it has forked holds it, too
            for process in busy.values():
                if process in self._processes and process.task is not None \
                        and process.child.poll() is not None and not process.pipe.poll():
                    yield from self._dead(process, again)
            yield from self._late()

    def _start(self) -> _Process:
        process = _Process(self._work, self._settings.environment)
        self._processes.append(process)
        return process

    def _feed(self, jobs: Iterator[PoolJob], again: deque[Try]) -> None:
        """Give jobs to those that have none, as long as there are any."""
        while True:
            free = next((each for each in self._processes if each.task is None), None)
            if free is None and len(self._processes) >= max(1, self._settings.workers):
                return
            if again:
                task = again.popleft()
            else:
                job = next(jobs, None)
                if job is None:
                    return
                task = Try(job)
            process = free or self._start()
            process.task = task.begun()
            process.send(None, task.job.item)

    def _read(self, process: _Process, again: deque[Try]) -> Iterator[JobResult]:
        """Yield what a process tells; one that has died has its job tried again by another."""
        task = process.task
        assert task is not None
        try:
            answer: TryAnswer = pickle.loads(process.pipe.recv_bytes())
        except (EOFError, OSError):
            yield from self._dead(process, again)
            return
        except Exception as error:      # of a class of anybody's, or what is no answer at all
            self._processes.remove(process)
            process.end(at_once=True)
            yield task.result(FailureKind.EXCEPTION, 'its answer cannot be read: '
                              f'{type(error).__name__}: {error}')
            return
        process.task = None
        process.done += 1
        if process.done == self._settings.recycle:
            self._processes.remove(process)
            process.end()
        yield answer.result(task.job, task.tries)

    def _dead(self, process: _Process, again: deque[Try]) -> Iterator[JobResult]:
        """Have the job of a process that has ended tried again, or yield that it was the last."""
        task = process.task
        assert task is not None
        self._processes.remove(process)
        how = process.end()
        if task.tries < self._settings.tries:
            again.append(task)
        else:
            yield task.result(FailureKind.KILLED, f'its process ended {task.tries} times: {how}')

    def _until_late(self) -> float:
        """Return for how long [s] no job can take too long."""
        if not self._settings.timeout:
            return math.inf
        first = min(each.task.began for each in self._processes if each.task is not None)
        return max(0.0, first + self._settings.timeout - time.monotonic())

    def _late(self) -> Iterator[JobResult]:
        """End the processes whose job takes too long, and yield what came of these."""
        timeout = self._settings.timeout
        for process in list(self._processes):
            task = process.task
            if task is None or not timeout or process.pipe.poll() \
                    or time.monotonic() < task.began + timeout:
                continue
            self._processes.remove(process)
            process.end(at_once=True)
            yield task.result(FailureKind.TIMEOUT, took_too_long(timeout))


class InlinePool:
    """Does jobs in this process, one by one; a context manager, which is that of the work too."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        """
        Enter the work.

        :param work: see `open_pool`.
        """
        self._worker = JobWorker(work)

    def __enter__(self) -> InlinePool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the work."""
        self._worker.__exit__(kind, error, trace)

    def ask(self, question: Callable[..., Any], *arguments: Any,
            timeout: float | None = None) -> Any:
        """Return ``question(work, *arguments)``; the time is not looked at."""
        return self._worker.ask(question, *arguments)

    def results(self, jobs: Iterable[PoolJob]) -> Iterator[JobResult]:
        """Yield what came of each job, in order."""
        for job in jobs:
            yield self._worker.do(job.item).result(job)


def took_too_long(timeout: float) -> str:
    """Return why there is no answer, after so many seconds."""
    return f'it took longer than {timeout:g} s, so its process was ended'


def pickled(work: Callable[[Any], Any]) -> bytes:
    """
    Return work for other processes.

    :raises ConfigurationError: they cannot have it.
    """
    try:
        packed = pickle.dumps(work)
    except Exception as error:      # of a class of anybody's
        raise ConfigurationError(f'{work!r} cannot be sent to other processes: {error}; it must '
                                 'be a function or a class of a module, or hold such') from error
    if b'__main__' in packed:
        raise ConfigurationError(f'{work!r} is of the program that was started, which other '
                                 'processes do not import; put it in a module of its own')
    return packed


def _has_file(stream: object) -> bool:
    try:
        return bool(stream.fileno() >= 0)      # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
