# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion that a run has executed so far, chunk after chunk, as one trajectory."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.robot.trajectory import sample_trajectory
from kinema4d_ros.types import JointTrajectory

_ELSEWHERE = 1e-3     # [rad or m] a first point at time 0 that is farther from the robot is refused
_STEP = 0.01          # [s] between points of a motion that is a spline


class TaskMotion:
    """
    What the robot has done since the run began.

    The points of the chunks are put one behind the other, so however a motion is cut into chunks,
    the whole is the same.
    """

    def __init__(self, robot: Robot, start: Mapping[str, float]) -> None:
        """Begin at some joints [rad or m] by name, at rest, at time 0."""
        self.robot = robot
        self._times = [0.0]
        self._positions = [robot.configuration(start, strict=False)]

    @property
    def time(self) -> float:
        """How long the robot has moved [s]."""
        return self._times[-1]

    @property
    def here(self) -> dict[str, float]:
        """Where the joints are now [rad or m], by name."""
        return dict(zip(self.robot.joint_names, self._positions[-1].tolist()))

    def add(self, chunk: JointTrajectory) -> None:
        """
        Add a motion that begins where the robot is; joints that it does not name stay.

        :raises TrajectoryError: it does not begin here, or is none that a controller takes.
        :raises UnknownJointError: it names a joint that the robot does not have.
        """
        here, times = self.here, chunk.times
        if chunk.velocities is not None:      # between its points it is no line
            times = np.union1d(np.arange(0.0, chunk.duration, _STEP), chunk.times)
        motion = sample_trajectory(chunk, self.robot, times, here)
        if times[0] == 0.0:
            off = np.abs(motion.positions[0] - self._positions[-1])
            if off.max() > _ELSEWHERE:
                worst = int(off.argmax())
                raise TrajectoryError(
                    f'the motion begins with {self.robot.joint_names[worst]} at '
                    f'{motion.positions[0, worst]:.4f}, and the robot is at '
                    f'{self._positions[-1][worst]:.4f}')
        now = self.time
        for time, row in zip(times, motion.positions):
            if time > 0.0:
                # to the nanosecond, as ROS has it: however it is cut, the sums are the same
                self._times.append(round(now + float(time), 9))
                self._positions.append(row)

    def trajectory(self, settle: float = 0.0) -> JointTrajectory:
        """
        Return the whole motion, one point or more after that at time 0.

        :param settle: [s] that the robot then stands still.
        """
        times, rows = list(self._times), list(self._positions)
        if settle > 0.0 or len(times) == 1:
            times.append(self.time + max(settle, _STEP))
            rows.append(rows[-1])
        return JointTrajectory(self.robot.joint_names, np.array(times), np.stack(rows))
