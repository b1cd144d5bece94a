# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs of a plan in several processes of this machine.

A process makes one run at a time and sends its record, so one that dies takes one run with it,
which is made again by another. Nothing but JSON passes between them.
"""
from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import ConfigurationError, Kinema4DError, PolicyError
from kinema4d_ros.policy.closed_loop.one_run import RunMaker
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.types import TaskOutcome
from kinema4d_ros.serialization import from_plain, to_plain

_TRIES = 2          # of a run whose process dies under it
_END = 2.0          # [s] for a process to end by itself
_LOAD = 600.0       # [s] to load models and policies, where runs may not take for ever
#: libraries that would each take all processors
_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')


class _Process:
    """One process that makes runs."""

    def __init__(self, settings: RolloutSettings, alone: bool) -> None:
        self.pipe, other = Pipe()
        paths = [str(Path.cwd()), *(path for path in sys.path if path)]
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
        if not alone:
            environment = {**dict.fromkeys(_THREADS, '1'), **environment}
        self.child = subprocess.Popen(
            [sys.executable, '-m', 'kinema4d_ros.policy.closed_loop.pool', str(other.fileno())],
            pass_fds=[other.fileno()], env=environment, stdin=subprocess.DEVNULL,
            # what a policy prints must not get among results, and Ctrl-C is for the parent
            stdout=sys.stderr.fileno() if _has_file(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True)
        other.close()
        self.run: PlannedRun | None = None
        self.began = 0.0      # [s] by the monotonic clock, of the run
        self.send(settings)

    def send(self, message: Any) -> None:
        """Send settings, once; then runs to make, or a list of those to check."""
        self.pipe.send_bytes(json.dumps(to_plain(message)).encode())

    def give(self, run: PlannedRun) -> None:
        """Let it make a run."""
        self.run, self.began = run, time.monotonic()
        self.send(run)

    def end(self, at_once: bool = False) -> str:
        """End it with all that it has started, and return how it ended, for people."""
        self.pipe.close()
        if at_once and self.child.poll() is None:
            self._signal(signal.SIGTERM)
        try:
            code = self.child.wait(_END)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            code = self.child.wait()
        self._signal(signal.SIGKILL)      # what a policy has left behind
        return f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)      # it has a session of its own


class LocalPool:
    """
    Makes the runs of a plan in processes; a context manager, which ends them.

    Leaving it early, as by Ctrl-C, ends them at once: what they are making is lost, what is
    recorded is not.
    """

    def __init__(self, settings: RolloutSettings, jobs: int, timeout: float = 0.0) -> None:
        """
        Start nothing yet.

        :param jobs: processes at most, 1 or more.
        :param timeout: [s] for a run, with what its process has yet to load; 0 for none.
        """
        self._settings, self._jobs, self._timeout = settings, jobs, timeout
        self._processes: list[_Process] = []

    def __enter__(self) -> LocalPool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the processes."""
        for process in self._processes:
            process.end(at_once=kind is not None or process.run is not None)
        self._processes.clear()

    def check(self, runs: Sequence[PlannedRun]) -> str:
        """
        Check a plan as `RunMaker.check`, in the process that makes its first run.

        :raises ConfigurationError: no run of the plan can be made.
        """
        process = _Process(self._settings, self._jobs == 1)
        self._processes.append(process)
        try:
            process.send(list(runs))
            if not process.pipe.poll(time_to_load(self._timeout)):
                raise PolicyError('what the runs need could not be loaded in '
                                  f'{time_to_load(self._timeout):g} s; see --run-timeout')
            text = process.pipe.recv_bytes().decode()
        except (EOFError, OSError) as error:
            self._processes.remove(process)
            raise PolicyError('the process that is to make the runs ended while it loaded what '
                              f'they need: {process.end()}') from error
        return read_check(text)

    def records(self, runs: Sequence[PlannedRun]) -> Iterator[RolloutRecord]:
        """Yield the record of each run when it is over, in the order in which they end."""
        waiting = deque(runs)
        tries: dict[PlannedRun, int] = dict.fromkeys(runs, 0)
        while waiting or any(each.run for each in self._processes):
            for _ in range(min(self._jobs - len(self._processes), len(waiting))):
                self._processes.append(_Process(self._settings, self._jobs == 1))
            for process in self._processes:
                if process.run is None and waiting:
                    self._give(process, waiting.popleft(), tries)
            busy = {each.pipe: each for each in self._processes if each.run is not None}
            for pipe in wait(list(busy), self._until_late(busy.values())):
                assert isinstance(pipe, Connection)
                process = busy[pipe]
                run = process.run
                assert run is not None
                try:
                    text = pipe.recv_bytes().decode()
                except (EOFError, OSError):
                    self._processes.remove(process)
                    how = process.end()
                    if tries[run] < _TRIES:
                        waiting.appendleft(run)
                    else:
                        yield lost(run, self._settings, f'its process ended {_TRIES} times: {how}')
                    continue
                process.run = None
                yield RolloutRecord.from_json(text)
            yield from self._late()

    def _until_late(self, busy: Iterable[_Process]) -> float | None:
        """Return for how long [s] no run can take too long."""
        if not self._timeout:
            return None
        return max(0.0, min(each.began for each in busy) + self._timeout - time.monotonic())

    def _late(self) -> Iterator[RolloutRecord]:
        """End the processes whose run takes too long, and yield the records of these."""
        for process in list(self._processes):
            run = process.run
            if run is None or not self._timeout or process.pipe.poll() \
                    or time.monotonic() < process.began + self._timeout:
                continue
            self._processes.remove(process)
            process.end(at_once=True)
            yield lost(run, self._settings, f'it took longer than --run-timeout, '
                                            f'{self._timeout:g} s, so its process was ended')

    def _give(self, process: _Process, run: PlannedRun, tries: dict[PlannedRun, int]) -> None:
        tries[run] += 1
        try:
            process.give(run)
        except OSError:      # it has died meanwhile, which reading tells again
            process.run = run

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Of the processes that are there now."""
        return tuple(each.child.pid for each in self._processes)


def time_to_load(timeout: float) -> float | None:
    """Return how long [s] loading may take, by how long a run may; None for any time."""
    return max(timeout, _LOAD) if timeout else None


def answer_check(maker: RunMaker, runs: Sequence[PlannedRun]) -> str:
    """Check a plan, and return what comes of it as JSON."""
    try:
        return json.dumps({'fingerprint': maker.check(runs)})
    except Kinema4DError as error:
        return json.dumps({'refused': str(error)})
    except Exception as error:      # of a model of anybody's
        return json.dumps({'refused': f'{type(error).__name__}: {error}'})


def read_check(text: str) -> str:
    """
    Return the fingerprint that `answer_check` tells.

    :raises ConfigurationError: the plan was refused.
    """
    answer = json.loads(text)
    if 'refused' in answer:
        raise ConfigurationError(answer['refused'])
    return str(answer['fingerprint'])


def lost(run: PlannedRun, settings: RolloutSettings, why: str) -> RolloutRecord:
    """Return the record of a run that gave no result."""
    return RolloutRecord(run.policy, '', Path(run.start).stem, run.seed, settings.world_name,
                         TaskOutcome(None), RunEnd.ERROR,
                         policy_address=run.address).with_error(why)


def _has_file(stream: object) -> bool:
    try:
        return bool(stream.fileno() >= 0)      # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


def serve(pipe: Connection) -> None:
    """Make the runs that come through a pipe, until it is closed; the main program of a process."""
    settings = from_plain(RolloutSettings, json.loads(pipe.recv_bytes()), 'settings')
    with RunMaker(settings) as maker:
        while True:
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                return
            asked = json.loads(message)
            if isinstance(asked, list):
                answer = answer_check(maker, [from_plain(PlannedRun, run, 'run')
                                              for run in asked])
            else:
                answer = maker(from_plain(PlannedRun, asked, 'run')).to_json()
            try:
                pipe.send_bytes(answer.encode())
            except OSError as error:
                raise PolicyError('whoever wanted the record has gone') from error


if __name__ == '__main__':
    serve(Connection(int(sys.argv[1])))
