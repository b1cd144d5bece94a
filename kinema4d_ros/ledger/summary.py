# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How often motions went as predicted: by kind, robot and world model, and over the days."""
from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.ledger.entry import LedgerEntry, Origin, Went
from kinema4d_ros.ledger.means import mixed_means, MixedMean
from kinema4d_ros.ledger.runs import each_motion_once, newest_of_each_run

#: what motions are counted by -> how it is called
GROUPS = {'kind': 'kind of motion', 'robot': 'robot', 'world_model': 'world model',
          'status': 'verdict', 'origin': 'executed by'}
#: parts of a motion that are judged -> how they are called
PARTS = {'followed': 'the joints followed it', 'kept_clear': 'clearance as predicted',
         'scene_as_foreseen': 'things where foreseen',
         'hold_as_foreseen': 'fingers hold as foreseen',
         'robot_seen': 'robot seen where its joints say'}
_UNSET_CLOCK = 2020     # a clock that says an earlier year was never set
_FEWEST_DAYS = 3


@dataclass(frozen=True)
class Tally:
    """How many motions went as predicted, and how many did not."""

    yes: int = 0
    no: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> Tally:
        """Count entries; those without a truth are no motions."""
        went = [entry.went for entry in entries if entry.origin != Origin.PREDICTED]
        return cls(*(went.count(word) for word in (Went.YES, Went.NO, Went.UNKNOWN)))

    @classmethod
    def of_part(cls, entries: Iterable[LedgerEntry], part: str) -> Tally:
        """Count one of PARTS."""
        found = [getattr(entry, part) for entry in entries if entry.origin != Origin.PREDICTED]
        return cls(found.count(True), found.count(False), found.count(None))

    @property
    def motions(self) -> int:
        """All of them."""
        return self.yes + self.no + self.unknown

    @property
    def rate(self) -> Rate:
        """Of those of which it is known; 95 % Wilson interval."""
        return Rate(self.yes, self.yes + self.no)

    @property
    def bounds(self) -> tuple[float, float]:
        """The share if all unknown ones had not gone as predicted, and if all had."""
        count = self.motions
        return (self.yes / count, (self.yes + self.unknown) / count) if count else (0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {'motions': self.motions, 'as_predicted': self.yes, 'otherwise': self.no,
                'unknown': self.unknown, 'rate': self.rate.as_dict(), 'bounds': self.bounds}


@dataclass(frozen=True)
class Day:
    """The motions of one day (UTC)."""

    date: str                        # 2026-11-30, or 'clock not set'
    tally: Tally
    path_error: float                # median [rad or m]; NaN unknown
    robot_residual: float            # median [m]
    clearance_shortfall: float       # median of predicted minus seen [m]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {'date': self.date, **self.tally.as_dict(), **{
            name: None if math.isnan(value) else value for name, value in (
                ('path_error', self.path_error), ('robot_residual', self.robot_residual),
                ('clearance_shortfall', self.clearance_shortfall))}}


