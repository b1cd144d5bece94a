# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One episode in detail: pictures, verdict, distances, findings, latency, metrics."""
from __future__ import annotations

import math
from collections.abc import Mapping

from kinema4d_ros.evaluation.comparison import METRICS
from kinema4d_ros.evaluation.report.content import EpisodeReport, Pictures
from kinema4d_ros.evaluation.report.html import data_uri, Html, join, tag
from kinema4d_ros.evaluation.report.timeline import timeline
from kinema4d_ros.evaluation.report.words import (anchor, badge, measured, millimetres, seconds,
                                                  sentence, SEVERITY, status_badge)
from kinema4d_ros.types import Finding

_MOST_FINDINGS = 12


def card(episode: EpisodeReport, pictures: Pictures | None) -> Html:
    """
    Return the section about one episode.

    :param pictures: what there is room for.
    """
    verdict = episode.verdict
    findings = sorted(verdict.findings, key=lambda f: (-f.severity, math.inf if f.time is None
                                                       else f.time))
    shown = list(enumerate(findings[:_MOST_FINDINGS], 1))
    drawing = timeline(episode, [(n, f) for n, f in shown if f.time is not None])
    name = anchor(episode.name)
    return tag(
        'article',
        tag('header', status_badge(verdict.status),
            tag('h3', sentence(episode.task) or episode.name),
            tag('p', f'{episode.name} · {episode.duration:.1f} s of motion', class_='soft')),
        tag('div', None if pictures is None else _pictures(pictures),
            tag('div', tag('p', sentence(verdict.summary), class_='summary'), _against(episode),
                _help(episode),
                tag('figure', tag('figcaption', 'Distance of the robot to the observed scene'),
                    drawing, _legend(episode), tag('p', class_='readout'))
                if drawing else tag('p', 'The distance to the scene was not measured.',
                                    class_='soft')),
            class_='columns' if pictures else None),
        _findings(shown, len(findings)),
        tag('div', _latency(episode), _metrics(episode), class_='folds'),
        id=name, class_=f'card {verdict.status.name.lower()}')


def _pictures(pictures: Pictures) -> Html:
    """Return the video or the strip, the prediction above the truth."""
    address = data_uri(pictures.data, pictures.media_type)
    if pictures.media_type.startswith('video/'):
        seen = tag('div', tag('video', src=address, controls=True, loop=True, muted=True,
                              playsinline=True, preload='metadata', aria_label=pictures.alt,
                              poster=data_uri(pictures.poster, 'image/jpeg')
                              if pictures.poster else None),
                   tag('span', 'predicted', class_='tape upper'),
                   tag('span', 'what really happened', class_='tape lower'), class_='film')
        return tag('figure', seen, class_='pictures')
    return tag('figure', tag('img', src=address, alt=pictures.alt),
               class_='pictures strip', tabindex=0)


def _against(episode: EpisodeReport) -> Html:
    """Return what was foreseen next to what happened."""
    verdict = episode.verdict
    rows = [tag('dt', 'Foreseen'), tag('dd', sentence(verdict.outcome) or 'Nothing is moved.')]
    if episode.happened:
        rows += [tag('dt', 'Happened'), tag('dd', episode.happened)]
    return join(tag('dl', rows, class_='against'),
                [tag('p', badge('unsure', fault), class_='fault') for fault in episode.faults])


def _help(episode: EpisodeReport) -> Html | None:
    """Return what a verdict offers instead: the safe part, a speed that would pass."""
    verdict, facts = episode.verdict, []
    if verdict.success is not None:
        facts.append(('success', f'{100 * verdict.success:.0f} %'))
    if verdict.min_clearance is not None:
        sigma = f' ± {millimetres(verdict.clearance_sigma)}' if verdict.clearance_sigma else ''
        facts.append(('nearest', f'{millimetres(verdict.min_clearance)}{sigma}'))
    if verdict.safe_prefix is not None and verdict.safe_prefix < episode.duration - 1e-6:
        facts.append(('safe part', f'first {verdict.safe_prefix:.2f} s'))
    if verdict.speed_factor is not None and verdict.speed_factor < 1:
        facts.append(('would pass at', f'{100 * verdict.speed_factor:.0f} % of the speed'))
    facts += [(what, seconds(value)) for what, value in episode.delays.items()]
    return tag('ul', [tag('li', tag('span', what), ' ', tag('b', value)) for what, value in facts],
               class_='facts') if facts else None


def _findings(shown: list[tuple[int, Finding]], count: int) -> Html | None:
    """Return the findings as a table, those against the motion first."""
    if not shown:
        return tag('p', 'No findings.', class_='soft')
    rows = []
    for number, finding in shown:
        kind, word = SEVERITY[finding.severity]
        rows.append(tag(
            'tr', tag('td', number, class_='number'), tag('td', badge(kind, word)),
            tag('td', finding.code.name.replace('_', ' ').lower()),
            tag('td', sentence(finding.message), class_='message'),
            tag('td', '' if finding.time is None else f'{finding.time:.2f} s', class_='number')))
    more = count - len(shown)
    return join(
        tag('div', tag('table', tag('thead', tag('tr', [tag('th', name, scope='col') for name in (
            '#', 'weight', 'finding', 'what it says', 'when')])), tag('tbody', rows)),
            class_='wide findings', tabindex=0),
        tag('p', f'and {more} more', class_='soft') if more > 0 else None)


def _latency(episode: EpisodeReport) -> Html | None:
    """Return how long each stage took, as bars."""
    latencies: Mapping[str, float] = episode.verdict.latencies
    if not latencies:
        return None
    longest = max(max(latencies.values()), 1e-9)
    rows = [join(tag('dt', stage), tag('dd', tag('i', style=f'width:{100 * value / longest:.1f}%'),
                                       tag('b', seconds(value))))
            for stage, value in latencies.items()]
    return tag('details', tag('summary', 'Latency per stage'), tag('dl', rows, class_='bars'),
               open=True)


def _metrics(episode: EpisodeReport) -> Html | None:
    """Return the metrics of this episode, a column for each model."""
    found = episode.comparisons
    if not found:
        return None
    head = tag('tr', tag('th', 'metric', scope='col'),
               [tag('th', one.world_model, scope='col') for one in found])
    rows = [tag('tr', tag('th', metric.label, scope='row'),
                [tag('td', measured(metric, one[key]), class_='number') for one in found])
            for key, metric in METRICS.items()
            if any(not math.isnan(one[key]) for one in found)]
    return tag('details', tag('summary', 'Metrics of this episode'),
               tag('div', tag('table', tag('thead', head), tag('tbody', rows)), class_='wide',
                   tabindex=0))


def _legend(episode: EpisodeReport) -> Html:
    """Say what the drawing shows."""
    said = (f'Line: measured; band: ± {episode.confidence:g} standard deviations. No line: farther '
            'away than is measured.')
    if episode.true_clearances:
        said += ' Dots: true distance.'
    if any(finding.time is not None for finding in episode.verdict.findings):
        said += ' Numbers: findings below.'
    return tag('p', said, class_='soft')
