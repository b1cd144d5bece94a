# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What joint_trajectory_controller makes of header.stamp, by the source of ros2_controllers."""
from __future__ import annotations

import dataclasses

import numpy as np

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.trajectory import sample_trajectory
from kinema4d_ros.types import JointTrajectory


def from_receipt(trajectory: JointTrajectory, robot: Robot, late: float) -> JointTrajectory:
    """
    Return the motion that a stamped trajectory is from the moment that the controller receives it.

    Times count from header.stamp. One in the future does not make it wait: it drops what it did
    before, and blends from the state of then to the first point for as long as that is away. Of one
    in the past it skips what is over, and jumps into the middle.

    :param late: [s] by which the stamp is before the receipt; negative for a stamp ahead.
    :raises TrajectoryError: the trajectory is over already, which the controller refuses, or it
        cannot be sampled.
    :raises UnknownJointError: it names a joint that the robot does not have.
    """
    if late == 0.0 or not len(trajectory.times):
        return trajectory
    times = trajectory.times - late
    if times[-1] < 0:
        raise TrajectoryError(
            f'by its stamp the trajectory was over {-times[-1]:.2f} s before it came, so the '
            'controller refuses it; send it with stamp 0, which means now')
    if times[0] >= 0:
        return dataclasses.replace(trajectory, times=times)
    start = dict(zip(trajectory.joint_names, map(float, trajectory.positions[0])))
    entry = sample_trajectory(trajectory, robot, np.array([late]), start)
    rest = times > 0
    parts = {}
    for name in ('positions', 'velocities', 'accelerations'):
        values = getattr(trajectory, name)
        if values is not None:
            first = values[int(rest.argmax()) if rest.any() else -1].copy()   # of mimic joints
            for column, joint in enumerate(trajectory.joint_names):
                if joint in entry.joint_names:
                    first[column] = getattr(entry, name)[0, entry.joint_names.index(joint)]
            parts[name] = np.concatenate([first[None], values[rest]])
    return JointTrajectory(trajectory.joint_names, np.r_[0.0, times[rest]], **parts)
