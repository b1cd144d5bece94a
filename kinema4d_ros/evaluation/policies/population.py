# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which runs the figures are of, and what they were if every UNSURE were decided one way."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.evaluation.policies import outcomes, ranking
from kinema4d_ros.evaluation.policies.runs import by_policy, decided, PairedRun, PairedRuns
from kinema4d_ros.evaluation.statistics import Rate


@dataclass(frozen=True)
class Filled:
    """Figures of all runs whose truth is known, each UNSURE taken for the same outcome."""

    success_bias: float
    agreement: Rate
    pearson_r: float
    mmrv: float
    policies: int       # in r and MMRV

    @classmethod
    def of(cls, runs: Sequence[PairedRun], *, success: bool) -> Filled:
        """Take every UNSURE for a success, or for a failure."""
        full = [run if run.predicted.success is not None else dataclasses.replace(
            run, predicted=dataclasses.replace(run.predicted, success=success)) for run in runs]
        return cls(outcomes.success_bias(full), outcomes.agreement(full),
                   ranking.correlation(full), ranking.rank_violation(full),
                   len(by_policy(decided(full))))


def population(runs: Sequence[PairedRun]) -> dict[str, Any]:
    """Return by name what is left out of the figures, and the figures that leave nothing out."""
    names = by_policy(runs)
    return {
        'left_out': runs.left_out if isinstance(runs, PairedRuns) else {},
        'truth_unknown': sum(run.true.success is None for run in runs),
        'undecided_policies': [name for name, of in names.items() if not decided(of)],
        'unsure_as_failure': Filled.of(runs, success=False),
        'unsure_as_success': Filled.of(runs, success=True)}


def left_out_text(figures: Any) -> str:
    """Return in sentences what is left out of figures; '' where nothing is."""
    said = []
    if figures['left_out']:
        said.append('Not compared: ' + ', '.join(
            f'{count} {why}' for why, count in figures['left_out'].items()) + '.')
    if figures['truth_unknown']:
        said.append(f'Of {figures["truth_unknown"]} runs the truth is unknown.')
    if figures['undecided_policies']:
        said.append(f'{len(figures["undecided_policies"])} of {figures["policies"]} policies have '
                    'no decided run, so that r and MMRV say nothing of them: '
                    f'{", ".join(figures["undecided_policies"])}.')
    return ' '.join(said)
