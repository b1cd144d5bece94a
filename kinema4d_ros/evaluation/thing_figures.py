# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures about how well a world model moves things, what is demanded of them, and a table."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kinema4d_ros.episodes.displacement import Happened, TOPPLED
from kinema4d_ros.evaluation.moved_things import ThingScore
from kinema4d_ros.evaluation.statistics import Rate

NEAR = 0.02           # [m] a final error below this is small
_RESAMPLED = 1000     # times, for the interval of a median or mean
_ANY, _MOST = 1e-9, 0.5 + 1e-9     # shares of the runs
_WORSE = 0.02         # [m] a carry that is worse than with another model by this is told


@dataclass(frozen=True)
class Middle:
    """A median or mean [m] with its 95 % bootstrap interval; NaN without any value."""

    value: float
    interval: tuple[float, float]
    count: int

    @classmethod
    def of(cls, values: Sequence[float], statistic: Callable[..., Any] = np.median) -> Middle:
        """Return a statistic of values, resampled with a fixed seed."""
        if not len(values):
            return cls(float('nan'), (float('nan'), float('nan')), 0)
        drawn = np.random.default_rng(0).choice(np.asarray(values, np.float64),
                                                (_RESAMPLED, len(values)))
        low, high = np.percentile(statistic(drawn, axis=1), [2.5, 97.5])
        return cls(float(statistic(values)), (float(low), float(high)), len(values))

    def __str__(self) -> str:
        """Return it in centimetres."""
        if not self.count:
            return 'none'
        low, high = (100 * bound for bound in self.interval)
        return f'{100 * self.value:.2f} cm ({low:.2f} to {high:.2f}; n={self.count})'

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), 'value': self.value if self.count else None,
                'interval': self.interval if self.count else None}


@dataclass(frozen=True)
class Demand:
    """A figure and what is demanded of it."""

    key: str
    words: str
    bound: float
    is_upper: bool

    def is_held(self, value: float) -> bool:
        """Whether a value meets it; NaN never does."""
        return value <= self.bound if self.is_upper else value >= self.bound


#: on clean depth; lengths in metres
DEMANDS = (
    Demand('final_error', 'final error of moved things, median at most 1.0 cm', 0.010, True),
    Demand('near', 'of them below 2 cm, at least 75 %', 0.75, False),
    Demand('path_error', 'mean over the path at most 0.7 cm', 0.007, True),
    Demand('push', 'pushed, median at most 1.0 cm', 0.010, True),
    Demand('topple', 'toppled, median at most 2.0 cm', 0.020, True),
    Demand('drag', 'dragged, median at most 1.5 cm', 0.015, True),
    Demand('lifted', 'carried and dropped, median at most 0.8 cm', 0.008, True),
    Demand('moved_precision', 'moved more than 1 cm, precision at least 0.93', 0.93, False),
    Demand('moved_recall', 'moved more than 1 cm, recall at least 0.93', 0.93, False),
    Demand('toppled_recall', 'toppled, any run finds at least 0.9', 0.9, False),
    Demand('toppled_precision', 'toppled in most runs, precision at least 0.85', 0.85, False),
    Demand('strayed', 'things that stay and are moved, at most 0.5 %', 0.005, True),
    Demand('covered', 'two sigma or the right mode, at least 90 %', 0.9, False),
    Demand('discarded', 'runs discarded, at most 1 %', 0.01, True))
#: what is said with the depth of a real camera, and on a second engine with such depth
REAL_DEMANDS = (Demand('final_error', 'final error of moved things, median at most 1.5 cm', 0.015,
                       True),
                Demand('moved_recall', 'moved more than 1 cm, recall at least 0.9', 0.9, False))
SECOND_DEMANDS = (
    Demand('final_error', 'final error of moved things, median at most 2 cm', 0.02, True),
    Demand('moved_precision', 'moved more than 1 cm, precision at least 0.85', 0.85, False),
    Demand('moved_recall', 'moved more than 1 cm, recall at least 0.85', 0.85, False))


