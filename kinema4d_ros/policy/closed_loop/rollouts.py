# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole plan: what has a record is kept, the rest is run, each record written as it comes."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.pool import LocalPool
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.policy.closed_loop.records import RecordFile

RolloutProgress = Callable[[RolloutRecord | None, int, int], None]
"""``progress(record, done, total)``: the newest record, None at the beginning."""


def run_rollouts(runs: Sequence[PlannedRun], settings: RolloutSettings, folder: str | Path, *,
                 jobs: int = 1, ray: str = '',
                 progress: RolloutProgress = lambda *_: None) -> list[RolloutRecord]:
    """
    Make the runs of a plan that have no record in a folder, and return all of the plan.

    Stopped at any time, by Ctrl-C or a power failure, it goes on from there when it is called
    again. Runs that gave no result are made again then.

    :param jobs: processes on this machine; 0 makes the runs in this process, one by one. With
        `ray`, processes at most, and 0 for as many as the cluster has processors.
    :param ray: address of a Ray cluster in place of them, `local` for one that is started here.
    :raises PolicyError: the records cannot be read or written.
    :raises ConfigurationError: the folder has records that were made with other settings.
    """
    if jobs < 0:
        raise ConfigurationError(f'jobs must be 0 or more, got {jobs}')
    with ExitStack() as stack:
        file = stack.enter_context(RecordFile(folder))
        known = {record.key: record for record in file.before if not record.error}
        wanted = {_key(run, settings): run for run in runs}
        done = {key: record for key, record in known.items() if key in wanted}
        left = [run for key, run in wanted.items() if key not in done]
        _refuse_other_settings(done, settings, file.path)
        progress(None, len(done), len(wanted))
        records: Iterable[RolloutRecord] = ()
        if not left:
            pass
        elif ray:
            from kinema4d_ros.policy.closed_loop.ray_pool import RayPool

            records = stack.enter_context(RayPool(settings, ray, jobs)).records(left)
        elif jobs == 0:
            records = map(stack.enter_context(RunMaker(settings)), left)
        else:
            records = stack.enter_context(LocalPool(settings, min(jobs, len(left)))).records(left)
        for record in records:
            file.add(record)
            done[record.key] = record
            progress(record, len(done), len(wanted))
        return [done[key] for key in wanted]


def _key(run: PlannedRun, settings: RolloutSettings) -> tuple[str, str, str, int]:
    return settings.world_name, run.policy, Path(run.start).stem, run.seed


def _refuse_other_settings(done: dict[tuple[str, str, str, int], RolloutRecord],
                           settings: RolloutSettings, path: Path) -> None:
    for record in done.values():
        told = why_other(record, settings)
        if told is not None:
            raise ConfigurationError(f'{path} has runs that were made otherwise: {told}; choose '
                                     'another folder, or the settings of before')


def why_other(record: RolloutRecord, settings: RolloutSettings) -> str | None:
    """Return what was different when a record was made; None for nothing that is known."""
    try:
        was = json.loads(record.world_version)
    except ValueError:
        return None
    now = settings.version
    different = [f'{name} was {was[name]}, is {value}' for name, value in now.items()
                 if name in was and was[name] != value]
    return ', '.join(different) or None
