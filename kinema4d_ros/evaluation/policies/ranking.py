# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether predicted success rates put policies in the true order."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.evaluation.policies.outcomes import success_bias
from kinema4d_ros.evaluation.policies.runs import by_policy, decided, PairedRun

SAMPLES = 2000      # of a bootstrap
LEAST_DECIDED = 0.25     # share of a policy's runs, for its rate to say what place it takes


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as people read it."""
        return f'{self.value:.3f} ({self.low:.3f} to {self.high:.3f})'


def pearson(true: Sequence[float], predicted: Sequence[float]) -> float:
    """
    Return Pearson's correlation of two success rates over policies; NaN where one is constant.

    (Pearson 1895; over policies as in Li et al., Evaluating Real-World Robot Manipulation Policies
    in Simulation, arXiv:2405.05941.)
    """
    r, s = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if len(r) < 2 or not (np.ptp(r) > 0 and np.ptp(s) > 0):
        return math.nan
    return float(np.corrcoef(r, s)[0, 1])


def mmrv(true: Sequence[float], predicted: Sequence[float]) -> float:
    """
    Return the mean maximum rank violation of predicted success rates; 0 where the order is right.

    For each policy the largest difference in true rate to another with which it is ranked the
    wrong way round, averaged over policies (Li et al., arXiv:2405.05941, section 4).
    """
    r, s = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if not len(r):
        return math.nan
    wrong = (s[:, None] < s[None]) != (r[:, None] < r[None])
    return float((np.abs(r[:, None] - r[None]) * wrong).max(axis=1).mean())


def rates(runs: Sequence[PairedRun]) -> tuple[list[float], list[float]]:
    """Return true and predicted success rate of each policy, of its decided runs."""
    chosen = [decided(of) for of in by_policy(runs).values()]
    chosen = [of for of in chosen if of]
    return ([sum(bool(run.true.success) for run in of) / len(of) for of in chosen],
            [sum(bool(run.predicted.success) for run in of) / len(of) for of in chosen])


def ranked(runs: Sequence[PairedRun]) -> list[PairedRun]:
    """
    Return the runs of the policies that are ranked.

    A policy of which less than `LEAST_DECIDED` of the runs are decided has no place: the few that
    are left say nothing of it.
    """
    return [run for of in by_policy(runs).values()
            if len(decided(of)) >= LEAST_DECIDED * len(of) for run in of]


def correlation(runs: Sequence[PairedRun]) -> float:
    """Return Pearson's r over the policies."""
    return pearson(*rates(runs))


def rank_violation(runs: Sequence[PairedRun]) -> float:
    """Return MMRV over the policies."""
    return mmrv(*rates(runs))


def bootstrap(runs: Sequence[PairedRun], figure: Callable[[Sequence[PairedRun]], float], *,
              samples: int = SAMPLES, seed: int = 0) -> Estimate:
    """
    Return a figure of runs with its percentile interval over resampled runs.

    Runs are drawn with replacement within each policy, so that each keeps its number of runs
    (stratified bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13). Samples in which the figure is not defined are left out.
    """
    random = np.random.default_rng(seed)
    groups = list(by_policy(decided(runs)).values())
    values = []
    for _ in range(samples):
        drawn = [of[i] for of in groups for i in random.integers(0, len(of), len(of))]
        values.append(figure(drawn))
    known = [value for value in values if not math.isnan(value)]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (math.nan, math.nan)
    return Estimate(figure(runs), float(low), float(high))


def ranking(runs: Sequence[PairedRun], *, samples: int = SAMPLES) -> dict[str, Estimate]:
    """Return Pearson's r and MMRV of the `ranked`, and bias of the success rate, with intervals."""
    placed = ranked(runs)
    return {'pearson_r': bootstrap(placed, correlation, samples=samples),
            'mmrv': bootstrap(placed, rank_violation, samples=samples),
            'success_bias': bootstrap(runs, success_bias, samples=samples)}
