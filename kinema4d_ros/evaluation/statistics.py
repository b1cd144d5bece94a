# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rates with intervals, and the report on many prechecked episodes."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kinema4d_ros.evaluation.prechecks import PrecheckRow
from kinema4d_ros.types import Status

_Z = 1.96        # of a 95 % interval
GOALS = {'agreement': 0.92, 'decided': 0.85, 'success_rate_bias': 0.04, 'false_alarms': 0.05,
         'held_back': 0.10, 'missed_danger': 0.05}
_CLOSE = 0.02    # [m] what passes closer without touching is a near miss


@dataclass(frozen=True)
class Rate:
    """How often something happened, with its 95 % Wilson interval."""

    hits: int
    tries: int

    @property
    def value(self) -> float:
        """Share of hits, NaN without tries."""
        return self.hits / self.tries if self.tries else float('nan')

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the true share; (0, 1) when nothing was tried."""
        n = self.tries
        if not n:
            return 0.0, 1.0
        p, z2 = self.hits / n, _Z ** 2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        """Return it as people read it."""
        low, high = self.interval
        return f'{self.hits}/{self.tries} ({100 * low:.1f} to {100 * high:.1f} %)'

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {'hits': self.hits, 'tries': self.tries,
                'value': self.value if self.tries else None, 'interval_95': self.interval}


@dataclass(frozen=True)
class ErrorFigures:
    """How far measurements are from the truth, measured minus true [m]; NaN without any."""

    count: int
    bias: float              # mean
    spread: float            # standard deviation
    median_size: float       # of the error's size
    largest_usual: float     # 95 of 100 errors are smaller than this

    @classmethod
    def of(cls, errors: Sequence[float]) -> ErrorFigures:
        """Summarize errors [m]."""
        if not len(errors):
            return cls(0, *[math.nan] * 4)
        sizes = np.abs(errors)
        return cls(len(errors), float(np.mean(errors)), float(np.std(errors)),
                   float(np.median(sizes)), float(np.percentile(sizes, 95)))

    def __str__(self) -> str:
        """Return it as people read it."""
        if not self.count:
            return 'no truth recorded'
        return (f'bias {1000 * self.bias:+.1f} mm, spread {1000 * self.spread:.1f} mm, median '
                f'size {1000 * self.median_size:.1f} mm, 95 % below '
                f'{1000 * self.largest_usual:.1f} mm ({self.count} distances)')

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in asdict(self).items()}


def rate(rows: Sequence[PrecheckRow], holds: Callable[[PrecheckRow], object]) -> Rate:
    """Count the rows for which `holds(row)`."""
    return Rate(sum(map(bool, map(holds, rows))), len(rows))


def summarize(rows: Sequence[PrecheckRow]) -> dict[str, Any]:
    """
    Return all figures about some episodes.

    *agreement*: foreseen success equals that of the execution, of those where something was
    foreseen (*decided*); *abstentions*: the others, which count neither way. An execution whose
    arm was pushed off its trajectory by more than 0.02 rad is no success, whatever the source
    says; *agreement with the source* is without that. *baseline*: how often "it succeeds if and
    only if the recording was meant to" equals the outcome, of all and of the decided ones;
    agreement alone says little where it is not above that. *false alarms*: FAIL on a motion that
    neither touched nor moved anything it should not have, nor strayed; *held back*: UNSURE on
    such a motion.
    *missed danger*: PASS on one that did. *clearance error*: measured minus true distance of the
    links that must not touch to the scene, where it truly is below 5 cm and not both say that
    they touch; the truth knows all sides of things, the camera one. *near misses*: motions that
    truly pass within 2 cm of something with a link that must not touch, and do not touch it.
    *grasps*: what the fingers were foreseen to lift, and what was lifted.
    """
    clean = [row for row in rows if not row.dangerous]
    dangerous = [row for row in rows if row.dangerous]
    into_table = [row for row in rows if row.kind == 'into_table']
    kinds = {}
    for kind in sorted({row.kind for row in rows}):
        of_kind = [row for row in rows if row.kind == kind]
        kinds[kind] = {
            'episodes': len(of_kind), 'succeeded': sum(row.success for row in of_kind),
            'foreseen': sum(row.predicted is True for row in of_kind),
            'agreement': rate(_foreseen(of_kind), lambda row: row.predicted == row.success),
            'abstentions': sum(row.predicted is None for row in of_kind),
            **{status.name: sum(row.status == status for row in of_kind) for status in Status}}
    said = _foreseen(rows)
    confusion = {f'{"success" if truth else "failure"} foreseen as '
                 f'{"success" if word else "failure"}':
                 sum(row.success == truth and row.predicted == word for row in rows)
                 for truth in (True, False) for word in (True, False)}
    return {
        'episodes': len(rows), 'confusion': confusion, 'kinds': kinds,
        'agreement': rate(said, lambda row: row.predicted == row.success),
        'agreement_with_source': rate(said, lambda row: row.predicted == row.solved),
        'decided': rate(rows, lambda row: row.predicted is not None),
        'abstentions': rate(rows, lambda row: row.predicted is None),
        'baseline': rate(rows, lambda row: row.was_meant == row.success),
        'baseline_of_decided': rate(said, lambda row: row.was_meant == row.success),
        'success_rate_bias': sum(int(row.predicted is True) - int(row.success)
                                 for row in said) / max(len(said), 1),
        'brier': _mean([(row.probability - row.success) ** 2 for row in said
                        if row.probability is not None]),
        'false_alarms': rate(clean, lambda row: row.status == Status.FAIL),
        'held_back': rate(clean, lambda row: row.status == Status.UNSURE),
        'missed_danger': rate(dangerous, lambda row: row.status == Status.PASS),
        **_grasps(rows), **_near_misses(rows),
        'missed_into_table': rate(into_table, lambda row: row.status != Status.FAIL),
        'clearance_error': ErrorFigures.of(
            [error for row in rows for error in row.clearance_errors]),
        'least_clearance_error': ErrorFigures.of(
            [row.least_clearance_error for row in rows
             if row.least_clearance_error is not None]),
        'tier_0_seconds': _median([row.seconds.get('tier 0', math.nan) for row in rows]),
        'tier_1_seconds': _median([row.seconds.get('tier 1', math.nan) for row in rows]),
        'cpu_seconds': _median([row.cpu_seconds for row in rows])}


def _foreseen(rows: Sequence[PrecheckRow]) -> list[PrecheckRow]:
    """Return the rows in which success or failure was foreseen."""
    return [row for row in rows if row.predicted is not None]


def _grasps(rows: Sequence[PrecheckRow]) -> dict[str, Rate]:
    """Return how often lifting something is foreseen rightly, where something was to be lifted."""
    known = [row for row in rows if row.labels.lifted is not None]
    told = [row for row in known if row.grasp_foreseen is not None]
    return {'grasp_precision': rate([row for row in told if row.grasp_foreseen],
                                    lambda row: row.labels.lifted),
            'grasp_recall': rate([row for row in told if row.labels.lifted],
                                 lambda row: row.grasp_foreseen),
            'grasp_unknown': rate(known, lambda row: row.grasp_foreseen is None)}


def _near_misses(rows: Sequence[PrecheckRow]) -> dict[str, Rate]:
    """Return how often passing closely is foreseen, where the recording knows distances."""
    pairs = [(row.verdict.min_clearance, row.least_clearance) for row in rows
             if row.verdict.min_clearance is not None and row.least_clearance is not None]
    told = [(0 < said < _CLOSE, 0 < true < _CLOSE) for said, true in pairs]
    return {'near_miss_precision': Rate(sum(said and true for said, true in told),
                                        sum(said for said, _ in told)),
            'near_miss_recall': Rate(sum(said and true for said, true in told),
                                     sum(true for _, true in told))}


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def missed_goals(figures: dict[str, Any]) -> list[str]:
    """Return which goals the figures do not reach."""
    missed = []
    for name, least in (('agreement', True), ('decided', True), ('false_alarms', False),
                        ('held_back', False), ('missed_danger', False)):
        found, goal = figures[name], GOALS[name]
        if found.tries and (found.value < goal if least else found.value > goal):
            missed.append(f'{name.replace("_", " ")} {found}, goal {goal}')
    if not figures['agreement'].tries:
        missed.append('agreement: nothing was foreseen')
    if abs(figures['success_rate_bias']) > GOALS['success_rate_bias']:
        missed.append(f'success-rate bias {figures["success_rate_bias"]:+.3f}, goal '
                      f'{GOALS["success_rate_bias"]}')
    if figures['missed_into_table'].hits:
        missed.append(f'pushed into the table and not failed: {figures["missed_into_table"]}')
    return missed


def as_json(value: Any) -> Any:
    """Return figures with their rates spelled out."""
    if isinstance(value, Rate | ErrorFigures):
        return value.as_dict()
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def markdown(title: str, figures: dict[str, Any]) -> str:
    """Return the figures as a section."""
    lines = [f'## {title}', '', '| figure | value | goal |', '|---|---|---|',
             f'| episodes | {figures["episodes"]} | |',
             f'| outcome agreement, of the decided | {figures["agreement"]} | at least '
             f'{GOALS["agreement"]} |',
             f'| baseline: it succeeds if it was meant to, of the decided | '
             f'{figures["baseline_of_decided"]} | less than the agreement |',
             f'| ... of all | {figures["baseline"]} | |',
             f'| agreement with the source, a strayed arm or not | '
             f'{figures["agreement_with_source"]} | |',
             f'| decided | {figures["decided"]} | at least {GOALS["decided"]} |',
             f'| nothing foreseen (abstained) | {figures["abstentions"]} | |',
             f'| success-rate bias, of the decided | {figures["success_rate_bias"]:+.3f} | at most '
             f'{GOALS["success_rate_bias"]} |',
             f'| Brier score, of the decided | {figures["brier"]:.3f} | |',
             f'| false alarms (FAIL) | {figures["false_alarms"]} | at most '
             f'{GOALS["false_alarms"]} |',
             f'| held back (UNSURE) without danger | {figures["held_back"]} | at most '
             f'{GOALS["held_back"]} |',
             f'| missed danger (PASS) | {figures["missed_danger"]} | at most '
             f'{GOALS["missed_danger"]} |',
             f'| foreseen to be lifted, and lifted | {figures["grasp_precision"]} | |',
             f'| lifted, and foreseen to be | {figures["grasp_recall"]} | |',
             f'| nobody knew whether it would be lifted | {figures["grasp_unknown"]} | |',
             f'| foreseen near misses (2 cm) that are | {figures["near_miss_precision"]} | |',
             f'| near misses that were foreseen | {figures["near_miss_recall"]} | |',
             f'| pushed into the table, not FAIL | {figures["missed_into_table"]} | 0 |',
             f'| clearance error over time | {figures["clearance_error"]} | |',
             f'| error of the smallest clearance | {figures["least_clearance_error"]} | |',
             f'| median tier 0 | {1000 * figures["tier_0_seconds"]:.1f} ms | 10 ms |',
             f'| median tier 1 | {figures["tier_1_seconds"]:.2f} s | 1 s |',
             f'| median CPU time of both | {figures["cpu_seconds"]:.2f} s | |', '',
             '| kind | episodes | succeeded | success foreseen | nothing foreseen | agreement '
             '| PASS | FAIL | UNSURE |', '|---|---|---|---|---|---|---|---|---|']
    lines += [f'| {kind} | {of["episodes"]} | {of["succeeded"]} | {of["foreseen"]} '
              f'| {of["abstentions"]} | {of["agreement"]} | {of["PASS"]} | {of["FAIL"]} '
              f'| {of["UNSURE"]} |'
              for kind, of in figures['kinds'].items()]
    lines += ['', ', '.join(f'{name}: {count}' for name, count in figures['confusion'].items()),
              '']
    return '\n'.join(lines)


def _median(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else float('nan')
