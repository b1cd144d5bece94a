# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One predicted frame, and the robot at that frame."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.types import PinholeCamera, PredictedFrame, RobotRollout


@dataclass(frozen=True, eq=False)
class RobotFrame:
    """The robot at one frame of its rollout, exactly, and the camera that would see it."""

    camera: PinholeCamera
    T_base_camera: np.ndarray               # (4, 4) float64
    joint_positions: Mapping[str, float]    # [rad or m]
    pointmap: np.ndarray                    # (H, W, 3) float32 [m] camera frame, NaN where no robot
    mask: np.ndarray                        # (H, W) bool, where the robot is rendered


@dataclass(frozen=True, eq=False)
class RolloutFrame:
    """
    What a world model predicts for one frame, beside the robot that it was given.

    As the node gets it, its arrays are read-only and lie in shared memory: they are valid during
    the call of `JobSink.on_frame` only.
    """

    predicted: PredictedFrame
    robot: RobotFrame

    @classmethod
    def of(cls, frame: PredictedFrame, rollout: RobotRollout) -> RolloutFrame:
        """Return the frame of a rollout; arrays lie in one piece, as shared memory wants them."""
        at, sigma = frame.index, frame.pointmap_sigma
        others = tuple(dataclasses.replace(
            view, image=np.ascontiguousarray(view.image),
            pointmap=np.ascontiguousarray(view.pointmap),
            robot_mask=np.ascontiguousarray(view.robot_mask)) for view in frame.others)
        return cls(
            dataclasses.replace(
                frame, image=np.ascontiguousarray(frame.image),
                pointmap=np.ascontiguousarray(frame.pointmap),
                robot_mask=np.ascontiguousarray(frame.robot_mask),
                pointmap_sigma=None if sigma is None else np.ascontiguousarray(sigma, np.float32),
                others=others),
            RobotFrame(rollout.camera, rollout.T_base_camera[at],
                       dict(zip(rollout.joint_names, rollout.positions[at].tolist())),
                       np.ascontiguousarray(rollout.pointmap[at]), rollout.link_id[at] >= 0))
