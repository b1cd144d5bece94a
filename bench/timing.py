# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time several ways to do one thing so that the comparison is fair."""
from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

REPEATS = 7
Seconds = list[tuple[float, float]]
"""One pair per repeat: by the clock, and of all cores together [s]."""


def interleave(ways: Mapping[Hashable, Callable[[], object]], repeats: int = REPEATS,
               seed: int = 0) -> dict[Hashable, Seconds]:
    """
    Return the seconds of each repeat of each way: by the clock, and of all cores together.

    Every round runs all ways once in random order, so that what else the machine does hits them
    alike. The first round is not counted: it compiles and fills caches.
    """
    seconds = {name: [] for name in ways}
    for counted, name in rounds(ways, repeats, seed):
        started = time.perf_counter(), time.process_time()
        result = ways[name]()
        ended = time.perf_counter(), time.process_time()
        del result      # giving memory back is not part of the work
        if counted:
            seconds[name].append((ended[0] - started[0], ended[1] - started[1]))
    return seconds


def rounds(names: Sequence[Hashable] | Mapping[Hashable, object], repeats: int,
           seed: int = 0) -> Iterator[tuple[bool, Hashable]]:
    """Yield (counts, name): all names in random order, once to warm up and then `repeats` times."""
    order, shuffle = list(names), random.Random(seed).shuffle
    for number in range(repeats + 1):
        shuffle(order)
        for name in order:
            yield number > 0, name


def median(seconds: Seconds) -> float:
    """Return the median by the clock [s]."""
    return statistics.median(clock for clock, _ in seconds)


def median_of_cores(seconds: Seconds) -> float:
    """Return the median of the time of all cores together [s]; what a busy machine moves less."""
    return statistics.median(cores for _, cores in seconds)


def least_of_cores(seconds: Seconds) -> float:
    """Return the least time of all cores together [s]; other work only ever adds to it."""
    return min(cores for _, cores in seconds)


def row(case: str, ours_s: float, usual_s: float | None, goal: float | None, *, same: bool,
        **more) -> dict:
    """
    Return a row as the tables have it.

    :param goal: the largest good ratio of ours to the usual way; None to only report.
    :param same: both gave the same result; a row without that is never good.
    :param more: further columns.
    """
    ratio = None if usual_s is None else ours_s / usual_s
    return {'case': case, 'ours_s': ours_s, 'usual_s': usual_s, 'ratio': ratio, 'goal': goal,
            'same': bool(same), **more,
            'good': bool(same and (goal is None or ratio <= goal))}
