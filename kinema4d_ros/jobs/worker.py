# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a process of a pool does: it waits for a job, does it, and tells what came of it.

`LocalPool` starts `main`; Ray makes a `JobWorker` itself.
What passes are pickles between a process and the one that has started it, over a pipe that nobody
else has.
"""
from __future__ import annotations

import contextlib
import os
import pickle
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.jobs.job import FailureKind, PoolJob, JobFailure, JobResult

_EXIT_TIMEOUT = 2.0     # [s] that a job has to end when nobody waits for it any more
_MOST_TRACE = 2000      # [characters] of a traceback in a record


@dataclass(frozen=True)
class TryAnswer:
    """What a try of a job gave, and what it took; see `JobResult`."""

    value: Any = None
    failure: JobFailure | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: float = 0.0

    def result(self, job: PoolJob, tries: int = 1) -> JobResult:
        """Return it as that of a job."""
        return JobResult(job, self.value, self.failure, tries, self.seconds, self.cpu_seconds,
                         self.memory)


class JobWorker:
    """Does jobs, one after the other; a context manager, which is that of the work too."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        """
        Enter the work, where it is a context manager.

        :param work: what is called with each item.
        """
        self._stack = contextlib.ExitStack()
        self._work = (self._stack.enter_context(work)
                      if isinstance(work, contextlib.AbstractContextManager) else work)

    def __enter__(self) -> JobWorker:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the work."""
        self._stack.__exit__(kind, error, trace)

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function says of the work, before or between jobs."""
        return question(self._work, *arguments)

    def do(self, item: Any) -> TryAnswer:
        """Do a job; what goes wrong is in the answer."""
        began, began_cpu = time.perf_counter(), time.process_time()
        value, failure = None, None
        try:
            value = self._work(item)
        except Exception as error:      # of work of anybody's
            failure = failure_of(error)
        return TryAnswer(value, failure, time.perf_counter() - began,
                         time.process_time() - began_cpu, memory())


def failure_of(error: Exception) -> JobFailure:
    """Return an exception as what is kept of it; errors of this package are sentences."""
    kind, why = (FailureKind.REFUSED, str(error)) if isinstance(error, Kinema4DError) else (
        FailureKind.EXCEPTION, f'{type(error).__name__}: {error}')
    trace = ''.join(traceback.format_exception(error))
    return JobFailure(kind, why, trace[-_MOST_TRACE:])


def memory() -> float:
    """Return the memory [MiB] that this process holds now; 0 where the system does not say."""
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20


def packed(answer: TryAnswer) -> bytes:
    """Return an answer as bytes; one that cannot be pickled becomes a failure."""
    try:
        return pickle.dumps(answer)
    except Exception as error:      # of a class of anybody's
        return pickle.dumps(TryAnswer(failure=failure_of(error)))


def serve(pipe: Connection) -> None:
    """Do what comes through a pipe until it is closed."""
    with JobWorker(pickle.loads(pipe.recv_bytes())) as worker:
        while True:
            try:
                question, arguments = pickle.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                return
            answer = worker.do(*arguments) if question is None else TryAnswer(
                worker.ask(question, *arguments))
            try:
                pipe.send_bytes(packed(answer))
            except OSError:
                return      # whoever wanted it has gone


def _end_without_parent(pipe: int) -> None:
    """End this process, whatever it does, a while after whoever started it has gone."""
    poll = select.poll()
    poll.register(pipe, 0)      # hanging up is told without being asked for
    while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL)
                  for _, event in poll.poll()):
        pass
    time.sleep(_EXIT_TIMEOUT)
    os._exit(1)


def main() -> None:
    """Serve the pipe that the command line names by its number."""
    pipe = int(sys.argv[1])
    # on its own file number, since `serve` may close that of the pipe while it is polled
    threading.Thread(target=_end_without_parent, args=(os.dup(pipe),), daemon=True).start()
    serve(Connection(pipe))
