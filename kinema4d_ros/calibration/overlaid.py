# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture of the drawn robot on the real one."""
from __future__ import annotations

import cv2
import numpy as np

from kinema4d_ros.calibration.arm_frames import ArmFrames, ArmModel
from kinema4d_ros.types import PinholeCamera

_COLOR, _OUTLINE = np.array([60, 220, 60]), (255, 30, 30)
_HEIGHT = 240      # [px] at least


def overlay(frames: ArmFrames, model: ArmModel, camera: PinholeCamera, T_base_camera: np.ndarray,
            title: str, *, count: int = 3) -> np.ndarray:
    """
    Return frames side by side with the robot drawn where the camera would see it.

    :param count: of frames, evenly over the recording.
    :return: (H, W, 3) uint8 RGB.
    """
    pick = np.linspace(0, len(frames) - 1, count + 2).round().astype(int)[1:-1]
    poses = model.poses(frames.joint_positions[pick])
    drawn = model.render(poses, camera, T_base_camera).link_id >= 0
    scale = max(1, -(-_HEIGHT // camera.height))
    out = []
    for index, mask in zip(pick, drawn):
        image = cv2.resize(frames.images[index], None, fx=scale, fy=scale,
                           interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(mask.astype(np.uint8), None, fx=scale, fy=scale,
                          interpolation=cv2.INTER_NEAREST)
        image[mask > 0] = (0.75 * image[mask > 0] + 0.25 * _COLOR).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, _OUTLINE, 1)
        out.append(image)
    row = np.hstack(out)
    row[:30, :14 * len(title)] //= 4      # a darker band, so that it can be read on anything
    cv2.putText(row, title, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return row
