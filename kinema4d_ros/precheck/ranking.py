# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of several candidate trajectories to prefer."""
from __future__ import annotations

import math
from collections.abc import Sequence

from kinema4d_ros.types import Status, Verdict

_ORDER = {Status.PASS: 0, Status.UNSURE: 1, Status.FAIL: 2}
_SAME_CLEARANCE = 0.005    # [m] clearances that differ by less are equally good


def rank(verdicts: Sequence[Verdict], durations: Sequence[float] | None = None) -> list[int]:
    """
    Return the indices of the verdicts, best first.

    PASS before UNSURE before FAIL; then the more likely success, if a goal was given; then the
    larger clearance (5 mm count as equal, none measured as none); then the shorter duration; then
    the order in which they came.

    :param durations: [s] of the trajectories.
    """
    def key(index: int) -> tuple[int, float, float, float, int]:
        verdict = verdicts[index]
        success = round(verdict.success, 2) if verdict.success is not None else 0.0
        clearance = verdict.min_clearance if verdict.min_clearance is not None else -math.inf
        steps = math.floor(clearance / _SAME_CLEARANCE) if math.isfinite(clearance) else clearance
        duration = durations[index] if durations is not None else 0.0
        return _ORDER[verdict.status], -success, -steps, duration, index
    return sorted(range(len(verdicts)), key=key)
