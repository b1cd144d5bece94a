# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same run in the predicted and in the true world, side by side."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kinema4d_ros.policy.types import TaskOutcome

NEAR = 0.02      # [m] a gripper that closes within this and grasps nothing has nearly missed


@dataclass(frozen=True)
class PairedRun:
    """
    One run of a policy from one start, predicted and true.

    :param start: name of the initial state; runs of several policies from one are matched.
    """

    policy: str
    task: str
    start: str
    seed: int
    predicted: TaskOutcome
    true: TaskOutcome

    @property
    def is_decided(self) -> bool:
        """Whether success or failure was foreseen, and the truth is known."""
        return self.predicted.success is not None and self.true.success is not None

    @property
    def agrees(self) -> bool:
        """Whether what was foreseen came true."""
        return self.is_decided and self.predicted.success == self.true.success


def is_near_miss(outcome: TaskOutcome) -> bool | None:
    """Return whether the fingers closed within 2 cm of the object and lifted nothing; or None."""
    if outcome.grasped is None:
        return None
    return not outcome.grasped and outcome.gap_at_closing <= NEAR


def decided(runs: Sequence[PairedRun]) -> list[PairedRun]:
    """Return the runs in which something was foreseen, and the truth is known."""
    return [run for run in runs if run.is_decided]


def by_policy(runs: Sequence[PairedRun]) -> dict[str, list[PairedRun]]:
    """Return the runs of each policy, in the order in which policies come."""
    found: dict[str, list[PairedRun]] = {}
    for run in runs:
        found.setdefault(run.policy, []).append(run)
    return found
