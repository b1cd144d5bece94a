# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One prediction that was asked of the worker process, and how it ended."""
from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.types import Finding, JointTrajectory, Observation


class Outcome(enum.StrEnum):
    """How a job ended."""

    DONE = 'done'              # every frame was delivered
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
                 seed: int, mount: LinkPose | None, tiers: tuple[int, ...], deadline: float,
                 end: Callable[[Job, Outcome, str], None]):
        """Keep the request; `deadline` is on the monotonic clock [s]."""
        self.number, self.observation, self.trajectory = number, observation, trajectory
        self.seed, self.mount, self.deadline = seed, mount, deadline
        self.tiers = tiers
        self.submitted = time.monotonic()
        self.done = threading.Event()
        self.outcome: Outcome | None = None
        self.message = ''
        self.frames = 0                        # frames delivered
        self.latencies: Mapping[str, float] = {}
        self.findings: Mapping[int, tuple[Finding, ...]] = {}     # of what the worker examined
        self.measured: Mapping[str, Any] = {}                     # fields of a Verdict
        self._end = end
        self._lock = threading.Lock()

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
