# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted outcomes of single runs against true ones: rates, bounds, bias, agreement, Brier."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.evaluation.policies.runs import by_policy, decided, PairedRun
from kinema4d_ros.evaluation.statistics import Rate

BINS = 5      # of a calibration curve


@dataclass(frozen=True)
class PredictedRate:
    """A predicted success rate: of the runs that were decided, and its bounds by all runs."""

    decided: Rate
    unsure: int

    @property
    def bounds(self) -> tuple[float, float]:
        """
        The rate with every UNSURE a failure, and with every UNSURE a success.

        These hold whatever became of those runs (worst-case bounds: Manski, Partial Identification
        of Probability Distributions, 2003).
        """
        tries = self.decided.tries + self.unsure
        if not tries:
            return 0.0, 1.0
        return self.decided.hits / tries, (self.decided.hits + self.unsure) / tries


@dataclass(frozen=True)
class CalibrationBin:
    """Runs whose predicted probability lies in one interval."""

    low: float
    high: float
    mean: float      # of the predicted probabilities, NaN without runs
    rate: Rate       # of true success


def true_rate(runs: Sequence[PairedRun]) -> Rate:
    """Return how often the task was solved in truth."""
    known = [run.true.success for run in runs if run.true.success is not None]
    return Rate(sum(known), len(known))


def predicted_rate(runs: Sequence[PairedRun]) -> PredictedRate:
    """Return how often success is foreseen."""
    said = [run.predicted.success for run in runs if run.predicted.success is not None]
    return PredictedRate(Rate(sum(said), len(said)), len(runs) - len(said))


def success_bias(runs: Sequence[PairedRun]) -> float:
    """Return the predicted success rate minus the true one, of the decided runs; NaN of none."""
    chosen = decided(runs)
    if not chosen:
        return math.nan
    return sum(int(bool(run.predicted.success)) - int(bool(run.true.success))
               for run in chosen) / len(chosen)


def agreement(runs: Sequence[PairedRun]) -> Rate:
    """Return how often what was foreseen came true, of the decided runs."""
    chosen = decided(runs)
    return Rate(sum(run.agrees for run in chosen), len(chosen))


def trivial_baseline(runs: Sequence[PairedRun]) -> Rate:
    """
    Return how often always saying the same, whatever is more frequent in truth, would be right.

    It is told the true rate of all runs together, which a predictor is not (the "no information
    rate" beside an accuracy: Kuhn, Building Predictive Models in R, J. Stat. Software 28, 2008).
    """
    chosen = decided(runs)
    solved = sum(bool(run.true.success) for run in chosen)
    return Rate(max(solved, len(chosen) - solved), len(chosen))


def baseline_by_policy(runs: Sequence[PairedRun]) -> Rate:
    """Return the same for one that is told the true rate of each policy: harder to beat."""
    parts = [trivial_baseline(of) for of in by_policy(runs).values()]
    return Rate(sum(part.hits for part in parts), sum(part.tries for part in parts))


def brier(runs: Sequence[PairedRun]) -> float:
    """
    Return the mean squared error of the predicted probabilities; NaN where none is known.

    0 is perfect, 0.25 what always saying 0.5 gets (Brier, Verification of Forecasts Expressed in
    Terms of Probability, Monthly Weather Review 78, 1950).
    """
    p, y = _probabilities(runs)
    return float(np.mean((p - y) ** 2)) if len(p) else math.nan


def calibration(runs: Sequence[PairedRun], bins: int = BINS) -> list[CalibrationBin]:
    """
    Return the calibration curve: for intervals of predicted probability, the true success rate.

    (Reliability diagram: Murphy and Winkler, J. Royal Statistical Society C 26, 1977.)
    """
    p, y = _probabilities(runs)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, p, 'right') - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        here = which == number
        found.append(CalibrationBin(
            float(edges[number]), float(edges[number + 1]),
            float(p[here].mean()) if here.any() else math.nan,
            Rate(int(y[here].sum()), int(here.sum()))))
    return found


@dataclass(frozen=True)
class NearMisses:
    """Near misses told from grasps and from everything else."""

    precision: Rate     # of those foreseen, how many were near misses
    recall: Rate        # of those that were near misses, how many were foreseen
    as_grasps: int      # near misses that were foreseen as grasps
    undecided: int      # runs of which one side knows nothing


def near_misses(runs: Sequence[PairedRun]) -> NearMisses:
    """Return how well near misses are foreseen, where both sides know about the grasp."""
    known, as_grasps = [], 0
    for run in runs:
        said, was = run.predicted.is_near_miss, run.true.is_near_miss
        if said is None or was is None:
            continue
        known.append((said, was))
        as_grasps += bool(was and run.predicted.grasped)
    hits = sum(said and was for said, was in known)
    return NearMisses(Rate(hits, sum(said for said, _ in known)),
                      Rate(hits, sum(was for _, was in known)), as_grasps, len(runs) - len(known))


def _probabilities(runs: Sequence[PairedRun]) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted probability and true outcome (N,) of the runs that have both."""
    rows = [(run.predicted.probability, bool(run.true.success)) for run in decided(runs)
            if math.isfinite(run.predicted.probability)]
    table = np.array(rows, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
