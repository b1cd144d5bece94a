# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Holes of a depth image that flicker, filled from the images just before and after it.

Stereo and structured light give no depth at edges and on dark surfaces in one image and some in the
next, while what absorbs or mirrors the light has none in any. So a pixel counts as measured where
most of the images of a camera and a robot that stand still have one depth there, and only there.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema4d_ros.camera.pixels import SATURATED, to_metres

MOST_IMAGES = 8        # that are looked at together
_APART = 0.015         # [m] depths of one surface differ by less, at the camera
_APART_SQUARE = 0.005  # [1/m] what distance squared times this adds
_RIM = 4               # [px] beside what never has a depth nothing is filled
_SQUARE = np.ones((3, 3), np.uint8)


def has_holes(depth: np.ndarray) -> bool:
    """Return whether a depth image (H, W) [m] has a pixel without a depth."""
    return not bool(_is_known(depth).all())


def fill_flicker(depth: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return a depth image with those of its holes filled that are none in most images.

    A hole is filled with the median of the depths there if more than half of all images, this one
    among them, have one, and these are of one surface; but not beside what has no depth in any,
    at least 3 px wide: its rim shows now a hole and now what is behind. What is measured stays.

    :param depth: (H, W) float32 [m]; NaN, 0 and infinite for a hole. Not changed.
    :param others: of the same camera at the same place within a moment, each (H, W) float32 [m],
        or uint16 [mm] as a camera sends them; no more than the first 7 are looked at.
    :raises ValueError: an image has another size.
    """
    for other in others:
        if other.shape != depth.shape:
            raise ValueError(f'depth images of {other.shape} and {depth.shape} are not of one '
                             'camera')
    if len(others) < 2:        # of two images one is no majority
        return depth
    filled = np.array(depth, np.float32, order='C')
    flat = filled.reshape(-1)
    holes = np.flatnonzero(~_is_known(flat))
    seen = [other.reshape(-1).take(holes) for other in others[:MOST_IMAGES - 1]]
    times = np.zeros(len(holes), np.uint8)
    for each in seen:
        times += _is_known(each)
    often = np.flatnonzero(times > (len(seen) + 1) // 2)
    if not len(often):
        return filled
    import cv2

    # what has no depth in any image, and the rim of it, which may show what is behind
    black = np.zeros(filled.shape, np.uint8)
    black.reshape(-1)[holes[times == 0]] = 1
    black = cv2.dilate(cv2.morphologyEx(black, cv2.MORPH_OPEN, _SQUARE), _SQUARE, iterations=_RIM)
    often = often[black.reshape(-1).take(holes.take(often)) == 0]
    holes, last = holes.take(often), times.take(often).astype(np.intp) - 1
    # what is not known is sorted behind what is, as NaN
    depths = np.sort(np.stack([to_metres(each.take(often)[None])[0] for each in seen]), 0)
    rank = np.arange(len(holes))
    low, high = depths[0], depths[last, rank]
    one = high - low <= _APART + _APART_SQUARE * low * low
    middle = 0.5 * (depths[last // 2, rank] + depths[(last + 1) // 2, rank])
    flat[holes[one]] = middle[one]
    return filled


def _is_known(depth: np.ndarray) -> np.ndarray:
    """Return where a depth is one, bool."""
    if depth.dtype == np.uint16:
        known: np.ndarray = (depth != 0) & (depth != SATURATED)
        return known
    with np.errstate(invalid='ignore'):
        known = (depth > 0.0) & (depth < np.inf)
    return known
