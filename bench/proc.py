# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What Linux reports of processes: who belongs together, memory, time on the processor."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def processes_of(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield from processes_of(int(child))


def labelled(name: str, pid: int) -> dict[str, int]:
    """Return label -> process id of a node and, numbered, of its worker processes."""
    first, *workers = processes_of(pid)
    return {name: first} | {f'{name} worker {number}': worker
                            for number, worker in enumerate(workers, 1)}


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process [MB], shared memory that it has touched with it."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def cpu_seconds(pid: int) -> float:
    """Return the time that all threads of a process have had on processors [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def shared_memory_mb() -> float:
    """Return what Fast DDS of all processes holds in /dev/shm [MB]."""
    total = 0
    for path in Path('/dev/shm').glob('*fast*'):
        with contextlib.suppress(OSError):
            total += path.stat().st_blocks * 512
    return total / 1e6
