# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps the worker process alive and gives it one job at a time, the newest."""
from __future__ import annotations

import collections
import contextlib
import itertools
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from typing import Any

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.types import JointTrajectory, LocalClearance, Observation
from kinema4d_ros.worker.frame_memory import FrameMemory, slot_bytes
from kinema4d_ros.worker.job import guarded, Job, JobOutcome, JobSink, NoSink
from kinema4d_ros.worker.shown_look import ShownLook
from kinema4d_ros.worker.process import (Backoff, KILL_TIMEOUT, PIPE_TIMEOUT, WorkerGarbled,
                                         WorkerHung, WorkerProcess, WorkerState)
from kinema4d_ros.worker.protocol import (Cancel, CheckTask, Ended, Failed, Forget, FrameReady,
                                          FromWorker, PredictionTask, Progress, Ready, Release,
                                          Remember, Remembered, RobotReady, SeenRobot, SetRobot,
                                          Survey, Surveyed, ToWorker, WorkerSettings)

_LONGEST_WAIT = 3600.0                  # [s] a poll takes no infinite timeout
_BUG_RETRY_PERIOD = 0.1                 # [s] a bug may recur at once
_END_GRACE = 0.7                        # [s] that a worker gets to end: whoever stops a node waits
_ENDING = 'the node is shutting down'
#: [s] that the supervisor's thread may be held up by a process that hangs, at the very most
SLACK = 2 * (PIPE_TIMEOUT + KILL_TIMEOUT)


