# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where jobs are done, and what becomes of one that goes wrong."""
from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from kinema4d_ros.errors import ConfigurationError

#: libraries that would each take all processors, and where they read how many they may take
THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS',
           'OPENCV_FOR_THREADS_NUM')


@dataclass(frozen=True)
class PoolSettings:
    """
    Where jobs are done, and what becomes of one that goes wrong.

    :param workers: processes on this machine, each with one job at a time; 0 does the jobs in this
        process, one by one. With `ray`, processes at most, and 0 for one for each free processor
        of the cluster.
    :param ray: address of a Ray cluster in place of them: `auto` for the one that this machine
        belongs to, `local` for one that is started here and ends with the pool.
    :param timeout: [s] for a job, with what its process has yet to load, after which the process is
        ended and the job has no answer; 0 for none. It needs processes.
    :param tries: of a job whose process ends under it.
    :param recycle: jobs after which a process is replaced by a new one, for work that leaks; 0 for
        never.
    :param threads: of each process; 0 for one each where there are several processes, and for all
        that a library takes where there is one. A variable of the environment that a library reads
        (`THREADS`) goes first.
    """

    workers: int = 0
    ray: str = ''
    timeout: float = 0.0
    tries: int = 2
    recycle: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name, least in ('workers', 0), ('tries', 1), ('recycle', 0), ('threads', 0):
            if getattr(self, name) < least:
                raise ConfigurationError(f'{name} must be {least} or more, got '
                                         f'{getattr(self, name)}')
        if not 0 <= self.timeout < math.inf:
            raise ConfigurationError(f'timeout must be 0 s or more, got {self.timeout}')
        if self.timeout and not self.workers and not self.ray:
            raise ConfigurationError(f'timeout {self.timeout:g} s needs a process that can be '
                                     'ended; set workers to 1 or more')

    @property
    def environment(self) -> Mapping[str, str]:
        """What processes need in their environment so that their threads do not fight."""
        threads = self.threads or (1 if self.ray or self.workers > 1 else 0)
        if not threads:
            return {}
        return {name: os.environ.get(name, str(threads)) for name in THREADS}
