# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a colour camera sees the robot's outline where calibration and joints say that it is."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

from kinema4d_ros.camera.pose_fit import outline_of

_WIDTH = 320         # [px] a wider image is looked at in steps of more pixels
_SAMPLES = 250       # of the outline, about
_FEWEST = 60         # for a statement
_REACH = 0.09        # of the image's width, how far the outline is looked for
_BLUR = 0.004        # of the image's width, standard deviation; edges are as wide as that
_PLAIN = 0.04        # of the sharpest usual contrast, what is no edge
_CLEAR = 1.05        # times the score of where it should be: somewhere else is so much better


@dataclass(frozen=True)
class ImageAgreement:
    """Where in the image the robot's outline fits best."""

    samples: int                        # of the outline that is in the image
    shift: tuple[float, float]          # [px] right and down, from where it is rendered
    best: float                         # 0..1 how well it fits there
    here: float                         # 0..1 how well it fits where it is rendered

    @property
    def pixels(self) -> float:
        """How far off it fits best [px]."""
        return float(np.hypot(*self.shift))

    @property
    def is_compared(self) -> bool:
        """Whether there is enough of an outline."""
        return self.samples >= _FEWEST

    def is_elsewhere(self, explained: float) -> bool:
        """Return whether it fits clearly better farther away than `explained` [px]."""
        return self.is_compared and self.pixels > explained and self.best > _CLEAR * self.here


def image_agreement(image: np.ndarray, link_id: np.ndarray, explained: float) -> ImageAgreement:
    """
    Shift the outline of the rendered robot over the image, and see where it lies on edges.

    An edge counts by its contrast across the outline, up to a bound, so that no one bright line
    decides. What is looked for is a shift in the image; a turned camera comes out as one too.

    :param image: (H, W, 3) uint8.
    :param link_id: (H, W) int16 of `RobotRenderer.render`, -1 where no robot.
    :param explained: [px] `here` is the best within this.
    """
    scale = -(-image.shape[1] // _WIDTH)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = np.ascontiguousarray(link_id[::scale, ::scale])
    pixels, away = outline_of(small, 1, (0, 0, small.shape[1], len(small)))
    if len(pixels) < _FEWEST:
        return ImageAgreement(len(pixels), (0.0, 0.0), 0.0, 0.0)
    step = -(-len(pixels) // _SAMPLES)
    pixels, away = np.ascontiguousarray(pixels[::step]), np.ascontiguousarray(away[::step])
    blurred = cv2.GaussianBlur(grey, (0, 0), max(0.8, _BLUR * image.shape[1]))[::scale, ::scale]
    across = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    usual = float(np.percentile(np.hypot(*across), 99)) or 1.0
    reach = max(4, round(_REACH * small.shape[1]))
    scores = _scores(across[0] / usual, across[1] / usual, pixels, away, reach)
    down, right = np.unravel_index(int(scores.argmax()), scores.shape)
    rows, columns = np.mgrid[-reach:reach + 1, -reach:reach + 1]
    near = np.hypot(rows, columns) <= max(explained / scale, 1.0)
    return ImageAgreement(
        len(pixels), (float(scale * (right - reach)), float(scale * (down - reach))),
        float(scores.max()), float(scores[near].max()))


@numba.njit(cache=True, nogil=True)
def _scores(across_u: np.ndarray, across_v: np.ndarray, pixels: np.ndarray, away: np.ndarray,
            reach: int) -> np.ndarray:
    """Return how well the outline fits at each shift, (2 reach + 1, 2 reach + 1), 0..1."""
    height, width = across_u.shape
    scores = np.zeros((2 * reach + 1, 2 * reach + 1))
    for n in range(len(pixels)):
        for dv in range(-reach, reach + 1):
            v = pixels[n, 1] + dv
            if not 0 <= v < height:
                continue
            for du in range(-reach, reach + 1):
                u = pixels[n, 0] + du
                if 0 <= u < width:
                    edge = abs(across_u[v, u] * away[n, 0] + across_v[v, u] * away[n, 1])
                    if edge > _PLAIN:
                        scores[dv + reach, du + reach] += min(1.0, edge / (4 * _PLAIN))
    return scores / len(pixels)
