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
               seed: int = 0) -> dict[str, list[tuple[float, float]]]:
    """
    Return the seconds of each repeat of each way: by the clock, and of all cores together.

    Every round runs all ways once in random order, so that what else the machine does hits them
    alike. The first round is not counted: it compiles and fills caches.
    """
    order, seconds = list(ways), {name: [] for name in ways}
    shuffle = random.Random(seed).shuffle
    for round_ in range(repeats + 1):
        shuffle(order)
        for name in order:
            started = time.perf_counter(), time.process_time()
            result = ways[name]()
            ended = time.perf_counter(), time.process_time()
            del result      # giving memory back is not part of the work
            if round_:
                seconds[name].append((ended[0] - started[0], ended[1] - started[1]))
    return seconds


def median(seconds: list[tuple[float, float]]) -> float:
    """Return the median by the clock [s]."""
    return statistics.median(clock for clock, _ in seconds)


def median_of_cores(seconds: list[tuple[float, float]]) -> float:
    """Return the median of the time of all cores together [s]; what a busy machine moves less."""
    return statistics.median(cores for _, cores in seconds)
