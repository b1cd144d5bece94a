# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the supervisor of the worker process tells, and to whom."""
from __future__ import annotations

import enum
from typing import Protocol

from kinema4d_ros.worker.job import Job
from kinema4d_ros.worker.protocol import Frame


class WorkerState(enum.StrEnum):
    """What the worker process is doing."""

    STOPPED = 'stopped'
    STARTING = 'starting'        # process and world model are being set up
    IDLE = 'idle'
    BUSY = 'busy'
    RESTARTING = 'restarting'    # it died; waiting before the next start
    FAILED = 'failed'            # model or robot cannot be set up, or a bug; the message says


class WorkerEvents(Protocol):
    """Told what happens, from the supervisor's thread; must not raise and should be quick."""

    def on_frame(self, job: Job, frame: Frame) -> None:
        """Take a frame; its arrays are valid during the call only."""

    def on_progress(self, job: Job, stage: str, step: int, total: int) -> None:
        """Take note of how far the job is."""

    def on_end(self, job: Job) -> None:
        """Take note that the job is over; `job.done` is set right after."""

    def on_state(self, state: WorkerState, message: str) -> None:
        """Take note of the worker's state."""
