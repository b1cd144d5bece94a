# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How high the scene is at each place, and where something that is let go comes to rest."""
from __future__ import annotations

import cv2
import numba
import numpy as np

_CELL = 0.004       # [m]
_LEVEL = 0.008      # [m] cells that differ by less are on one level
_LEVEL_SHARE = 0.4  # share of the cells around a hidden place that must be on one level
_BOTTOM = 0.01      # [m] thickness of the bottom of a container, where it is hidden
_STEP = 0.004       # [m] resolution of the heights at which something may rest
_LEAST_SHARE = 0.25 # share of a footprint that must carry it; walls of a container carry less


class HeightMap:
    """
    The highest seen surface over a grid of horizontal cells, around one place.

    Cells that no pixel fell into are hidden by something higher. The level surface next to them
    is taken to continue there. Where there is none, as inside a container whose walls are all
    that is seen of it, its bottom is taken to lie on the lowest ground around.
    """

    def __init__(self, points: np.ndarray, center: np.ndarray, reach: float):
        """
        Make the grid of cells, with the points sorted into them.

        :param points: (N, 3) [m] base frame, z up; NaN are ignored.
        :param center: (2,) [m] base frame, middle of the map.
        :param reach: [m] half the side of the map.
        """
        self._origin = np.asarray(center, np.float64) - reach
        side = int(np.ceil(2 * reach / _CELL))
        heights = np.full((side, side), -np.inf, np.float32)
        _raise(heights, np.ascontiguousarray(points, np.float64), self._origin, _CELL)
        self.heights = _filled(heights)
        self._seen = np.isfinite(_grown_lowest(_grown_lowest(heights)))

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the height at horizontal places (N, 2) [m] base; NaN outside the map."""
        cell = np.floor((places - self._origin) / _CELL).astype(int)
        inside = ((cell >= 0) & (cell < len(self.heights))).all(1)
        found = np.full(len(places), np.nan)
        found[inside] = self.heights[cell[inside, 1], cell[inside, 0]]
        return found

    def seen_share(self, places: np.ndarray) -> float:
        """Return the share of horizontal places (N, 2) [m] base where a surface was seen."""
        cell = np.floor((places - self._origin) / _CELL).astype(int)
        inside = ((cell >= 0) & (cell < len(self.heights))).all(1)
        return float(self._seen[cell[inside, 1], cell[inside, 0]].sum() / max(len(places), 1))

    def rest_height(self, footprint: np.ndarray) -> float:
        """
        Return the height at which a flat bottom of that footprint comes to rest; NaN unknown.

        Sinking from above, it stops where its middle lies between places that carry it. What it
        only touches at one side (the wall of a container, the edge of a table) it slips off.

        :param footprint: (N, 2) [m] base frame.
        """
        heights = self.at(footprint)
        known = np.isfinite(heights)
        heights, places = heights[known], footprint[known].astype(np.float32)
        middle = tuple(map(float, footprint.mean(0)))
        for step in np.unique(np.floor(heights / _STEP))[::-1]:
            carrying = places[heights >= step * _STEP]
            if len(carrying) >= max(3, _LEAST_SHARE * len(footprint)) \
                    and cv2.pointPolygonTest(cv2.convexHull(carrying), middle, False) >= 0:
                return float(np.median(heights[np.floor(heights / _STEP) == step]))
        return float(np.median(heights)) if len(heights) else float('nan')


@numba.njit(cache=True, nogil=True)
def _raise(heights: np.ndarray, points: np.ndarray, origin: np.ndarray, cell: float) -> None:
    """Raise the cells (Y, X) of a grid to the highest of the points (N, 3) in each; NaN: not."""
    rows, columns = heights.shape
    for n in range(len(points)):
        column = np.floor((points[n, 0] - origin[0]) / cell)
        row = np.floor((points[n, 1] - origin[1]) / cell)
        if 0 <= row < rows and 0 <= column < columns:
            height = np.float32(points[n, 2])
            if heights[int(row), int(column)] < height < np.inf:
                heights[int(row), int(column)] = height


def _filled(heights: np.ndarray) -> np.ndarray:
    """Return (N, N) heights with -inf (unseen) replaced by what is likely there."""
    if np.isinf(heights).all():
        return np.full_like(heights, np.nan)
    heights = _grown_lowest(_grown_lowest(heights))          # gaps between pixels
    unseen = np.isinf(heights)
    if not unseen.any():
        return heights
    ground = float(np.quantile(heights[~unseen], 0.02))
    count, label = cv2.connectedComponents(unseen.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        region = label == number
        around = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        around = heights[around & ~unseen]
        level = np.quantile(around, 0.1)
        goes_on = np.mean(np.abs(around - level) < _LEVEL) >= _LEVEL_SHARE
        heights[region] = level if goes_on else ground + _BOTTOM
    return heights


def _grown_lowest(heights: np.ndarray) -> np.ndarray:
    """Return the heights with unseen cells next to seen ones replaced by the lowest of these."""
    unseen = np.isinf(heights)
    known = np.where(unseen, np.inf, heights).astype(np.float32)
    lowest = cv2.erode(known, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
                       borderValue=float('inf'))
    return np.where(unseen & np.isfinite(lowest), lowest, heights)
