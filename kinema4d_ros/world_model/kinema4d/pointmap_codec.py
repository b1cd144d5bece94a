# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Metres <-> the model's range, and how far the generated robot is from the exact one.

The released material does not say how metres were brought to [-1, 1]. Every normaliser here is an
affine map in the camera frame with one scale for all axes. What is unknown is a parameter: the
normaliser (`scene`, `per_frame`, `fixed`) and the value of pixels without robot. `per_frame` has
the better claim: the data of the model's ancestor was made so, and the only normalising function
in the released program, which nothing uses, moves the centre with each frame. The public sample
data settles it without training: look whether `mask_pointmap` equals `pointmap` inside the mask
(then both share one range), whether the extremes of each channel reach 0 and 255 in *every* frame
(then the centre moves: `per_frame`) or only once per clip (`scene`), and which value
`mask_pointmap` has outside the mask.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import WorldModelError

QUANTISATION = 2 / 255 / np.sqrt(12)   # sigma of one 8-bit step of the training data, in [-1, 1]
PERCENTILES = (2, 98)


@dataclass(frozen=True, eq=False)
class Normalisation:
    """``value = (point - centre) / scale``; kept, so that the output can be brought back."""

    centre: np.ndarray   # (T, 3) float64 [m], camera frame
    scale: float         # [m], half of the widest range

    def encode(self, points: np.ndarray, frames: slice | np.ndarray,
               background: float) -> np.ndarray:
        """Map (T, H, W, 3) metres to float32 in [-1, 1]; NaN becomes `background`."""
        value = (points - self.centre[frames, None, None]) / self.scale
        return np.where(np.isnan(value), background, value.clip(-1, 1)).astype(np.float32)

    def decode(self, values: np.ndarray, frames: slice) -> np.ndarray:
        """Map (T, H, W, 3) values to float32 metres."""
        return (values * self.scale + self.centre[frames, None, None]).astype(np.float32)


Normaliser = Callable[[np.ndarray, np.ndarray], Normalisation]
"""``normaliser(scene (N, 3), robot (T, H, W, 3) NaN elsewhere) -> Normalisation`` [m]."""


def per_clip(scene: np.ndarray, robot: np.ndarray) -> Normalisation:
    """One centre and one scale: robust range of the scene, widened to hold all of the robot."""
    everything = robot.reshape(-1, 3)
    everything = everything[~np.isnan(everything[:, 0])]
    low, high = everything.min(0), everything.max(0)
    if len(scene):
        bounds = np.percentile(scene, PERCENTILES, axis=0)
        low, high = np.minimum(low, bounds[0]), np.maximum(high, bounds[1])
    centre = np.repeat((low + high)[None] / 2, len(robot), axis=0).astype(np.float64)
    return Normalisation(centre, usable_scale((high - low).max() / 2))


def per_frame(scene: np.ndarray, robot: np.ndarray) -> Normalisation:
    """
    A centre per frame and one scale, as the model family's data was made.

    Each frame's points are the still scene and the robot of that frame.
    """
    centres, half = [], 0.0
    for frame in robot.reshape(len(robot), -1, 3):
        points = np.concatenate([scene, frame[~np.isnan(frame[:, 0])]])
        if len(points):
            low, high = np.percentile(points, PERCENTILES, axis=0)
            centres.append((low + high) / 2)
            half = max(half, float((high - low).max() / 2))
        else:
            centres.append(centres[-1] if centres else np.zeros(3))
    return Normalisation(np.array(centres), usable_scale(half))


def fixed(centre: tuple[float, float, float], scale: float) -> Normaliser:
    """Return the normaliser of a known centre and scale [m]."""
    def normalise(scene: np.ndarray, robot: np.ndarray) -> Normalisation:
        return Normalisation(np.repeat(np.array([centre], np.float64), len(robot), axis=0),
                             usable_scale(scale))
    return normalise


def usable_scale(scale: float) -> float:
    """Return the scale, or raise WorldModelError where it cannot be one."""
    if not (np.isfinite(scale) and scale > 1e-3):
        raise WorldModelError(
            f'the pointmap scale is {scale:g} m, which is no usable range; check the units of '
            'depth and meshes (metres), or give pointmap_scale')
    return float(scale)


