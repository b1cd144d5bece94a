# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What moves before a background that stays."""
from __future__ import annotations

import cv2
import numpy as np

_BLUR = 0.7            # [px] standard deviation; noise of single pixels is no edge
_FLOOR = 8.0           # of 255, what differs by less is noise however quiet the camera is
_NOISES = 5.0          # times the camera's own noise
_SHADE, _SHINE = 0.45, 0.25      # of the background's brightness, what a shadow changes
_SHADOW = 0.3          # what a change of brightness alone counts then
_DEPTH_STEP = 0.02     # [m] nearer than the background by this is foreground
_FEWEST = 3            # frames that must show a pixel without the arm


def background_of(values: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
    """
    Return the median over time, float32, NaN where it is not known.

    :param values: (N, H, W[, C]); NaN are left out.
    :param hidden: (N, H, W) bool, where the arm may be; None: nobody knows, so that the median of
        all is taken, which is the background where the arm is for less than half of the time.
    """
    if hidden is None and values.dtype == np.uint8:
        return np.median(values, axis=0).astype(np.float32)
    values = values.astype(np.float32)
    if hidden is not None:
        values[hidden] = np.nan
    seen = np.isfinite(values).sum(axis=0)
    ordered = np.sort(values, axis=0)      # NaN last
    middle = np.take_along_axis(ordered, np.maximum(seen // 2, (seen - 1) // 2)[None].clip(
        0, len(values) - 1), axis=0)[0]
    middle[seen < _FEWEST] = np.nan
    return middle


def differences(images: np.ndarray, background: np.ndarray, *, shadows: bool = False
                ) -> tuple[np.ndarray, float]:
    """
    Return how much each pixel differs from the background, and from where on that is no noise.

    What a camera's exposure changes all over the image is taken out first.

    :param images: (N, H, W, 3) uint8.
    :param background: (H, W, 3) float32, NaN unknown.
    :param shadows: a colour that only became darker or lighter, as by a shadow, counts for less.
    :return: (N, H, W) float32 of 0..255, the largest of the three colours, NaN unknown; threshold.
    """
    known = np.isfinite(background).all(axis=-1)
    clean = np.where(known[..., None], background, 0).astype(np.float32)
    smooth = cv2.GaussianBlur(clean, (0, 0), _BLUR)
    out = np.empty(images.shape[:3], np.float32)
    for t, image in enumerate(images):
        blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), _BLUR)
        change = _exposed(blurred, smooth, known) - smooth
        out[t] = np.abs(change).max(axis=-1)
        if shadows:
            out[t] *= _by_colour(change, smooth)
    rim = cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    out[:, ~rim] = np.nan
    usual = float(np.nanmedian(out)) if rim.any() else 0.0
    return out, max(_FLOOR, _NOISES * usual)


def _exposed(image: np.ndarray, background: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the image with the exposure of the background."""
    grey, usual = image.mean(axis=-1), background.mean(axis=-1)
    usable = known & (grey > 20) & (grey < 235) & (usual > 20) & (usual < 235)
    if usable.sum() < 100:
        return image
    gain = float(np.median(usual[usable] / grey[usable]))
    out: np.ndarray = image * np.float32(np.clip(gain, 0.5, 2.0))
    return out


def _by_colour(change: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return what a change counts, (H, W): less where only the brightness changed, and mildly."""
    square = (background ** 2).sum(axis=-1) + 1.0
    brighter = (change * background).sum(axis=-1) / square       # as a part of the background's
    other = np.linalg.norm(change - brighter[..., None] * background, axis=-1)
    shade = (brighter > -_SHADE) & (brighter < _SHINE)
    colourless = other < 0.3 * np.linalg.norm(change, axis=-1)
    out: np.ndarray = np.where(shade & colourless, np.float32(_SHADOW), np.float32(1.0))
    return out


def nearer(depths: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return where a depth is nearer than the background, (N, H, W) bool."""
    with np.errstate(invalid='ignore'):
        found: np.ndarray = depths < background - _DEPTH_STEP
    return found


def tidy(masks: np.ndarray) -> np.ndarray:
    """Return masks (N, H, W) bool without specks and pinholes."""
    kernel = np.ones((3, 3), np.uint8)
    out = np.empty(masks.shape, bool)
    for t, mask in enumerate(masks):
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        out[t] = cv2.morphologyEx(closed, cv2.MORPH_CLOSE, kernel) > 0
    return out
