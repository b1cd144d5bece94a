# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The action server ~/precheck: a goal is one request, whose progress and end it reports."""
from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from rclpy.action import CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge.deferred_action_server import DeferredActionServer
from kinema4d_ros.bridge.group_thread import GroupThread
from kinema4d_ros.bridge.motion import duration_message, duration_seconds
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest, RequestRunner
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import Goal
from kinema4d_ros.types import FindingCode, Status
from kinema4d_ros.worker.job import JobOutcome

TIERS = frozenset((0, 1, 2))
LONGEST_DEADLINE = 86400.0  # [s] that a goal may have
_FEEDBACK_PERIOD = 0.1      # [s] at least between two feedbacks of the same stage
_SEND = 0.05                # [s] that an answer gets to go out before anything else is done
_BY_CLIENT = 'cancelled by the client'
_RESULT_TIMEOUT = 60        # [s] a result is kept for a client that asks late
#: findings that say the world, and not the goal, stands in the way
_NOT_READY = (FindingCode.MISSING_INPUT, FindingCode.CONTRADICTION, FindingCode.ROBOT_STATE)
_ERRORS = {JobOutcome.REPLACED: Precheck.Result.PREEMPTED,
           JobOutcome.CANCELLED: Precheck.Result.CANCELLED,
           JobOutcome.DEADLINE: Precheck.Result.DEADLINE_EXCEEDED,
           JobOutcome.FAILED: Precheck.Result.MODEL_FAILED}


class _GoalRefused(Exception):  # noqa: N818 - an outcome that the client is sent, not an error
    """A goal cannot be served; `code` is one of the error codes of Precheck.Result."""

    def __init__(self, code: int, reason: str):
        """Take the error code and the text that the client is sent."""
        super().__init__(reason)
        self.code = code


