# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Metres for a depth network's answer: scale and shift, fitted on the robot, whose depth is exact.

A network that was trained on many sources answers depth, or its inverse, up to a scale and a shift.
The rendered robot says what the depth of its pixels is in metres, so both can be solved for, one
pair for a whole episode.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

DEPTH, INVERSE_DEPTH = 'depth', 'inverse_depth'
QUANTITIES = (DEPTH, INVERSE_DEPTH)
NEAREST, FARTHEST = 0.05, 20.0      # [m] what is estimated beyond is unknown

_LEAST_PIXELS = 150        # of the robot, for a frame to be used
_PER_FRAME = 400           # pixels that are used of a frame, about
_LEAST_FRAMES = 3          # to fit by; as many to test by
_PAIRS = 4000              # of samples, for the first guess of the scale
_TUKEY = 4.685             # times the spread, beyond which a sample does not count
_LEAST_SPREAD = 0.002      # [m] of the residual that is believed
_STEPS = 30


@dataclass(frozen=True, eq=False)
class RobotSamples:
    """Pixels of the robot in one frame."""

    exact: np.ndarray        # (N,) float64 [m] depth of the rendered robot
    predicted: np.ndarray    # (N,) float64, what the network answered there


@dataclass(frozen=True)
class RobotDepthFit:
    """``quantity = scale * predicted + shift``, in m or 1/m, and how well that holds."""

    quantity: str              # 'depth' or 'inverse_depth'
    scale: float
    shift: float
    frames: int                # that it was fitted on
    tested: int                # others, that the residuals are of
    pixels: int                # of the robot, that it was fitted on
    residual: float            # [m] median error at the robot, of frames it was not fitted on
    residual_90: float         # [m] 90 % of the errors are below
    relative: float            # the median error against the depth
    inliers: float             # 0..1 share of the pixels within three times the spread
    nearest: float             # [m] 5 % of the robot's pixels are nearer
    farthest: float            # [m] 5 % are farther: beyond, depth is extrapolated
    scale_sigma: float         # standard deviation of the scale, as a share of it

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """Return the depth [m] of an answer, float32, NaN where it is no plausible depth."""
        with np.errstate(divide='ignore', invalid='ignore'):
            value = self.scale * np.asarray(predicted, np.float64) + self.shift
            depth = 1.0 / value if self.quantity == INVERSE_DEPTH else value
            depth = np.where((depth >= NEAREST) & (depth <= FARTHEST), depth, np.nan)
        return depth.astype(np.float32)


def sample_robot(predicted: np.ndarray, pointmap: np.ndarray) -> RobotSamples | None:
    """
    Return pixels well inside of the robot, spread over it; None where too little of it is seen.

    At its edges a network blends the robot with what is behind it, and calibration is never exact.

    :param predicted: (H, W), the network's answer.
    :param pointmap: (H, W, 3) [m] camera frame, NaN where no robot.
    """
    depth = pointmap[..., 2]
    margin = max(1, round(depth.shape[0] / 160))
    kernel = np.ones((2 * margin + 1,) * 2, np.uint8)
    known = np.isfinite(depth)
    inside = cv2.erode(known.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT,
                       borderValue=0).astype(bool)
    # A step within the robot, as between fingers and forearm, is an edge as well.
    near = np.where(known, depth, np.float32(2 * FARTHEST))
    far = np.where(known, depth, np.float32(0.0))
    step = cv2.dilate(far, kernel) - cv2.erode(near, kernel)
    at = np.flatnonzero(inside & (step < 0.08 * np.where(inside, depth, 1.0))
                        & np.isfinite(predicted))
    if len(at) < _LEAST_PIXELS:
        return None
    at = at[np.linspace(0, len(at) - 1, min(len(at), _PER_FRAME)).astype(int)]
    return RobotSamples(depth.ravel()[at].astype(np.float64),
                        np.asarray(predicted).ravel()[at].astype(np.float64))


