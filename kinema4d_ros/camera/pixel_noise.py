# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the noise of a depth camera each pixel has for itself, as seen in one image."""
from __future__ import annotations

import numba
import numpy as np

_QUIET = 0.1                    # of the stated noise; an image with less has none
_LOOKS, _ENOUGH = 2000, 200     # pixels that are looked at, about and at least
_BENT = 1.65                    # median of what three pixels bend by noise of one deviation
_AT_EDGES = np.float32(10.0)    # they bend by no more by noise


def noise_of_pixels(depth: np.ndarray, noise: float, noise_square: float) -> float:
    """
    Return how much of its noise each pixel of a depth image has for itself, 0 to 1.

    That is seen where three pixels in a row are no straight line. What a camera errs by over some
    pixels at once is not seen, nor what is more than its stated noise.

    :param noise: [m] of a depth, plus `noise_square` [1/m] times its square.
    """
    stride = max(1, int((depth.size / _LOOKS) ** 0.5))
    bends = _bends(depth, np.float32(noise), np.float32(noise_square), stride)
    if len(bends) < _ENOUGH:
        return 0.0
    share = float(np.median(bends)) / _BENT
    return min(share, 1.0) if share >= _QUIET else 0.0


@numba.njit(cache=True, nogil=True)
def _bends(depth: np.ndarray, noise: np.float32, noise_square: np.float32,
           stride: int) -> np.ndarray:
    """Return by how many standard deviations neighbours in a row bend, (N,) float32."""
    height, width = depth.shape
    bends = np.empty((height // stride + 1) * (width // stride + 1), np.float32)
    count = 0
    for v in range(0, height, stride):
        for u in range(1, width - 1, stride):
            z = depth[v, u]
            own = noise + noise_square * (z * z)
            bend = abs(depth[v, u - 1] + depth[v, u + 1] - z - z)
            if own > 0.0 and bend <= _AT_EDGES * own:      # NaN is not
                bends[count] = bend / own
                count += 1
    return bends[:count]
