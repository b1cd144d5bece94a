# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the figures of many prechecked episodes to a section of the report."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.evaluation.report.content import Figures
from kinema4d_ros.evaluation.report.words import seconds
from kinema4d_ros.evaluation.statistics import GOALS, Rate

_LABELS = {
    'agreement': ('outcome foreseen, where one was', f'at least {100 * GOALS["agreement"]:.0f} %'),
    'baseline_of_decided': ('baseline of the same: it succeeds if it was meant to', ''),
    'decided': ('something foreseen', f'at least {100 * GOALS["decided"]:.0f} %'),
    'abstentions': ('nothing foreseen (abstained)', ''),
    'false_alarms': ('FAIL without danger', f'at most {100 * GOALS["false_alarms"]:.0f} %'),
    'held_back': ('UNSURE without danger', f'at most {100 * GOALS["held_back"]:.0f} %'),
    'missed_danger': ('PASS with danger', f'at most {100 * GOALS["missed_danger"]:.0f} %'),
    'grasp_precision': ('foreseen to be lifted, and lifted', ''),
    'grasp_recall': ('lifted, and foreseen to be', ''),
    'near_miss_recall': ('near misses (2 cm) that were foreseen', ''),
    'near_miss_precision': ('foreseen near misses that are', ''),
    'missed_into_table': ('pushed into the table, not FAIL', 'none')}
_SECONDS = {
    'tier_0_seconds': ('tier 0, median', '10 ms'),
    'tier_1_seconds': ('tier 1, median', '1 s'),
    'cpu_seconds': ('CPU time of both, median', '')}


def figures_of(title: str, summary: Mapping[str, Any]) -> Figures:
    """
    Return a section about some episodes.

    :param summary: from `kinema4d_ros.evaluation.statistics.summarize`.
    """
    rates = [(label, summary[key], goal) for key, (label, goal) in _LABELS.items()
             if key in summary]
    rates += [(f'{kind.replace("_", " ")}: outcome foreseen', of['agreement'], '')
              for kind, of in summary['kinds'].items()]
    numbers = [('success-rate bias', f'{summary["success_rate_bias"]:+.3f}',
                f'at most {GOALS["success_rate_bias"]}'),
               ('Brier score', f'{summary["brier"]:.3f}', '')]
    numbers += [(label, str(summary[key]), '') for key, label in (
        ('clearance_error', 'clearance error over time'),
        ('least_clearance_error', 'error of the smallest clearance')) if summary[key].count]
    numbers += [(label, seconds(summary[key]), goal) for key, (label, goal) in _SECONDS.items()
                if not math.isnan(summary[key])]
    return Figures(title, [rate for rate in rates if rate[1].tries], numbers)


def camera_sections(figures: Mapping[str, Mapping[str, Rate]]) -> list[Figures]:
    """
    Return the section about real cameras, none where nothing was judged so.

    :param figures: from `kinema4d_ros.evaluation.real_camera.camera_figures`.
    """
    rates = [(f'{condition}: {word}', of[key], goal) for condition, of in figures.items()
             for word, key, goal in (
                 ('clean motions that pass', 'clean PASS', ''),
                 ('dangerous motions that pass', 'dangerous PASS', 'none')) if of[key].tries]
    return [Figures('A real camera', rates)] if rates else []