class PrecheckAction:
    """
    Serves ~/precheck.

    A goal that cannot be served is accepted and then aborted, since only that carries a reason
    to the client. The runner's thread works on it; when it has the answer, the thread that serves
    the action sends it, whatever else the node has to do.
    """

    def __init__(self, node: Node, runner: RequestRunner, settings: Callable[[], ShadowSimSettings],
                 is_active: Callable[[], bool]):
        """
        Offer the action ~/precheck.

        :param settings: returns the settings as they are now.
        """
        self._runner, self._settings, self._is_active = runner, settings, is_active
        self._log_error = node.get_logger().error
        self._requests: dict[bytes, PrecheckRequest] = {}      # by the ids of their goals
        self._thread = GroupThread(node)
        self._server = DeferredActionServer(
            node, Precheck, '~/precheck', begin=self._begin, cancel_callback=self._on_cancel,
            thread=self._thread, result_timeout=_RESULT_TIMEOUT)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._thread.close()
        self._server.destroy()

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        request = self._requests.get(bytes(goal.goal_id.uuid))
        if request is not None:
            request.stop(JobOutcome.CANCELLED, _BY_CLIENT)
        return CancelResponse.ACCEPT

    def _begin(self, goal: ServerGoalHandle) -> None:
        try:
            self._submit(goal)
        except Exception as error:     # a goal must not end the node; its client is told
            text = f'internal error: {type(error).__name__}: {error}'
            self._log_error(traceback.format_exc())
            self._requests.pop(bytes(goal.goal_id.uuid), None)
            self._refuse(goal, Precheck.Result.UNKNOWN, text)

    def _refuse(self, goal: ServerGoalHandle, code: int, text: str) -> None:
        def refuse(goal: ServerGoalHandle) -> Precheck.Result:
            goal.abort()
            return Precheck.Result(error_code=code, error_msg=text)

        self._server.finish(goal, refuse)

    def _submit(self, goal: ServerGoalHandle) -> None:
        settings = self._settings()
        try:
            purpose = self._purpose(goal.request, settings)
        except _GoalRefused as refused:
            self._refuse(goal, refused.code, str(refused))
            return
        last_stage, last_at = '', 0.0

        def publish_progress(request: PrecheckRequest, stage: str, step: int, total: int) -> None:
            nonlocal last_stage, last_at
            if (provisional := request.provisional) is None:
                return      # a check may begin before it is there, and an empty one would say PASS
            now = time.monotonic()
            if stage == last_stage and now - last_at < _FEEDBACK_PERIOD and step < total:
                return
            last_stage, last_at = stage, now
            elapsed = now - request.started
            feedback = Precheck.Feedback(stage=stage, step=step, total=total,
                                         elapsed=duration_message(elapsed),
                                         provisional=provisional)
            if 0 < step <= total:
                feedback.has_eta = True
                feedback.eta = duration_message(elapsed * (total - step) / step)
            if goal.is_active:
                goal.publish_feedback(feedback)

        deadline = duration_seconds(goal.request.deadline) or settings.values['deadline']
        request = PrecheckRequest(
            goal.request.candidates, deadline=deadline,
            tiers=goal.request.tiers, goal=purpose, on_progress=publish_progress,
            on_answer=lambda: self._send_answer(goal, request))
        self._requests[bytes(goal.goal_id.uuid)] = request
        if goal.is_cancel_requested:      # before it was begun
            request.stop(JobOutcome.CANCELLED, _BY_CLIENT)
        self._runner.submit(request)

    def _send_answer(self, goal: ServerGoalHandle, request: PrecheckRequest) -> None:
        """
        Have the answer sent, and let it go first.

        Who has it goes on to show it to people; the thread that sends it would get the interpreter
        only in turn with that, and a robot waits.
        """
        sent = threading.Event()
        self._server.finish(goal, lambda goal: self._end(goal, request), sent.set)
        if not self._thread.is_current:
            sent.wait(_SEND)

    def _purpose(self, wanted: Precheck.Goal, settings: ShadowSimSettings) -> Goal | None:
        """
        Return what the motion of a goal is to achieve, None for nothing in particular.

        :raises _GoalRefused: the goal cannot be served.
        """
        if not self._is_active():
            raise _GoalRefused(Precheck.Result.NOT_ACTIVE,
                               'the node is not active; activate it first')
        if not wanted.candidates:
            raise _GoalRefused(Precheck.Result.INVALID_GOAL,
                               'the goal has no candidate trajectory')
        deadline = duration_seconds(wanted.deadline)
        if not 0.0 <= deadline <= LONGEST_DEADLINE:
            raise _GoalRefused(Precheck.Result.INVALID_GOAL,
                               f'the deadline is {deadline} s, valid: 0 (the parameter deadline) '
                               f'to {LONGEST_DEADLINE} s')
        if not set(wanted.tiers) <= TIERS:
            raise _GoalRefused(Precheck.Result.INVALID_GOAL,
                               f'tiers {sorted(set(wanted.tiers) - TIERS)} are not available; '
                               f'available: {sorted(TIERS)}')
        try:
            return settings.goal_of(wanted.goal_rubric)
        except ConfigurationError as error:
            raise _GoalRefused(Precheck.Result.INVALID_GOAL, str(error)) from error

    def _end(self, goal: ServerGoalHandle, request: PrecheckRequest) -> Precheck.Result:
        """Set the goal's end and return its result."""
        self._requests.pop(bytes(goal.goal_id.uuid), None)
        result = Precheck.Result(verdicts=request.messages, ranking=request.ranking)
        if request.answer_error is not None:
            outcome, result.error_msg = request.answer_error
            result.error_code = _ERRORS[outcome]
        elif len(request.messages) != len(request.candidates):
            result.error_code = Precheck.Result.MODEL_FAILED
            result.error_msg = (f'{len(request.messages)} of {len(request.candidates)} candidates '
                                'were judged; the log of shadow_sim says why')
        elif why := _why_not_ready(request):
            result.error_code, result.error_msg = Precheck.Result.NOT_READY, why
        # Where a cancel's callback stopped the request, rclpy has noted the cancel by now: both are
        # of the one thread.
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.error_code != Precheck.Result.NONE:
            goal.abort()
        else:
            goal.succeed()
        return result


def _why_not_ready(request: PrecheckRequest) -> str | None:
    """Return which input is missing or contradicted, or why the robot is not ready, if it is."""
    return next((finding.message for verdict in request.verdicts
                 if verdict.status is Status.UNSURE for finding in verdict.findings
                 if finding.code in _NOT_READY), None)
