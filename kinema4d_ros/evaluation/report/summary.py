# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All episodes together: counts, verdicts against the truth, metrics by world model."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from kinema4d_ros.evaluation.comparison import average, Comparison, Metric, METRICS
from kinema4d_ros.evaluation.report.content import EpisodeReport
from kinema4d_ros.evaluation.report.words import measured
from kinema4d_ros.types import Status

BASELINE = 'frozen'
ORDER = (Status.PASS, Status.FAIL, Status.UNSURE)
_ALIKE = 0.005      # share of the baseline's value that makes no difference


class Count(NamedTuple):
    """How many episodes; a wrong count that is not 0 is marked."""

    number: int
    is_wrong: bool


class ConfusionRow(NamedTuple):
    """What was said, against what was true."""

    label: str
    status: Status | None       # shown instead of the label
    cells: Sequence[Count]


class ConfusionTable(NamedTuple):
    """What was said against what was true."""

    head: tuple[str, str, str]
    rows: Sequence[ConfusionRow]


class BaselineChange(NamedTuple):
    """By how much a mean is better or worse than the baseline's."""

    kind: str       # 'better', 'worse' or 'alike'
    text: str
    spoken: str     # for people who hear the page; '' where the text says it


class MetricCell(NamedTuple):
    """The mean of one metric of one world model."""

    text: str
    change: BaselineChange | None


class MetricRow(NamedTuple):
    """One metric, a cell for each world model."""

    label: str
    cells: Sequence[MetricCell]


class MetricTable(NamedTuple):
    """Means over the episodes, a column for each world model, the baseline first."""

    head: Sequence[str]
    groups: Sequence[tuple[str, Sequence[MetricRow]]]
    episodes: int
    baseline: str = BASELINE
    metrics: Sequence[Metric] = tuple(METRICS.values())


def counts(episodes: Sequence[EpisodeReport]) -> list[tuple[Status, int]]:
    """Return how many episodes have each verdict."""
    return [(status, sum(e.verdict.status == status for e in episodes)) for status in ORDER]


def foreseen(episodes: Sequence[EpisodeReport]) -> str:
    """Return how often the outcome was foreseen, '' where no outcome is known."""
    known = _known(episodes)
    return f'{sum(e.foreseen == e.success for e in known)} of {len(known)}' if known else ''


def confusion_tables(episodes: Sequence[EpisodeReport]) -> list[ConfusionTable]:
    """Return outcome foreseen against outcome, and verdict against danger, where they are known."""
    known = _known(episodes)
    judged = [e for e in episodes if e.dangerous is not None]
    tables = []
    if known:
        tables.append(ConfusionTable(('outcome', 'succeeded', 'failed'), [
            ConfusionRow(f'{word} foreseen', None, [
                _count(sum(e.foreseen is said and e.success is truth for e in known),
                       said == truth) for truth in (True, False)])
            for said, word in ((True, 'success'), (False, 'failure'))]))
    if judged:
        tables.append(ConfusionTable(('verdict', 'nothing disturbed', 'touched or disturbed'), [
            ConfusionRow('', status, [
                _count(sum(e.verdict.status == status and e.dangerous is truth for e in judged),
                       status == Status.UNSURE or truth == (status == Status.FAIL))
                for truth in (False, True)]) for status in ORDER]))
    return tables


def metric_table(comparisons: Sequence[Comparison]) -> MetricTable | None:
    """Return means over the episodes; None where nothing was compared."""
    models: dict[str, list[Comparison]] = {}
    for one in comparisons:
        models.setdefault(one.world_model, []).append(one)
    if not models:
        return None
    order = sorted(models, key=lambda name: (name != BASELINE, name))
    means = {name: average(models[name]) for name in order}
    groups: dict[str, list[MetricRow]] = {}
    for key, metric in METRICS.items():
        if all(math.isnan(means[name][key]) for name in order):
            continue
        base = means[BASELINE][key] if BASELINE in means else math.nan
        groups.setdefault(metric.group, []).append(MetricRow(metric.label, [
            MetricCell(measured(metric, means[name][key]), None if name == BASELINE else
                       _change(metric, means[name][key], base)) for name in order]))
    head = ['metric', *(f'{name} (baseline)' if name == BASELINE else name for name in order)]
    return MetricTable(head, list(groups.items()), max(map(len, models.values())))


def _known(episodes: Sequence[EpisodeReport]) -> list[EpisodeReport]:
    return [e for e in episodes if None not in (e.foreseen, e.success)]


def _count(count: int, is_right: bool) -> Count:
    return Count(count, not is_right and count > 0)


def _change(metric: Metric, value: float, base: float) -> BaselineChange | None:
    if math.isnan(base) or math.isnan(value):
        return None
    change = value - base
    if abs(change) <= _ALIKE * abs(base) or metric.scale * abs(change) < 0.5 * 10**-metric.digits:
        return BaselineChange('alike', '= alike', '')
    kind = 'better' if (change > 0) == metric.more_is_better else 'worse'
    return BaselineChange(kind, f'{"▲" if kind == "better" else "▼"} '
                  f'{metric.scale * change:+.{metric.digits}f}',
                  f'{kind} by {metric.scale * abs(change):.{metric.digits}f}')
