# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How near the robot comes to the scene over time, as a drawing (SVG)."""
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kinema4d_ros.evaluation.report.content import EpisodeReport
from kinema4d_ros.evaluation.report.html import Html, tag
from kinema4d_ros.evaluation.report.words import millimetres
from kinema4d_ros.types import Finding

WIDTH, HEIGHT = 640, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 40
_HIGHEST, _LOWEST = 0.15, -0.05     # [m] what lies beyond is drawn at the rim
_GAP = 4.0                          # times the usual step is a gap in time
_STEPS = (0.005, 0.01, 0.02, 0.05)  # [m] between lines


class Frame:
    """Where a time and a distance are in the drawing."""

    def __init__(self, duration: float, low: float, high: float):
        """:param low: :param high: [m] of the lower and the upper rim."""
        self.duration, self.low, self.high = max(duration, 1e-6), low, high

    def x(self, time: float) -> float:
        """Return the place of a time [s]."""
        share = min(max(time / self.duration, 0.0), 1.0)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, distance: float) -> float:
        """Return the height of a distance [m]."""
        share = (min(max(distance, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def timeline(episode: EpisodeReport, marks: Sequence[tuple[int, Finding]]) -> Html | None:
    """
    Draw distance with its uncertainty, the bands of contact and near miss, and the findings.

    :param marks: findings with the number by which the page lists them.
    :return: None when no distance was measured.
    """
    verdict = episode.verdict
    times = np.array([sample.time for sample in verdict.clearances])
    distances = np.array([sample.distance for sample in verdict.clearances])
    sigmas = np.nan_to_num([sample.sigma for sample in verdict.clearances]) * episode.confidence
    known = np.isfinite(times) & np.isfinite(distances)
    if not known.any():
        return None
    times, distances, sigmas = times[known], distances[known], sigmas[known]
    links = [sample.link for sample, keep in zip(verdict.clearances, known) if keep]
    top = min(_HIGHEST, max(3 * episode.near_miss, float((distances + sigmas).max()) * 1.05))
    low = max(_LOWEST, min(-0.006, float((distances - sigmas).min()) - 0.003))
    frame = Frame(max(episode.duration, float(times[-1])), low, top)
    near = int(distances.argmin())
    said = (f'{millimetres(distances[near])} ± {millimetres(sigmas[near])}, '
            f'{links[near] or "robot"}, at {times[near]:.1f} s')
    return tag(
        'svg', tag('title', f'Distance to the scene over time; nearest: {said}'),
        _bands(frame, episode.near_miss), _grid(frame),
        [_run(frame, times[part], distances[part], sigmas[part]) for part in _runs(times)],
        _truth(frame, episode),
        _safe(frame, verdict.safe_prefix), _marks(frame, marks),
        tag('circle', cx=frame.x(times[near]), cy=frame.y(distances[near]), r=4.5,
            class_='nearest'),
        tag('line', x1=_LEFT, x2=_LEFT, y1=_TOP, y2=HEIGHT - _BOTTOM, class_='cursor'),
        viewBox=f'0 0 {WIDTH} {HEIGHT}', class_='timeline', role='img',
        aria_label=f'Distance to the scene over time; nearest: {said}',
        data_left=_LEFT, data_right=WIDTH - _RIGHT, data_duration=f'{frame.duration:.3f}',
        data_near=round(1000 * episode.near_miss, 1), data_samples=';'.join(
            f'{t:.3f},{1000 * d:.1f},{link}' for t, d, link in zip(times, distances, links)))


def _runs(times: np.ndarray) -> list[slice]:
    """Return the parts without a gap; in a gap the robot is farther away than is measured."""
    steps = np.diff(times)
    cuts = [0, *(np.nonzero(steps > _GAP * np.median(steps))[0] + 1 if len(steps) else []),
            len(times)]
    return [slice(first, last) for first, last in pairwise(cuts)]


def _run(frame: Frame, times: np.ndarray, distances: np.ndarray, sigmas: np.ndarray) -> list[Html]:
    """Draw one part of the distance with its uncertainty."""
    return [tag('polygon', points=_points(frame, [*times, *times[::-1]], [
                *(distances + sigmas), *(distances - sigmas)[::-1]]), class_='sigma'),
            tag('polyline', points=_points(frame, times, distances), class_='distance')]


def _points(frame: Frame, times, distances) -> str:
    return ' '.join(f'{frame.x(t)},{frame.y(d)}' for t, d in zip(times, distances))


def _truth(frame: Frame, episode: EpisodeReport) -> list[Html]:
    """Return the true distance as points, where the recording knows it."""
    return [tag('circle', cx=frame.x(time), cy=frame.y(distance), r=2.2, class_='true')
            for time, distance in zip((sample.time for sample in episode.verdict.clearances),
                                      episode.true_clearances)
            if math.isfinite(distance)]


def _bands(frame: Frame, near_miss: float) -> list[Html]:
    """Return the areas in which a distance is contact or a near miss, with their names."""
    out = []
    for kind, name, low, high in (('contact', 'contact', frame.low, 0.0),
                                  ('near', 'near miss', 0.0, near_miss)):
        y = frame.y(high)
        out += [tag('rect', x=_LEFT, y=y, width=WIDTH - _LEFT - _RIGHT,
                    height=round(frame.y(low) - y, 1), class_=f'band {kind}'),
                tag('line', x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_=f'bound {kind}'),
                tag('text', name, x=WIDTH - _RIGHT - 4, y=round((frame.y(low) + y) / 2, 1),
                    class_=f'band-name {kind}', text_anchor='end', dominant_baseline='central')]
    return out


def _grid(frame: Frame) -> list[Html]:
    """Return lines and numbers of both axes."""
    step = next((s for s in _STEPS if (frame.high - frame.low) / s <= 6), _STEPS[-1])
    first = math.ceil(frame.low / step)
    levels = [k * step for k in range(first, math.floor(frame.high / step) + 1)]
    beat = next((s for s in (0.5, 1.0, 2.0, 5.0, 10.0, 30.0) if frame.duration / s <= 8), 60.0)
    out = [tag('text', 'mm', x=_LEFT - 8, y=_TOP - 12, text_anchor='end')]
    for level in levels:
        out += [tag('line', x1=_LEFT, x2=WIDTH - _RIGHT, y1=frame.y(level), y2=frame.y(level),
                    class_='grid'),
                tag('text', f'{1000 * level:.0f}', x=_LEFT - 8, y=frame.y(level),
                    text_anchor='end', dominant_baseline='central')]
    count = math.floor(frame.duration / beat + 1e-9)
    for k in range(count + 1):
        out.append(tag('text', f'{k * beat:g}' + (' s' if k == count else ''),
                       x=frame.x(k * beat), y=HEIGHT - _BOTTOM + 20, text_anchor='middle',
                       class_='minor' if k % 2 and k != count else None))
    return out


def _safe(frame: Frame, safe_prefix: float | None) -> list[Html] | None:
    """Return the end of the part that is safe, unless that is all of it."""
    if safe_prefix is None or safe_prefix >= frame.duration - 1e-6:
        return None
    x = frame.x(safe_prefix)
    right = x > WIDTH / 2
    return [tag('line', x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_='safe'),
            tag('text', 'safe until here', x=x - 5 if right else x + 5, y=_TOP + 10,
                text_anchor='end' if right else 'start', class_='safe-name')]


def _marks(frame: Frame, marks: Sequence[tuple[int, Finding]]) -> list[Html]:
    """Return a numbered line for each finding that has a time; near ones share a label."""
    out, groups = [], []
    for number, finding in sorted(marks, key=lambda mark: mark[1].time):
        x = frame.x(finding.time)
        if groups and x - groups[-1][0] < 26:
            groups[-1][1].append(number)
        else:
            groups.append((x, [number]))
        out.append(tag('line', x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_='mark'))
    for x, numbers in groups:
        out.append(tag('text', _numbers(sorted(numbers)), x=x, y=_TOP - 10,
                       text_anchor='middle', class_='mark-name'))
    return out


def _numbers(numbers: Sequence[int]) -> str:
    """Return numbers in order; three or more in a row by the first and the last."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f'{numbers[0]}..{numbers[-1]}'
    return ','.join(map(str, numbers))
