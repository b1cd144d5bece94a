# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a ledger: one HTML file that needs nothing else, with the drift over days drawn."""
from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema4d_ros.evaluation.report.page import templates
from kinema4d_ros.ledger.entry import LedgerEntry, Went
from kinema4d_ros.ledger.summary import Day, GROUPS, LedgerSummary, PARTS

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 14, 44
_MOST_ROWS = 50          # motions that are listed, the newest that did not go as predicted
_MOST_LABELS = 8


@dataclass(frozen=True)
class DayMark:
    """One day in the drawing [px]."""

    day: Day
    x: float
    y: float
    top: float
    bottom: float
    label: str          # '' where there is no room


def day_marks(days: Sequence[Day]) -> list[DayMark]:
    """Return where each day with a known motion is drawn: its rate and interval."""
    known = [day for day in days if day.tally.yes + day.tally.no]
    every = -(-len(known) // _MOST_LABELS) if known else 1
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(known), 1)
    marks = []
    for number, day in enumerate(known):
        low, high = day.tally.rate.interval
        marks.append(DayMark(day, round(_LEFT + (number + 0.5) * wide, 1),
                             height_of(day.tally.rate.value), height_of(high), height_of(low),
                             day.date[5:] if number % every == 0 else ''))
    return marks


def height_of(share: float) -> float:
    """Return the height of a share in the drawing [px]."""
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def write_ledger_report(path: Path, entries: Sequence[LedgerEntry], *, title: str = 'Trust ledger',
                        dropped: int = 0) -> LedgerSummary:
    """Write the page about entries, and return their summary."""
    summary = LedgerSummary.of(entries, dropped)
    otherwise = [entry for entry in reversed(entries) if entry.went == Went.NO]
    page = templates().get_template('ledger.html').render(
        title=title, summary=summary, groups=GROUPS, parts=PARTS, marks=day_marks(summary.days),
        width=WIDTH, height=HEIGHT, left=_LEFT, right=WIDTH - _RIGHT,
        lines=[(share, height_of(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        otherwise=[(moment(entry.time_ns), entry) for entry in otherwise[:_MOST_ROWS]],
        hidden=max(0, len(otherwise) - _MOST_ROWS),
        now=datetime.datetime.now(datetime.UTC))
    Path(path).write_text(page + '\n', encoding='utf-8')
    return summary


def moment(time_ns: int) -> str:
    """Return a wall clock (UTC) as people read it."""
    try:
        return datetime.datetime.fromtimestamp(
            time_ns * 1e-9, datetime.UTC).strftime('%Y-%m-%d %H:%M:%S')
    except (OverflowError, OSError, ValueError):
        return 'clock not set'
