# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far a run of jobs is, for people."""
from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SAID = 10.0      # [s] between two lines where there is no terminal


@dataclass(frozen=True)
class JobProgress:
    """
    How far a run of jobs is.

    :param done: jobs with a record, those in quarantine too.
    :param total: jobs; None where nobody knows.
    :param kept: of `done`, those whose record was there before.
    :param failed: of `done`, those in quarantine.
    :param seconds: [s] since the run began.
    """

    done: int = 0
    total: int | None = None
    kept: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Jobs per second of those that this run has done; 0 at the beginning."""
        return (self.done - self.kept) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until all are done; None where nobody can tell."""
        if self.total is None or not self.rate:
            return None
        return (self.total - self.done) / self.rate

    def __str__(self) -> str:
        """Return it in words."""
        words = [f'{self.done} of {self.total}' if self.total is not None else f'{self.done}']
        words += [f'{count} {word}' for count, word in (
            (self.kept, 'were there already'), (self.failed, 'without answer')) if count]
        if self.rate:
            words.append(f'{self.rate:.2f} per second' if self.rate >= 1 else
                         f'{1 / self.rate:.1f} s each')
        if self.remaining is not None:
            words.append(f'{self.remaining:.0f} s left')
        return ', '.join(words)


@contextlib.contextmanager
def shown_progress(title: str,
                   unit: str = 'jobs') -> Iterator[Callable[[int, int | None, str], None]]:
    """
    Show on stderr how many are done and when the rest will be: a bar, or a line now and then.

    Yields ``report(done, total, words)``, to be called at the beginning and whenever one is done.

    :param unit: what they are called.
    """
    from rich.console import Console
    from rich.progress import (BarColumn, MofNCompleteColumn, Progress, TextColumn,
                               TimeElapsedColumn, TimeRemainingColumn)

    is_terminal, began = sys.stderr.isatty(), time.monotonic()
    said, first = began, -1
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn(
        '{task.description}', markup=False), TimeElapsedColumn(), TextColumn('left:'),
        TimeRemainingColumn(elapsed_when_finished=False))
    with Progress(*columns, console=Console(stderr=True), transient=True,
                  disable=not is_terminal) as bar:
        task = bar.add_task('', total=None)

        def report(done: int, total: int | None, words: str = '') -> None:
            nonlocal said, first
            first = done if first < 0 else first
            bar.update(task, completed=done, total=total, description=words)
            now = time.monotonic()
            if not is_terminal and done > first and (
                    now - said >= _SAID or done in (first + 1, total)):
                said = now
                left = '' if total is None else \
                    f', {(now - began) / (done - first) * (total - done):.0f} s left'
                print(f'{title}: {done} of {total or "?"} {unit}{f" ({words})" if words else ""}'
                      f'{left}', file=sys.stderr)

        yield report
