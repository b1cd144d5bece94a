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

MOST_IMAGES = 8        # that are looked at together
_APART = 0.015         # [m] depths of one surface differ by less, at the camera
_APART_SQUARE = 0.005  # [1/m] what distance squared times this adds


def has_holes(depth: np.ndarray) -> bool:
    """Return whether a depth image (H, W) [m] has a pixel without a depth."""
    return not bool(_is_known(depth).all())


def fill_flicker(depth: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return a depth image with those of its holes filled that are none in most images.

    A hole is filled with the median of the depths there if more than half of all images, this one
    among them, have one, and these are of one surface. What is measured stays as it is.

    :param depth: (H, W) float32 [m]; NaN, 0 and infinite for a hole. Not changed.
    :param others: of the same camera at the same place within a moment, each (H, W) float32 [m];
        no more than the first 7 are looked at.
    :raises ValueError: an image has another size.
    """
    for other in others:
        if other.shape != depth.shape:
            raise ValueError(f'depth images of {other.shape} and {depth.shape} are not of one '
                             'camera')
    if len(others) < 2:        # of two images one is no majority
        return depth
    holes = np.flatnonzero(~_is_known(depth))
    values = np.stack([np.asarray(other, np.float32).ravel()[holes]
                       for other in others[:MOST_IMAGES - 1]])
    known = _is_known(values)
    often = 2 * known.sum(axis=0) > len(values) + 1
    holes, values, known = holes[often], values[:, often], known[:, often]
    count = known.sum(axis=0)
    values = np.sort(np.where(known, values, np.inf), axis=0)     # holes come last
    lower, upper, high = (np.take_along_axis(values, at[None], axis=0)[0] for at in (
        (count - 1) // 2, count // 2, count - 1))
    is_one = high - values[:1].ravel() <= _APART + _APART_SQUARE * values[:1].ravel() ** 2
    filled = np.array(depth, np.float32, order='C')
    filled.ravel()[holes[is_one]] = 0.5 * (lower + upper)[is_one]
    return filled


def _is_known(depth: np.ndarray) -> np.ndarray:
    """Return where a depth is one, bool."""
    with np.errstate(invalid='ignore'):
        known: np.ndarray = (depth > 0.0) & (depth < np.inf)
    return known
