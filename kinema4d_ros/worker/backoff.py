# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a process that died is started again."""
from __future__ import annotations

_STABLE = 30.0                # [s] a process that lived so long is started again soon
_FIRST, _LAST = 0.5, 10.0     # [s]


class Backoff:
    """Doubles with each death in a row, so that a process that cannot live costs little."""

    def __init__(self):
        """Begin with the shortest."""
        self._next = _FIRST

    def after(self, lived: float) -> float:
        """Return how long to wait [s] after a process that lived `lived` seconds."""
        if lived > _STABLE:
            self._next = _FIRST
        pause, self._next = self._next, min(2 * self._next, _LAST)
        return pause
