# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole plan: what has a record is kept, the rest is run, each record written as it comes."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.pool import LocalPool
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.policy.closed_loop.records import RecordFile
from kinema4d_ros.policy.closed_loop.version import why_other

RolloutProgress = Callable[[RolloutRecord | None, int, int], None]
"""``progress(record, done, total)``: the newest record, None at the beginning."""


def run_rollouts(runs: Sequence[PlannedRun], settings: RolloutSettings, folder: str | Path, *,
                 jobs: int = 1, ray: str = '', run_timeout: float = 0.0,
                 progress: RolloutProgress = lambda *_: None) -> list[RolloutRecord]:
    """
    Make the runs of a plan that have no record in a folder, and return all of the plan.

    Stopped at any time, by Ctrl-C or a power failure, it goes on from there when it is called
    again. Runs that gave no result are made again then.

    :param jobs: processes on this machine; 0 makes the runs in this process, one by one. With
        `ray`, processes at most, and 0 for as many as the cluster has processors.
    :param ray: address of a Ray cluster in place of them, `local` for one that is started here.
    :param run_timeout: [s] after which the process of a run is ended and the run has no result; 0
        for never. It needs processes.
    :raises PolicyError: the records cannot be read or written.
    :raises ConfigurationError: the folder has records of other settings, files, policies, weights
        or versions of this package; two runs would have one record; or what is named is wrong.
    :raises WorldModelError: the world model cannot be loaded.
    """
    if jobs < 0:
        raise ConfigurationError(f'jobs must be 0 or more, got {jobs}')
    if not 0 <= run_timeout < math.inf or (run_timeout and not jobs and not ray):
        raise ConfigurationError('run_timeout must be 0 s or more, and more needs a process that '
                                 f'can be ended, got {run_timeout} with {jobs} jobs')
    wanted = _by_key(runs, settings)
    with ExitStack() as stack:
        file = stack.enter_context(RecordFile(folder))
        done = {record.key: record for record in file.before
                if not record.error and record.key in wanted}
        left = [run for key, run in wanted.items() if key not in done]
        maker = stack.enter_context(_maker(settings, jobs, ray, len(left), run_timeout))
        fingerprint = maker.check(left or runs)
        for key, record in done.items():
            why = why_other(record, wanted[key], settings, fingerprint)
            if why is not None:
                raise ConfigurationError(
                    f'{file.path} has runs that were made otherwise: {record.policy} from '
                    f'{record.start}: {why}; choose another folder, or what was before')
        progress(None, len(done), len(wanted))
        for record in maker.records(left):
            file.add(record)
            done[record.key] = record
            progress(record, len(done), len(wanted))
        return [done[key] for key in wanted]


class _Maker(Protocol):
    """Makes runs, in this process or in others."""

    def check(self, runs: Sequence[PlannedRun]) -> str:
        """Return the fingerprint of what predicts; refuse what no run can be made with."""

    def records(self, runs: Sequence[PlannedRun]) -> Iterator[RolloutRecord]:
        """Yield the record of each run when it is over."""


def _maker(settings: RolloutSettings, jobs: int, ray: str, runs: int,
           timeout: float) -> AbstractContextManager[_Maker]:
    if ray:
        from kinema4d_ros.policy.closed_loop.ray_pool import RayPool

        return RayPool(settings, ray, jobs, timeout)
    if jobs == 0:
        return RunMaker(settings)
    return LocalPool(settings, max(1, min(jobs, runs)), timeout)


def _by_key(runs: Sequence[PlannedRun],
            settings: RolloutSettings) -> dict[tuple[str, str, str, int], PlannedRun]:
    """Return the runs by the key of their record, of which there is one."""
    found: dict[tuple[str, str, str, int], PlannedRun] = {}
    for run in runs:
        key = settings.world_name, run.policy, Path(run.start).stem, run.seed
        other = found.setdefault(key, run)
        if other != run:
            raise ConfigurationError(
                f'two runs of {run.policy} with seed {run.seed} would have one record, as their '
                f'starts have one name: {other.start} and {run.start}; rename one of the files'
                if other.start != run.start else
                f'two policies are called {run.policy}: {other.address} and {run.address}')
    return found
