# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory for the pictures of a rollout, used again when the last rollout is gone."""
from __future__ import annotations

import sys
import threading

import numpy as np

_PIXEL = ((np.float32, (3,)), (np.int16, ()), (np.uint8, (3,)))    # pointmap, link_id, image


class ImageMemory:
    """
    Gives out uninitialised arrays, and gives the same memory again once it is free.

    A rollout is some 300 MB. Taken anew from the system, every page of it is cleared first, which
    takes longer than drawing the robot. Whether memory is free is what CPython's reference count
    of its owner says: every view of it, wherever it went, counts as one.
    """

    def __init__(self) -> None:
        """Make a store that holds no memory yet."""
        self._owners: list[np.ndarray] = []
        self._lock = threading.Lock()
        # What the count is while nobody but the list holds an owner.
        self._idle = max(_references([np.empty(0)]))

    def take(self, frames: int, size: tuple[int, int]) -> list[np.ndarray]:
        """Return arrays for T frames of (H, W): float32 (.., 3), int16, uint8 (.., 3)."""
        with self._lock:
            if not self._fits(frames, size) or not self._is_free():
                owners = [np.empty((frames, *size, *more), dtype) for dtype, more in _PIXEL]
                if self._owners and self._owners[0].nbytes > owners[0].nbytes:
                    return owners
                self._owners = owners
            return [owner[:frames] for owner in self._owners]

    def _fits(self, frames: int, size: tuple[int, int]) -> bool:
        return bool(self._owners) and len(self._owners[0]) >= frames \
            and self._owners[0].shape[1:3] == size

    def _is_free(self) -> bool:
        return max(_references(self._owners)) <= self._idle


def _references(owners: list[np.ndarray]) -> list[int]:
    return [sys.getrefcount(owner) for owner in owners]
