# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Relative depth to metres: a robust line through what is known exactly, and how far it is off."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_PIXELS = 100      # with a known distance
_ROUNDS, _TUKEY = 15, 4.685


@dataclass(frozen=True)
class DepthFit:
    """``z = shift + scale * depth`` of one frame."""

    shift: float       # [m] of what is farthest
    scale: float       # [m] below 0: brighter is nearer
    residual: float    # [m] robust spread of what is known about the line, 1 sigma
    pixels: int        # with a known distance

    def metres(self, depth: np.ndarray) -> np.ndarray:
        """Return distances [m] float32 of relative depths; NaN where that is not before us."""
        z = (self.shift + self.scale * depth).astype(np.float32)
        return np.where(z > 0, z, np.float32(np.nan))


def fit_depth(depth: np.ndarray, known: np.ndarray) -> DepthFit | None:
    """
    Return the fit of a frame, None where too little is known, or the line rises.

    Iteratively re-weighted least squares with Tukey's weights, from the line through the medians of
    the nearer and the farther half; what has moved since is an outlier, if it is the smaller part.

    :param depth: (H, W) relative, 1 near; NaN outside of the model's picture.
    :param known: (H, W) [m] of the scene that stays and of the exact robot, NaN unknown.
    """
    use = np.isfinite(depth) & np.isfinite(known)
    d, z = depth[use].astype(np.float64), known[use].astype(np.float64)
    if len(d) < LEAST_PIXELS or np.ptp(d) < 1e-6:
        return None
    middle = np.median(z)
    near, far = z <= middle, z > middle
    scale = 0.0
    if near.any() and far.any():
        apart = np.median(d[near]) - np.median(d[far])
        if abs(apart) > 1e-6:
            scale = (np.median(z[near]) - np.median(z[far])) / apart
    shift = np.median(z - scale * d)
    for _ in range(_ROUNDS):
        away = np.abs(z - shift - scale * d)
        limit = max(_TUKEY * 1.4826 * float(np.median(away)), 1e-9)
        weights = np.clip(1 - (away / limit) ** 2, 0, None) ** 2
        total = weights.sum()
        mean_d, mean_z = weights @ d / total, weights @ z / total
        spread = weights @ (d - mean_d) ** 2
        if spread < 1e-12:
            break
        scale = (weights @ ((d - mean_d) * (z - mean_z))) / spread
        shift = mean_z - scale * mean_d
    if scale >= 0:
        return None
    residual = 1.4826 * float(np.median(np.abs(z - shift - scale * d)))
    return DepthFit(float(shift), float(scale), residual, len(d))


def angle_between(normals: np.ndarray, others: np.ndarray) -> float | None:
    """Return the median angle [rad] of two fields (H, W, 3) of unit vectors, None without any."""
    cosine = (normals * others).sum(axis=-1)
    cosine = cosine[np.isfinite(cosine)]
    return float(np.arccos(np.clip(np.median(cosine), -1, 1))) if len(cosine) else None
