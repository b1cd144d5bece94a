# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same run in the predicted and in the true world, side by side."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.policy.types import TaskOutcome

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


def decided(runs: Sequence[PairedRun]) -> list[PairedRun]:
    """Return the runs in which something was foreseen, and the truth is known."""
    return [run for run in runs if run.is_decided]


def by_policy(runs: Sequence[PairedRun]) -> dict[str, list[PairedRun]]:
    """Return the runs of each policy, in the order in which policies come."""
    found: dict[str, list[PairedRun]] = {}
    for run in runs:
        found.setdefault(run.policy, []).append(run)
    return found


class PairedRuns(list[PairedRun]):
    """
    Paired runs, and how many records are none of them.

    :param left_out: reason -> number of records; only those that there are.
    """

    def __init__(self, runs: Iterable[PairedRun] = (),
                 left_out: Mapping[str, int] | None = None) -> None:
        """Make a list of runs."""
        super().__init__(runs)
        self.left_out = {why: count for why, count in (left_out or {}).items() if count}


def pair(predicted: Sequence[RolloutRecord], true: Sequence[RolloutRecord]) -> PairedRuns:
    """
    Return the runs that both worlds have, by policy, start and seed.

    A run without a result, because something broke, is left out, and one that only one world has;
    `left_out` counts them.

    :raises PolicyError: there is none, or one of them is there twice.
    """
    tables = []
    for side in predicted, true:
        table = {(each.policy, each.start, each.seed): each for each in side if not each.error}
        if len(table) != sum(not each.error for each in side):
            raise PolicyError(f'a run of {side[0].world} is there twice: of each policy, start '
                              'and seed there may be one; compare one world with the truth')
        tables.append(table)
    said, was = tables
    found = [PairedRun(each.policy, each.task, each.start, each.seed, each.outcome,
                       was[key].outcome) for key, each in said.items() if key in was]
    left_out = {
        'predicted runs broke': len(predicted) - len(said), 'true runs broke': len(true) - len(was),
        'predicted runs have no true one': len(said.keys() - was.keys()),
        'true runs have no predicted one': len(was.keys() - said.keys())}
    if not found:
        raise PolicyError(f'none of {len(said)} predicted runs has a true one of the same policy, '
                          f'start and seed among {len(was)}')
    return PairedRuns(found, left_out)
