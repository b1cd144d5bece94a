# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a fixture occupies: its seen surface, and what lies hidden behind and below that."""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from kinema4d_ros.camera.points import project
from kinema4d_ros.scene.view import SceneView

_SIDE = 0.03          # [m] of the columns that a fixture is cut into
_BAND = 0.03          # [m] height of the slices of a column
_FEWEST = 6           # points of a column
_BELOW_GROUND = 0.02  # [m] that far a block reaches
_SAME_LEVEL = 0.005   # [m] columns whose tops differ by less are level
_SAME_OUTLINE = 0.006  # [m] slices whose outlines differ by less are one block
_LEAST_AREA = 1e-5    # [m^2] of an outline
_GAP = 0.025          # [m] heights of one column with nothing between them are two surfaces
_BEYOND = 0.015       # [m] what is seen this far behind a place was seen through it

IsFree = Callable[[np.ndarray], np.ndarray]     # places (N, 3) [m] base -> (N,) bool


def seen_free(view: SceneView) -> IsFree:
    """Return which places (N, 3) [m] base frame a view has seen through."""
    camera, depth = view.seen.camera, view.depth
    # Next to an edge, or to what nobody measured, nothing is known to be free.
    through = cv2.erode(np.where(np.isfinite(depth), depth, 0.0).astype(np.float32),
                        np.ones((3, 3), np.uint8))
    T = np.linalg.inv(view.seen.T_base_camera)

    def is_free(places: np.ndarray) -> np.ndarray:
        local = places @ T[:3, :3].T + T[:3, 3]
        pixel = np.nan_to_num(project(local, camera), nan=-1.0)
        u, v = (np.round(pixel[:, axis]).astype(int) for axis in (0, 1))
        inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
        free = np.zeros(len(places), bool)
        free[inside] = through[v[inside], u[inside]] > local[inside, 2] + _BEYOND
        return free

    return is_free


def blocks_of(points: np.ndarray, ground: float, is_free: IsFree) -> list[np.ndarray]:
    """
    Return what a fixture occupies: slices of columns from below the ground to its surface.

    A handle or a shelf hangs over what lies below it: where the view has seen through, there is
    nothing, nor between two surfaces of which one is above the other. All else below the surface is
    taken to be filled.

    :param points: (N, 3) [m] base frame.
    :return: corners (N, 3) [m] of each convex block.
    """
    cell = np.floor(points[:, :2] / _SIDE).astype(int)
    _, number = np.unique(cell, axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind='stable')
    starts = np.flatnonzero(np.r_[True, np.diff(number.ravel()[order]) > 0])
    levels = _levels(points[:, 2])
    found: list[np.ndarray] = []
    for pick in np.split(order, starts[1:]):
        if len(pick) >= _FEWEST:
            found += _column(points[pick], ground, levels, is_free)
    return found


def _column(points: np.ndarray, ground: float, levels: np.ndarray,
            is_free: IsFree) -> list[np.ndarray]:
    """Return the blocks of one column, the lowest first."""
    whole = _outline(points[:, :2])
    if whole is None:
        return []
    top = float(np.quantile(points[:, 2], 0.95))
    if len(levels) and np.abs(levels - top).min() < _SAME_LEVEL:
        top = float(levels[np.abs(levels - top).argmin()])   # no steps for things to catch on
    cuts = np.arange(top, ground, -_BAND)[::-1]      # upper ends, from the lowest one on
    middles = np.column_stack([np.tile(whole.mean(0), (len(cuts), 1)), cuts - 0.5 * _BAND])
    free = is_free(middles) | _in_gap(middles[:, 2], points[:, 2])
    if not free.any():
        return [_prism(whole, ground - _BELOW_GROUND, top)]
    blocks: list[tuple[np.ndarray, float, float]] = []
    for upper, is_open in zip(cuts, free, strict=True):
        lower, outline = upper - _BAND, whole
        if is_open:      # only what is seen of it there
            seen = points[(points[:, 2] > lower) & (points[:, 2] <= upper)]
            own = _outline(seen[:, :2])
            if own is None:
                continue
            outline, lower = own, max(lower, float(seen[:, 2].min()))
        if blocks and abs(blocks[-1][2] - lower) < 1e-9 and _are_alike(blocks[-1][0], outline):
            blocks[-1] = blocks[-1][0], blocks[-1][1], upper
        else:
            blocks.append((outline, lower, upper))
    return [_prism(outline, lower if lower > ground + 1e-9 else ground - _BELOW_GROUND, upper)
            for outline, lower, upper in blocks]


def _in_gap(heights: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """
    Return which heights (M,) lie between surfaces of one column, or below several, (M,) bool.

    A surface that is seen from above has air above it. So where more than one is seen, one hangs
    over the other, as the handles of drawers do, and the lowest one hangs over the ground.
    """
    ordered = np.sort(seen)
    steps = np.flatnonzero(np.diff(ordered) > _GAP)
    found = np.zeros(len(heights), bool)
    if len(steps):
        found |= heights < ordered[0]
    for step in steps:
        found |= (heights > ordered[step]) & (heights < ordered[step + 1])
    return found


def _outline(places: np.ndarray) -> np.ndarray | None:
    """Return the convex outline of horizontal places (N, 2), None without an area."""
    if len(places) < 3:
        return None
    outline = cv2.convexHull(places.astype(np.float32))[:, 0]
    if len(outline) < 3 or cv2.contourArea(outline) <= _LEAST_AREA:
        return None
    return outline.astype(np.float64)


def _are_alike(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one.min(0) - other.min(0)).max() < _SAME_OUTLINE
                and np.abs(one.max(0) - other.max(0)).max() < _SAME_OUTLINE)


def _prism(outline: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.concatenate([np.column_stack([outline, np.full(len(outline), z)])
                           for z in (low, high)])


def _levels(heights: np.ndarray) -> np.ndarray:
    """Return the heights [m] that many points (N,) share."""
    low = heights.min()
    counts = np.bincount(((heights - low) / _SAME_LEVEL).astype(int))
    often = np.flatnonzero(counts > max(0.05 * len(heights), 30))
    return np.array([np.median(heights[np.abs(heights - low - (bin_ + 0.5) * _SAME_LEVEL)
                                       <= _SAME_LEVEL]) for bin_ in often])
