# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which of two motions a frame shows: its pixels vote where the two tell themselves apart.

Neither `PredictedFrame.robot_mask` nor anything else that a model may copy from what it was asked
for is looked at: only its colours, and its points. What a motion would look like is the observed
scene with the robot of that motion drawn into it, as `frozen` has it.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.types import PredictedFrame, RobotRollout

POINT_TOLERANCE = 0.03     # [m] a depth that near is that of the robot, or of the scene behind
COLOR_TOLERANCE = 15.0     # of 255, of the channel that differs most
COLOR_SHARE = 1 / 4        # of what two colours differ by; shading and noise grow with it
_LEAST_SHARE = 1 / 2000    # of the picture that must vote on each side
_LEAST = 12                # [px] likewise, in the smallest of pictures


@dataclass(frozen=True, eq=False)
class Expected:
    """What one motion would look like at one frame."""

    image: np.ndarray      # (H, W, 3) uint8
    depth: np.ndarray      # (H, W) float32 [m], NaN unknown
    robot: np.ndarray      # (H, W) bool, pixels that show the robot
    exact: np.ndarray      # (H, W, 3) float32 [m] of the robot, NaN elsewhere

    @classmethod
    def of(cls, frame: PredictedFrame, robot: RobotRollout) -> Expected:
        """Return it from a frame of `frozen` for that motion."""
        return cls(frame.image, frame.pointmap[..., 2], frame.robot_mask,
                   robot.pointmap[frame.index])


def votes(frame: PredictedFrame, own: Expected, other: Expected,
          hidden: np.ndarray) -> tuple[float, float]:
    """
    Return how a frame shows one motion rather than another: by its colours, and by its points.

    1 where it shows `own` everywhere, -1 where it shows `other`, 0 where it shows neither, or as
    much of both. Only pixels that are robot in one motion and scene in the other vote, both kinds
    with the same weight. NaN where there are too few, or nothing is known of them.

    A pixel whose scene was seen shows either that or the robot, whose colours are not known well:
    it turns sides to the camera that nobody has seen. Where the robot hid the scene at first, it
    shows either the robot or not.

    :param hidden: (H, W) bool, pixels whose scene has not been seen.
    """
    sides = ((own, other, own.robot & ~other.robot, 1), (other, own, other.robot & ~own.robot, -1))
    between = apart(own.image, other.image)
    near = np.maximum(COLOR_TOLERANCE, COLOR_SHARE * between)
    depth, colors, points = frame.pointmap[..., 2], [], []
    for robot, scene, side, says in sides:
        use = side & (between > 2 * COLOR_TOLERANCE)
        is_robot = np.where(hidden, apart(frame.image, robot.image) <= near,
                            apart(frame.image, scene.image) > near)[use]
        colors.append(np.where(is_robot, says, -says))
        with np.errstate(invalid='ignore'):
            to_robot, to_scene = np.abs(depth - robot.depth), np.abs(depth - scene.depth)
            out, may = vote(to_robot, to_scene, np.abs(robot.depth - scene.depth), POINT_TOLERANCE)
            unknown = np.isfinite(robot.depth) & np.isnan(scene.depth)
            out = np.where(unknown, np.where(to_robot <= POINT_TOLERANCE, 1, -1), out)
        points.append(says * out[side & (may | unknown)])
    if not np.isfinite(depth).any():
        return _balanced(colors, depth.size), float('nan')
    return _balanced(colors, depth.size), _balanced(points, depth.size)


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how far two images (H, W, 3) uint8 are apart, (H, W) int16, 0 to 255."""
    red, green, blue = cv2.split(cv2.absdiff(np.ascontiguousarray(a), np.ascontiguousarray(b)))
    difference: np.ndarray = np.maximum(np.maximum(red, green), blue).astype(np.int16)
    return difference


def vote(to_own: np.ndarray, to_other: np.ndarray, between: np.ndarray, tolerance: float,
         share: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what each pixel votes, (H, W) float32 of -1, 0, 1, and which may vote, (H, W) bool.

    :param between: (H, W) how far the two are apart; a pixel votes where that is more than twice
        the tolerance. What a frame does not know (NaN) is a vote for neither.
    :param share: of `between` that is tolerated where it is more than the tolerance.
    """
    with np.errstate(invalid='ignore'):
        may = between > 2 * tolerance
        near = np.maximum(tolerance, share * between)
        out = (to_own <= near).astype(np.float32) - (to_other <= near)
    return out, may


def _balanced(sides: Sequence[np.ndarray], pixels: int) -> float:
    """Return the mean of the means of two sides, NaN where one has too few votes."""
    if min(map(len, sides)) < max(_LEAST, int(_LEAST_SHARE * pixels)):
        return float('nan')
    return float(np.mean([side.mean() for side in sides]))


def mask_overlap(frame: PredictedFrame, scene_depth: np.ndarray, expected: Expected) -> float:
    """
    Return the overlap (IoU) of what has come before the scene with the robot of a motion, 0 to 1.

    :param scene_depth: (H, W) float32 [m] of the scene without robot, NaN unknown; pixels where it
        is are compared. NaN where there are none.
    """
    depth = frame.pointmap[..., 2]
    known = np.isfinite(scene_depth)
    with np.errstate(invalid='ignore'):
        came = known & (depth < scene_depth - POINT_TOLERANCE)
        robot = known & expected.robot & (expected.depth < scene_depth - POINT_TOLERANCE)
    union = int((came | robot).sum())
    return float((came & robot).sum() / union) if union else float('nan')


def residual(frame: PredictedFrame, expected: Expected) -> float:
    """Return the median distance of the frame's points to the robot of a motion [m], or NaN."""
    use = expected.robot & np.isfinite(expected.exact[..., 2]) \
        & np.isfinite(frame.pointmap[..., 2])
    if use.sum() < _LEAST:
        return float('nan')
    return float(np.median(np.linalg.norm(frame.pointmap[use] - expected.exact[use], axis=-1)))
