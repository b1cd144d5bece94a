# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole plan: what has a record is kept, the rest is run, each record written as it comes."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from kinema4d_ros.errors import ConfigurationError, JobError, Kinema4DError, PolicyError
from kinema4d_ros.jobs import FailureKind, Job, JobFailure, JobPool, open_pool, PoolSettings
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.closed_loop.records import RecordFile
from kinema4d_ros.policy.closed_loop.version import why_other
from kinema4d_ros.policy.types import TaskOutcome

_LOAD = 600.0       # [s] to load models and policies, where runs may not take for ever

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
        try:
            pool = stack.enter_context(open_pool(
                RunMaker(settings), pool_settings(jobs, ray, len(left), run_timeout)))
            fingerprint = _checked(pool, left or runs, run_timeout, bool(jobs or ray))
        except JobError as error:
            raise PolicyError(str(error)) from error
        for key, record in done.items():
            why = why_other(record, wanted[key], settings, fingerprint)
            if why is not None:
                raise ConfigurationError(
                    f'{file.path} has runs that were made otherwise: {record.policy} from '
                    f'{record.start}: {why}; choose another folder, or what was before')
        progress(None, len(done), len(wanted))
        for record in _records(pool, left, settings, run_timeout):
            file.add(record)
            done[record.key] = record
            progress(record, len(done), len(wanted))
        return [done[key] for key in wanted]


def pool_settings(jobs: int, ray: str, runs: int, timeout: float) -> PoolSettings:
    """Return where runs are made; see `run_rollouts`."""
    workers = jobs if ray or not jobs else max(1, min(jobs, runs))
    return PoolSettings(workers=workers, ray=ray, timeout=timeout)


def _checked(pool: JobPool, runs: Sequence[PlannedRun], timeout: float, is_apart: bool) -> str:
    """
    Check a plan as `RunMaker.check`, where its first run is made; return the fingerprint.

    :param is_apart: whether that is another process, from which no error comes as it is.
    """
    if not is_apart:
        return str(pool.ask(RunMaker.check, runs))
    most = max(timeout, _LOAD) if timeout else None
    try:
        fingerprint, refused = pool.ask(answer_check, list(runs), timeout=most)
    except JobError as error:
        raise PolicyError('what the runs need could not be loaded in the process that is to make '
                          f'them, see --run-timeout: {error}') from error
    if refused:
        raise ConfigurationError(refused)
    return str(fingerprint)


def answer_check(maker: RunMaker, runs: Sequence[PlannedRun]) -> tuple[str, str]:
    """Return the fingerprint, and why no run of a plan can be made; one of them is ''."""
    try:
        return maker.check(runs), ''
    except Kinema4DError as error:
        return '', str(error)
    except Exception as error:      # of a model of anybody's
        return '', f'{type(error).__name__}: {error}'


def _records(pool: JobPool, runs: Sequence[PlannedRun], settings: RolloutSettings,
             timeout: float) -> Iterator[RolloutRecord]:
    """Yield the record of each run when it is over."""
    for result in pool.results(Job(str(number), run) for number, run in enumerate(runs)):
        if result.failure is None:
            yield result.answer
        else:
            yield _lost(result.job.item, settings, result.failure, timeout)


def _lost(run: PlannedRun, settings: RolloutSettings, failure: JobFailure,
          timeout: float) -> RolloutRecord:
    """Return the record of a run that gave no result."""
    why = failure.why if failure.kind is not FailureKind.TIMEOUT else \
        f'it took longer than --run-timeout, {timeout:g} s, so its process was ended'
    return RolloutRecord(run.policy, '', Path(run.start).stem, run.seed, settings.world_name,
                         TaskOutcome(None), RunEnd.ERROR,
                         policy_address=run.address).with_error(why)


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
