# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the page says of one episode in detail; the templates use these as filters."""
from __future__ import annotations

import math
from collections.abc import Sequence

from kinema4d_ros.evaluation.comparison import Comparison
from kinema4d_ros.evaluation.report.content import EpisodeReport
from kinema4d_ros.evaluation.report.words import millimetres, seconds
from kinema4d_ros.types import Finding

MOST_FINDINGS = 12


def findings(episode: EpisodeReport) -> list[Finding]:
    """Return the findings, those against the motion first, then by time."""
    return sorted(episode.verdict.findings, key=lambda f: (
        -f.severity, math.inf if f.time is None else f.time))


def facts(episode: EpisodeReport) -> list[tuple[str, str]]:
    """Return label and value of what a verdict measured and offers: the safe part, a speed."""
    verdict, found = episode.verdict, []
    if verdict.success is not None:
        found.append(('success', f'{100 * verdict.success:.0f} %'))
    if verdict.min_clearance is not None:
        sigma = f' ± {millimetres(verdict.clearance_sigma)}' if verdict.clearance_sigma else ''
        found.append(('nearest', f'{millimetres(verdict.min_clearance)}{sigma}'))
    if verdict.safe_prefix is not None and verdict.safe_prefix < episode.duration - 1e-6:
        found.append(('safe part', f'first {verdict.safe_prefix:.2f} s'))
    if verdict.speed_factor is not None and verdict.speed_factor < 1:
        found.append(('would pass at', f'{100 * verdict.speed_factor:.0f} % of the speed'))
    return found + [(what, seconds(value)) for what, value in episode.delays.items()]


def is_measured(comparisons: Sequence[Comparison], key: str) -> bool:
    """Return whether any world model has a value of a metric."""
    return any(not math.isnan(one[key]) for one in comparisons)
