# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Convex pieces that stand for a thing in contacts: one hull, or walls and a bottom."""
from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from kinema4d_ros.foresight import Body

_SECTORS = 12          # of the wall of a hollow thing
_LOW = 0.003           # [m] the two bands of a wall overlap by this
_WALL = 0.001          # [m] half of the least thickness of a wall
_FOOT = 0.012          # [m] what is seen this far above the bottom is continued down to it
_BELOW_LID = 0.008     # [m] surface that far below the hull's lid speaks for a hollow thing
_HOLLOW_SHARE = 0.04   # of the surface that must lie below the lid
_CELL = 0.006          # [m] horizontally, in which what is deep is looked for something above it
_OPEN_SHARE = 0.02     # of the surface that must be deep with nothing above it
_FLATTEST = 0.02       # [m] lower things are not hollow
_GRID = 0.003          # [m] points closer than this are one
_RIM_SECTORS, _RIM_LEAST = 24, 18    # around its middle, and those that must show a rim
_RIM_OFF = 0.004       # [m] root of the mean square by which a rim is off its plane, at most
_TILTED = np.deg2rad(6.0), np.deg2rad(40.0)    # of a rim that is not level: least and most
_SHELL = 0.003         # [m] thickness of the bottom of what stands tilted


@dataclass(frozen=True, eq=False)
class Pieces:
    """What a thing occupies: convex pieces, each the hull of points (N, 3) [m] base frame."""

    hulls: tuple[np.ndarray, ...]
    is_hollow: bool


