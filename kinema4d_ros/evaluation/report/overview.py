# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All episodes together: counts, list, rates with their intervals, metrics by world model."""
from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from kinema4d_ros.evaluation.comparison import average, Comparison, Metric, METRICS
from kinema4d_ros.evaluation.report.content import EpisodeReport, Figures
from kinema4d_ros.evaluation.report.html import Html, join, tag
from kinema4d_ros.evaluation.report.words import (anchor, measured, millimetres, seconds,
                                                  status_badge, yes_no)
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.types import Status

BASELINE = 'frozen'
_ALIKE = 0.005      # share of the baseline's value that makes no difference


def counts(episodes: Sequence[EpisodeReport]) -> Html:
    """Return the verdicts in numbers, and how often the outcome was foreseen."""
    tiles = [tag('li', tag('b', sum(e.verdict.status == status for e in episodes)),
                 status_badge(status)) for status in (Status.PASS, Status.FAIL, Status.UNSURE)]
    known = [e for e in episodes if None not in (e.foreseen, e.success)]
    if known:
        right = sum(e.foreseen == e.success for e in known)
        tiles.append(tag('li', tag('b', f'{right} of {len(known)}'), 'outcomes foreseen'))
    return tag('ul', tiles, class_='tiles')


def listing(episodes: Sequence[EpisodeReport], detailed: set[str]) -> Html:
    """Return a row for each episode; the name leads to its details where there are any."""
    rows = []
    for episode in episodes:
        name = episode.name
        if name in detailed:
            name = tag('a', name, href='#' + anchor(name))
        verdict = episode.verdict
        rows.append(tag(
            'tr', tag('td', status_badge(verdict.status)), tag('th', name, scope='row'),
            tag('td', yes_no(episode.foreseen)), tag('td', yes_no(episode.success)),
            tag('td', millimetres(verdict.min_clearance), class_='number'),
            tag('td', seconds(sum(verdict.latencies.values()) if not episode.delays
                              else next(iter(episode.delays.values()))), class_='number'),
            tag('td', ', '.join(episode.faults) or '-')))
    timed = next((what for e in episodes for what in e.delays), 'time taken')
    return _table(('verdict', 'episode', 'success foreseen', 'succeeded', 'nearest', timed,
                   'what the verdict got wrong'), rows, right=(4, 5))


def confusion(episodes: Sequence[EpisodeReport]) -> Html | None:
    """Return what was said against what was true, as two small tables."""
    known = [e for e in episodes if None not in (e.foreseen, e.success)]
    judged = [e for e in episodes if e.dangerous is not None]
    tables = []
    if known:
        rows = [tag('tr', tag('th', f'{word} foreseen', scope='row'), [
            _cell(sum(e.foreseen is said and e.success is truth for e in known), said == truth)
            for truth in (True, False)]) for said, word in ((True, 'success'), (False, 'failure'))]
        tables.append(_table(('outcome', 'succeeded', 'failed'), rows, right=(1, 2)))
    if judged:
        rows = [tag('tr', tag('th', status_badge(status), scope='row'), [
            _cell(sum(e.verdict.status == status and e.dangerous is truth for e in judged),
                  truth == (status == Status.FAIL) if status != Status.UNSURE else None)
            for truth in (False, True)]) for status in (Status.PASS, Status.FAIL, Status.UNSURE)]
        tables.append(_table(('verdict', 'nothing disturbed', 'touched or disturbed'), rows,
                             right=(1, 2)))
    return tag('div', tables, class_='pair') if tables else None


def rates(figures: Figures, fold: bool = False) -> Html:
    """
    Return rates with their 95 % Wilson intervals drawn, and further numbers.

    :param fold: show the title alone until it is asked for.
    """
    rows = [tag('tr', tag('th', what, scope='row'), tag('td', f'{rate.hits} of {rate.tries}'),
                tag('td', _interval(rate)), tag('td', goal)) for what, rate, goal in figures.rates]
    rows += [tag('tr', tag('th', what, scope='row'), tag('td', value), tag('td'), tag('td', goal))
             for what, value, goal in figures.numbers]
    table = _table(('figure', 'value', '95 % interval', 'goal'), rows)
    if fold:
        return tag('details', tag('summary', figures.title), table)
    return tag('section', tag('h3', figures.title), table)


