# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clearances over time, as a verdict holds them."""
from collections.abc import Iterable, Sequence
from itertools import repeat

from kinema4d_ros.types import ClearanceSample

Point = tuple[float, float, float]


def clearances(times: Sequence[float], distances: Sequence[float],
               sigmas: Iterable[float] = repeat(0.001), links: Iterable[str] = repeat('hand'),
               points: Iterable[Point] = repeat((0.0, 0.0, 0.0)),
               robot_points: Iterable[Point] = repeat((0.0, 0.0, 0.0))
               ) -> tuple[ClearanceSample, ...]:
    """Return samples, one for each of `times` and `distances`, whose lengths agree."""
    assert len(times) == len(distances)
    return tuple(map(ClearanceSample, times, distances, sigmas, links, points, robot_points))
