# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time several ways to do one thing so that the comparison is fair."""
from __future__ import annotations

from collections.abc import Callable, Mapping
import random
import statistics
import time

REPEATS = 7


def interleave(ways: Mapping[str, Callable[[], object]], repeats: int = REPEATS,
               seed: int = 0) -> dict[str, list[float]]:
    """
    Return the seconds of each repeat of each way.

    Every round runs all ways once in random order, so that what else the machine does hits them
    alike. The first round is not counted: it compiles and fills caches.
    """
    order, seconds = list(ways), {name: [] for name in ways}
    shuffle = random.Random(seed).shuffle
    for round_ in range(repeats + 1):
        shuffle(order)
        for name in order:
            started = time.perf_counter()
            result = ways[name]()
            elapsed = time.perf_counter() - started
            del result      # giving memory back is not part of the work
            if round_:
                seconds[name].append(elapsed)
    return seconds


def median(seconds: list[float]) -> float:
    """Return the median [s]."""
    return statistics.median(seconds)
