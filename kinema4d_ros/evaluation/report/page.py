# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts the report together: one HTML file that needs nothing else, and keeps a bound on size."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, UTC
from pathlib import Path

import kinema4d_ros
from kinema4d_ros.evaluation.comparison import Comparison
from kinema4d_ros.evaluation.report import overview
from kinema4d_ros.evaluation.report.card import card
from kinema4d_ros.evaluation.report.content import EpisodeReport, Figures, Pictures
from kinema4d_ros.evaluation.report.html import Html, join, tag
from kinema4d_ros.evaluation.report.words import SHAPES
from kinema4d_ros.types import Status

MOST_DETAILS = 16                # episodes that are shown in detail
MOST_BYTES = 5 * 2**20           # of pictures; as text in the page they take a third more
_FOLDER = Path(__file__).parent
#: the browser itself keeps the page from fetching anything
_POLICY = ("default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
           "script-src 'unsafe-inline'")


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
    left_out = len(episodes) - len(chosen)
    compared, said = overview.metrics(metrics), overview.confusion(episodes)
    parts = {
        'episodes': ('Episodes', overview.listing(episodes, {e.name for e in chosen})),
        'rates': ('Verdicts against what happened',
                  join(said, [overview.rates(section, fold=number > 0)
                              for number, section in enumerate(figures)])
                  if said or figures else None),
        'models': ('World models', compared),
        'details': ('In detail', join(
            tag('p', f'{len(chosen)} of {len(episodes)} episodes: wrong verdicts first, then '
                'FAIL and UNSURE.', class_='soft') if left_out else None,
            [card(episode, pictures[episode.name]) for episode in chosen]))}
    parts = {name: part for name, part in parts.items() if part[1]}
    body = [
        SHAPES,
        tag('header', tag('h1', title), tag('p', note, class_='soft') if note else None,
            overview.counts(episodes),
            tag('nav', [tag('a', heading, href=f'#{name}') for name, (heading, _) in parts.items()],
                aria_label='Parts of this page')),
        tag('main', [tag('section', tag('h2', heading), inside, id=name)
                     for name, (heading, inside) in parts.items()]),
        tag('footer', tag(
            'p', f'kinema4d_ros {kinema4d_ros.__version__}, '
            f'{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. A prediction may be wrong; UNSURE is never '
            'to be read as PASS. No certified safety function.', class_='soft'))]
    text = '<!DOCTYPE html>\n' + tag(
        'html',
        tag('head', tag('meta', charset='utf-8'),
            tag('meta', http_equiv='Content-Security-Policy', content=_POLICY),
            tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
            tag('meta', name='color-scheme', content='light dark'),
            tag('title', title), tag('link', rel='icon', href='data:,'),
            tag('style', _own('page.css'))),
        tag('body', body, tag('script', _own('page.js'))), lang='en')
    Path(path).write_text(text, encoding='utf-8')


def worst(episodes: Sequence[EpisodeReport], most: int) -> list[EpisodeReport]:
    """Return all episodes as they come, or of too many the most telling ones."""
    if len(episodes) <= most:
        return list(episodes)
    order = {Status.FAIL: 0, Status.UNSURE: 1, Status.PASS: 2}

    def key(episode: EpisodeReport) -> tuple:
        nearest = episode.verdict.min_clearance
        return (not episode.faults, order[episode.verdict.status],
                float('inf') if nearest is None else nearest, episode.name)

    return sorted(episodes, key=key)[:most]


def within_bounds(episodes: Sequence[EpisodeReport], most: int) -> dict[str, Pictures | None]:
    """Return for each episode the pictures that there is room for [bytes]: all, one, or none."""
    chosen, used = {}, 0
    for episode in episodes:
        pictures = episode.pictures
        if pictures is not None and used + len(pictures.data) + len(pictures.poster) > most:
            small = pictures.poster
            fits = small and used + len(small) <= most
            pictures = Pictures(small, 'image/jpeg', pictures.alt) if fits else None
        used += 0 if pictures is None else len(pictures.data) + len(pictures.poster)
        chosen[episode.name] = pictures
    return chosen


def _own(name: str) -> Html:
    """Return a file of this folder."""
    return Html((_FOLDER / name).read_text(encoding='utf-8'))
