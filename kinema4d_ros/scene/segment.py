# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find the pixels of the one object that the fingers touch, and the height it stands on."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from scipy.ndimage import distance_transform_edt

_LEVEL_STEP = 0.004     # [m] resolution of the heights at which something may stand
_LEVEL_MARGIN = 0.006   # [m] what is lower than this above a level belongs to the level
_UP = 0.8               # least z of the normal of a surface that something can stand on
_LEAST_GROUND = 0.08    # [m] nothing narrower than this is what an object stands on
_BESIDE = 0.015         # [m] how far from the outline the ground is measured
_FOOT_PIXELS = 9        # the strip next to the ground is at most half of this high
_LEAST_UNDER = 8        # pixels of level surface inside an object's outline that carry it
_LONG = 1.6             # times as long as wide things may be are those that are carried by an end
_JOINED = 0.015         # [m] neighbouring pixels this far apart in space are one surface


@dataclass(frozen=True, eq=False)
class Segment:
    """Pixels of one object and the height of what it stands on."""

    mask: np.ndarray          # (H, W) bool
    support_height: float     # [m] base frame, z


def find_object(points: np.ndarray, touched: np.ndarray, largest: float) -> Segment | None:
    """
    Grow the touched pixels to the whole object that stands on something level.

    Every height at which level surface is seen near the object is tried, the highest first: what
    sticks out above it and hangs together with the touched pixels is the object if it stands
    *on* that level, that is, if where its outline meets the ground in the picture, the ground is
    that level. So a bowl on a box is the bowl, and the bottom of a bowl is not what its rim
    stands on.

    :param points: (H, W, 3) float32 [m] base frame (z up), NaN unknown or robot.
    :param touched: (H, W) bool, pixels between the fingers.
    :param largest: [m] longest horizontal extent of an object that can be carried.
    :return: the object, or None when nothing that could be carried was found.
    """
    center = np.median(points[touched], axis=0)
    near = _within_reach(points, center, points.dtype.type(largest))
    rows, columns = np.nonzero(near)
    # Work in the window of what is near: cheap, and far things cannot matter.
    window = (slice(max(rows.min() - 3, 0), rows.max() + 4),
              slice(max(columns.min() - 3, 0), columns.max() + 4))
    local, local_touched, local_near = points[window], touched[window], near[window]
    pixel = float(np.nanmedian(_length(local[:, 1:] - local[:, :-1])))
    level = local_near & (normals_up(local) >= _UP)
    best, best_share = None, -1.0
    levels = _levels(local[..., 2][level], float(local[..., 2][local_touched].max()))
    for height in levels:
        mask = _above(local, local_touched, height, local_near)
        if mask is None:
            continue
        extent = np.ptp(local[mask][:, :2], axis=0)
        if extent.max() > largest:
            continue
        share, seen = _stands_on(local, mask, height, pixel)
        enough = seen >= 5 and share >= 0.5
        if enough or share > best_share:
            best, best_share = (mask, height), share
        if enough:
            break
    if best is None:
        return None
    mask, height = best
    height = _small_ground(local, mask, level & ~mask, levels, height)
    whole = np.zeros(touched.shape, bool)
    whole[window] = _with_foot(local, mask, height)
    return Segment(whole, float(height))


@numba.njit(cache=True, nogil=True)
def _within_reach(points: np.ndarray, center: np.ndarray, reach: float) -> np.ndarray:
    """Return which pixels see a point that is not farther from the center on the level."""
    near = np.empty(points.shape[:2], np.bool_)
    for v in range(points.shape[0]):
        for u in range(points.shape[1]):
            x, y = points[v, u, 0] - center[0], points[v, u, 1] - center[1]
            near[v, u] = np.sqrt(x * x + y * y) <= reach
    return near


