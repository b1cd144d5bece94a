# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One task that was given to the worker process, and how it ended."""
from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.types import Background, Finding, JointTrajectory, Observation
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.protocol import Check, Ended, Prediction, Work


class Outcome(enum.StrEnum):
    """How a job ended."""

    DONE = 'done'              # all was done, and every frame delivered
    CANCELLED = 'cancelled'    # on request
    REPLACED = 'replaced'      # a newer job took its place
    DEADLINE = 'deadline'      # it took longer than it was given
    FAILED = 'failed'          # the model or its process failed


class Job:
    """
    Handed out by `Supervisor.submit`; `done` is set once `outcome` is final.

    `message` says why it ended otherwise than DONE; `latencies` [s] per stage as the worker
    measured them, plus 'wait' for the time until the worker took the job.
    """

    def __init__(self, number: int, observation: Observation, trajectory: JointTrajectory, *,
                 task: Check | Prediction, rules: PrecheckSettings, mount: LinkPose | None,
                 deadline: float, end: Callable[[Job, Outcome, str], None]):
        """Keep the request; `deadline` is on the monotonic clock [s]."""
        self.number, self.observation, self.trajectory = number, observation, trajectory
        self.task, self.rules, self.mount, self.deadline = task, rules, mount, deadline
        self.submitted = time.monotonic()
        self.done = threading.Event()
        self.outcome: Outcome | None = None
        self.message = ''
        self.frames = 0                        # frames delivered
        self.latencies: Mapping[str, float] = {}
        self.findings: Mapping[int, tuple[Finding, ...]] = {}     # of what the worker examined
        self.measured: Mapping[str, Any] = {}                     # fields of a Verdict
        self.background: Background | None = None                 # see `Ended`
        self._end = end
        self._lock = threading.Lock()

    def work(self, memory: FrameMemory, *, with_observation: bool) -> Work:
        """Return what the worker is told; without the observation where it is the last one."""
        return Work(self.number, self.observation if with_observation else None,
                    self.trajectory, self.mount, self.task, self.rules, memory.slots,
                    memory.slot_bytes)

    def take(self, message: Ended) -> None:
        """Keep what the worker says at its end."""
        self.latencies = {**self.latencies, **message.latencies}
        self.findings, self.measured = message.findings, message.measured
        self.background = message.background

    def cancel(self, outcome: Outcome = Outcome.CANCELLED, message: str = 'cancelled') -> None:
        """End the job now; no frame is delivered after this returns to the supervisor's thread."""
        self._end(self, outcome, message)

    def finish(self, outcome: Outcome, message: str = '') -> bool:
        """Set the outcome once; later calls change nothing and return False."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.outcome, self.message = outcome, message
        return True
