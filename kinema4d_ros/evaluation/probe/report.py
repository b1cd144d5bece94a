# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The score of a world model over episodes, with its interval, and what else was seen."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.evaluation.pictures import sheet
from kinema4d_ros.evaluation.probe.actions import ACTIONS
from kinema4d_ros.evaluation.probe.episode import EpisodeProbe, mean_of, probe_episode
from kinema4d_ros.types import Report, silent
from kinema4d_ros.world_model import WorldModel
from kinema4d_ros.world_model.following import (FollowingScore, LEAST_FOLLOWING,
                                                settings_that_matter)

_WINDOWS = 4         # parts of a motion, for the drift
_RESAMPLES = 1000
_BLOCKS = 8          # parts of an episode that are drawn as a whole: neighbouring frames are alike


@dataclass(frozen=True)
class ProbeReport:
    """
    What was measured of one model; NaN where nothing could be.

    A score is 1 where the frames show the motion that was asked for and no other, and 0 where they
    show the same whatever was asked for. Tables have a row for each of `actions` that was asked
    for, and a column for each whose exact robot was looked for.
    """

    score: FollowingScore                # the lower one of colours and points
    limit: float                         # that the lower end of its interval must reach
    verdict: str                         # one sentence
    actions: tuple[str, ...]
    by_color: float
    by_points: float
    recorded_by_color: float             # what a recording of the true motion shows of itself
    recorded_by_points: float
    windows: tuple[float, ...]           # the score in each quarter of the motion
    window_residuals: tuple[float, ...]  # [m] points to the exact robot, likewise
    seed_scores: tuple[float, ...]       # of the true motion
    seed_depths: float                   # [m] mean difference of depths between seeds
    seed_colors: float                   # of 255, of colours
    reaction: float                      # to a thing that is removed: 1 shows what was observed
    episodes: tuple[str, ...]
    overlap: tuple[tuple[float, ...], ...]      # IoU of what came before the scene with the robot
    residuals: tuple[tuple[float, ...], ...]    # [m] points to the exact robot, median

    @property
    def follows(self) -> bool:
        """Whether the lower end of the interval reaches the limit."""
        return self.score.low >= self.limit


def probe_model(model: WorldModel, episodes: Iterable[Episode], *, frames: int = 49,
                seeds: int = 2, seed: int = 0, limit: float = LEAST_FOLLOWING,
                report: Report = silent,
                show: Callable[[EpisodeProbe], None] = lambda _: None,
                package_paths: Sequence[str | Path] = ()) -> ProbeReport:
    """
    Probe a model with the motions of ACTIONS from the start of each episode.

    :param frames: of each prediction.
    :param seeds: predictions of the true motion.
    :param limit: that the lower end of the score's interval must reach.
    :param show: called with what each episode shows.
    :param package_paths: folders to look for mesh packages in.
    :raises WorldModelError: the model cannot predict, or no picture tells the motions apart.
    """
    probes = []
    for episode in episodes:
        probes.append(probe_episode(model, episode, frames=frames, seeds=seeds, seed=seed,
                                    report=report, package_paths=package_paths))
        show(probes[-1])
    return summarize_probes(model, probes, limit)


def summarize_probes(model: WorldModel, probes: Sequence[EpisodeProbe],
                     limit: float = LEAST_FOLLOWING) -> ProbeReport:
    """
    Return the report on what some episodes show.

    :raises WorldModelError: no picture tells the motions apart.
    """
    told = [probe.told_apart for probe in probes]
    by_color, by_points = _means(told)
    if math.isnan(by_color):      # points alone may be those of the robot that was asked for
        raise WorldModelError(
            'no picture tells the motions apart, so whether the model follows cannot be measured: '
            'the robot must be in the picture, move, and differ in colour from what is behind it; '
            'choose another episode or more frames')
    score = _lower(by_color, by_points)
    low, high = _interval(told)
    used = sum(int(np.isfinite(each).any(axis=(0, 1)).sum()) for each in told)
    kept = FollowingScore(model.name, str(model.fingerprint), score, min(low, score),
                          max(high, score), len(probes), used, settings_that_matter(model))
    seeds = np.array([[_lower(*row) for row in probe.seeds.tolist()] for probe in probes])
    own = [probe.residuals[np.arange(len(ACTIONS)), np.arange(len(ACTIONS))] for probe in probes]
    reaction = [_lower(*probe.reaction) for probe in probes]
    recorded = mean_of(np.array([probe.recorded for probe in probes]), 0)
    return ProbeReport(
        kept, limit, _verdict(model, kept, limit), ACTIONS, by_color, by_points,
        float(recorded[0]), float(recorded[1]),
        tuple(_lower(*_means(parts)) for parts in _windows(told)),
        tuple(float(mean_of(np.concatenate([part.ravel() for part in parts])))
              for parts in _windows(own)),
        tuple(map(float, mean_of(seeds, 0))),
        float(mean_of(np.array([probe.seed_depths for probe in probes]))),
        float(mean_of(np.array([probe.seed_colors for probe in probes]))),
        float(mean_of(np.array(reaction))), tuple(probe.name for probe in probes),
        _table(np.stack([probe.overlap for probe in probes])),
        _table(np.stack([mean_of(probe.residuals, -1) for probe in probes])))


