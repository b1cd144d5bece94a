# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a plan on a Ray cluster; every node has this package and the starts under one path."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.pool import answer_check, lost, read_check
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

    def __init__(self, settings: RolloutSettings, address: str, jobs: int = 0) -> None:
        """
        Join a cluster, or start one.

        :param address: of a cluster, `auto` for the one that this machine belongs to, `local` for
            one that is started here and ends with the pool.
        :param jobs: processes at most; 0 for one for each processor of the cluster.
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
        self._jobs = jobs or max(1, int(ray.cluster_resources().get('CPU', 1)))

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
            return read_check(ray.get(checker.check.remote(json.dumps(to_plain(list(runs))))))
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
        idle = [actor.remote(settings) for _ in range(min(self._jobs, len(runs)))]
        while waiting or working:
            while waiting and idle:
                maker, run = idle.pop(), waiting.pop()
                tries[run] += 1
                working[maker.make.remote(json.dumps(to_plain(run)))] = maker, run
            (ready,), _ = ray.wait(list(working), num_returns=1)
            maker, run = working.pop(ready)
            try:
                text = ray.get(ready)
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
