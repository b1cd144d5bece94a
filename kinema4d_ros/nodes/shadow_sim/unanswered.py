# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong in judging a request, every trajectory of it gets a final verdict."""
from __future__ import annotations

import traceback
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict
from kinema4d_ros.worker.job import JobOutcome


def always_answered(judge: Callable[[PrecheckRequest], None], outputs: Outputs,
                    logger: RcutilsLogger) -> Callable[[PrecheckRequest], None]:
    """
    Return `judge` with this added: what it leaves without a final verdict is UNSURE.

    Who waits on a topic waits for ever otherwise, and who heard a PASS that was to be confirmed
    would go on believing it.
    """
    def judged(request: PrecheckRequest) -> None:
        try:
            judge(request)
            return
        except Exception as error:
            logger.error(traceback.format_exc())
            reason = f'internal error: {type(error).__name__}: {error}'
        request.fail(JobOutcome.FAILED, reason)
        for index in range(len(request.candidates)):
            if index < len(request.verdicts) and request.verdicts[index].final:
                continue
            verdict = Verdict(
                Status.UNSURE, reason,
                (Finding(FindingCode.NOT_CHECKED, Severity.UNSURE, reason),),
                trajectory_hash=_hash(request, index))
            message = outputs.verdict_message(verdict, rollout_id=request.rollout_id(index),
                                              lifetime=0.0, root_link='')
            if index == len(request.verdicts):
                request.verdicts.append(verdict)
                request.messages.append(message)
            outputs.publish_verdict(message)
        if not request.answered.is_set():
            request.answer(list(range(len(request.verdicts))))
    return judged


def _hash(request: PrecheckRequest, index: int) -> str:
    """Return the hash of a candidate; '' for one that cannot be read."""
    try:
        return trajectory_hash(trajectory_from_message(request.candidates[index]))
    except Kinema4DError:
        return ''