def find_graspable(points: np.ndarray, touched: np.ndarray, largest: float) -> Segment | None:
    """
    Find what fingers close on, as `find_object` does; or something long, as a pan by its handle.

    :param largest: [m] of an object; what is longer, up to 1.6 times, must be narrower than this.
    """
    segment = find_object(points, touched, largest)
    if segment is not None:
        return segment
    segment = find_object(points, touched, _LONG * largest)
    if segment is None:
        return None
    _, sides, _ = cv2.minAreaRect(points[segment.mask][:, :2].astype(np.float32))
    return segment if min(sides) <= largest else None


def _small_ground(points: np.ndarray, mask: np.ndarray, level: np.ndarray,
                  levels: list[float], height: float) -> float:
    """
    Return the height of something smaller below the object (a bowl on a box), else `height`.

    :param level: (H, W) bool, level surface that is not the object's.
    :param levels: heights at which there is level surface, the highest first.
    """
    lowest = float(np.quantile(points[mask][:, 2], 0.01))
    outline = cv2.convexHull(points[mask][:, :2].astype(np.float32))
    for candidate in levels:
        if height + _LEVEL_MARGIN < candidate <= lowest + _LEVEL_MARGIN:
            there = points[level & (np.abs(points[..., 2] - candidate) <= _LEVEL_MARGIN)]
            under = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0
                     for x, y, _ in there]
            if sum(under) >= _LEAST_UNDER:
                return candidate
    return height


def _with_foot(points: np.ndarray, mask: np.ndarray, height: float) -> np.ndarray:
    """Add the strip next to the ground that was cut off to be sure of not taking the ground."""
    strip = (points[..., 2] > height + 0.3 * _LEVEL_MARGIN) \
        & (points[..., 2] <= height + _LEVEL_MARGIN)
    label = connected(points, mask | strip)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((_FOOT_PIXELS, _FOOT_PIXELS), np.uint8))
    return mask | (strip & near.astype(bool) & (label == label[mask][0]))


