# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The look at the scene that an idle worker is shown, and how long its answer may take."""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from kinema4d_ros.worker.job import guarded

LONGEST = 30.0      # [s] that a look may take: far more than the largest does on a busy machine


class ShownLook:
    """
    The look that a worker was shown and has not answered.

    A worker that hangs in one, or was stopped, would be idle for ever: nobody else waits for it.
    """

    def __init__(self) -> None:
        """Begin without a look."""
        self._take: Callable[[Any], None] | None = None
        self.due = math.inf         # [s] monotonic; by when the answer is to be there

    def begin(self, take: Callable[[Any], None]) -> bool:
        """Return whether another look may be shown, of which `take` gets the answer."""
        if self._take is not None:      # they must not pile up
            return False
        self._take, self.due = take, time.monotonic() + LONGEST
        return True

    def is_overdue(self, now: float) -> bool:
        """Return whether it takes longer than it may at a time [s] monotonic."""
        return now >= self.due

    def answered(self, found: Any) -> None:
        """Hand an answer on; one that nobody waits for is dropped."""
        take, self._take, self.due = self._take, None, math.inf
        if take is not None:
            guarded(lambda: take(found))
