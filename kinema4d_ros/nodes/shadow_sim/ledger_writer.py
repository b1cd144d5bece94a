# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compares executed motions and writes them to the ledger, in a thread of its own."""
from __future__ import annotations

import collections
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TYPE_CHECKING

from rclpy.impl.rcutils_logger import RcutilsLogger

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.ledger import (Ledger, LedgerEntry, LedgerLimits, PredictedMotion, SeenMotion,
                                 Went)
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.robot import Robot

if TYPE_CHECKING:
    from kinema4d_ros.ledger import Comparer

#: motions that may wait to be compared; further ones are dropped, and counted
_WAITING = 4
#: entries that may wait for a disk or a lock; then the oldest are dropped, and counted
_UNWRITTEN = 200
_RETRY = 5.0            # [s] between two attempts to write
_LOCK_WAIT = 1.0        # [s] for another writer
_END_TIMEOUT = 10.0     # [s] that the thread gets when the node ends


@dataclass(frozen=True, eq=False)
class LedgerWork:
    """One executed motion, and by what it was judged."""

    motion: PredictedMotion
    seen: SeenMotion
    robot: Robot
    settings: PrecheckSettings
    limits: LedgerLimits
    path: str
    most_entries: int


class LedgerWriter:
    """
    Takes motions and returns at once; nothing that goes wrong here ends anything else.

    What cannot be written stays in memory for a while and is tried again.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        """Make a writer; its thread starts with the first motion."""
        self._logger = logger
        self._changed = threading.Condition()
        self._waiting: collections.deque[LedgerWork] = collections.deque()
        self._unwritten: collections.deque[LedgerEntry] = collections.deque()
        self._target = '', 1        # path and most entries of those that are unwritten
        self._tried_at = 0.0
        self._comparer: tuple[Robot, PrecheckSettings, LedgerLimits, Comparer] | None = None
        self._written = self._dropped = 0
        self._problem = ''
        self._ended = False
        self._thread: threading.Thread | None = None

    def take(self, work: LedgerWork) -> None:
        """Have a motion compared and entered; dropped, and counted, where too many wait."""
        with self._changed:
            if self._ended or len(self._waiting) >= _WAITING:
                self._dropped += 1
                return
            self._waiting.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='ledger', daemon=True)
                self._thread.start()
            self._changed.notify()

    def counts(self) -> dict[str, Any]:
        """Return the numbers for the diagnostics, by their names there."""
        counts: dict[str, Any] = {
            'ledger entries': self._written, 'ledger entries unwritten': len(self._unwritten),
            'ledger motions dropped': self._dropped}
        return counts | ({'ledger problem': self._problem} if self._problem else {})

    def close(self) -> None:
        """Enter what waits, within some seconds."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_END_TIMEOUT)

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended,
                                       _RETRY if self._unwritten else None)
                work = self._waiting[0] if self._waiting else None
                is_last = self._ended and work is None
            try:
                if work is not None:
                    self._compare(work)
                self._write(at_once=work is not None or is_last)
            except Exception as error:
                self._fail(error)
            if is_last:
                break
            if work is not None:
                with self._changed:      # only now, so that no more wait than may
                    self._waiting.popleft()
        if self._comparer is not None:
            self._comparer[-1].close()

    def _compare(self, work: LedgerWork) -> None:
        from kinema4d_ros.ledger import Comparer     # with all that checks a motion
        kept = self._comparer
        if kept is None or kept[0] is not work.robot or kept[1:3] != (work.settings, work.limits):
            if kept is not None:
                kept[-1].close()
            self._comparer = None
            kept = self._comparer = (work.robot, work.settings, work.limits, Comparer(
                work.robot, work.settings, work.limits))
        entry = kept[-1].compare(work.motion, work.seen)
        if entry.went is Went.NO:
            self._logger.warning(f'{entry.status} did not go as predicted: {entry.reasons[0]}')
        else:
            self._logger.info(f'{entry.status} went as predicted: {entry.went}'
                              + (f'; {entry.reasons[0]}' if entry.reasons else ''))
        self._target = work.path, work.most_entries
        self._unwritten.append(entry)
        while len(self._unwritten) > _UNWRITTEN:
            self._unwritten.popleft()
            self._dropped += 1

    def _write(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not self._unwritten or not at_once and now - self._tried_at < _RETRY:
            return
        self._tried_at = now
        path, most = self._target
        entries = tuple(self._unwritten)
        # opened each time: whoever moves the file away finds a new one begun
        with Ledger(Path(path), write=True, most_entries=most, wait=_LOCK_WAIT) as ledger:
            ledger.append(*entries)
        for _ in entries:
            self._unwritten.popleft()
        self._written += len(entries)
        self._problem = ''

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, Kinema4DError)
        said = str(error) if known else f'{type(error).__name__}: {error}'
        if said != self._problem:
            self._logger.error(said if known else traceback.format_exc())
        self._problem = said
