# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread of the worker process that reads its pipe."""
from __future__ import annotations

import collections
import os
import threading
from multiprocessing.connection import Connection

from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.worker.message_memory import MessageMemory
from kinema4d_ros.worker.protocol import Cancel, Release, Stop, ToDo, ToWorker

_EXIT_TIMEOUT = 5.0   # [s] the main thread has to end when the node is gone


class PipeReader(threading.Thread):
    """Reads the pipe: work is queued for the main thread, the rest takes effect at once."""

    def __init__(self, pipe: Connection, messages: MessageMemory):
        """Prepare the thread; `start` it."""
        super().__init__(name='pipe reader', daemon=True)
        self._pipe, self._messages = pipe, messages
        self._changed = threading.Condition()
        self._work: collections.deque[ToDo] = collections.deque()
        self._free: set[int] = set()
        self._cancelled = -1
        self._stopped = False

    def run(self) -> None:
        """Read until the pipe ends or says stop."""
        try:
            while self._take(self._messages.unpack(self._pipe.recv_bytes())):
                pass
        except (EOFError, OSError):
            pass
        # Nobody is there to kill this process any more, should the model never return.
        alarm = threading.Timer(_EXIT_TIMEOUT, os._exit, (1,))
        alarm.daemon = True
        alarm.start()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _take(self, message: ToWorker) -> bool:
        with self._changed:
            match message:
                case Stop():
                    return False
                case Cancel(job):
                    self._cancelled = max(self._cancelled, job)
                case Release(slot):
                    self._free.add(slot)
                case _:
                    self._work.append(message)
            self._changed.notify_all()
        return True

    def next_work(self) -> ToDo | None:
        """Wait for and return the next message of work; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._work or self._stopped)
            return None if self._stopped else self._work.popleft()

    def slots_free(self, slots: int) -> None:
        """Declare slots 0..slots-1 free, at the begin of a job."""
        with self._changed:
            self._free = set(range(slots))

    def free_slot(self, job: int) -> int:
        """Wait for a slot and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._is_over(job))
            self._check(job)
            return self._free.pop()

    def check(self, job: int) -> None:
        """Raise PredictionCancelled when `job` is to stop."""
        with self._changed:
            self._check(job)

    def is_over(self, job: int) -> bool:
        """Return whether `job` was asked to stop."""
        with self._changed:
            return self._is_over(job)

    def _check(self, job: int) -> None:
        if self._is_over(job):
            raise PredictionCancelled(f'job {job} was asked to stop')

    def _is_over(self, job: int) -> bool:
        return self._stopped or self._cancelled >= job
