# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One predicted frame, and the robot at that frame."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from kinema4d_ros.types import (PinholeCamera, PredictedFrame, PredictedView, RobotRollout,
                                ViewRollout)


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
    #: the robot as further cameras see it, by name; `predicted.others` may lack some
    others: Mapping[str, RobotFrame] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: PredictedFrame, rollout: RobotRollout) -> RolloutFrame:
        """Return the frame of a rollout; arrays lie in one piece, as shared memory wants them."""
        at, sigma = frame.index, frame.pointmap_sigma
        joints = dict(zip(rollout.joint_names, rollout.positions[at].tolist()))

        def robot(seen: RobotRollout | ViewRollout) -> RobotFrame:
            points, link_id, _ = seen.seen(at)
            return RobotFrame(seen.camera, seen.T_base_camera[at], joints,
                              np.ascontiguousarray(points), link_id >= 0)

        return cls(
            dataclasses.replace(
                _whole(frame), others=tuple(map(_whole, frame.others)),
                pointmap_sigma=None if sigma is None else np.ascontiguousarray(sigma, np.float32),
                unplaced=None),      # tier 2 has seen it; the points are unknown there
            robot(rollout), {view.name: robot(view) for view in rollout.others})


_Seen = TypeVar('_Seen', PredictedFrame, PredictedView)


def _whole(seen: _Seen) -> _Seen:
    """Return it with arrays that lie in one piece."""
    return dataclasses.replace(
        seen, image=np.ascontiguousarray(seen.image), pointmap=np.ascontiguousarray(seen.pointmap),
        robot_mask=np.ascontiguousarray(seen.robot_mask))