@dataclass(frozen=True)
class LedgerSummary:
    """What a ledger says of trust."""

    passed: Tally                              # of motions with PASS
    all: Tally
    groups: dict[str, dict[str, Tally]]        # of GROUPS -> value -> motions with any verdict
    parts: dict[str, Tally]                    # of PARTS, of motions with PASS
    days: tuple[Day, ...]                      # of motions with PASS
    trend: float                               # p value that the rate does not change; NaN unknown
    falls: bool                                # whether the later days are worse
    means: tuple[MixedMean, ...]               # what predicted and real runs say together
    dropped: int = 0

    @classmethod
    def of(cls, entries: Sequence[LedgerEntry], dropped: int = 0) -> LedgerSummary:
        """Summarize entries in any order."""
        entries = newest_of_each_run(entries)
        judged = [entry for entry in entries if entry.origin != Origin.PREDICTED]
        real = each_motion_once(judged)
        passed = [entry for entry in real if entry.status == 'PASS']
        days = _days(passed)
        trend, falls = _trend([day.tally for day in days if day.date[0].isdigit()])
        return cls(
            Tally.of(passed), Tally.of(real),
            {field: {value: Tally.of(group) for value, group in _grouped(
                judged if field == 'world_model' else real, field).items()}
             for field in GROUPS},
            {part: Tally.of_part(passed, part) for part in PARTS}, days, trend, falls,
            mixed_means(entries), dropped)

    @property
    def sentence(self) -> str:
        """The one that a person wants to read."""
        tally = self.passed
        if not tally.motions:
            return 'no motion that passed has been executed and compared yet'
        low, high = tally.rate.interval
        said = (f'of {tally.motions} motion{"s" * (tally.motions != 1)} that passed, {tally.yes} '
                'went as predicted')
        said += f', {tally.no} otherwise' if tally.no else ''
        said += f', of {tally.unknown} it is not known' if tally.unknown else ''
        return said + (f' ({100 * low:.1f} to {100 * high:.1f} % of those known)'
                       if tally.yes + tally.no else '')

    @property
    def drift(self) -> str:
        """Whether it changes over the days, in words."""
        if math.isnan(self.trend):
            return f'fewer than {_FEWEST_DAYS} days, or nothing went otherwise: no trend to tell'
        if self.trend >= 0.05:
            return f'no trend over the days (p = {self.trend:.2f})'
        return (f'it gets {"worse" if self.falls else "better"} over the days '
                f'(p = {self.trend:.3f})')

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            'sentence': self.sentence, 'passed': self.passed.as_dict(), 'all': self.all.as_dict(),
            'by': {field: {value: tally.as_dict() for value, tally in group.items()}
                   for field, group in self.groups.items()},
            'parts': {part: tally.as_dict() for part, tally in self.parts.items()},
            'days': [day.as_dict() for day in self.days], 'drift': self.drift,
            'trend_p': None if math.isnan(self.trend) else self.trend,
            'mixed_means': [mean.as_dict() for mean in self.means],
            'dropped': self.dropped}


def _grouped(entries: Iterable[LedgerEntry], field: str) -> dict[str, list[LedgerEntry]]:
    found: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        found.setdefault(str(getattr(entry, field)) or 'none', []).append(entry)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def date_of(time_ns: int) -> str:
    """Return the day of a wall clock (UTC); a clock that was never set has none."""
    try:
        day = datetime.datetime.fromtimestamp(time_ns * 1e-9, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return 'clock not set'
    return day.strftime('%Y-%m-%d') if day.year >= _UNSET_CLOCK else 'clock not set'


def _days(entries: Sequence[LedgerEntry]) -> tuple[Day, ...]:
    found: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        found.setdefault(date_of(entry.time_ns), []).append(entry)
    return tuple(Day(
        date, Tally.of(group), _median(group, lambda entry: entry.path_error),
        _median(group, lambda entry: entry.robot_residual), _median(group, _shortfall))
        for date, group in sorted(found.items()))


def _shortfall(entry: LedgerEntry) -> float | None:
    if entry.predicted_clearance is None or entry.seen_clearance is None:
        return None
    return entry.predicted_clearance - entry.seen_clearance


def _median(entries: Iterable[LedgerEntry],
            value: Callable[[LedgerEntry], float | None]) -> float:
    known = [found for entry in entries if (found := value(entry)) is not None]
    return statistics.median(known) if known else math.nan


def _trend(days: Sequence[Tally]) -> tuple[float, bool]:
    """
    Return the p value of the test of Cochran and Armitage, and whether the rate falls.

    NaN with fewer than three days, or where all or none went as predicted: there is no trend then.
    """
    counts = [(index, day.yes, day.yes + day.no) for index, day in enumerate(days)
              if day.yes + day.no]
    total, hits = sum(n for _, _, n in counts), sum(yes for _, yes, _ in counts)
    if len(counts) < _FEWEST_DAYS or hits in (0, total):
        return math.nan, False
    share = hits / total
    middle = sum(index * n for index, _, n in counts) / total
    score = sum(yes * (index - middle) for index, yes, _ in counts)
    spread = share * (1 - share) * sum(n * (index - middle) ** 2 for index, _, n in counts)
    return math.erfc(abs(score) / math.sqrt(2 * spread)), score < 0
