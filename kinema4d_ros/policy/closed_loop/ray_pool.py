# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a plan on a Ray cluster; every node has this package and the starts under one path."""
from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.pool import (answer_check, lost, read_check,
                                                  time_to_load)
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.serialization import from_plain, to_plain

_TRIES = 2          # of a run whose process or node dies under it
LOCAL = 'local'


class RunActor:
    """Makes runs in a process of Ray's, and keeps what they share; JSON in, JSON out."""

    def __init__(self, settings: str) -> None:
        """Read the settings."""
        self._maker = RunMaker(from_plain(RolloutSettings, json.loads(settings), 'settings'))

    def check(self, runs: str) -> str:
        """Check a plan."""
        return answer_check(self._maker, [from_plain(PlannedRun, run, 'run')
                                          for run in json.loads(runs)])

    def make(self, run: str) -> str:
        """Make a run, and return its record."""
        return self._maker(from_plain(PlannedRun, json.loads(run), 'run')).to_json()


class RayPool:
    """Makes the runs of a plan on Ray; a context manager, which leaves the cluster."""

    def __init__(self, settings: RolloutSettings, address: str, jobs: int = 0,
                 timeout: float = 0.0) -> None:
        """
        Join a cluster, or start one.

        :param address: of a cluster, `auto` for the one that this machine belongs to, `local` for
            one that is started here and ends with the pool.
        :param jobs: processes at most; 0 for one for each processor of the cluster that is free,
            which are never exceeded.
        :param timeout: [s] for a run, with what its process has yet to load; 0 for none.
        :raises ConfigurationError: Ray is not installed.
        :raises PolicyError: the cluster cannot be reached.
        """
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError('for --ray, Ray is needed: install the extra [cluster]') \
                from error
        self._ray: Any = ray
        self._settings = settings
        try:
            ray.init(address=None if address == LOCAL else address, log_to_driver=False,
                     include_dashboard=False, configure_logging=False,
                     **({'num_cpus': jobs} if jobs and address == LOCAL else {}))
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise PolicyError(f'the Ray cluster {address} cannot be joined: {error}') from error
        self._timeout = timeout
        # Each takes a processor: those beyond would wait for the others, which end with the pool.
        there = ray.cluster_resources() if address == LOCAL else ray.available_resources()
        free = max(1, int(there.get('CPU', 1)))
        self._jobs = min(jobs or free, free)

    def __enter__(self) -> RayPool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave the cluster; its processes that work for us end."""
        self._ray.shutdown()

    def check(self, runs: Sequence[PlannedRun]) -> str:
        """
        Check a plan as `RunMaker.check`, on a node.

        :raises ConfigurationError: no run of the plan can be made.
        """
        ray = self._ray
        checker = ray.remote(num_cpus=1)(RunActor).remote(json.dumps(to_plain(self._settings)))
        try:
            return read_check(ray.get(checker.check.remote(json.dumps(to_plain(list(runs)))),
                                      timeout=time_to_load(self._timeout)))
        except ray.exceptions.RayError as error:
            raise PolicyError('the process that is to make the runs ended while it loaded what '
                              f'they need: {type(error).__name__}') from error
        finally:
            ray.kill(checker)

    def records(self, runs: Sequence[PlannedRun]) -> Iterator[RolloutRecord]:
        """Yield the record of each run when it is over, in the order in which they end."""
        ray = self._ray
        actor = ray.remote(num_cpus=1)(RunActor)
        settings = json.dumps(to_plain(self._settings))
        waiting = list(reversed(runs))
        tries = dict.fromkeys(runs, 0)
        working: dict[Any, tuple[Any, PlannedRun]] = {}
        began: dict[Any, float] = {}      # [s] by the monotonic clock
        idle = [actor.remote(settings) for _ in range(min(self._jobs, len(runs)))]
        while waiting or working:
            while waiting and idle:
                maker, run = idle.pop(), waiting.pop()
                tries[run] += 1
                task = maker.make.remote(json.dumps(to_plain(run)))
                working[task], began[task] = (maker, run), time.monotonic()
            if not waiting:
                idle.clear()      # their processors are for others
            ready, _ = ray.wait(list(working), num_returns=1,
                                timeout=self._until_late(began.values()))
            for late in [] if ready else self._late(began):
                maker, run = working.pop(late)
                del began[late]
                ray.kill(maker)
                idle.append(actor.remote(settings))
                yield lost(run, self._settings, f'it took longer than --run-timeout, '
                                                f'{self._timeout:g} s, so its process was ended')
            if not ready:
                continue
            maker, run = working.pop(ready[0])
            del began[ready[0]]
            try:
                text = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                idle.append(actor.remote(settings))
                if tries[run] < _TRIES:
                    waiting.append(run)
                else:
                    yield lost(run, self._settings, f'its process ended {_TRIES} times: '
                                                    f'{type(error).__name__}')
                continue
            idle.append(maker)
            yield RolloutRecord.from_json(text)

    def _until_late(self, began: Iterable[float]) -> float | None:
        """Return for how long [s] no run can take too long."""
        if not self._timeout:
            return None
        return max(0.0, min(began) + self._timeout - time.monotonic())

    def _late(self, began: Mapping[Any, float]) -> list[Any]:
        """Return the tasks that take too long."""
        return [task for task, since in began.items()
                if time.monotonic() >= since + self._timeout]
