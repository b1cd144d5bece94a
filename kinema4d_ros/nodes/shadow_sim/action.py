# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The action server ~/precheck: a goal is one request, whose progress and end it tells."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge.motion import duration_message, duration_seconds
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.requests import Request, RequestRunner
from kinema4d_ros.precheck.rubrics import load_rubric
from kinema4d_ros.types import FindingCode, Status
from kinema4d_ros.worker.job import Outcome

TIERS = frozenset((0, 1, 2))
LONGEST_DEADLINE = 86400.0  # [s] that a goal may have
_FEEDBACK_PERIOD = 0.1      # [s] at least between two feedbacks of the same stage
_CANCEL_POLL = 0.02         # [s] between looks whether the client cancelled
_RESULT_TIMEOUT = 60        # [s] a result is kept for a client that asks late
_ERRORS = {Outcome.REPLACED: Precheck.Result.PREEMPTED,
           Outcome.CANCELLED: Precheck.Result.CANCELLED,
           Outcome.DEADLINE: Precheck.Result.DEADLINE_EXCEEDED,
           Outcome.FAILED: Precheck.Result.MODEL_FAILED}


class PrecheckAction:
    """
    Serves ~/precheck.

    A goal that cannot be served is accepted and then aborted, since only that carries a reason
    to the client. An execute callback waits in an executor thread; the runner's thread works, and
    ends older goals at once when a newer comes, so no more than two threads ever wait.
    """

    def __init__(self, node, runner: RequestRunner, snapshot: Callable[[], Mapping[str, Any]],
                 is_active: Callable[[], bool]):
        """Start serving."""
        self._runner, self._snapshot, self._is_active = runner, snapshot, is_active
        self._server = ActionServer(
            node, Precheck, '~/precheck', self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(), result_timeout=_RESULT_TIMEOUT)

    def close(self) -> None:
        """Stop serving."""
        self._server.destroy()

    def _execute(self, goal) -> Precheck.Result:
        complaint = self._complaint(goal.request)
        if complaint is not None:
            goal.abort()
            return Precheck.Result(error_code=complaint[0], error_msg=complaint[1])
        told = {'stage': '', 'at': 0.0}

        def tell(request: Request, stage: str, step: int, total: int) -> None:
            now = time.monotonic()
            if stage == told['stage'] and now - told['at'] < _FEEDBACK_PERIOD and step < total:
                return
            told.update(stage=stage, at=now)
            elapsed = now - request.started
            feedback = Precheck.Feedback(stage=stage, step=step, total=total,
                                         elapsed=duration_message(elapsed))
            if 0 < step <= total:
                feedback.has_eta = True
                feedback.eta = duration_message(elapsed * (total - step) / step)
            if request.provisional is not None:
                feedback.provisional = request.provisional
            if goal.is_active:
                goal.publish_feedback(feedback)

        deadline = duration_seconds(goal.request.deadline) or self._snapshot()['deadline']
        request = Request(goal.request.candidates, deadline=deadline, tiers=goal.request.tiers,
                          goal_rubric=goal.request.goal_rubric, on_progress=tell)
        self._runner.submit(request)
        # Not stopped from the cancel callback: the goal could then end before rclpy has noted that
        # it is being cancelled, and the client would be told that nothing was.
        while not request.answered.wait(_CANCEL_POLL):
            if goal.is_cancel_requested:
                request.stop(Outcome.CANCELLED, 'cancelled by the client')
        return self._finish(goal, request)

    def _complaint(self, wanted) -> tuple[int, str] | None:
        """Return error code and text for a goal that cannot be served."""
        if not self._is_active():
            return Precheck.Result.NOT_ACTIVE, 'the node is not active; activate it first'
        if not wanted.candidates:
            return Precheck.Result.INVALID_GOAL, 'the goal has no candidate trajectory'
        try:
            load_rubric(wanted.goal_rubric, self._snapshot()['rubric_dir'])
        except ConfigurationError as error:
            return Precheck.Result.INVALID_GOAL, str(error)
        deadline = duration_seconds(wanted.deadline)
        if not 0.0 <= deadline <= LONGEST_DEADLINE:
            return (Precheck.Result.INVALID_GOAL,
                    f'the deadline is {deadline} s, valid: 0 (the parameter deadline) to '
                    f'{LONGEST_DEADLINE} s')
        if not set(wanted.tiers) <= TIERS:
            return (Precheck.Result.INVALID_GOAL,
                    f'tiers {sorted(set(wanted.tiers) - TIERS)} are not available; '
                    f'available: {sorted(TIERS)}')
        return None

    @staticmethod
    def _finish(goal, request: Request) -> Precheck.Result:
        """Set the goal's end and return its result."""
        result = Precheck.Result(verdicts=request.messages, ranking=request.ranking)
        if request.complaint is not None:
            outcome, result.error_msg = request.complaint
            result.error_code = _ERRORS[outcome]
        elif missing := _missing(request):
            result.error_code, result.error_msg = Precheck.Result.NOT_READY, missing
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.error_code != Precheck.Result.NONE:
            goal.abort()
        else:
            goal.succeed()
        return result


def _missing(request: Request) -> str:
    """Return which input a verdict is UNSURE for want of, '' when there is none."""
    return next((finding.message for verdict in request.verdicts
                 if verdict.status is Status.UNSURE for finding in verdict.findings
                 if finding.code is FindingCode.MISSING_INPUT), '')

