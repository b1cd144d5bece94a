# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How near the robot comes to the scene over time: the numbers of a drawing (SVG)."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from kinema4d_ros.evaluation.report.content import EpisodeReport
from kinema4d_ros.evaluation.report.words import millimetres
from kinema4d_ros.types import Finding

WIDTH, HEIGHT = 640, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 40
_HIGHEST, _LOWEST = 0.15, -0.05     # [m] what lies beyond is drawn at the rim
_GAP = 4.0                          # times the usual step is a gap in time
_STEPS = (0.005, 0.01, 0.02, 0.05)  # [m] between lines
_BEATS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)      # [s] between times


class PlotArea:
    """Where a time and a distance are in the drawing [px]."""

    def __init__(self, duration: float, low: float, high: float) -> None:
        """
        Make the area of a motion.

        :param duration: [s] of the motion.
        :param low: [m] of the lower rim.
        :param high: [m] of the upper rim.
        """
        self.duration, self.low, self.high = max(duration, 1e-6), low, high

    def x(self, time: float) -> float:
        """Return the place of a time [s]."""
        share = min(max(time / self.duration, 0.0), 1.0)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, distance: float) -> float:
        """Return the height of a distance [m]."""
        share = (min(max(distance, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    def points(self, times: Iterable[float], distances: Iterable[float]) -> str:
        """Return the places of a line, as SVG writes them."""
        return ' '.join(f'{self.x(t)},{self.y(d)}' for t, d in zip(times, distances))


class Band(NamedTuple):
    """An area in which a distance is contact or a near miss [px]."""

    kind: str
    name: str
    y: float
    height: float
    text_y: float


@dataclass(frozen=True)
class DistancePlot:
    """What the template draws; places in px from the upper left corner."""

    nearest: tuple[float, float]            # (x, y)
    nearest_text: str
    bands: Sequence[Band]
    levels: Sequence[tuple[float, str]]           # y, its number
    times: Sequence[tuple[float, str, bool]]      # x, its number, whether it may be left out
    runs: Sequence[tuple[str, str]]               # outline of the uncertainty, line
    truth: Sequence[tuple[float, float]]          # (x, y)
    safe_until: float | None                      # x; None when that is all of it
    marks: Sequence[float]                        # x of the findings
    mark_names: Sequence[tuple[float, str]]       # x, numbers of the findings there
    duration: str                                 # [s]
    near_miss: float                              # [mm]
    samples: str                                  # for page.js: 's,mm,link;...'
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def distance_plot(episode: EpisodeReport, findings: Sequence[Finding]) -> DistancePlot | None:
    """
    Return distance with its uncertainty, the bands of contact and near miss, and the findings.

    :param findings: in the order in which the page numbers them, from 1.
    :return: None when no distance was measured.
    """
    verdict = episode.verdict
    samples = verdict.clearances
    times = np.array([sample.time for sample in samples])
    distances = np.array([sample.distance for sample in samples])
    sigmas = np.nan_to_num([sample.sigma for sample in samples]) * episode.confidence
    known = np.isfinite(times) & np.isfinite(distances)
    if not known.any():
        return None
    times, distances, sigmas = times[known], distances[known], sigmas[known]
    links = [sample.link for sample, keep in zip(samples, known) if keep]
    top = min(_HIGHEST, max(3 * episode.near_miss, float((distances + sigmas).max()) * 1.05))
    low = max(_LOWEST, min(-0.006, float((distances - sigmas).min()) - 0.003))
    area = PlotArea(max(episode.duration, float(times[-1])), low, top)
    near = int(distances.argmin())
    marks, mark_names = _marks(area, findings)
    safe = verdict.safe_prefix
    return DistancePlot(
        nearest=(area.x(times[near]), area.y(distances[near])),
        nearest_text=f'{millimetres(distances[near])} ± {millimetres(sigmas[near])}, '
                     f'{links[near] or "robot"}, at {times[near]:.1f} s',
        bands=_bands(area, episode.near_miss), levels=_levels(area), times=_times(area),
        runs=[_run(area, times[part], distances[part], sigmas[part]) for part in _runs(times)],
        truth=[(area.x(time), area.y(distance))
               for time, distance in zip((sample.time for sample in samples),
                                        episode.true_clearances)
               if math.isfinite(distance)],
        safe_until=None if safe is None or safe >= area.duration - 1e-6 else area.x(safe),
        marks=marks, mark_names=mark_names, duration=f'{area.duration:.3f}',
        near_miss=round(1000 * episode.near_miss, 1), samples=';'.join(
            f'{t:.3f},{1000 * d:.1f},{link}' for t, d, link in zip(times, distances, links)))


def _runs(times: np.ndarray) -> list[slice]:
    """Return the parts without a gap; in a gap the robot is farther away than is measured."""
    steps = np.diff(times)
    cuts = [0, *(np.nonzero(steps > _GAP * np.median(steps))[0] + 1 if len(steps) else []),
            len(times)]
    return [slice(first, last) for first, last in pairwise(cuts)]


def _run(area: PlotArea, times: np.ndarray, distances: np.ndarray,
         sigmas: np.ndarray) -> tuple[str, str]:
    """Return one part of the distance: the outline of its uncertainty, and its line."""
    outline = area.points([*times, *times[::-1]],
                          [*(distances + sigmas), *(distances - sigmas)[::-1]])
    return outline, area.points(times, distances)


def _bands(area: PlotArea, near_miss: float) -> list[Band]:
    found = []
    for kind, name, low, high in (('contact', 'contact', area.low, 0.0),
                                  ('near', 'near miss', 0.0, near_miss)):
        y, bottom = area.y(high), area.y(low)
        found.append(Band(kind, name, y, round(bottom - y, 1), round((bottom + y) / 2, 1)))
    return found


def _levels(area: PlotArea) -> list[tuple[float, str]]:
    """Return the distances that have a line, with their numbers [mm]."""
    step = next((s for s in _STEPS if (area.high - area.low) / s <= 6), _STEPS[-1])
    first, last = math.ceil(area.low / step), math.floor(area.high / step)
    return [(area.y(k * step), f'{1000 * k * step:.0f}') for k in range(first, last + 1)]


def _times(area: PlotArea) -> list[tuple[float, str, bool]]:
    """Return the times that have a number; every other one may be left out."""
    beat = next((s for s in _BEATS if area.duration / s <= 8), 60.0)
    count = math.floor(area.duration / beat + 1e-9)
    return [(area.x(k * beat), f'{k * beat:g}' + (' s' if k == count else ''),
             bool(k % 2) and k != count) for k in range(count + 1)]


def _marks(area: PlotArea, findings: Sequence[Finding]) -> tuple[list[float],
                                                                 list[tuple[float, str]]]:
    """Return a line for each finding that has a time, and their numbers; near ones share one."""
    marks: list[float] = []
    groups: list[tuple[float, list[int]]] = []
    timed = [(f.time, number) for number, f in enumerate(findings, 1) if f.time is not None]
    for time, number in sorted(timed):
        x = area.x(time)
        if groups and x - groups[-1][0] < 26:
            groups[-1][1].append(number)
        else:
            groups.append((x, [number]))
        marks.append(x)
    return marks, [(x, _numbers(sorted(numbers))) for x, numbers in groups]


def _numbers(numbers: Sequence[int]) -> str:
    """Return numbers in order; three or more in a row by the first and the last."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f'{numbers[0]}..{numbers[-1]}'
    return ','.join(map(str, numbers))
