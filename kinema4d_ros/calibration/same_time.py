# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether images and joints move at the same times, as they do if they belong together."""
from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

_NOISE = 6.0           # of 255, what changes by less is noise
_LAGS = 8              # images early or late that are tried
_TOGETHER = 0.3        # correlation from which on they move together
_CLEARLY = 0.2         # higher at another time than at the same one, and they are shifted
_SURE = 0.5            # correlation there


def motion_agreement(images: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """
    Return the correlation of what changes in the images with how fast the robot moves.

    :param images: (N, H, W, 3) uint8 RGB; :param surface: (N, P, 3) [m] of the robot.
    :return: (2 L + 1,) of images that are L frames early to L frames late; NaN where either
        stands still.
    """
    grey = [cv2.GaussianBlur(image.astype(np.float32).mean(axis=-1), (0, 0), 1) for image in images]
    change = np.sqrt([float(np.maximum(np.abs(b - a) - _NOISE, 0).mean())
                      for a, b in pairwise(grey)])
    speed = np.sqrt(np.linalg.norm(np.diff(surface, axis=0), axis=-1).mean(axis=1))
    most = min(_LAGS, len(change) // 4)
    out = np.full(2 * most + 1, np.nan)
    for k, lag in enumerate(range(-most, most + 1)):
        seen = change[max(lag, 0):len(change) + min(lag, 0)]
        moved = speed[max(-lag, 0):len(speed) - max(lag, 0)]
        if np.ptp(seen) > 0 and np.ptp(moved) > 0:
            out[k] = np.corrcoef(seen, moved)[0, 1]
    return out


def why_not_together(agreement: np.ndarray) -> str | None:
    """Return what `motion_agreement` says against images and joints; None where it is nothing."""
    if not np.isfinite(agreement).all():
        return None
    middle = len(agreement) // 2
    now, best = float(agreement[middle]), int(agreement.argmax())
    late = best - middle
    if agreement[best] >= max(_SURE, now + _CLEARLY):
        return (f'the images seem to be {abs(late)} frames {"late" if late > 0 else "early"}: what '
                f'changes in them goes with the joints by {agreement[best]:.2f} (correlation) '
                f'then, by {now:.2f} as they are; do their clocks agree?')
    if now < _TOGETHER:
        return (f'images and joints move at different times: correlation {now:.2f}, at best '
                f'{agreement[best]:.2f} with images {abs(late)} frames '
                f'{"late" if late > 0 else "early"}; are these images of this motion, and is the '
                'arm in view most of the time?')
    return None
