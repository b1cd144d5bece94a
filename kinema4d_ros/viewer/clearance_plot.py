# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The distance to the scene over time, as a small plot with the present time in it."""
from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
from kinema4d_ros.viewer.markup import BAND_COLORS, line

if TYPE_CHECKING:
    import viser

_EMPTY = np.zeros(1)
_FAR = 1e4           # [mm] far above the plot
_BESIDE = 1e-3       # [s]


class ClearancePlot:
    """A folder of the panel; it hides where nothing was measured."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Add the folder at this place of the panel."""
        self._folder = gui.add_folder('Clearance', visible=False)
        with self._folder:
            self._text = gui.add_html('')
            self._plot = gui.add_uplot(
                (_EMPTY, _EMPTY, _EMPTY),
                ({'label': 's'}, {'label': 'mm to the scene', 'width': 2, 'stroke': 'gray'},
                 {'label': 'now', 'stroke': 'black', 'points': {'show': True, 'size': 9}}),
                scales={'x': {'time': False}}, legend={'show': False}, height=130,
                axes=({'size': 30}, {'size': 40}), cursor={'drag': {'x': False, 'y': False}})
        self._timeline = ClearanceCurve(None)

    def show(self, timeline: ClearanceCurve) -> None:
        """Show another timeline, in the colour of its smallest distance."""
        self._timeline = timeline
        self._folder.visible = bool(timeline.all)
        smallest = timeline.smallest
        if smallest is not None:
            distances = [1000 * one.distance for one in timeline.all]
            # Stated, since the plot finds no range where there are gaps, nor one for later data.
            first, last = timeline.all[0].time, timeline.all[-1].time
            low, high = min(*distances, 0.0), max(*distances, 10.0)
            margin = 0.12 * (high - low)
            self._plot.scales = {'x': {'time': False, 'range': [first, max(last, first + 0.1)]},
                                 'y': {'range': [low - margin, high + margin]}}
            series = [dict(one) for one in self._plot.series]
            series[1]['stroke'] = _css(BAND_COLORS[smallest.band])
            self._plot.series = tuple(series)
            self.move(timeline.all[0].time)

    def move(self, time: float) -> None:
        """Mark a time [s]."""
        timeline = self._timeline
        if not timeline.all:
            return
        nearest = timeline.at(time)
        times = np.array([one.time for one in timeline.all])
        distances = np.array([one.distance * 1000 for one in timeline.all])
        now = np.where([one is nearest for one in timeline.all], distances, np.nan)
        # Where nothing is within reach, the line leaves the plot; it cannot have gaps.
        breaks = np.flatnonzero(np.diff(times) > timeline.gap) + 1
        at, edges = np.repeat(breaks, 2), np.stack([times[breaks - 1], times[breaks]], axis=1)
        self._plot.data = (np.insert(times, at, (edges + (_BESIDE, -_BESIDE)).ravel()),
                           np.insert(distances, at, _FAR), np.insert(now, at, np.nan))
        if nearest is None:
            text = 'nothing within reach now'
        else:
            color = _css(BAND_COLORS[nearest.band])
            text = f'<b style="color:{color}">{nearest.text}</b> from the scene: ' \
                f'{escape(nearest.link)}'
        self._text.content = line(text)


def _css(color: tuple[int, int, int]) -> str:
    return 'rgb({}, {}, {})'.format(*color)