def pieces_of(body: Body, axis: np.ndarray | None = None,
              seen: np.ndarray | None = None) -> Pieces | None:
    """
    Return the convex pieces of a completed body; None where it spans no volume.

    :param axis: (2,) [m] horizontal place of the upright axis that it is symmetric about, where
        something hides so much of it that its own outline does not tell; None where it does.
    :param seen: (N, 3) [m] its surface without what `Body` has made of the back, where that is to
        be made anew about the axis.
    """
    points = np.asarray(body.vertices if seen is None else seen, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if axis is not None:
        points = np.concatenate([points, _turned(points, axis)])
    return _pieces(points, body.bottom, body.top, body.center[:2])


def tilted_pieces(seen: np.ndarray) -> Pieces | None:
    """
    Return the pieces of an open thing that stands tilted; None for what does not.

    A bowl that leans on the edge of another one has a flat bottom all the same, on which it comes
    to stand when it is put down; its rim says which way that faces. What is seen of it mirrors
    about the axis of the rim.

    :param seen: (N, 3) [m] base frame, as seen.
    """
    points = np.asarray(seen, np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    T = rim_frame(points)
    if T is None or not _TILTED[0] < np.arccos(np.clip(T[2, 2], -1.0, 1.0)) < _TILTED[1]:
        return None
    local = (points - T[:3, 3]) @ T[:3, :3]
    local = np.concatenate([local, _turned(local, np.zeros(2))])
    bottom, top = float(np.quantile(local[:, 2], 0.005)) - _SHELL, float(local[:, 2].max())
    found = _pieces(local, bottom, top, np.zeros(2))
    if found is None or not found.is_hollow:
        return None
    return Pieces(tuple(hull @ T[:3, :3].T + T[:3, 3] for hull in found.hulls), True)


def rim_frame(points: np.ndarray) -> np.ndarray | None:
    """
    Return the frame (4, 4) of a rim: its middle, z out of its plane, upwards; None without one.

    :param points: (N, 3) [m] base frame, z up, of all that is seen of the thing.
    """
    if len(points) < _RIM_SECTORS:
        return None
    (x, y), _, _ = cv2.minAreaRect(points[:, :2].astype(np.float32))
    way = points[:, :2] - (x, y)
    sector = ((np.arctan2(way[:, 1], way[:, 0]) / (2 * np.pi)) % 1.0 * _RIM_SECTORS).astype(int)
    tops = [np.flatnonzero(sector == number) for number in range(_RIM_SECTORS)]
    rim = np.array([points[each[points[each, 2].argmax()]] for each in tops if len(each)])
    if len(rim) < _RIM_LEAST:
        return None
    middle = rim.mean(0)
    normal = np.linalg.svd(rim - middle, full_matrices=False)[2][2]
    normal = normal * np.sign(normal[2] or 1.0)
    if float(np.sqrt((((rim - middle) @ normal) ** 2).mean())) > _RIM_OFF:
        return None
    side = np.cross([0.0, 1.0, 0.0], normal)
    side /= np.linalg.norm(side)
    flat = np.stack([side, np.cross(normal, side)])
    (u, v), _, _ = cv2.minAreaRect(((rim - middle) @ flat.T).astype(np.float32))
    T = np.eye(4)
    T[:3, :3] = np.stack([*flat, normal], axis=1)
    T[:3, 3] = middle + u * flat[0] + v * flat[1]
    return T


def _turned(points: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return points (N, 3) turned by half a turn about an upright axis at (2,)."""
    return np.asarray(points * [-1, -1, 1] + [2 * axis[0], 2 * axis[1], 0])


def _pieces(points: np.ndarray, bottom: float, top: float, middle: np.ndarray) -> Pieces | None:
    """
    Return the convex pieces of the surface (N, 3) of what stands upright.

    :param middle: (2,) [m] horizontally.
    """
    if len(points) < 4:
        return None
    points = _thinned(points)
    points[:, 2] = np.maximum(points[:, 2], bottom)
    height = top - bottom
    low = points[points[:, 2] < bottom + max(0.25 * height, _FOOT)]
    foot = (low if len(low) >= 3 else points).copy()
    foot[:, 2] = bottom
    whole = np.concatenate([points, foot])
    try:
        hull = ConvexHull(whole)
    except QhullError:
        return None
    deep = _below_lid(points, hull, height, top)
    if height < _FLATTEST or deep.mean() < _HOLLOW_SHARE or not _is_open(points, deep):
        return Pieces((whole[hull.vertices],), False)
    floor = min(max(float(np.quantile(points[deep, 2], 0.05)), bottom + 0.004),
                bottom + 0.35 * height)
    return Pieces((*_walls(points, middle, floor, top),
                   _bottom(points, bottom, floor)), True)


def _below_lid(points: np.ndarray, hull: ConvexHull, height: float, top: float) -> np.ndarray:
    """Return which points lie inside of the rim and well below the hull's upper side, (N,) bool."""
    lid = hull.equations[hull.equations[:, 2] > 0.05]
    if not len(lid):
        return np.zeros(len(points), bool)
    over = np.min(-(points[:, :2] @ lid[:, :2].T + lid[:, 3]) / lid[:, 2], axis=1)
    deep = over - points[:, 2] > max(_BELOW_LID, 0.25 * height)
    rim = points[points[:, 2] > top - 0.3 * height, :2]
    if len(rim) < 3:
        return np.zeros(len(points), bool)
    outline = cv2.convexHull(rim.astype(np.float32))
    deep[deep] = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) > 0.008
                  for x, y in points[deep, :2]]
    return deep


def _is_open(points: np.ndarray, deep: np.ndarray) -> bool:
    """
    Return whether one looks into a thing: what is deep in it, (N,) bool, has nothing above it.

    The ragged edges of a camera's depth leave points inside of a solid thing too, but below its
    top, which is seen as well.
    """
    _, cell = np.unique(np.floor(points[:, :2] / _CELL).astype(int), axis=0, return_inverse=True)
    is_covered = np.bincount(cell.ravel(), ~deep) > 0
    return bool((deep & ~is_covered[cell.ravel()]).mean() > _OPEN_SHARE)


def _walls(points: np.ndarray, middle: np.ndarray, floor: float,
           top: float) -> list[np.ndarray]:
    """Return the wall of a hollow thing, cut into sectors around its middle and two bands."""
    way = points[:, :2] - middle
    angle = np.arctan2(way[:, 1], way[:, 0])
    outwards = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    high = top - floor > 0.03
    cuts = (floor, 0.5 * (floor + top), top + 1.0) if high else (floor, top + 1.0)
    width = 2 * np.pi / _SECTORS
    found = []
    for sector in range(_SECTORS):
        within = (angle + np.pi - sector * width) % (2 * np.pi) <= 1.05 * width
        within &= points[:, 2] > floor + 0.004
        for lower, upper in itertools.pairwise(cuts):
            pick = within & (points[:, 2] >= lower - _LOW) & (points[:, 2] <= upper + _LOW)
            if pick.sum() < 4:
                continue
            wall = points[pick]
            shift = np.column_stack([_WALL * outwards[pick], np.zeros(len(wall))])
            thick = np.concatenate([wall + shift, wall - shift])
            try:
                found.append(thick[ConvexHull(thick).vertices])
            except QhullError:
                continue
    return found


def _bottom(points: np.ndarray, bottom: float, floor: float) -> np.ndarray:
    """Return the plate that a hollow thing stands on, (N, 3)."""
    base = points[points[:, 2] <= floor + 0.006]
    if len(base) < 10:
        base = points[points[:, 2] <= np.quantile(points[:, 2], 0.2)]
    outline = cv2.convexHull(base[:, :2].astype(np.float32))[:, 0].astype(np.float64)
    return np.concatenate([np.column_stack([outline, np.full(len(outline), z)])
                           for z in (bottom, floor)])


def _thinned(points: np.ndarray) -> np.ndarray:
    _, one = np.unique(np.floor(points / _GRID).astype(np.int64), axis=0, return_index=True)
    return points[one].copy()
