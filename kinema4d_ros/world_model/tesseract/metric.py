# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Relative depth to metres: a robust line through what is known exactly, and how far it is off."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_PIXELS = 100      # with a known distance
_ROUNDS, _TUKEY = 15, 4.685
_SOME, _PAIRS = 1500, 300      # pixels that a line is tried on, and lines that are tried


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

    Of lines through pairs of pixels the one with the least median distance, then iteratively
    re-weighted least squares with Tukey's weights: what has moved since is an outlier, if it is
    the smaller part.

    :param depth: (H, W) relative, 1 near; NaN outside of the model's picture.
    :param known: (H, W) [m] of the scene that stays and of the exact robot, NaN unknown.
    """
    use = np.isfinite(depth) & np.isfinite(known)
    d, z = depth[use].astype(np.float64), known[use].astype(np.float64)
    if len(d) < LEAST_PIXELS or np.ptp(d) < 1e-6:
        return None
    shift, scale = _least_median(d, z)
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


def _least_median(d: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """Return (shift, scale) of the line through two pixels that is nearest to half of them."""
    random = np.random.default_rng(0)      # the same pairs each time
    some = random.integers(0, len(d), _SOME)
    d, z = d[some], z[some]
    one, two = random.integers(0, _SOME, (2, _PAIRS))
    apart = d[two] - d[one]
    far = np.abs(apart) > 0.05 * np.ptp(d)
    if not far.any():
        return float(np.median(z)), 0.0
    one, two, apart = one[far], two[far], apart[far]
    scale = (z[two] - z[one]) / apart
    shift = z[one] - scale * d[one]
    away = np.median(np.abs(z - shift[:, None] - scale[:, None] * d), axis=1)
    best = int(away.argmin())
    return float(shift[best]), float(scale[best])


def angle_between(normals: np.ndarray, others: np.ndarray) -> float | None:
    """Return the median angle [rad] of two fields (H, W, 3) of unit vectors, None without any."""
    cosine = (normals * others).sum(axis=-1)
    cosine = cosine[np.isfinite(cosine)]
    return float(np.arccos(np.clip(np.median(cosine), -1, 1))) if len(cosine) else None
