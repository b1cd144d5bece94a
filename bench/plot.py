# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain line charts as SVG, side by side in rows; no library needed to make or to show them."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#56b4e9', '#000000')
_WIDTH, _HEIGHT = 400, 300                          # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 44       # margins around what is drawn


@dataclass(frozen=True)
class Panel:
    """One chart; a series is a list of (x, y)."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = False
    from_zero: bool = False           # the y axis begins at 0


def write_svg(path: Path, panels: Sequence[Panel], columns: int = 3) -> None:
    """Draw panels in rows of `columns`; a legend in each, for its own series."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(names)}
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = columns * _WIDTH, rows * _HEIGHT
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
             f'<rect width="{width}" height="{height}" fill="white"/>']
    for number, panel in enumerate(panels):
        x, y = number % columns * _WIDTH, number // columns * _HEIGHT
        parts += [f'<g transform="translate({x},{y})">', *_panel(panel, colors), '</g>']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join([*parts, '</svg>']) + '\n', encoding='utf-8')


def _panel(panel: Panel, colors: Mapping[str, str]) -> list[str]:
    points = [point for series in panel.series.values() for point in series]
    legend, top = _legend(panel.series, colors)
    x_axis = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT, panel.logarithmic, False)
    y_axis = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, top, panel.logarithmic,
                   panel.from_zero)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [_text((_LEFT + right) / 2, 18, panel.title, size=13, weight='bold'),
             _text((_LEFT + right) / 2, _HEIGHT - 8, panel.x_label),
             _text(14, (top + bottom) / 2, panel.y_label, turned=True)]
    for value in x_axis.ticks:
        at = x_axis(value)
        parts += [_line(at, bottom, at, top, '#e4e4e4'), _text(at, bottom + 15, _number(value))]
    for value in y_axis.ticks:
        at = y_axis(value)
        parts += [_line(_LEFT, at, right, at, '#e4e4e4'),
                  _text(_LEFT - 5, at + 4, _number(value), anchor='end')]
    parts += [_line(_LEFT, bottom, right, bottom, '#444'),
              _line(_LEFT, bottom, _LEFT, top, '#444'), *legend]
    for name, series in panel.series.items():
        color = colors[name]
        drawn = ' '.join(f'{x_axis(x):.1f},{y_axis(y):.1f}' for x, y in series)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{color}" '
                     'stroke-width="1.6"/>')
        if len(series) <= 12:
            parts += [f'<circle cx="{x_axis(x):.1f}" cy="{y_axis(y):.1f}" r="2.4" '
                      f'fill="{color}"/>' for x, y in series]
    return parts


def _legend(names: Iterable[str], colors: Mapping[str, str]) -> tuple[list[str], float]:
    """Return the legend, in as many lines as it needs, and where the drawing begins below it."""
    parts, x, y = [], _LEFT, _TOP
    for name in names:
        width = 32 + 6.2 * len(name)
        if x > _LEFT and x + width > _WIDTH:
            x, y = _LEFT, y + 14
        parts += [_line(x, y - 4, x + 14, y - 4, colors[name], 2.5),
                  _text(x + 18, y, name, anchor='start')]
        x += width
    return parts, y + 10


class _Axis:
    """Where a value lies between two ends of the picture."""

    def __init__(self, values: Sequence[float], begin: float, end: float, logarithmic: bool,
                 from_zero: bool):
        low, high = min(values), max(values)
        self._begin, self._end, self._log = begin, end, logarithmic
        if logarithmic:
            low, high = low / 1.2, high * 1.2
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            steps = (1, 2, 5) if high / low < 100 else (1,)
            self.ticks = [step * 10.0 ** power for power in range(first, last + 1)
                          for step in steps if low <= step * 10.0 ** power <= high]
        else:
            low = 0.0 if from_zero else low
            high = high * 1.1 if from_zero else high
            high = high if high > low else low + 1.0
            step = _round_step((high - low) / 5)
            count = math.floor((high - low) / step + 1e-9)
            begin_tick = math.ceil(low / step - 1e-9) * step
            self.ticks = [begin_tick + i * step for i in range(count + 1)
                          if begin_tick + i * step <= high + 1e-9]
        self._low, self._high = self._scaled(low), self._scaled(high)

    def __call__(self, value: float) -> float:
        share = (self._scaled(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value


def _round_step(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _number(value: float) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f'{value:.0e}'.replace('e-0', 'e-').replace('e+0', 'e')
    return f'{value:g}'


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1.0) -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
            f'stroke-width="{width}"/>')


def _text(x: float, y: float, text: str, *, anchor: str = 'middle', size: int = 11,
          weight: str = 'normal', turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ''
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}"{turn}>{escape(text)}</text>')
