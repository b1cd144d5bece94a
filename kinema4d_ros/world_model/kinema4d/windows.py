# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Any number of frames with a model of a fixed number: chained windows, the last one padded."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Window:
    """
    One run of the model.

    Its frame 0 is the observation, or the last frame of the window before, which is not given
    out again.
    """

    indices: np.ndarray   # (frames of the model,) int, frame of the rollout at each model frame
    emit: range           # model frames that are given out


def plan_windows(count: int, frames: int) -> list[Window]:
    """
    Cover `count` frames with windows of `frames`, neighbours sharing one frame.

    A window that is not full is padded by repeating the last frame: the robot stands still there.
    """
    windows = []
    start = 0
    while True:
        stop = min(start + frames, count)
        indices = np.minimum(np.arange(start, start + frames), count - 1)
        windows.append(Window(indices, range(1 if start else 0, stop - start)))
        if stop == count:
            return windows
        start = stop - 1