def fit_depth(frames: Sequence[RobotSamples], quantity: str) -> RobotDepthFit | str:
    """
    Fit scale and shift on every second frame, test on the others; return why not where it fails.

    The guess is the median over pairs of samples; then re-weighted least squares (Tukey's weights)
    by the error in metres. A gripper that is not where the joints say, or what hides the arm, is
    less than half of the pixels, and does not count.

    :param quantity: what the network answers: 'depth', or 'inverse_depth', which is larger nearby.
    """
    fitted, tested = frames[::2], frames[1::2]
    if len(tested) < _LEAST_FRAMES:
        return (f'the robot is seen well enough in {len(frames)} frames only; '
                f'{2 * _LEAST_FRAMES} are needed to fit and test the estimated depth')
    exact = np.concatenate([frame.exact for frame in fitted])
    predicted = np.concatenate([frame.predicted for frame in fitted])
    if np.ptp(predicted) < 1e-9:
        return 'the depth model answers the same for every pixel of the robot'
    wanted = 1.0 / exact if quantity == INVERSE_DEPTH else exact
    # An error of the inverse depth is worth the depth squared in metres.
    metres = exact ** 2 if quantity == INVERSE_DEPTH else np.ones_like(exact)
    scale, shift, weight = _solve(predicted, wanted, metres)
    if not scale > 0:
        other = next(one for one in QUANTITIES if one != quantity)
        return (f'the answers of the depth model do not follow the {quantity.replace("_", " ")} '
                f'of the robot; if it answers the {other.replace("_", " ")}, say so with '
                f'--depth-quantity {other}')
    nearest, farthest = map(float, np.percentile(exact, [5, 95]))
    found = RobotDepthFit(
        quantity, scale, shift, len(fitted), len(tested), len(exact), 0.0, 0.0, 0.0, 0.0, nearest,
        farthest, _scale_sigma(predicted, wanted, weight, scale, shift, len(fitted)))
    return _tested(found, tested)


def _solve(predicted: np.ndarray, wanted: np.ndarray, metres: np.ndarray
           ) -> tuple[float, float, np.ndarray]:
    """Return scale, shift, and the weight of each sample."""
    random = np.random.default_rng(0)
    one, other = random.integers(0, len(predicted), (2, _PAIRS))
    apart = predicted[one] - predicted[other]
    usable = np.abs(apart) > 0.05 * np.ptp(predicted)
    if not usable.any():
        usable = np.abs(apart) > 0
    scale = float(np.median((wanted[one] - wanted[other])[usable] / apart[usable]))
    shift = float(np.median(wanted - scale * predicted))
    weight = np.ones_like(predicted)
    for _ in range(_STEPS):
        error = np.abs(scale * predicted + shift - wanted) * metres
        spread = max(1.4826 * float(np.median(error)), _LEAST_SPREAD)
        weight = np.where(error < _TUKEY * spread,
                          (1.0 - np.minimum(error / (_TUKEY * spread), 1.0) ** 2) ** 2, 0.0)
        root = np.sqrt(weight) * metres
        solution = np.linalg.lstsq(np.c_[predicted * root, root], wanted * root, rcond=None)[0]
        before, (scale, shift) = scale, map(float, solution)
        if abs(scale - before) <= 1e-9 * abs(scale):
            break
    return scale, shift, weight


def _scale_sigma(predicted: np.ndarray, wanted: np.ndarray, weight: np.ndarray, scale: float,
                 shift: float, frames: int) -> float:
    """Return the standard deviation of the scale as a share of it; a frame errs as a whole."""
    total = float(weight.sum())
    middle = float((weight * predicted).sum() / total)
    error = float((weight * (scale * predicted + shift - wanted) ** 2).sum() / total)
    spread = float((weight * (predicted - middle) ** 2).sum() / total)
    return math.sqrt(error / max(spread, 1e-30) / frames) / scale


def _tested(fit: RobotDepthFit, frames: Sequence[RobotSamples]) -> RobotDepthFit:
    """Return the fit with the residuals of frames that it was not made of."""
    exact = np.concatenate([frame.exact for frame in frames])
    depth = fit.apply(np.concatenate([frame.predicted for frame in frames])).astype(np.float64)
    error = np.where(np.isfinite(depth), np.abs(depth - exact), FARTHEST)
    middle, most = (float(value) for value in np.percentile(error, [50, 90], method='lower'))
    spread = max(1.4826 * middle, _LEAST_SPREAD)
    return dataclasses.replace(
        fit, residual=middle, residual_90=most, relative=float(np.median(error / exact)),
        inliers=float((error < 3 * spread).mean()))
