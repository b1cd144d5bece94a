# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How far a predicted frame is from the true one: images, depth, point clouds, the robot.

Each metric is taken over a region, (H, W) bool, so that the event is not lost in all that stays
as it is. Each is NaN where there is nothing to compare.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from skimage.metrics import structural_similarity

_CHANGE = 20        # a pixel has changed when a channel differs by more than this (of 255)
_SSIM_REACH = 7     # [px] half of the window of the similarity is 3; some more
_BEST_PSNR = 60.0   # [dB] reported for identical pixels, so that means stay finite
_PIXELS_PER_DEGREE = 67.0   # of FLIP: a 4K screen, 0.7 m wide, seen from 0.7 m (its default)
F_SCORE_DISTANCES = (0.005, 0.010, 0.020)   # [m]
DELTA = 1.25        # the usual factor by which a depth may be off to count as right


def changed_region(first: np.ndarray, later: np.ndarray) -> np.ndarray:
    """
    Return where `later` differs from the first frame, (H, W) bool; both (H, W, 3) uint8.

    The threshold is above JPEG noise, so what is compared there is the event and not the codec.
    """
    difference = np.abs(first.astype(np.int16) - later.astype(np.int16)).max(-1)
    changed: np.ndarray = difference > _CHANGE
    return changed


# --------------------------------------------------------------------------- images

def psnr(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """
    Return the peak signal-to-noise ratio over a region [dB], at most 60; NaN if it is empty.

    10 log10(255^2 / mean squared error) over pixels and channels; more is better.
    """
    if not region.any():
        return float('nan')
    difference = predicted[region].astype(np.float64) - true[region].astype(np.float64)
    error = float(np.mean(difference ** 2))
    return _BEST_PSNR if error == 0 else float(min(10 * np.log10(255 ** 2 / error), _BEST_PSNR))


def ssim(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """
    Return the mean structural similarity over a region, -1 to 1; NaN if it is empty.

    Wang et al. 2004, windows of 7 px, mean over channels; more is better.
    """
    if not region.any():
        return float('nan')
    # The window around the region (and the filter's reach) has the same values as the whole.
    rows, columns = np.nonzero(region.any(1))[0], np.nonzero(region.any(0))[0]
    window = tuple(slice(max(0, min(k[0] - _SSIM_REACH, n - 2 * _SSIM_REACH)),
                         max(k[-1] + _SSIM_REACH + 1, 2 * _SSIM_REACH))
                   for k, n in zip((rows, columns), region.shape))
    _, full = structural_similarity(predicted[window], true[window], channel_axis=-1, full=True)
    return float(full[region[window]].mean())


def flip_map(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """
    Return the difference that a person sees when the images alternate, (H, W) float32, 0 to 1.

    FLIP (Andersson et al. 2020) by its authors' package; both images (H, W, 3) uint8 sRGB. Less
    is better.
    """
    import flip_evaluator  # on no ROS installation; only reports need it

    error, _, _ = flip_evaluator.evaluate(
        np.float32(true) / 255, np.float32(predicted) / 255, 'LDR', applyMagma=False,
        computeMeanError=False, parameters={'ppd': _PIXELS_PER_DEGREE})
    difference: np.ndarray = error[..., 0]
    return difference


def region_mean(values: np.ndarray, region: np.ndarray) -> float:
    """Return the mean of finite values (H, W) over a region; NaN where there are none."""
    kept = values[region & np.isfinite(values)]
    return float(kept.mean(dtype=np.float64)) if kept.size else float('nan')


# --------------------------------------------------------------------------- depth

def depth_abs_rel(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """
    Return the mean relative error of depth over a region where both are known; NaN if nowhere.

    Mean of |predicted - true| / true; less is better.

    :param predicted: (H, W) float32 [m], NaN unknown.
    :param true: (H, W) float32 [m], NaN unknown.
    """
    use = region & np.isfinite(predicted) & np.isfinite(true)
    if not use.any():
        return float('nan')
    return float(np.mean(np.abs(predicted[use] - true[use]) / true[use]))


def depth_delta(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    """
    Return the share of pixels, 0 to 1, whose depth is off by less than the factor 1.25.

    max(predicted / true, true / predicted) < 1.25, among the pixels of the region where the truth
    is known; a pixel that the prediction does not know counts as wrong. More is better.

    :param predicted: (H, W) float32 [m], NaN unknown.
    :param true: (H, W) float32 [m], NaN unknown.
    """
    known = region & np.isfinite(true)
    if not known.any():
        return float('nan')
    there, said = true[known], predicted[known]
    with np.errstate(divide='ignore', invalid='ignore'):
        right = (said > 0) & (np.maximum(said / there, there / said) < DELTA)
    return float(right.mean())


# --------------------------------------------------------------------------- point clouds

@dataclass(frozen=True)
class CloudScore:
    """Two point clouds against each other."""

    chamfer: float                 # [m] mean of the mean distances both ways; less is better
    f_scores: tuple[float, ...]    # 0 to 1, for each distance asked for; more is better


def cloud_score(predicted: np.ndarray, true: np.ndarray, region: np.ndarray,
                distances: tuple[float, ...] = F_SCORE_DISTANCES) -> CloudScore:
    """
    Compare two clouds by distances to the nearest point of the other.

    Points of the region are measured, against all points of the other cloud: what moved in from
    elsewhere is found there. Chamfer is the mean of the two mean distances (first powers, not
    squares); the F-score of a distance d is 2 P R / (P + R), with P the share of predicted
    points that lie within d of a true one and R the share of true ones within d of a predicted
    one (Knapitsch et al. 2017).

    :param predicted: (H, W, 3) float32 [m], NaN unknown.
    :param true: (H, W, 3) float32 [m], NaN unknown.
    :param region: (H, W) bool.
    :param distances: [m]
    :return: all NaN when the region has no true point; when it has no predicted one, Chamfer is
        NaN and the F-scores are 0.
    """
    nothing = float('nan')
    has_predicted, has_true = np.isfinite(predicted).all(-1), np.isfinite(true).all(-1)
    if not (region & has_true).any():
        return CloudScore(nothing, (nothing,) * len(distances))
    if not (region & has_predicted).any():
        return CloudScore(nothing, (0.0,) * len(distances))
    off, _ = cKDTree(true[has_true]).query(predicted[region & has_predicted])
    missed, _ = cKDTree(predicted[has_predicted]).query(true[region & has_true])
    scores = []
    for distance in distances:
        precision, recall = float(np.mean(off <= distance)), float(np.mean(missed <= distance))
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return CloudScore(float(off.mean() + missed.mean()) / 2, tuple(scores))


# --------------------------------------------------------------------------- the robot

def mask_iou(predicted: np.ndarray, true: np.ndarray) -> float:
    """
    Return intersection over union of two masks (H, W) bool, 0 to 1; NaN when both are empty.

    More is better.
    """
    union = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / union if union else float('nan')


def robot_residual(predicted: np.ndarray, exact: np.ndarray, mask: np.ndarray) -> float:
    """
    Return how far the predicted robot is from the exact one [m], mean over the pixels of both.

    :param predicted: (H, W, 3) float32 [m], the predicted pointmap.
    :param exact: (H, W, 3) float32 [m], the computed robot, NaN elsewhere.
    :param mask: (H, W) bool, the pixels that the prediction says show the robot.
    :return: NaN where the two robots share no pixel. Less is better.
    """
    use = mask & np.isfinite(exact).all(-1) & np.isfinite(predicted).all(-1)
    if not use.any():
        return float('nan')
    return float(np.linalg.norm(predicted[use] - exact[use], axis=-1).mean(dtype=np.float64))
