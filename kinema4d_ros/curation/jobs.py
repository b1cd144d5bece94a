# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs items in processes of this machine."""
from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed, ProcessPoolExecutor

from kinema4d_ros.curation.one_episode import CurationItem, one_episode
from kinema4d_ros.curation.record import EpisodeRecord

_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')


def run_local(items: Sequence[CurationItem], workers: int) -> Iterator[EpisodeRecord]:
    """Yield the record of each item when it is done; leaving early ends the processes."""
    if workers <= 1:
        yield from map(one_episode, items)
        return
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, '1'))
    pool = ProcessPoolExecutor(min(workers, len(items)), multiprocessing.get_context('spawn'),
                               initializer=signal.signal,
                               initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        for done in as_completed([pool.submit(one_episode, item) for item in items]):
            yield done.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