class RobotFit:
    """
    Robust scale and shift that bring the generated robot onto the exact one.

    Fed with the frames in order; each frame is corrected with what is known up to it, so that
    frames can leave before the last is decoded. A scale outside `PLAUSIBLE`, or too few robot
    pixels, means that what was generated there is not the robot: nothing is corrected then, and
    the residual shows.
    """

    PLAUSIBLE = (0.5, 2.0)
    LEAST_PIXELS = 12
    PER_FRAME = 500      # robot pixels used of one frame

    def __init__(self) -> None:
        """Make a fit that changes nothing at first."""
        self.scale, self.shift = 1.0, np.zeros(3)
        self.sigma = np.nan            # [m] robust spread of the residual per axis
        self._scale_error = 0.0        # standard error of the scale
        self._centroid = np.zeros(3)
        self._generated: list[np.ndarray] = []
        self._exact: list[np.ndarray] = []

    def update(self, generated: np.ndarray, exact: np.ndarray) -> None:
        """
        Add one frame.

        :param generated: (H, W, 3) [m].
        :param exact: (H, W, 3) [m], NaN where no robot.
        """
        robot = ~np.isnan(exact[..., 2])
        count = int(robot.sum())
        if count:
            chosen = np.linspace(0, count - 1, min(count, self.PER_FRAME)).astype(int)
            self._generated.append(generated[robot][chosen].astype(np.float64))
            self._exact.append(exact[robot][chosen].astype(np.float64))
            self._solve(np.concatenate(self._generated), np.concatenate(self._exact))

    def apply(self, generated: np.ndarray) -> np.ndarray:
        """Correct (H, W, 3) [m], float32."""
        return (generated * self.scale + self.shift).astype(np.float32)

    def uncertainty(self, corrected: np.ndarray, normalisation: Normalisation) -> np.ndarray:
        """
        Return the 1-sigma of each corrected point per axis, (H, W) float32 [m].

        Quantisation of the training data, spread of the fit, and the error of the fitted scale,
        which grows with the distance from the robot. NaN while no robot pixel was seen.
        """
        quantisation = QUANTISATION * normalisation.scale * self.scale
        lever = np.linalg.norm(corrected - self._centroid, axis=-1) / np.sqrt(3)
        return np.sqrt(quantisation ** 2 + self.sigma ** 2
                       + (self._scale_error * lever) ** 2).astype(np.float32)

    def _solve(self, generated: np.ndarray, exact: np.ndarray) -> None:
        """
        Fit by iteratively re-weighted least squares (Tukey's weights).

        It starts from the median ratio of distances between pairs of points, which a large scale
        and many outliers do not lead astray.
        """
        pair = np.roll(np.arange(len(exact)), len(exact) // 3 + 1)
        apart = np.linalg.norm(generated - generated[pair], axis=1)
        usable = apart > 1e-6
        scale = (np.median(np.linalg.norm(exact - exact[pair], axis=1)[usable] / apart[usable])
                 if usable.any() else np.nan)
        shift, spread = np.median(exact - scale * generated, axis=0), np.inf
        for _ in range(10 if usable.any() else 0):
            distance = np.linalg.norm(exact - scale * generated - shift, axis=1)
            limit = max(4.685 * 1.4826 * np.median(distance), 1e-9)
            weights = np.clip(1 - (distance / limit) ** 2, 0, None) ** 2
            total = weights.sum()
            mean_generated, mean_exact = weights @ generated / total, weights @ exact / total
            spread = weights @ ((generated - mean_generated) ** 2).sum(1)
            scale = (weights @ ((generated - mean_generated) * (exact - mean_exact)).sum(1)
                     ) / max(spread, 1e-12)
            shift = mean_exact - scale * mean_generated
        plausible = self.PLAUSIBLE[0] <= scale <= self.PLAUSIBLE[1]
        if len(exact) >= self.LEAST_PIXELS and plausible:
            self.scale, self.shift = float(scale), shift
        else:
            self.scale, self.shift, spread = 1.0, np.zeros(3), np.inf
        residual = exact - self.scale * generated - self.shift
        self.sigma = float(1.4826 * np.median(np.abs(residual)))
        self._scale_error = self.sigma / np.sqrt(max(spread, 1e-12))
        self._centroid = exact.mean(axis=0)


def following_error(corrected: np.ndarray, exact: np.ndarray) -> float | None:
    """
    Return the action-following error of a frame [m]; None where no robot is in view.

    Median distance, over the robot's pixels, between the generated and the exact robot point.

    :param corrected: (H, W, 3) float32 [m].
    :param exact: (H, W, 3) float32 [m], NaN where no robot.
    """
    robot = ~np.isnan(exact[..., 2])
    if not robot.any():
        return None
    return float(np.median(np.linalg.norm(corrected[robot] - exact[robot], axis=1)))
