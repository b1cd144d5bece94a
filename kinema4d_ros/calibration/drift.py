# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far a camera has drifted from where it was calibrated, over time."""
from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

_KEPT = 600            # samples
_FEWEST = 5            # for a statement about now, and for a trend
_RECENT = 60.0         # [s] whose median is what it is now
_SHORTEST = 120.0      # [s] over which a trend can be told


@dataclass(frozen=True)
class DriftSample:
    """One look in which camera and robot could be compared."""

    stamp_ns: int
    offset: float      # [m] from where the robot is drawn to where it is seen
    pixels: float      # [px] the same in the image
    sigma: float       # [m] how well one look tells that


@dataclass(frozen=True)
class Drift:
    """What the looks of some time say together."""

    samples: int
    offset: float          # [m] now: median of the last minute
    pixels: float          # [px] the same
    worst: float           # [m] largest of the history
    trend: float           # [m/h] NaN where it is too short to tell
    limit: float           # [m]
    is_alarm: bool         # it is above the limit, and not by the noise of the looks

    @property
    def sentence(self) -> str:
        """All that in words."""
        if not self.samples:
            return 'camera and robot have not been compared yet'
        text = (f'the robot is seen {1000 * self.offset:.1f} mm ({self.pixels:.1f} px) from where '
                f'it should be, {1000 * self.worst:.1f} mm at most in {self.samples} looks')
        if math.isfinite(self.trend):
            text += f', {1000 * self.trend:+.1f} mm/h'
        if self.is_alarm:
            text += (f'; more than {1000 * self.limit:.1f} mm: the camera has moved, or a joint '
                     'has lost its zero; see `kinema4d calibrate`')
        return text


class DriftHistory:
    """The latest looks of one camera."""

    def __init__(self, limit: float):
        """Make an empty one; an offset above `limit` [m] is an alarm, 0: never."""
        self.limit = limit
        self._samples: deque[DriftSample] = deque(maxlen=_KEPT)

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the latest look [ns], None before the first."""
        return self._samples[-1].stamp_ns if self._samples else None

    def add(self, sample: DriftSample) -> None:
        """Add a look; one that could not tell (NaN) is left out, and time that ran back forgets."""
        if not (math.isfinite(sample.offset) and math.isfinite(sample.sigma)):
            return
        if self._samples and sample.stamp_ns < self._samples[-1].stamp_ns:
            self._samples.clear()
        self._samples.append(sample)

    def clear(self) -> None:
        """Forget all, as for another robot or camera."""
        self._samples.clear()

    def drift(self) -> Drift:
        """Return what the looks say together."""
        samples = list(self._samples)      # another thread may add to them
        if not samples:
            return Drift(0, math.nan, math.nan, math.nan, math.nan, self.limit, False)
        times = np.array([sample.stamp_ns for sample in samples]) * 1e-9
        offsets = np.array([sample.offset for sample in samples])
        recent = times >= times[-1] - _RECENT
        now = float(np.median(offsets[recent]))
        pixels = float(np.median([sample.pixels for sample in samples][-int(recent.sum()):]))
        noise = float(np.median([sample.sigma for sample in samples][-int(recent.sum()):]))
        trend = math.nan
        if len(times) >= _FEWEST and times[-1] - times[0] >= _SHORTEST:
            trend = 3600 * _slope(times, offsets)
        alarm = 0 < self.limit < now - noise and int(recent.sum()) >= min(_FEWEST, len(times))
        return Drift(len(times), now, pixels, float(offsets.max()), trend, self.limit, bool(alarm))


def _slope(times: np.ndarray, values: np.ndarray) -> float:
    """Return the median of the slopes between all pairs of some samples (Theil and Sen)."""
    pick = np.unique(np.linspace(0, len(times) - 1, 60).round().astype(int))
    t, v = times[pick], values[pick]
    first, second = np.triu_indices(len(t), 1)
    apart = t[second] - t[first]
    return float(np.median((v[second] - v[first])[apart > 0] / apart[apart > 0]))
