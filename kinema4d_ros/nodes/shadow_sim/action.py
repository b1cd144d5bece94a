# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The action server ~/precheck: a goal is one request, whose progress and end it tells."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge.motion import duration_message, duration_seconds
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest, RequestRunner
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import Goal
from kinema4d_ros.precheck.goals import load_rubric
from kinema4d_ros.types import FindingCode, Status
from kinema4d_ros.worker.job import JobOutcome

TIERS = frozenset((0, 1, 2))
LONGEST_DEADLINE = 86400.0  # [s] that a goal may have
_FEEDBACK_PERIOD = 0.1      # [s] at least between two feedbacks of the same stage
_BREATH = 0.001             # [s] between looks whether it has
_CANCEL_NOTED = 1.0         # [s] that rclpy gets to note a cancellation that it reported
_BY_CLIENT = 'cancelled by the client'
_RESULT_TIMEOUT = 60        # [s] a result is kept for a client that asks late
_ERRORS = {JobOutcome.REPLACED: Precheck.Result.PREEMPTED,
           JobOutcome.CANCELLED: Precheck.Result.CANCELLED,
           JobOutcome.DEADLINE: Precheck.Result.DEADLINE_EXCEEDED,
           JobOutcome.FAILED: Precheck.Result.MODEL_FAILED}


class _DeferredActionServer(ActionServer):
    """An action server whose goals are executed elsewhere, so that no thread waits for them."""

    def __init__(self, *args: Any, begin: Callable[[ServerGoalHandle], None], **more: Any):
        """Call `begin` with each goal, in an executor thread, once it is being executed."""
        self._begin = begin
        super().__init__(*args, execute_callback=lambda _: None, **more)

    def notify_execute(self, goal_handle: ServerGoalHandle, execute_callback: Any) -> None:
        """Begin a goal, where rclpy would have an executor thread wait for its end."""
        self._begin(goal_handle)

    def finish(self, goal_handle: ServerGoalHandle, end: Callable[[Any], Any]) -> None:
        """Have an executor thread set a goal's end and send the result; from any thread."""
        if self._node.executor is not None:      # it is none when the node ends
            super().notify_execute(goal_handle, end)


class PrecheckAction:
    """
    Serves ~/precheck.

    A goal that cannot be served is accepted and then aborted, since only that carries a reason
    to the client. The runner's thread works on it; when it has the answer, an executor thread
    sends it.
    """

    def __init__(self, node: Node, runner: RequestRunner, settings: Callable[[], ShadowSimSettings],
                 is_active: Callable[[], bool]):
        """
        Start serving.

        :param settings: returns the settings as they are now.
        """
        self._runner, self._settings, self._is_active = runner, settings, is_active
        self._requests: dict[bytes, PrecheckRequest] = {}      # by the ids of their goals
        self._server = _DeferredActionServer(
            node, Precheck, '~/precheck', begin=self._begin, cancel_callback=self._on_cancel,
            callback_group=ReentrantCallbackGroup(), result_timeout=_RESULT_TIMEOUT)

    def close(self) -> None:
        """Stop serving."""
        self._server.destroy()

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        request = self._requests.get(bytes(goal.goal_id.uuid))
        if request is not None:
            request.stop(JobOutcome.CANCELLED, _BY_CLIENT)
        return CancelResponse.ACCEPT

    def _begin(self, goal: ServerGoalHandle) -> None:
        settings = self._settings()
        purpose = self._purpose_or_refusal(goal.request, settings)
        if isinstance(purpose, tuple):
            code, text = purpose

            def refuse(goal: ServerGoalHandle) -> Precheck.Result:
                goal.abort()
                return Precheck.Result(error_code=code, error_msg=text)

            self._server.finish(goal, refuse)
            return
        told_stage, told_at = '', 0.0

        def tell(request: PrecheckRequest, stage: str, step: int, total: int) -> None:
            nonlocal told_stage, told_at
            now = time.monotonic()
            if stage == told_stage and now - told_at < _FEEDBACK_PERIOD and step < total:
                return
            told_stage, told_at = stage, now
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

        deadline = duration_seconds(goal.request.deadline) or settings.values['deadline']
        request = PrecheckRequest(
            goal.request.candidates, deadline=deadline,
            tiers=goal.request.tiers, goal=purpose, on_progress=tell,
            on_answer=lambda: self._server.finish(goal, lambda goal: self._end(goal, request)))
        self._requests[bytes(goal.goal_id.uuid)] = request
        if goal.is_cancel_requested:      # before it was begun
            request.stop(JobOutcome.CANCELLED, _BY_CLIENT)
        self._runner.submit(request)

    def _purpose_or_refusal(self, wanted: Precheck.Goal, settings: ShadowSimSettings
                            ) -> Goal | tuple[int, str] | None:
        """Return what a goal is to achieve; error code and text where it cannot be served."""
        if not self._is_active():
            return Precheck.Result.NOT_ACTIVE, 'the node is not active; activate it first'
        if not wanted.candidates:
            return Precheck.Result.INVALID_GOAL, 'the goal has no candidate trajectory'
        deadline = duration_seconds(wanted.deadline)
        if not 0.0 <= deadline <= LONGEST_DEADLINE:
            return (Precheck.Result.INVALID_GOAL,
                    f'the deadline is {deadline} s, valid: 0 (the parameter deadline) to '
                    f'{LONGEST_DEADLINE} s')
        if not set(wanted.tiers) <= TIERS:
            return (Precheck.Result.INVALID_GOAL,
                    f'tiers {sorted(set(wanted.tiers) - TIERS)} are not available; '
                    f'available: {sorted(TIERS)}')
        if wanted.goal_rubric in ('', settings.values['goal_rubric']):
            return settings.goal
        try:
            return load_rubric(wanted.goal_rubric, settings.values['rubric_dir'])
        except ConfigurationError as error:
            return Precheck.Result.INVALID_GOAL, str(error)

    def _end(self, goal: ServerGoalHandle, request: PrecheckRequest) -> Precheck.Result:
        """Set the goal's end and return its result."""
        self._requests.pop(bytes(goal.goal_id.uuid), None)
        result = Precheck.Result(verdicts=request.messages, ranking=request.ranking)
        if request.complaint is not None:
            outcome, result.error_msg = request.complaint
            result.error_code = _ERRORS[outcome]
        elif len(request.messages) != len(request.candidates):
            result.error_code = Precheck.Result.MODEL_FAILED
            result.error_msg = (f'{len(request.messages)} of {len(request.candidates)} candidates '
                                'were judged; the log of shadow_sim tells why')
        elif missing := _missing(request):
            result.error_code, result.error_msg = Precheck.Result.NOT_READY, missing
        if request.outcome is JobOutcome.CANCELLED and request.reason == _BY_CLIENT:
            # The request was stopped from within the cancel callback, and may have ended before
            # rclpy, right after it, notes that the goal is being cancelled.
            until = time.monotonic() + _CANCEL_NOTED
            while not goal.is_cancel_requested and time.monotonic() < until:
                time.sleep(_BREATH)
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.error_code != Precheck.Result.NONE:
            goal.abort()
        else:
            goal.succeed()
        return result


def _missing(request: PrecheckRequest) -> str:
    """Return which input a verdict is UNSURE for want of, '' when there is none."""
    return next((finding.message for verdict in request.verdicts
                 if verdict.status is Status.UNSURE for finding in verdict.findings
                 if finding.code is FindingCode.MISSING_INPUT), '')
