# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Work for other processes: what answers, breaks, kills its process, hangs or holds something."""
import fcntl
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Square:
    """An answer that is a dataclass."""

    root: float
    value: float


def square(item):
    return Square(item, item * item)


def process(item):
    return os.getpid()


def threads(item):
    """Return how many threads the libraries of this process take."""
    import numba

    return {'numba': numba.config.NUMBA_NUM_THREADS, 'openmp': os.environ['OMP_NUM_THREADS']}


def logged(item):
    """Write down that it was done, then do what the item says."""
    folder, name = Path(item['folder']), item['name']
    number = len(list(folder.glob(f'{name}.*')))
    (folder / f'{name}.{number}').write_text(str(os.getpid()))
    if number < item.get('kills', 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if number < item.get('orphans', 0):      # as when a machine is lost with what has started it
        os.kill(os.getppid(), signal.SIGKILL)
        threading.Event().wait(600.0)
    if 'waits' in item:
        threading.Event().wait(item['waits'])
    if 'breaks' in item:
        raise ValueError(item['breaks'])
    return number


def unsendable(item):
    return threading.Lock()


class _OnlyHere:
    def __reduce__(self):
        return int, ('no number',)


def unreadable(item):
    """Return what can be sent, and not be made again; of 'fine' that."""
    return item if item == 'fine' else _OnlyHere()


def leaves_a_fork(item):
    """Die, while a process that was forked from this one lives on and holds its pipe."""
    if os.fork() == 0:
        threading.Event().wait(600.0)
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_a_clip(item):
    """Curate a recording up to a part of its clips."""
    folder = Path(item.out) / 'episodes'
    (folder / f'{item.name}_000.mcap').touch()
    os.kill(os.getpid(), signal.SIGKILL)


def dies_once_after_a_clip(item):
    """Curate a recording; of b_failed at first no more than a part of its clips."""
    from kinema4d_ros.curation import one_episode

    mark = Path(item.out) / 'died'
    if item.name == 'b_failed' and not mark.exists():
        mark.touch()
        dies_after_a_clip(item)
    return one_episode(item)


def has_no_memory(item):
    raise MemoryError


class Shared:
    """Work that opens something once, and closes it; a lock beside its folder is held meanwhile."""

    def __init__(self, folder):
        self.folder, self.opened = Path(folder), 0

    @property
    def lock(self):
        return self.folder.with_name(f'{self.folder.name}.lock')

    def __enter__(self):
        self.opened += 1
        self._held = self.lock.open('w')
        fcntl.flock(self._held, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_):
        (self.folder / f'closed.{os.getpid()}').touch()
        self._held.close()

    def wait_until_left(self):
        """Return when no process is in it any more."""
        with self.lock.open('w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    def __call__(self, item):
        return self.opened, os.getpid()


def opened(work, more):
    return work.opened + more
