# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One task that was given to the worker process, whom it is reported to, and how it ended."""
from __future__ import annotations

import enum
import threading
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from kinema4d_ros.precheck import Assessment, PrecheckSettings
from kinema4d_ros.types import JointTrajectory, Observation
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask, Work
from kinema4d_ros.worker.rollout_frame import RolloutFrame


class JobOutcome(enum.StrEnum):
    """How a job ended."""

    DONE = 'done'              # all was done, and every frame delivered
    CANCELLED = 'cancelled'    # on request
    REPLACED = 'replaced'      # a newer job took its place
    DEADLINE = 'deadline'      # it took longer than it was given
    FAILED = 'failed'          # the model or its process failed


class JobSink(Protocol):
    """Called about one job in the supervisor's thread: quick, and what it raises ends the job."""

    def on_frame(self, frame: RolloutFrame) -> None:
        """Take a frame; its arrays are valid during the call only."""

    def on_progress(self, stage: str, step: int, total: int) -> None:
        """Take note of how far the job is."""


class NoSink:
    """For a job of which only the end matters."""

    def on_frame(self, frame: RolloutFrame) -> None:
        """Drop a frame."""

    def on_progress(self, stage: str, step: int, total: int) -> None:
        """Drop progress."""


class Job:
    """
    Handed out by `Supervisor.submit`.

    `done` is set once `outcome` is final, and `sent` once the worker was given it, or will not be.
    `message` says why it ended otherwise than DONE. `assessment` holds what the worker found, when
    it is DONE, and in any case the latencies of the stages that the worker measured; `waited` is
    the time until the worker took the job [s].
    """

    def __init__(self, number: int, observation: Observation, trajectory: JointTrajectory, *,
                 task: CheckTask | PredictionTask, settings: PrecheckSettings = PrecheckSettings(),
                 robot_hash: str = '', deadline: float,
                 sink: JobSink = NoSink(), end: Callable[[Job, JobOutcome, str], object]):
        """
        Describe a task; nothing is sent to the worker yet.

        :param number: counts the jobs of a supervisor.
        :param robot_hash: of the robot that is meant; '' for whichever the worker has.
        :param deadline: on the monotonic clock [s].
        :param end: called by `cancel` with this job, the outcome and a message.
        """
        self.number, self.observation, self.trajectory = number, observation, trajectory
        self.task, self.settings = task, settings
        self.robot_hash, self.deadline, self.sink = robot_hash, deadline, sink
        self.submitted = time.monotonic()
        self.sent, self.done = threading.Event(), threading.Event()
        self.outcome: JobOutcome | None = None
        self.message = ''
        self.frames = 0                        # frames delivered
        self.waited: float | None = None
        self.assessment = Assessment()
        self._end = end
        self._lock = threading.Lock()

    def work(self, memory: FrameMemory, *, with_observation: bool) -> Work:
        """Return the message to the worker, without an observation that it has or does not need."""
        return Work(self.number, self.observation if with_observation else None,
                    self.trajectory, self.task, self.settings, self.robot_hash,
                    memory.slots, memory.slot_bytes)

    def cancel(self, outcome: JobOutcome = JobOutcome.CANCELLED,
               message: str = 'cancelled') -> None:
        """End the job now; no frame is delivered after this returns to the supervisor's thread."""
        self._end(self, outcome, message)

    def finish(self, outcome: JobOutcome, message: str = '') -> bool:
        """Set the outcome once; later calls change nothing and return False."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.outcome, self.message = outcome, message
        self.sent.set()
        self.done.set()
        return True


def guarded(step: Callable[[], object]) -> None:
    """Do one step; what it raises must not keep the next one from being done."""
    try:
        step()
    except Exception:
        traceback.print_exc()
