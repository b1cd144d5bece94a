# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How often verdicts and foreseen outcomes are right by one, two and more cameras of the same motions.

Each episode that has several cameras is judged with the first alone, with the first and each of the
others, and with all, as recorded. What came of it is the same each time.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker, PrecheckRow
from kinema4d_ros.evaluation.several_cameras import camera_sets
from kinema4d_ros.evaluation.statistics import GOALS, summarize
from kinema4d_ros.precheck import DynamicsRules, PrecheckSettings

SIMULATIONS = 8      # by which neighbours are watched, where they are
_LINES = (('agreement', 'outcome agreement, of the decided', 'at least'),
          ('baseline_of_decided', 'baseline: it succeeds if it was meant to', ''),
          ('decided', 'decided', 'at least'), ('missed_danger', 'missed danger (PASS)', 'at most'),
          ('false_alarms', 'false alarms (FAIL)', 'at most'),
          ('held_back', 'held back (UNSURE) without danger', 'at most'))


def judge_by_cameras(path: str | Path, neighbours: int = 0) -> list[PrecheckRow]:
    """
    Return the row of an episode by each of its `camera_sets`.

    :param neighbours: simulations by which tier 1 refuses what moves neighbours, 0 for none.
    :raises EpisodeError: the file cannot be read, or does not say how it ended.
    """
    names = tuple(camera.name for camera in Episode.open(path).cameras)
    judge = _judge(neighbours)
    return [judge(path, chosen) for chosen in camera_sets(names)]


@cache
def _judge(neighbours: int) -> EpisodePrechecker:
    return EpisodePrechecker(PrecheckSettings(physics=DynamicsRules(neighbours=neighbours)))


def camera_outcomes_markdown(rows: Iterable[PrecheckRow], neighbours: int = 0) -> str:
    """Return the table as a section; '' where no episode has several cameras."""
    of: dict[tuple[str, ...], list[PrecheckRow]] = {}
    for row in rows:
        of.setdefault(row.cameras, []).append(row)
    if len(of) < 2:
        return ''
    figures = [summarize(some) for some in of.values()]
    title = f'by {neighbours} simulations where neighbours are moved' if neighbours else ''
    lines = [f'## Outcomes by cameras{", " * bool(title)}{title}', '',
             (__doc__ or '').strip().split('\n\n', 1)[1], '',
             _line('figure', [', '.join(names) for names in of], 'goal'),
             '|---' * (len(of) + 2) + '|',
             _line('episodes', [each['episodes'] for each in figures])]
    lines += [_line(what, [each[name] for each in figures],
                    f'{least} {GOALS[name]}' if least else '') for name, what, least in _LINES]
    lines += [_line('success-rate bias, of the decided',
                    [f'{each["success_rate_bias"]:+.3f}' for each in figures],
                    f'at most {GOALS["success_rate_bias"]}'),
              _line('Brier score, of the decided', [f'{each["brier"]:.3f}' for each in figures]),
              _line('median CPU time of tiers 0 and 1 [s]',
                    [f'{each["cpu_seconds"]:.2f}' for each in figures])]
    return '\n'.join([*lines, ''])


def _line(what: str, cells: Sequence[object], goal: str = '') -> str:
    return f'| {what} | {" | ".join(map(str, cells))} | {goal} |'