def thing_figures(scores: Sequence[ThingScore], members: Sequence[tuple[int, int] | None] = (),
                  ) -> dict[str, Rate | Middle]:
    """
    Return the figures of one world model.

    *final_error*, *near*, *path_error* and the classes are over things that truly moved by more
    than 1 cm or toppled. *strayed*: of those that stay, how many the model moves by more than
    1 cm. A motion where no thing was counts against the precision alone. *covered*: of the moved
    things for which several runs are known.

    :param members: of each episode, runs that count and that were discarded.
    """
    things = [score for score in scores if score.thing]
    moved = [score for score in things if score.happened is not Happened.STAY]
    staying = [score for score in things if not score.has_moved]
    said = [score for score in scores if score.is_said_to_move]
    with_runs = [score for score in moved if score.is_covered is not None]
    toppled = [score for score in things if score.has_toppled]
    counted = [pair for pair in members if pair is not None]
    return {
        'final_error': Middle.of([score.final_error for score in moved]),
        'near': Rate(sum(score.final_error < NEAR for score in moved), len(moved)),
        'path_error': Middle.of([score.path_error for score in moved], np.mean),
        **{str(kind): Middle.of([score.final_error for score in moved if score.happened is kind])
           for kind in Happened if kind is not Happened.STAY},
        'lifted': Middle.of([score.final_error for score in moved
                             if score.happened in (Happened.CARRY, Happened.DROP)]),
        'moved_precision': Rate(sum(score.has_moved for score in said), len(said)),
        'moved_recall': Rate(sum(score.is_said_to_move for score in things if score.has_moved),
                             sum(score.has_moved for score in things)),
        'toppled_recall': Rate(sum(_topples(score, _ANY) for score in toppled), len(toppled)),
        'toppled_precision': Rate(
            sum(score.has_toppled for score in scores if _topples(score, _MOST)),
            sum(_topples(score, _MOST) for score in scores)),
        'strayed': Rate(sum(score.is_said_to_move for score in staying), len(staying)),
        'covered': Rate(sum(bool(score.is_covered) for score in with_runs), len(with_runs)),
        'within_two_sigma': Rate(sum(score.is_within_two_sigma for score in with_runs),
                                 len(with_runs)),
        'discarded': Rate(sum(lost for _, lost in counted),
                          sum(kept + lost for kept, lost in counted))}


def worse_than(scores: Sequence[ThingScore], others: Sequence[ThingScore]) -> list[str]:
    """Return the carried and dropped things whose final error is 2 cm larger than with another."""
    there = {(score.episode, score.thing): score for score in others if score.thing}
    return [f'{score.episode}, {score.thing}: {100 * score.final_error:.1f} cm against '
            f'{100 * there[key].final_error:.1f} cm'
            for score in scores if score.happened in (Happened.CARRY, Happened.DROP)
            and (key := (score.episode, score.thing)) in there
            and score.final_error > there[key].final_error + _WORSE]


def things_markdown(title: str, figures: dict[str, dict[str, Rate | Middle]],
                    demands: Sequence[Demand] = DEMANDS) -> str:
    """
    Return a table: the demands, then the figures without one.

    :param figures: world model -> its figures.
    """
    keys = [demand.key for demand in demands]
    rest = [key for key in next(iter(figures.values()), {}) if key not in keys]
    lines = [f'## {title}', '', '| figure | ' + ' | '.join(figures) + ' |',
             '|---|' + '---|' * len(figures)]
    for demand in demands:
        cells = [f'{of[demand.key]}{_mark(demand, of[demand.key])}' for of in figures.values()]
        lines.append(f'| {demand.words} | ' + ' | '.join(cells) + ' |')
    lines += [f'| {key.replace("_", " ")} | ' + ' | '.join(
        str(of[key]) for of in figures.values()) + ' |' for key in rest]
    return '\n'.join([*lines, ''])


def _mark(demand: Demand, figure: Rate | Middle) -> str:
    known = figure.tries if isinstance(figure, Rate) else figure.count
    return '' if not known else ', held' if demand.is_held(figure.value) else ', missed'


def _topples(score: ThingScore, least: float) -> bool:
    """Whether at least this share of the runs topples it; the one that is shown without several."""
    share = score.toppled_runs
    return bool(share >= least) if np.isfinite(share) else score.said_tilt > TOPPLED