def metrics(comparisons: Sequence[Comparison]) -> Html | None:
    """Return means over the episodes, a column for each world model beside the baseline."""
    models: dict[str, list[Comparison]] = {}
    for one in comparisons:
        models.setdefault(one.world_model, []).append(one)
    if not models:
        return None
    order = sorted(models, key=lambda name: (name != BASELINE, name))
    means = {name: average(models[name]) for name in order}
    head = ['metric', *(f'{name} (baseline)' if name == BASELINE else name for name in order)]
    rows, group = [], ''
    for key, metric in METRICS.items():
        if all(math.isnan(means[name][key]) for name in order):
            continue
        if metric.group != group:
            group = metric.group
            rows.append(tag('tr', tag('th', group, scope='colgroup', colspan=len(head)),
                            class_='group'))
        cells = [tag('td', measured(metric, means[name][key]),
                     _against_baseline(metric, means[name][key], means.get(BASELINE, {}).get(key))
                     if name != BASELINE else None, class_='number') for name in order]
        rows.append(tag('tr', tag('th', metric.label, scope='row'), cells))
    meanings = [join(tag('dt', metric.label), tag('dd', metric.meaning, ' ', (
        'More is better.' if metric.more_is_better else 'Less is better.')))
        for metric in METRICS.values()]
    episodes = max(len(found) for found in models.values())
    return join(_table(head, rows, right=range(1, len(head))), tag(
        'p', f'Means over {episodes} episodes, a few frames each. ▲ better, ▼ worse than the '
        f'baseline “{BASELINE}”, in which only the robot moves.', class_='soft'),
        tag('details', tag('summary', 'What these mean'), tag('dl', meanings, class_='meanings')))


def _against_baseline(metric: Metric, value: float, base: float | None) -> Html | None:
    """Return by how much a mean is better or worse than the baseline's."""
    if base is None or math.isnan(base) or math.isnan(value):
        return None
    change = value - base
    if abs(change) <= _ALIKE * abs(base) or metric.scale * abs(change) < 0.5 * 10**-metric.digits:
        return tag('small', '= alike', class_='alike')
    better = (change > 0) == metric.more_is_better
    return tag('small', '▲' if better else '▼',
               f' {metric.scale * change:+.{metric.digits}f}',
               class_='better' if better else 'worse',
               aria_label=f'{"better" if better else "worse"} by '
                          f'{metric.scale * abs(change):.{metric.digits}f}')


def _interval(rate: Rate) -> Html | None:
    """Draw a share and its interval on a line from 0 to 100 %."""
    if not rate.tries:
        return None
    low, high = rate.interval
    said = f'{100 * rate.value:.1f} %, {100 * low:.1f} to {100 * high:.1f} %'
    return join(tag(
        'svg', tag('title', said), tag('line', x1=0, x2=120, y1=8, y2=8, class_='scale'),
        tag('rect', x=f'{120 * low:.1f}', y=4, width=f'{max(120 * (high - low), 1):.1f}',
            height=8, class_='span'),
        tag('circle', cx=f'{120 * rate.value:.1f}', cy=8, r=4, class_='share'),
        viewBox='-5 0 130 16', class_='interval', role='img', aria_label=said),
        tag('small', f'{100 * low:.0f}-{100 * high:.0f} %'))


def _cell(count: int, right: bool | None) -> Html:
    """Return a count; a wrong one that is not 0 is marked."""
    wrong = right is False and count > 0
    return tag('td', '▼ ' if wrong else '', count, class_='number' + (' worse' if wrong else ''))


def _table(head: Sequence[str], rows: Sequence[Html], right: Collection[int] = ()) -> Html:
    """:param right: columns of numbers."""
    cells = [tag('th', name, scope='col', class_='number' if column in right else None)
             for column, name in enumerate(head)]
    return tag('div', tag('table', tag('thead', tag('tr', cells)), tag('tbody', rows)),
               class_='wide', tabindex=0)
