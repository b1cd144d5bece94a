# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether trajectories come too quickly for predictions, which then wait for a pause."""
from __future__ import annotations

import time

from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.worker.job import Job, JobOutcome

_PAUSE = 1.5          # periods of the stream without a newer trajectory
_LONGEST = 1.0        # [s] after it came that a prediction begins in any case
_RETRY = 5.0          # [s] without a prediction: the stream may have become slow enough for one
_ENOUGH = 0.5         # of a prediction's frames, for it to have been worth its while


class PredictionPace:
    """
    Keeps predictions from being begun of which nobody would see much.

    A policy that sends a trajectory every 0.2 s replaces each prediction at its first frames:
    half a core then works for nothing, beside the checks that the robot waits for. Once one has
    not shown half of its frames, the next prediction begins when the stream pauses, or every
    `_RETRY` s all the same. As soon as one does, predictions begin at once again. What a verdict
    rests on never waits for this.
    """

    def __init__(self) -> None:
        """Begin without a stream."""
        self._came = float('-inf')      # [s] when the newest request came
        self._period = 0.0              # [s] between it and the one before
        self._is_hurried = False        # the last prediction was replaced too early
        self._began = float('-inf')     # [s] when that began

    def wait(self, request: PrecheckRequest, *, is_judged: bool) -> bool:
        """
        Wait for a pause where one is needed; return whether the request still stands.

        :param request: whose prediction is to begin; of each, in order.
        :param is_judged: a verdict rests on it, be it a second one: then it begins at once.
        """
        if request.started > self._came:
            self._period, self._came = request.started - self._came, request.started
        left = 0.0
        if not self.begins_at_once(request, is_judged=is_judged):
            pause = min(_PAUSE * self._period, _LONGEST)
            left = max(0.0, request.started + pause - time.monotonic())
        if request.stopped.wait(left):
            return False
        self._began = time.monotonic()
        return True

    def begins_at_once(self, request: PrecheckRequest, *, is_judged: bool) -> bool:
        """Return whether a request's prediction has nothing to wait for; see `wait`."""
        return not self._is_hurried or not request.is_streamed or is_judged \
            or time.monotonic() - self._began >= _RETRY

    def note(self, job: Job, frames: int) -> None:
        """Note what became of a prediction, which was to have so many frames."""
        self._is_hurried = job.outcome is JobOutcome.REPLACED and job.frames < _ENOUGH * frames