def probe_sheet(probe: EpisodeProbe, title: str) -> np.ndarray:
    """Return the pictures of a probe with the outlines of what was asked for, (H, W, 3) uint8."""
    rows = [(row, images) for row, images in probe.pictures.items()
            if len(images) == len(probe.picture_times)]
    return sheet(rows, probe.picture_times, title)


def _verdict(model: WorldModel, score: FollowingScore, limit: float) -> str:
    follows = score.low >= limit
    name = f'{model.name} {model.fingerprint[:12]}'.strip()
    return (f'{name} {"follows" if follows else "does not follow"} the actions that it is asked '
            f'for: score {score}, {"at least" if follows else "of which the lower end must be"} '
            f'{limit:g}')


def _means(told: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the means of all frames of all episodes, each (2, 6, T), by colours and points."""
    both = [float(mean_of(np.concatenate([each[kind].ravel() for each in told])))
            for kind in (0, 1)]
    return both[0], both[1]


def _lower(by_color: float, by_points: float) -> float:
    """Return the lower one of those that could be measured: the other may be a copy."""
    known = [value for value in (by_color, by_points) if math.isfinite(value)]
    return min(known, default=math.nan)


def _windows(values: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Return the quarters of arrays (..., T): for each of them, that of every array."""
    split = [np.array_split(each, _WINDOWS, axis=-1) for each in values]
    return [[each[number] for each in split] for number in range(_WINDOWS)]


def _interval(told: Sequence[np.ndarray]) -> tuple[float, float]:
    """
    Return the 95 % interval of the score by resampling.

    Episodes are drawn, and in each of them parts of the motion: frames beside each other say much
    the same.
    """
    parts = [[(np.nansum(block, axis=(1, 2)), np.isfinite(block).sum(axis=(1, 2)))
              for block in np.array_split(each, min(_BLOCKS, each.shape[-1]), axis=-1)]
             for each in told]
    random, drawn = np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        total, count = np.zeros(2), np.zeros(2)
        for episode in random.integers(0, len(parts), len(parts)):
            blocks = parts[episode]
            for block in random.integers(0, len(blocks), len(blocks)):
                total += blocks[block][0]
                count += blocks[block][1]
        with np.errstate(invalid='ignore', divide='ignore'):
            drawn.append(_lower(*(total / count).tolist()))
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def _table(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Return the mean over the first axis as rows."""
    return tuple(tuple(map(float, row)) for row in mean_of(values, 0))


def as_rows(report: ProbeReport) -> Mapping[str, str]:
    """Return what people ask first, as name -> value in words."""
    def number(value: float, digits: int = 2, scale: float = 1.0, unit: str = '') -> str:
        return 'not measured' if math.isnan(value) else f'{scale * value:.{digits}f}{unit}'

    return {
        'score (1 follows, 0 regardless)': str(report.score),
        'by colours, by points': f'{number(report.by_color)}, {number(report.by_points)}',
        'a recording of the true motion, likewise':
            f'{number(report.recorded_by_color)}, {number(report.recorded_by_points)}',
        'in each quarter of the motion': ', '.join(map(number, report.windows)),
        'points to the exact robot, likewise': ', '.join(
            number(value, 0, 1000.0, ' mm') for value in report.window_residuals),
        'of the true motion, by seed': ', '.join(map(number, report.seed_scores)),
        'seeds apart': f'{number(report.seed_depths, 1, 1000.0, " mm")}, '
                       f'{number(report.seed_colors, 1, 1.0, " of 255")}',
        'reaction to a thing removed (1 shows it, 0 regardless)': number(report.reaction)}
