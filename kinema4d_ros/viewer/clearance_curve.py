# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How near the robot comes to the scene over time, as a verdict holds it."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kinema4d_ros.precheck.tier1 import clearance_band
from kinema4d_ros.types import Severity, Verdict


class Nearest(NamedTuple):
    """The smallest distance at one time."""

    time: float                     # [s]
    distance: float                 # [m], negative inside
    sigma: float                    # [m]
    link: str
    point_base: np.ndarray          # (3,) [m], of the scene
    robot_point_base: np.ndarray    # (3,) [m]

    @property
    def band(self) -> Severity | None:
        """What the distance means; None when clear."""
        return clearance_band(self.distance, self.sigma)

    @property
    def text(self) -> str:
        """The distance for people."""
        sigma = '' if math.isnan(self.sigma) else f' \u00b1 {self.sigma * 1000:.0f}'
        return f'{self.distance * 1000:.0f}{sigma} mm'

    @property
    def arrow(self) -> np.ndarray | None:
        """From the robot to the scene, (2, 3) [m]; None where a point is not known."""
        arrow = np.array([self.robot_point_base, self.point_base])
        return arrow if np.isfinite(arrow).all() else None


class ClearanceCurve:
    """
    The times at which something was within reach; may be empty.

    `gap` [s] is the longest time between two that belong together; in a longer one nothing was
    within reach.
    """

    def __init__(self, verdict: Verdict | None):
        """Make the curve of what a verdict measured; empty for None."""
        self.all = [] if verdict is None else [
            Nearest(each.time, each.distance, each.sigma, each.link, np.array(each.point_base),
                    np.array(each.robot_point_base))
            for each in verdict.clearances if math.isfinite(each.distance)]
        self._times = np.array([nearest.time for nearest in self.all])
        self.gap = 2.5 * float(np.median(np.diff(self._times))) if len(self.all) > 1 else 0.1

    def at(self, time: float) -> Nearest | None:
        """Return what was measured at a time [s]; None where nothing was within reach."""
        if not self.all:
            return None
        nearest = self.all[int(np.abs(self._times - time).argmin())]
        return nearest if abs(nearest.time - time) <= self.gap else None

    @property
    def smallest(self) -> Nearest | None:
        """The smallest distance of all."""
        return min(self.all, key=lambda nearest: nearest.distance, default=None)