class Supervisor:
    """
    Owns the worker process from a thread of its own; every method may be called from any thread.

    A job that is submitted while another runs replaces it. Cancelling ends a job for the caller
    at once; the worker gets `cancel_grace` seconds to stop by itself, then it is killed and
    started again. A worker that dies fails its job and is started again.
    """

    def __init__(self, settings: WorkerSettings,
                 on_state: Callable[[WorkerState, str], None] = lambda *_: None, *, slots: int = 4,
                 cancel_grace: float = 2.0, start_timeout: float = 300.0,
                 start_process: Callable[[int], WorkerProcess] = WorkerProcess):
        """
        Start the worker process.

        :param on_state: called with each state and why, in the supervisor's thread; quick.
        :param start_process: starts a process that shares the memory of a file descriptor.
        """
        self._settings, self._on_state, self._start_process = settings, on_state, start_process
        self._slots, self._grace, self._start_timeout = slots, cancel_grace, start_timeout
        self._memory = FrameMemory()
        self._process: WorkerProcess | None = None
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._calls_lock, self._closed = threading.Lock(), False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._numbers, self._robot_sent = itertools.count(1), False
        self._robot: SetRobot | None = None
        self._job: Job | None = None          # what the worker works on, perhaps already over
        self._pending: Job | None = None
        self._sent_observation: Observation | None = None
        self._kill_at: float | None = None     # [s] monotonic
        self._start_at: float | None = None
        self._started_at, self._backoff = 0.0, Backoff()
        self._shown = ShownLook()
        self._ending, self.restarts = threading.Event(), 0
        self.state, self.state_message = WorkerState.STOPPED, ''
        self.model = self.fingerprint = ''    # of the model and its weights, once it is ready
        self._thread = threading.Thread(target=self._run, name='supervisor', daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ asked by others

    @property
    def pid(self) -> int | None:
        """Process id of the worker, None when there is none."""
        return None if (process := self._process) is None else process.pid

    def set_robot(self, urdf: str, package_paths: tuple[str, ...] = (),
                  description_hash: str = '') -> None:
        """Predict with this robot from now on; a running job is ended."""
        self._call(lambda: self._take_robot(SetRobot(urdf, tuple(package_paths), description_hash)))

    def submit(self, observation: Observation, trajectory: JointTrajectory, *,
               task: CheckTask | PredictionTask = PredictionTask(), robot_hash: str = '',
               settings: PrecheckSettings = PrecheckSettings(), deadline: float,
               sink: JobSink = NoSink()) -> Job:
        """
        Have a task done.

        :param robot_hash: of the robot that is meant: another one fails the job; '' for whichever.
        :param deadline: on the monotonic clock [s]; `sink` is called in the supervisor's thread.
        """
        job = Job(next(self._numbers), observation, trajectory, task=task, settings=settings,
                  robot_hash=robot_hash, deadline=deadline, sink=sink,
                  end=lambda *how: self._call(lambda: self._end_early(*how)))
        if not self._call(lambda: self._take_job(job)):
            job.finish(JobOutcome.CANCELLED, _ENDING)
        return job

    @property
    def is_idle(self) -> bool:
        """Whether the worker waits for something to do."""
        return self.state == WorkerState.IDLE

    @property
    def is_warm(self) -> bool:
        """Whether a job would be done at once, or is being done: model and robot are loaded."""
        return self._robot_sent and self.state in (WorkerState.IDLE, WorkerState.BUSY)

    def remember(self, observation: Observation,
                 take: Callable[[Mapping[str, SeenRobot]], None] | None = None) -> None:
        """Show the worker the scene, if it is idle; `take` gets how each camera sees the robot."""
        self._call(lambda: self._show(Remember(observation, take is not None),
                                      take or (lambda _: None)))

    def survey(self, survey: Survey, take: Callable[[LocalClearance], None]) -> None:
        """Have free space measured, if it is idle; `take` is called in the supervisor's thread."""
        self._call(lambda: self._show(survey, take))

    def forget(self) -> None:
        """Forget the remembered scene; one that loads has none, and may not read yet."""
        self._call(lambda: self._send(Forget()) if self.is_warm else None)

    def stop(self, *, wait: bool = True) -> None:
        """End jobs, worker process and thread; with `wait`, nothing happens after it returns."""
        self._call(self._ending.set)
        self._thread.join(self._grace + SLACK if wait else 0.0)
        if wait and self._thread.is_alive():
            print('worker: its supervisor did not end and is left behind', file=sys.stderr)

    # ------------------------------------------------------------------ the thread

    def _call(self, function: Callable[[], None]) -> bool:
        """Have the supervisor's thread call `function`; return False when it has ended."""
        with self._calls_lock:
            if self._closed:
                return False
            self._calls.append(function)
            with contextlib.suppress(BlockingIOError):     # it is awake already
                os.write(self._wake_write, b'.')
        return True

    def _run(self) -> None:
        self._start_at = time.monotonic()
        while not self._ending.is_set():
            try:
                self._check_clock()
                self._send_next()
                self._listen()
            except Exception as error:     # a bug must not leave callers waiting for ever
                traceback.print_exc()
                self._break_down(f'internal error: {type(error).__name__}: {error}')
        self._shut_down()

    def _listen(self) -> None:
        """Wait for calls and for the worker, and do what they want."""
        process = self._process
        ready = wait([self._wake_read, *([process.pipe] if process else [])], self._time_left())
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        while self._calls:
            self._calls.popleft()()
        if process is not None and process.pipe in ready and self._process is process:
            self._receive(process)

    def _break_down(self, reason: str) -> None:
        """After a bug: end everything with the reason, and start the worker again later."""
        for step in (self._drop_worker, self._plan_start,
                     lambda: self._set_state(WorkerState.FAILED, reason),
                     lambda: self._fail_jobs(reason)):
            guarded(step)
        time.sleep(_BUG_RETRY_PERIOD)

    def _time_left(self) -> float:
        times = [self._kill_at, self._start_at, self._shown.due]
        times += [job.deadline for job in (self._job, self._pending)
                  if job is not None and job.outcome is None]
        at = min((at for at in times if at is not None), default=float('inf'))
        return min(max(0.0, at - time.monotonic()), _LONGEST_WAIT)

    def _check_clock(self) -> None:
        now = time.monotonic()
        for job in (self._job, self._pending):
            if job is not None and job.outcome is None and now >= job.deadline:
                self._end_early(job, JobOutcome.DEADLINE,
                                f'not finished within {job.deadline - job.submitted:.1f} s')
        if self._kill_at is not None and now >= self._kill_at or self._shown.is_overdue(now):
            doing = 'end a look at the scene' if self._kill_at is None else \
                'start' if self.state == WorkerState.STARTING else 'stop when asked'
            self._lose_worker(f'the worker did not {doing} in time and was killed')
        if self._start_at is not None and now >= self._start_at:
            self._start_worker()

    # ------------------------------------------------------------------ jobs

    def _take_job(self, job: Job) -> None:
        for older in filter(None, (self._job, self._pending)):
            self._end_early(older, JobOutcome.REPLACED, 'replaced by a newer request')
        self._pending = job
        if self.state == WorkerState.FAILED:
            self._end_early(job, JobOutcome.FAILED, self.state_message)

    def _take_robot(self, robot: SetRobot) -> None:
        for job in filter(None, (self._job, self._pending)):
            self._end_early(job, JobOutcome.CANCELLED, 'the robot description changed')
        self._robot, self._robot_sent = robot, False
        if self.state == WorkerState.FAILED and self._process is not None:
            self._set_state(WorkerState.IDLE)     # it was the robot before that failed

    def _end_early(self, job: Job, outcome: JobOutcome, message: str) -> None:
        """End `job` for the caller; when the worker is at it, ask it to stop."""
        if not job.finish(outcome, message):
            return
        if job is self._pending:
            self._pending = None
        if job is self._job:
            self._kill_at = time.monotonic() + self._grace
            self._send(Cancel(job.number))

    def _send_next(self) -> None:
        """Give an idle worker what waits for it: first the robot, then the job."""
        if not self.is_idle:
            return
        if self._robot is not None and not self._robot_sent:
            self._set_state(WorkerState.STARTING, 'loading the robot')
            self._robot_sent, self._sent_observation = True, None
            self._kill_at = time.monotonic() + self._start_timeout
            self._send(self._robot)
        elif self._pending is not None:
            job, self._pending = self._pending, None
            self._job = job
            self._set_state(WorkerState.BUSY)
            job.waited = time.monotonic() - job.submitted
            self._send_job(job)

    def _send_job(self, job: Job) -> None:
        try:
            if isinstance(job.task, PredictionTask):
                self._memory.reserve(self._slots, slot_bytes(job.observation))
        except WorldModelError as error:
            self._job = None
            self._set_state(WorkerState.IDLE)
            job.finish(JobOutcome.FAILED, str(error))
            return
        has_it = not job.task.looks or job.observation is self._sent_observation
        self._sent_observation = self._sent_observation if has_it else job.observation
        self._send(job.work(self._memory, with_observation=not has_it))
        job.sent.set()

    def _show(self, look: Remember | Survey, take: Callable[[Any], None]) -> None:
        if self.is_idle and self._shown.begin(take):
            self._send(look)

    # ------------------------------------------------------------------ what the worker says

    def _receive(self, process: WorkerProcess) -> None:
        """Take one message; frames may come without a pause, and calls must not wait for that."""
        try:
            if (message := process.receive()) is not None:
                self._handle(message)
        except (EOFError, OSError):
            self._lose_worker(f'the worker process died ({process.death()})')
        except (WorkerGarbled, WorkerHung) as error:
            self._lose_worker(f'{error} and was killed')

    def _handle(self, message: FromWorker) -> None:
        match message:
            case Ready(model, fingerprint, note):
                self.model, self.fingerprint, self._kill_at = model, fingerprint, None
                self._set_state(WorkerState.IDLE, f'{model or "what checks"} is ready{note}')
            case Failed(text):
                self._drop_worker()
                self._set_state(WorkerState.FAILED, text)
                self._fail_jobs(text)
            case RobotReady(error=error):
                self._kill_at = None
                if error and self._robot_sent:     # else another one waits already
                    error = f'the robot cannot be simulated: {error}'
                    self._set_state(WorkerState.FAILED, error)
                    self._fail_jobs(error)
                else:
                    self._set_state(WorkerState.IDLE, message.summary)
            case Remembered(found) | Surveyed(found):
                self._shown.answered(found)
            case Progress(number, stage, step, total):
                if (job := self._live(number)) is not None:
                    self._notify(job, lambda sink: sink.on_progress(stage, step, total))
            case FrameReady():
                self._deliver(message)
            case Ended():
                self._finish(message)

    def _live(self, number: int) -> Job | None:
        job = self._job
        return job if job and job.number == number and job.outcome is None else None

    def _deliver(self, message: FrameReady) -> None:
        if (job := self._live(message.job)) is not None:
            job.frames += 1
            frame = self._memory.read(message.slot, message.frame)
            self._notify(job, lambda sink: sink.on_frame(frame))
        self._send(Release(message.slot))

    def _notify(self, job: Job, notify: Callable[[JobSink], None]) -> None:
        """Call a job's sink; what that raises ends this job and no other."""
        try:
            notify(job.sink)
        except Exception as error:
            traceback.print_exc()
            self._end_early(job, JobOutcome.FAILED, 'what came of it could not be passed on: '
                            f'{type(error).__name__}: {error}')

    def _finish(self, message: Ended) -> None:
        if (job := self._job) is None or job.number != message.job:
            return
        self._job = self._kill_at = None
        self._set_state(WorkerState.IDLE)
        job.assessment = message.assessment
        if message.error:
            self._sent_observation = None     # it may not have been understood
            job.finish(JobOutcome.FAILED, message.error)
        else:
            job.finish(JobOutcome.DONE)
        if message.is_worn_out:
            self._lose_worker(f'the worker process is started again after {message.error}')

    # ------------------------------------------------------------------ the process

    def _start_worker(self) -> None:
        self._start_at, self._started_at = None, time.monotonic()
        self._kill_at = self._started_at + self._start_timeout
        self._process = self._start_process(self._memory.fd)
        self._robot_sent, self._sent_observation = False, None
        self._set_state(WorkerState.STARTING, 'loading the world model')
        self._send(self._settings)

    def _send(self, message: ToWorker) -> None:
        if self._process is not None:
            try:
                self._process.send(message)
            except WorkerHung as error:
                self._lose_worker(f'{error} and was killed')

    def _lose_worker(self, message: str) -> None:
        """Fail what it worked on, and plan its next start."""
        why_alive = self._drop_worker()
        self._plan_start()
        message += f'; {why_alive}; another one is started' if why_alive else ''
        self._set_state(WorkerState.RESTARTING, message)
        self._fail_job(message)

    def _plan_start(self) -> None:
        self._start_at = (now := time.monotonic()) + self._backoff.after(now - self._started_at)
        self.restarts += 1

    def _drop_worker(self) -> str | None:
        """Kill the process, if there is one, and return why it lives on, if it does."""
        process, self._process, self._kill_at, self._shown = self._process, None, None, ShownLook()
        return None if process is None else process.kill()

    def _fail_job(self, message: str) -> None:
        if (job := self._job) is not None:
            self._job = None
            job.finish(JobOutcome.FAILED, message)

    def _fail_jobs(self, message: str) -> None:
        self._fail_job(message)
        if self._pending is not None:
            self._end_early(self._pending, JobOutcome.FAILED, message)

    def _set_state(self, state: WorkerState, message: str = '') -> None:
        self.state, self.state_message = state, message
        guarded(lambda: self._on_state(state, message))   # what it raises must not end this thread

    def _shut_down(self) -> None:
        """End jobs and worker, and free everything."""
        with self._calls_lock:
            self._closed = True
        while self._calls:                     # a job submitted meanwhile must not hang
            guarded(self._calls.popleft())
        for job in filter(None, (self._job, self._pending)):
            job.finish(JobOutcome.CANCELLED, _ENDING)
        # One that loads does not listen yet, and has nothing to give back.
        grace = 0.0 if self.state == WorkerState.STARTING else min(self._grace, _END_GRACE)
        process, self._process = self._process, None
        why_alive = None if process is None else process.end(grace)
        self._memory.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._set_state(WorkerState.STOPPED, why_alive or '')
