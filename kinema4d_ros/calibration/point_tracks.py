# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Points that are followed from image to image.

Corners (Shi and Tomasi 1994) are followed by the pyramidal Lucas-Kanade method (Bouguet 2001),
forth and back; one that does not come back to where it began is dropped (Kalal 2010). A point is
followed for a few images only, since what is followed slides.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_MOST = 600            # points in an image
_LONGEST = 12          # images that a point is followed through
_QUALITY = 0.005       # of the best corner of the image
_APART = 1 / 80        # of the width, between two points
_COMES_BACK = 0.7      # [px] to where it began, at most
_WINDOW, _LEVELS = (15, 15), 4


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Where points are seen, sorted by track and by frame within one."""

    track: np.ndarray      # (N,) int64, rising
    frame: np.ndarray      # (N,) int64, one after the other within a track
    pixel: np.ndarray      # (N, 2) float64 column and row

    def steps(self) -> np.ndarray:
        """Return the rows (M,) after which the next row is the same point, one frame later."""
        rows: np.ndarray = np.flatnonzero(self.track[1:] == self.track[:-1])
        return rows


def track_points(images: np.ndarray) -> PointTracks:
    """
    Follow points through images.

    :param images: (N, H, W, 3) uint8 RGB, in time's order.
    """
    height, width = images.shape[1:3]
    apart = max(3, round(width * _APART))
    frames, tracks, pixels = [], [], []
    points, ids, age = np.empty((0, 2), np.float32), np.empty(0, np.int64), np.empty(0, np.int64)
    fresh = 0
    now = cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY)
    for t in range(len(images)):
        found = _corners(now, points, apart)
        points = np.vstack([points, found])
        ids = np.r_[ids, np.arange(fresh, fresh + len(found))]
        age = np.r_[age, np.zeros(len(found), np.int64)]
        fresh += len(found)
        frames.append(np.full(len(points), t))
        tracks.append(ids)
        pixels.append(points)
        if t + 1 == len(images):
            break
        then = cv2.cvtColor(images[t + 1], cv2.COLOR_RGB2GRAY)
        young = age < _LONGEST - 1
        points, ids, age = points[young], ids[young], age[young] + 1
        if len(points):
            moved, back, seen = _followed(now, then, points)
            stays = seen & (np.linalg.norm(back - points, axis=1) < _COMES_BACK) \
                & (moved >= 1).all(axis=1) & (moved < (width - 2, height - 2)).all(axis=1)
            points, ids, age = moved[stays], ids[stays], age[stays]
        now = then
    frame, track = np.concatenate(frames), np.concatenate(tracks)
    order = np.lexsort((frame, track))
    return PointTracks(track[order], frame[order],
                       np.concatenate(pixels)[order].astype(np.float64))


def _corners(grey: np.ndarray, points: np.ndarray, apart: int) -> np.ndarray:
    """Return further corners (M, 2) float32, apart from the points that there are."""
    if len(points) >= _MOST:
        return np.empty((0, 2), np.float32)
    free = np.full(grey.shape, 255, np.uint8)
    for u, v in points:
        cv2.circle(free, (int(u), int(v)), apart, 0, -1)
    found = cv2.goodFeaturesToTrack(grey, _MOST - len(points), _QUALITY, apart, mask=free,
                                    blockSize=5)
    return np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _followed(now: np.ndarray, then: np.ndarray, points: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where points go, where they come back to, and which are found both times."""
    moved, there, _ = cv2.calcOpticalFlowPyrLK(now, then, points, None, winSize=_WINDOW,
                                               maxLevel=_LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(then, now, moved, None, winSize=_WINDOW,
                                              maxLevel=_LEVELS)
    return moved, back, (there[:, 0] > 0) & (again[:, 0] > 0)
