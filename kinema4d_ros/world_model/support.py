# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How high the scene is at each place, and where something that is let go comes to rest."""
from __future__ import annotations

import cv2
import numpy as np

_CELL = 0.004       # [m]
_BLOCKED = 0.2      # share of a footprint that may stick out over an edge and still slip past it


class HeightMap:
    """
    The highest seen surface over a grid of horizontal cells, around one place.

    A cell that no pixel fell into (behind a rim, say) takes the *lowest* height next to it: what
    hides a place is higher than the place, so the ground continues behind it.
    """

    def __init__(self, points: np.ndarray, center: np.ndarray, reach: float):
        """
        Sort points into cells.

        :param points: (N, 3) [m] base frame, z up; NaN are ignored.
        :param center: (2,) [m] base frame, middle of the map.
        :param reach: [m] half the side of the map.
        """
        points = points[np.isfinite(points[:, 2])]
        self._origin = np.asarray(center) - reach
        side = int(np.ceil(2 * reach / _CELL))
        cell = np.floor((points[:, :2] - self._origin) / _CELL).astype(int)
        inside = ((cell >= 0) & (cell < side)).all(1)
        heights = np.full((side, side), -np.inf, np.float32)
        np.maximum.at(heights, (cell[inside, 1], cell[inside, 0]), points[inside, 2])
        self.heights = _filled(heights)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the height at horizontal places (N, 2) [m] base; NaN outside the map."""
        cell = np.floor((places - self._origin) / _CELL).astype(int)
        inside = ((cell >= 0) & (cell < len(self.heights))).all(1)
        found = np.full(len(places), np.nan)
        found[inside] = self.heights[cell[inside, 1], cell[inside, 0]]
        return found

    def rest_height(self, footprint: np.ndarray) -> float:
        """
        Return the height at which a flat bottom of that footprint comes to rest; NaN unknown.

        It is the highest surface below it, but for a small share of the footprint: what hangs
        over a rim by a little slips off the rim and into the container.

        :param footprint: (N, 2) [m] base frame.
        """
        heights = self.at(footprint)
        heights = heights[np.isfinite(heights)]
        return float(np.quantile(heights, 1 - _BLOCKED)) if len(heights) else float('nan')


def _filled(heights: np.ndarray) -> np.ndarray:
    """Return (N, N) heights with -inf (unseen) replaced by the lowest neighbour, ring by ring."""
    unseen = np.isinf(heights)
    if unseen.all():
        return np.full_like(heights, np.nan)
    kernel = np.ones((3, 3), np.uint8)
    heights = np.where(unseen, np.inf, heights).astype(np.float32)
    while unseen.any():
        lowest = cv2.erode(heights, kernel, borderType=cv2.BORDER_CONSTANT,
                           borderValue=float('inf'))
        heights = np.where(unseen, lowest, heights)
        unseen = np.isinf(heights)
    return heights
