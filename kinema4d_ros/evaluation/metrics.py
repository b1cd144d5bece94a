# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far a predicted frame is from the true one, where the world changed and elsewhere."""
from __future__ import annotations

import numpy as np
from skimage.metrics import structural_similarity

_CHANGE = 20        # a pixel has changed when a channel differs by more than this (of 255)
_SSIM_REACH = 7     # [px] half of the window of the similarity is 3; some more
_BEST_PSNR = 60.0   # [dB] reported for identical pixels, so that means stay finite


def changed_region(first: np.ndarray, later: np.ndarray) -> np.ndarray:
    """
    Return where `later` differs from the first frame, (H, W) bool; both (H, W, 3) uint8.

    The threshold is above JPEG noise, so what is compared there is the event and not the codec.
    """
    difference = np.abs(first.astype(np.int16) - later.astype(np.int16)).max(-1)
    return difference > _CHANGE


def psnr(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio over a region [dB], at most 60; NaN if it is empty."""
    if not region.any():
        return float('nan')
    difference = predicted[region].astype(np.float64) - true[region].astype(np.float64)
    error = float(np.mean(difference ** 2))
    return _BEST_PSNR if error == 0 else float(min(10 * np.log10(255 ** 2 / error), _BEST_PSNR))


def ssim(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """Return the mean structural similarity over a region, -1 to 1; NaN if it is empty."""
    if not region.any():
        return float('nan')
    # The window around the region (and the filter's reach) has the same values as the whole.
    rows, columns = np.nonzero(region.any(1))[0], np.nonzero(region.any(0))[0]
    window = tuple(slice(max(0, min(k[0] - _SSIM_REACH, n - 2 * _SSIM_REACH)),
                         max(k[-1] + _SSIM_REACH + 1, 2 * _SSIM_REACH))
                   for k, n in zip((rows, columns), region.shape))
    _, full = structural_similarity(predicted[window], true[window], channel_axis=-1, full=True)
    return float(full[region[window]].mean())


def depth_abs_rel(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """
    Return the mean relative error of depth over a region where both are known; NaN if nowhere.

    :param predicted: (H, W) float32 [m], NaN unknown.
    :param true: (H, W) float32 [m], NaN unknown.
    """
    use = region & np.isfinite(predicted) & np.isfinite(true)
    if not use.any():
        return float('nan')
    return float(np.mean(np.abs(predicted[use] - true[use]) / true[use]))
