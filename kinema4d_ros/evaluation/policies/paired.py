# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two policies on the same starts, and how often a policy solves a task every time."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import binom

from kinema4d_ros.evaluation.policies.runs import decided, PairedRun


@dataclass(frozen=True)
class MatchedComparison:
    """Two policies from the same starts."""

    first: str
    second: str
    starts: int        # that both have
    first_only: int    # of these, solved by the first alone
    second_only: int

    @property
    def difference(self) -> float:
        """Success rate of the first minus that of the second; NaN without starts."""
        return (self.first_only - self.second_only) / self.starts if self.starts else math.nan

    @property
    def p_value(self) -> float:
        """Two-sided probability of a difference as large, were both as good."""
        return mcnemar_exact(self.first_only, self.second_only)


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """
    Return the two-sided p of McNemar's exact test for the discordant pairs.

    Under equality they are Bin(n, 1/2) (McNemar, Psychometrika 12, 1947; exact conditional form as
    in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13, 2013).
    """
    n = first_only + second_only
    if not n:
        return 1.0
    return min(1.0, 2.0 * float(binom.cdf(min(first_only, second_only), n, 0.5)))


def compare(runs: Sequence[PairedRun], first: str, second: str, *,
            predicted: bool) -> MatchedComparison:
    """
    Compare two policies on the starts (and seeds) that both have.

    :param predicted: by the predicted outcomes, else by the true ones; unknown ones are left out.
    """
    outcomes: dict[str, dict[tuple[str, int], bool]] = {first: {}, second: {}}
    for run in runs:
        success = (run.predicted if predicted else run.true).success
        if run.policy in outcomes and success is not None:
            outcomes[run.policy][run.start, run.seed] = success
    shared = outcomes[first].keys() & outcomes[second].keys()
    return MatchedComparison(
        first, second, len(shared),
        sum(outcomes[first][key] and not outcomes[second][key] for key in shared),
        sum(outcomes[second][key] and not outcomes[first][key] for key in shared))


def pass_hat_k(tries: Mapping[str, tuple[int, int]], k: int) -> float:
    """
    Return how likely all of k attempts at a task succeed, averaged over tasks.

    Without bias from c successes in n attempts: C(c, k) / C(n, k) (pass^k: Yao et al., tau-bench,
    arXiv:2406.12045). Tasks with fewer than k attempts are left out; NaN when none is left.

    :param tries: task -> (successes, attempts).
    """
    values = [math.comb(hits, k) / math.comb(n, k) for hits, n in tries.values() if n >= k]
    return sum(values) / len(values) if values else math.nan


def attempts(runs: Sequence[PairedRun], *, predicted: bool) -> dict[str, tuple[int, int]]:
    """
    Return task -> (successes, attempts) of the decided runs of one policy.

    The same runs on both sides, or the two would be of different tasks.
    """
    found: dict[str, tuple[int, int]] = {}
    for run in decided(runs):
        hits, n = found.get(run.task, (0, 0))
        success = (run.predicted if predicted else run.true).success
        found[run.task] = hits + bool(success), n + 1
    return found
