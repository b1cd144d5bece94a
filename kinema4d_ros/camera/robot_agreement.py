# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the robot is where calibration and joint states say: its mask against live depth."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_TOLERANCE = 0.02    # [m] live and rendered depth of the same surface differ by less
_REACH = 0.05        # [of the image's width] how far outside of its outline a robot is looked for
_FEWEST = 50         # pixels, for a statement


@dataclass(frozen=True)
class RobotAgreement:
    """How well the rendered robot covers the one that the depth camera sees."""

    iou: float            # of the two masks, 0 to 1; NaN with too few pixels
    rendered: int         # pixels of the rendered robot that nothing hides
    seen: int             # pixels whose live depth is that of the robot
    offset: float         # [m] median of live minus rendered depth where both show the robot


def robot_agreement(live: np.ndarray, rendered: np.ndarray) -> RobotAgreement:
    """
    Compare the rendered robot with a live depth image.

    A pixel shows the robot when its live depth is, to 2 cm, that of the rendered robot there, or
    outside of its outline that of the nearest pixel of the outline, up to 5 % of the image's width
    away. Pixels without depth, and those where something stands in front, are left out. A camera
    that is off by more than the reach gives an IoU near 0; the scene touching the robot lowers it
    a little.

    :param live: (H, W) float32 [m], NaN unknown.
    :param rendered: (H, W) float32 [m], NaN where the robot is not.
    """
    mask = np.isfinite(rendered)
    empty = RobotAgreement(float('nan'), int(mask.sum()), 0, float('nan'))
    if mask.sum() < _FEWEST:
        return empty
    distance, label = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.full(label.max() + 1, np.nan, np.float32)
    of_label[label[mask]] = rendered[mask]
    expected = of_label[label]
    with np.errstate(invalid='ignore'):
        difference = live - expected
        counts = np.isfinite(difference) & (difference > -_TOLERANCE) \
            & (distance <= _REACH * mask.shape[1])
        seen = counts & (difference < _TOLERANCE)
    mask &= counts
    if mask.sum() < _FEWEST:
        return empty
    both = mask & seen
    return RobotAgreement(
        float(both.sum() / (mask | seen).sum()), int(mask.sum()), int(seen.sum()),
        float(np.median(difference[both])) if both.any() else float('nan'))
