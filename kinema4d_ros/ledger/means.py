# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Means of few real and many predicted runs, for each world model and robot or policy by itself."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.evaluation.ppi import MeanEstimate, mixed_mean
from kinema4d_ros.ledger.entry import LedgerEntry, Origin

#: quantity -> fields of what was predicted and of the truth, and bounds
_QUANTITIES: dict[str, tuple[str, str, tuple[float, float] | None]] = {
    'success': ('predicted_success', 'success', (0.0, 1.0)),
    'held at the end': ('predicted_held', 'seen_held', (0.0, 1.0)),
    'least clearance [m]': ('predicted_clearance', 'seen_clearance', None)}


@dataclass(frozen=True)
class MixedMean:
    """A mean over the runs of one robot or policy of which one world model predicted something."""

    quantity: str
    robot: str              # or the policy
    world_model: str        # '' where none ran
    tasks: int              # that are in it
    estimate: MeanEstimate
    unsure: int             # runs left out because nothing was predicted of the quantity
    unsure_with_truth: int  # of these, those whose truth is known

    def __str__(self) -> str:
        """Return it as people read it."""
        said = (f'{self.quantity}, {self.robot or "no name"}, predicted by '
                f'{self.world_model or "no world model"}: {self.estimate}')
        if self.tasks > 1:
            said += f', over {self.tasks} tasks'
        if self.unsure:
            said += (f'; not in it: {self.unsure} runs of which it was not predicted, '
                     f'{self.unsure_with_truth} of them with a known truth')
        return said

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {'quantity': self.quantity, 'robot': self.robot, 'world_model': self.world_model,
                'tasks': self.tasks, **self.estimate.as_dict(), 'not_predicted': self.unsure,
                'not_predicted_with_truth': self.unsure_with_truth}


def mixed_means(entries: Sequence[LedgerEntry]) -> tuple[MixedMean, ...]:
    """
    Return the means that few real and many predicted runs tell together.

    Each is of one quantity, one world model and one robot or policy: others have other means, and
    a truth that two world models predicted would count twice. The mean is of the runs of which the
    quantity was predicted; the others are counted beside it.
    """
    groups: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.robot, entry.world_model), []).append(entry)
    return tuple(mean for name in _QUANTITIES for key in sorted(groups)
                 if (mean := _mean(name, groups[key])) is not None)


def _mean(quantity: str, entries: Sequence[LedgerEntry]) -> MixedMean | None:
    """Return the mean of one group; None where fewer than two are real or none is predicted."""
    predicted, truth, bounds = _QUANTITIES[quantity]
    both, alone, unsure = list[LedgerEntry](), list[LedgerEntry](), list[bool]()
    for entry in entries:
        is_known = getattr(entry, truth) is not None and entry.origin != Origin.PREDICTED
        if getattr(entry, predicted) is None:
            unsure.append(is_known)
        else:
            (both if is_known else alone).append(entry)
    if len(both) < 2 or not alone:
        return None
    estimate = mixed_mean(
        [float(getattr(entry, truth)) for entry in both],
        [float(getattr(entry, predicted)) for entry in both],
        [float(getattr(entry, predicted)) for entry in alone], bounds=bounds)
    return MixedMean(quantity, both[0].robot, both[0].world_model,
                     len({entry.task for entry in both + alone}), estimate,
                     len(unsure), sum(unsure))
