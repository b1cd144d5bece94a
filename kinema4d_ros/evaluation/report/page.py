# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts the report together: one HTML file that needs nothing else, and keeps a bound on size."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, UTC
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import kinema4d_ros
from kinema4d_ros.evaluation.comparison import Comparison, METRICS
from kinema4d_ros.evaluation.report import card, summary, words
from kinema4d_ros.evaluation.report.content import EpisodePictures, EpisodeReport, Figures
from kinema4d_ros.evaluation.report.distance_plot import distance_plot
from kinema4d_ros.types import Status

MOST_DETAILS = 16                # episodes that are shown in detail
MOST_BYTES = 5 * 2**20           # of pictures; as text in the page they take a third more
_FOLDER = Path(__file__).parent / 'templates'


@cache
def templates() -> Environment:
    """Return the templates of the page; all text that they are given is escaped."""
    found = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True,
                        lstrip_blocks=True, undefined=StrictUndefined)
    for filters in (words.yes_no, words.seconds, words.millimetres, words.measured,
                    words.sentence, words.anchor, words.data_uri, card.findings, card.facts,
                    card.is_measured, distance_plot):
        found.filters[filters.__name__] = filters
    found.filters['severity'] = words.SEVERITY.__getitem__
    found.globals.update(all_metrics=METRICS, most_findings=card.MOST_FINDINGS)
    return found


def write_report(path: Path, episodes: Sequence[EpisodeReport],
                 metrics: Sequence[Comparison] | None = None, title: str = 'Predicted motions', *,
                 figures: Sequence[Figures] = (), note: str = '') -> None:
    """
    Write one self-contained page about episodes.

    With more than 16 episodes, those whose verdict was wrong, and then those with the worst
    verdict, are shown in detail; the others are rows of the table.

    :param metrics: by which world models are compared; None for those of the episodes.
    :param figures: sections of rates, most important first.
    :param note: one sentence below the title.
    """
    if metrics is None:
        metrics = [one for episode in episodes for one in episode.comparisons]
    chosen = worst(episodes, MOST_DETAILS)
    pictures = within_bounds(chosen, MOST_BYTES)
    confusions, compared = summary.confusion_tables(episodes), summary.metric_table(metrics)
    headings = {'episodes': 'Episodes', 'rates': 'Verdicts against what happened',
                'models': 'World models', 'details': 'In detail'}
    there = {'episodes': True, 'rates': confusions or figures, 'models': compared,
             'details': chosen}
    page = templates().get_template('page.html').render(
        title=title, note=note, episodes=episodes, detailed=chosen, pictures=pictures,
        headings={name: heading for name, heading in headings.items() if there[name]},
        counts=summary.counts(episodes), foreseen=summary.foreseen(episodes),
        timed=next((what for e in episodes for what in e.delays), 'time taken'),
        confusions=confusions, figures=figures, metrics=compared,
        version=kinema4d_ros.__version__, now=datetime.now(UTC),
        css=_own('page.css'), js=_own('page.js'))
    Path(path).write_text(page + '\n', encoding='utf-8')


def worst(episodes: Sequence[EpisodeReport], most: int) -> list[EpisodeReport]:
    """Return all episodes as they come, or of too many the most interesting ones."""
    if len(episodes) <= most:
        return list(episodes)
    order = {Status.FAIL: 0, Status.UNSURE: 1, Status.PASS: 2}

    def key(episode: EpisodeReport) -> tuple[bool, int, float, str]:
        nearest = episode.verdict.min_clearance
        return (not episode.faults, order[episode.verdict.status],
                float('inf') if nearest is None else nearest, episode.name)

    return sorted(episodes, key=key)[:most]


def within_bounds(episodes: Sequence[EpisodeReport],
                  most: int) -> dict[str, EpisodePictures | None]:
    """Return for each episode the pictures that there is room for [bytes]: all, one, or none."""
    chosen: dict[str, EpisodePictures | None] = {}
    used = 0
    for episode in episodes:
        pictures = episode.pictures
        if pictures is not None and used + len(pictures.data) + len(pictures.poster) > most:
            small = pictures.poster
            fits = small and used + len(small) <= most
            pictures = EpisodePictures(small, 'image/jpeg', pictures.alt) if fits else None
        used += 0 if pictures is None else len(pictures.data) + len(pictures.poster)
        chosen[episode.name] = pictures
    return chosen


def _own(name: str) -> Markup:
    """Return a file of ours as it is."""
    return Markup((_FOLDER / name).read_text(encoding='utf-8'))