def normals_up(points: np.ndarray) -> np.ndarray:
    """Return the z component of the surface normal per pixel, (H, W), NaN unknown; up is +1."""
    right = np.full_like(points, np.nan)
    down = np.full_like(points, np.nan)
    right[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normal = np.cross(down, right)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.abs(normal[..., 2]) / _length(normal)


def _length(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths (...) of vectors (..., 2 or 3), faster than NumPy does for many."""
    squares = vectors ** 2
    total = squares[..., 0] + squares[..., 1]
    length: np.ndarray = np.sqrt(total if vectors.shape[-1] == 2 else total + squares[..., 2])
    return length


def _levels(heights: np.ndarray, highest: float) -> list[float]:
    """Return the heights [m] where much level surface is, the highest first."""
    heights = heights[heights < highest - _LEVEL_MARGIN]
    if not len(heights):
        return []
    low = heights.min()
    count = np.bincount(((heights - low) / _LEVEL_STEP).astype(int))
    count = np.concatenate([[0], count, [0]])
    peak = (count[1:-1] >= count[:-2]) & (count[1:-1] > count[2:]) & (count[1:-1] >= 15)
    found = []
    for number in np.nonzero(peak)[0][::-1]:
        inside = np.abs(heights - (low + (number + 0.5) * _LEVEL_STEP)) <= _LEVEL_STEP
        found.append(float(np.median(heights[inside])))
    return found


def _above(points: np.ndarray, touched: np.ndarray, height: float,
           near: np.ndarray) -> np.ndarray | None:
    """Return the pixels above `height` that hang together with the touched ones, or None."""
    free = near & (points[..., 2] > height + _LEVEL_MARGIN)
    if not (free & touched).any():
        return None
    label = connected(points, free)
    wanted = np.bincount(label[touched & free]).argmax()
    return label == wanted


def connected(points: np.ndarray, free: np.ndarray) -> np.ndarray:
    """
    Label connected surfaces among the free pixels: neighbours in the image *and* in space.

    :return: (H, W) int32, 0 where not free.
    """
    return _labels(np.ascontiguousarray(points, np.float32), np.ascontiguousarray(free), _JOINED)


@numba.njit(cache=True, nogil=True)
def _labels(points: np.ndarray, free: np.ndarray, reach: float) -> np.ndarray:
    """Label connected surfaces, (H, W) int32: a label is one more than its first pixel's number."""
    height, width = free.shape
    parent = np.arange(height * width)
    # Diagonal neighbours too: a thin rim runs diagonally through the picture.
    for v in range(height):
        for u in range(width):
            if not free[v, u]:
                continue
            here = v * width + u
            for step in range(4):
                row = v if step == 0 else v - 1
                column = u - 1 if step == 0 else u - 2 + step
                if row < 0 or column < 0 or column >= width or not free[row, column]:
                    continue
                x = points[v, u, 0] - points[row, column, 0]
                y = points[v, u, 1] - points[row, column, 1]
                z = points[v, u, 2] - points[row, column, 2]
                if not x * x + y * y + z * z <= reach * reach:
                    continue
                one, other = here, row * width + column
                while parent[one] != one:
                    parent[one] = parent[parent[one]]
                    one = parent[one]
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if one < other:
                    parent[other] = one
                else:
                    parent[one] = other
    label = np.zeros((height, width), np.int32)
    for v in range(height):
        for u in range(width):
            if free[v, u]:
                one = v * width + u
                while parent[one] != one:
                    one = parent[one]
                label[v, u] = one + 1
    return label


def _stands_on(points: np.ndarray, mask: np.ndarray, height: float,
               pixel: float) -> tuple[float, int]:
    """
    Return how much of the ground next to the outline is at `height`, and how much was judged.

    A little outside of the outline (so that a slope of the object itself is not taken for level
    ground) there is either level ground, which speaks for the height; or the surface goes on
    further down, which speaks against it; or something else that is behind or beside, which
    says nothing.

    :param pixel: [m] size of a pixel at the object.
    """
    far = max(2.0, _BESIDE / pixel)
    left, top, wide, high = cv2.boundingRect(mask.view(np.uint8))
    rim = int(far) + 1
    window = (slice(max(top - rim, 0), top + high + rim),
              slice(max(left - rim, 0), left + wide + rim))
    local = points[window]
    distance, (row, column) = distance_transform_edt(~fill_holes(mask)[window],
                                                     return_indices=True)
    ring = (distance > 0.5 * far) & (distance <= far)
    beside, edge = local[ring], local[row[ring], column[ring]]
    with np.errstate(invalid='ignore'):
        level = np.abs(beside[:, 2] - height) <= _LEVEL_MARGIN
        below = (beside[:, 2] < height - _LEVEL_MARGIN) \
            & (np.linalg.norm(beside - edge, axis=-1) <= 3 * _BESIDE)
    judged = int(level.sum() + below.sum())
    if not level.any() or not judged:
        return 0.0, judged
    # What something stands on is larger than it: the lid of a can is not what its rim stands on.
    with np.errstate(invalid='ignore'):
        ground = ~mask & (np.abs(points[..., 2] - height) <= _LEVEL_MARGIN)
    label = connected(points, ground)
    numbers = label[window][ring][level]
    ground = label == np.bincount(numbers[numbers > 0]).argmax()
    size, area = _spread(points[ground])
    if size < _LEAST_GROUND or area < 1.2 * _spread(points[mask])[1]:
        return 0.0, judged
    return level.sum() / judged, judged


def _spread(points: np.ndarray) -> tuple[float, float]:
    """Return the shorter side [m] and the area [m^2] of what horizontal points span."""
    hull = cv2.convexHull(points[:, :2].astype(np.float32))
    return min(cv2.minAreaRect(hull)[1]), cv2.contourArea(hull)


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Return the (H, W) bool mask with everything inside its outer outlines filled."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL,
                                   cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled.astype(bool) | mask
