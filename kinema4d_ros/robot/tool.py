# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a motion takes the tool: the point between the fingers, or the end of the arm."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.robot.gripper import find_gripper
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.trajectory import frame_times, sample_trajectory
from kinema4d_ros.types import JointTrajectory


def tool_links(robot: Robot) -> tuple[str, ...]:
    """Return the fingers of the gripper, or the link with the most joints before it."""
    gripper = find_gripper(robot)
    if gripper is not None:
        return gripper.finger_links
    return (max(robot.link_names, key=lambda link: len(robot.path(link))),)


def tool_path(robot: Robot, T_base_link: np.ndarray) -> np.ndarray:
    """
    Return where the tool is, (T, 3) float64 [m] in the base frame.

    :param T_base_link: (T, L, 4, 4) float64, as `ForwardKinematics` returns it.
    """
    index = [robot.link_names.index(link) for link in tool_links(robot)]
    return T_base_link[:, index][..., :3, 3].mean(axis=1)


def swept_path(robot: Robot, trajectory: JointTrajectory, start: Mapping[str, float],
               points: int = 50) -> np.ndarray:
    """
    Return where a trajectory takes the tool, (points, 3) float64 [m] in the base frame.

    :param start: positions [rad or m] by joint name when the trajectory starts.
    :return: (0, 3) for a trajectory that cannot be followed.
    """
    try:
        motion = sample_trajectory(trajectory, robot, frame_times(trajectory, points), start)
    except Kinema4DError:
        return np.zeros((0, 3))
    return tool_path(robot, ForwardKinematics(robot)(motion.positions))
