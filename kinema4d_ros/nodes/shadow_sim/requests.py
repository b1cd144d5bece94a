# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Requests for a verdict, one at a time: the newest wins.

Whoever asked for an older one gets the answer that it was replaced: a verdict that was not given
before is then FAIL or UNSURE, never PASS, whatever was found. One that was given stays: where only
the prediction after it was cut short, it is repeated as the final one. What is done for it is
stopped, with one exception. In a stream of trajectories on a topic the next one comes while a check
still runs; were that stopped each time, a policy that is quicker than the check would never be
judged. So between two requests that are both of a stream a running check comes to its end, and its
findings go out with the older trajectory (a FAIL is a FAIL); the newest waits for that, and all
that is not yet being checked is replaced. An action's goal stops everything, and is stopped by
anything: who asks for a newer one does not wait for the older any more.
"""
from __future__ import annotations

import collections
import itertools
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence

from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.precheck import Goal
from kinema4d_ros.types import Verdict
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.protocol import CheckTask
from kinema4d_ros.worker.supervisor import SLACK

_DEADLINE_PERIOD = 5.0    # [s] between two looks whether a job is long past its deadline
_END_TIMEOUT = SLACK      # [s] that the thread gets to end
_ENDING = 'the node is shutting down'


class PrecheckRequest:
    """
    Trajectories to be judged from one start, asked by a topic message or by an action goal.

    `answered` is set once `verdicts` holds one verdict for each candidate, and `done` when nothing
    is done for it any more. `stop` ends it early, with the reason in every verdict that is not
    there yet.
    """

    _numbers = itertools.count(1)

    def __init__(self, candidates: Sequence[TrajectoryMessage], *, deadline: float,
                 tiers: tuple[int, ...] = (), goal: Goal | None = None, is_streamed: bool = False,
                 on_progress: Callable[[PrecheckRequest, str, int, int], None] = lambda *_: None,
                 on_answer: Callable[[], None] = lambda: None):
        """
        Make a request, which `RequestRunner.submit` takes.

        :param candidates: one or more.
        :param deadline: [s] from now, for the answer.
        :param tiers: that the answer waits for, beside those that the node requires.
        :param goal: what the motion is to achieve; None for what the node's parameters say.
        :param is_streamed: one of many, each of which the next one outdates.
        :param on_progress: called with this request, a stage, its step and their total; quick.
        :param on_answer: called once, when `answered` is set; quick.
        """
        self.candidates = tuple(candidates)
        self.started = time.monotonic()
        self.deadline = self.started + deadline
        self.tiers, self.goal = tuple(tiers), goal
        self.is_streamed, self.on_progress = is_streamed, on_progress
        self._on_answer = on_answer
        self.id = f'{next(self._numbers)}-{uuid.uuid4().hex[:8]}'
        self.verdicts: list[Verdict] = []
        self.messages: list[VerdictMessage] = []    # of each, as published
        self.ranking: list[int] = []           # of the verdicts, best first
        self.provisional: VerdictMessage | None = None     # of the tiers done so far
        self.not_ready = ''                    # what it had to wait for; '' for nothing
        self.stopped, self.done = threading.Event(), threading.Event()
        self.answered = threading.Event()
        self.outcome: JobOutcome | None = None    # why it was stopped, if it was
        self.reason = ''
        self.failure: tuple[JobOutcome, str] | None = None    # what a verdict is UNSURE for
        self.answer_error: tuple[JobOutcome, str] | None = None  # the one of these, at the answer
        self._jobs: list[Job] = []             # that are being done
        self._lock = threading.Lock()

    def rollout_id(self, index: int) -> str:
        """Return the id of the rollout of candidate `index`."""
        return f'{self.id}-{index}'

    def stop(self, outcome: JobOutcome, reason: str, *, but_check: bool = False) -> None:
        """
        End it early; the first reason stays.

        :param but_check: a check that runs may come to its end.
        """
        with self._lock:
            if self.done.is_set():
                return
            if self.outcome is None:
                self.outcome, self.reason = outcome, reason
                self.stopped.set()
            jobs = [job for job in self._jobs
                    if not (but_check and isinstance(job.task, CheckTask))]
        for job in jobs:
            job.cancel(outcome, reason)

    def fail(self, outcome: JobOutcome, reason: str) -> None:
        """Note why a verdict is in doubt; the first reason stays, the other candidates go on."""
        if self.failure is None:
            self.failure = outcome, reason

    def answer(self, ranking: list[int]) -> None:
        """End the wait of the one who asked; what comes later does not change the answer."""
        with self._lock:
            self.ranking = ranking
            is_first = not self.answered.is_set()
            if is_first:
                self.answer_error = self.failure
                if self.outcome is not None:
                    self.answer_error = self.outcome, self.reason
            self.answered.set()
        if is_first:
            self._on_answer()

    def end(self) -> None:
        """Nothing is done for it any more."""
        self.answer(self.ranking)
        self.done.set()

    def add(self, job: Job) -> None:
        """Take charge of a job: a stop is passed on to it."""
        with self._lock:
            self._jobs.append(job)
            outcome, reason = self.outcome, self.reason
        if outcome is not None:
            job.cancel(outcome, reason)

    def wait(self, job: Job) -> JobOutcome:
        """
        Wait for a job of this request to end, and return how it did.

        Its supervisor ends it at the deadline. One that is stuck itself must not keep this thread:
        then the job fails here.
        """
        while not job.done.wait(_DEADLINE_PERIOD):
            if time.monotonic() > job.deadline + SLACK:
                job.finish(JobOutcome.FAILED, "the worker's supervisor does not answer")
        with self._lock:
            self._jobs.remove(job)
        if job.outcome is None:
            raise RuntimeError('a job is said to have ended, but not how')
        return job.outcome


class RequestRunner:
    """
    Has `judge(request)` called for one request after the other, from a thread of its own.

    A new request stops all older ones, so the newest never waits for more than one check.
    """

    def __init__(self, judge: Callable[[PrecheckRequest], None]):
        """Start the thread; `judge` returns soon for a request that was stopped."""
        self._judge = judge
        self._changed = threading.Condition()
        #: [0] is being judged
        self._queue: collections.deque[PrecheckRequest] = collections.deque()
        self._closing = False
        self.replaced = 0
        self._thread = threading.Thread(target=self._run, name='requests', daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many wait: at most one that will be judged, and some yet to be refused."""
        return max(0, len(self._queue) - 1)

    def submit(self, request: PrecheckRequest) -> None:
        """Judge this next; what is older is stopped with that reason."""
        with self._changed:
            if self._closing:
                request.stop(JobOutcome.CANCELLED, _ENDING)
                request.end()
                return
            self.replaced += sum(waiting.outcome is None for waiting in self._queue)
            for older in self._queue:
                older.stop(JobOutcome.REPLACED, 'replaced by a newer request',
                           but_check=older.is_streamed and request.is_streamed)
            self._queue.append(request)
            self._changed.notify_all()

    def stop(self, outcome: JobOutcome, reason: str) -> None:
        """Stop whatever is judged or waits."""
        with self._changed:
            self._stop_all(outcome, reason)

    def close(self) -> None:
        """Stop everything and end the thread."""
        with self._changed:
            self._closing = True
            self._stop_all(JobOutcome.CANCELLED, _ENDING)
            self._changed.notify_all()
        self._thread.join(_END_TIMEOUT)
        if self._thread.is_alive():
            print('requests: their thread did not end and is left behind', file=sys.stderr)

    def _stop_all(self, outcome: JobOutcome, reason: str) -> None:
        for request in self._queue:
            request.stop(outcome, reason)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                request = self._queue[0]
            try:
                self._judge(request)
            except Exception as error:     # this thread goes on, and the request is answered
                traceback.print_exc()
                request.fail(JobOutcome.FAILED, f'internal error: {type(error).__name__}: {error}')
            with self._changed:
                self._queue.popleft()
            try:
                request.end()
            except Exception:     # whoever asked cannot be answered; the next one shall be
                traceback.print_exc()
