# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One predicted motion, as it is written to a file that is looked at later."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.robot import ForwardKinematics, LinkMesh, Robot, tool_path
from kinema4d_ros.types import Observation, PredictedFrame, RobotRollout, Verdict
from kinema4d_ros.viewer.future_frame import FutureFrame, OtherPicture
from kinema4d_ros.viewer.observed_cloud import ObservedCloud, SeenPoints

_OBSERVED, _PREDICTED = 60_000, 25_000     # points at most, of the look and of each frame


@dataclass(frozen=True, eq=False)
class PredictedScene:
    """What was seen, where the robot would go, what would be seen then, and the verdict."""

    name: str                            # what it is called on the page
    robot: Robot
    meshes: Mapping[str, LinkMesh]       # of the robot's links
    observation: Observation
    T_base_link: np.ndarray              # (T, L, 4, 4) float64
    frames: tuple[FutureFrame, ...]      # T
    verdict: Verdict

    @classmethod
    def of(cls, name: str, robot: Robot, meshes: Mapping[str, LinkMesh],
           observation: Observation, rollout: RobotRollout,
           predicted: Sequence[PredictedFrame], verdict: Verdict) -> PredictedScene:
        """
        Return the scene of one prediction, its clouds thinned.

        :param meshes: of the robot's links, coarse ones, as `meshes_to_show` loads them.
        :param rollout: the exact robot at the predicted frames.
        :param predicted: as many frames as the rollout has.
        """
        joints = [dict(zip(rollout.joint_names, row)) for row in rollout.positions.tolist()]
        frames = tuple(FutureFrame.thinned(
            _PREDICTED, points=frame.pointmap, colors=frame.image, robot_mask=frame.robot_mask,
            index=frame.index, count=frame.count, time=frame.time, stamp_ns=observation.stamp_ns,
            image=frame.image, T_base_cloud=T_base_camera, T_base_camera=T_base_camera,
            joint_positions=joint, others={
                other.name: OtherPicture(other.image, seen.T_base_camera[frame.index])
                for other, seen in zip(frame.others, rollout.others)})
            for frame, T_base_camera, joint in zip(
                predicted, rollout.T_base_camera, joints, strict=True))
        return cls(name, robot, meshes, observation, rollout.T_base_link, frames, verdict)

    def observed_cloud(self) -> SeenPoints | None:
        """Return the points that were seen and are not the robot's; None without depth."""
        observation = self.observation
        if not observation.has_depth:
            return None
        renderer = RobotRenderer(self.meshes, self.robot.link_names)
        joints = np.array([self.robot.configuration(observation.joints_of(view), strict=False)
                           for view in observation.views])
        return ObservedCloud(renderer, _OBSERVED).cloud(
            observation, ForwardKinematics(self.robot)(joints))

    @property
    def tool_path(self) -> np.ndarray:
        """Where the tool goes, (T, 3) [m] in the base frame."""
        return tool_path(self.robot, self.T_base_link)
