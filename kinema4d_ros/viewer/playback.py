# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where in a predicted future the viewer is, moved by hand or by the clock."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


class Playback:
    """A position on the times of the frames; without frames it stays at 0."""

    def __init__(self) -> None:
        """Make a clock that stands still at the start, and loops when played."""
        self.times = np.zeros(0)    # (T,) float64 [s], increasing
        self.time = 0.0             # [s]
        self.playing, self.loop, self.speed = False, True, 1.0

    @property
    def duration(self) -> float:
        """Time of the last frame [s]."""
        return float(self.times[-1]) if len(self.times) else 0.0

    @property
    def index(self) -> int:
        """The frame nearest to the present time, -1 without frames."""
        if not len(self.times):
            return -1
        return int(np.abs(self.times - self.time).argmin())

    def restart(self, times: Sequence[float]) -> None:
        """Take the times of another future and go to its start."""
        self.times, self.time = np.asarray(times, np.float64), 0.0

    def extend(self, times: Sequence[float]) -> None:
        """Take more frames of the present future."""
        self.times = np.asarray(times, np.float64)

    def seek(self, time: float) -> None:
        """Go to a time [s], moved into the range."""
        self.time = min(max(float(time), 0.0), self.duration)

    def toggle(self) -> None:
        """Play or pause; from the end, play from the start."""
        self.playing = not self.playing
        if self.playing and self.time >= self.duration:
            self.time = 0.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` of the viewer's clock pass."""
        if not self.playing or self.duration <= 0:
            return
        time = self.time + seconds * self.speed
        if time <= self.duration:
            self.time = time
        elif self.loop:
            self.time = 0.0
        else:
            self.time, self.playing = self.duration, False
