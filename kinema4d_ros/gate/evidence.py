# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worst verdict so far on each rollout."""
from __future__ import annotations

from kinema4d_ros.gate.request import ShadowSimAnswer
from kinema4d_ros.types import FindingCode, Severity, Status, Verdict

_REMEMBERED = 256    # rollouts


class EvidenceMemory:
    """
    Remembers what is known of a rollout and trajectory, where that is no PASS.

    A verdict can be published before the answer to a question comes, and one that passed can be
    taken back by a later tier.
    """

    def __init__(self) -> None:
        """Make an empty memory."""
        self._known: dict[tuple[str, str], ShadowSimAnswer] = {}

    def note(self, answer: ShadowSimAnswer) -> bool:
        """Return whether an answer is worse than what was known of its rollout; remember it."""
        key = _key(answer)
        known = self._known.get(key)
        if badness(answer) <= (0 if known is None else badness(known)):
            return False
        if answer.rollout_id:
            self._known[key] = answer
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return True

    def worst(self, answer: ShadowSimAnswer) -> ShadowSimAnswer:
        """Return this answer, or a worse one that is known of the same rollout."""
        known = self._known.get(_key(answer))
        return known if known is not None and badness(known) > badness(answer) else answer


def _key(answer: ShadowSimAnswer) -> tuple[str, str]:
    """Return what the verdict is on; the rollout is '' where that is unknown."""
    digest = '' if answer.verdict is None else answer.verdict.trajectory_hash
    return answer.rollout_id, digest


def badness(answer: ShadowSimAnswer) -> int:
    """
    Return how bad a verdict is: PASS or none 0, UNSURE 1, FAIL more.

    A FAIL for the start state alone is less than another: it says nothing against a motion that
    has left its start, and must not hide a FAIL that does.
    """
    if answer.verdict is None or answer.verdict.status == Status.PASS:
        return 0
    if answer.verdict.status == Status.UNSURE:
        return 1
    return 2 if is_only_about_start(answer.verdict) else 3


def is_only_about_start(verdict: Verdict) -> bool:
    """Return whether a FAIL says no more than that the robot is not where the motion starts."""
    fails = {finding.code for finding in verdict.findings if finding.severity == Severity.FAIL}
    return fails == {FindingCode.START_STATE}
