# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds out which camera images show the execution of a motion that was predicted."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.viewer.future_frame import FutureFrame

_MOVED = 0.02         # [rad or m] away from the start: the motion has begun
_ON_THE_WAY = 0.15    # [rad or m] of any joint from the prediction: still this motion


class ExecutionMatcher:
    """
    Follows the live joints along the predicted ones.

    No message says that or when the motion starts: as soon as the joints have left the start
    on the predicted path, the start is known from where on the path they are. From then on an
    observation belongs to the frame nearest in time, as long as the joints agree.
    """

    def __init__(self, frames: Sequence[FutureFrame]):
        """
        Make a matcher of one predicted future.

        :param frames: all frames of a future, in order.
        """
        self._names = tuple(frames[0].joint_positions)
        self._times = np.array([frame.time for frame in frames])
        self._positions = np.array([[frame.joint_positions[name] for name in self._names]
                                    for frame in frames])
        self._start: float | None = None
        self.is_over = False

    def match(self, time: float, joint_positions: Mapping[str, float]) -> int | None:
        """
        Return the frame that an observation shows, None when it is not of this motion.

        :param time: of the observation [s], any clock.
        :param joint_positions: [rad or m] at that time.
        """
        if self.is_over or any(name not in joint_positions for name in self._names):
            return None
        live = np.array([joint_positions[name] for name in self._names])
        if self._start is None:
            if np.abs(live - self._positions[0]).max() < _MOVED:
                return 0
            on_path, distance = self._time_on_path(live)
            if distance > _ON_THE_WAY:
                return None
            self._start = time - on_path
        elapsed = time - self._start
        index = int(np.abs(self._times - elapsed).argmin())
        off = np.abs(self._positions[index] - live).max()
        if off > _ON_THE_WAY or elapsed > self._times[-1] + 1.0:
            self.is_over = True
            return None
        return index

    def _time_on_path(self, live: np.ndarray) -> tuple[float, float]:
        """Return when the prediction comes nearest to (J,) positions [s], and how near."""
        begin, step = self._positions[:-1], np.diff(self._positions, axis=0)
        length = (step * step).sum(axis=1)
        share = ((live - begin) * step).sum(axis=1) / np.where(length > 0, length, 1.0)
        share = np.clip(share, 0.0, 1.0)
        distances = np.abs(begin + share[:, None] * step - live).max(axis=1)
        nearest = int(distances.argmin())
        time = self._times[nearest] + share[nearest] * np.diff(self._times)[nearest]
        return float(time), float(distances[nearest])
