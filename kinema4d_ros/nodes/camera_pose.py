# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is: a link of the robot, a parameter, or a frame known to TF."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion

from kinema4d_ros.bridge.transforms import matrix, TransformTree
from kinema4d_ros.errors import CameraError
from kinema4d_ros.robot import ForwardKinematics, JointType, Robot


class CameraPose(NamedTuple):
    """A camera pose at one moment, and the link it moves with ('' for a camera that stays)."""

    T_base_camera: np.ndarray    # (4, 4) float64
    moving_link: str


class CameraFinder:
    """Finds the camera of one robot; the robot's own link wins over parameter, that over TF."""

    def __init__(self, robot: Robot, extrinsics: Sequence[float], tree: TransformTree):
        """:param extrinsics: x y z [m] qx qy qz qw of the optical frame in the root link, or ()."""
        self.robot, self._tree = robot, tree
        self._kinematics = ForwardKinematics(robot)
        self._fixed = None
        if len(extrinsics):
            x, y, z, qx, qy, qz, qw = extrinsics
            self._fixed = matrix(Pose(position=Point(x=x, y=y, z=z),
                                      orientation=Quaternion(x=qx, y=qy, z=qz, w=qw)))

    def find(self, frame: str, joint_positions: Mapping[str, float]) -> CameraPose:
        """
        Return the pose of the optical frame `frame`.

        :raises CameraError: it is no link of the robot, there are no extrinsics, and TF does not
            connect it with the robot's root link.
        """
        if frame in self.robot.link_names:
            positions = self.robot.configuration(joint_positions, strict=False)
            poses = self._kinematics(positions[None])[0]
            return CameraPose(poses[self.robot.link_names.index(frame)],
                              frame if moves(self.robot, frame) else '')
        if self._fixed is not None:
            return CameraPose(self._fixed, '')
        try:
            return CameraPose(self._tree.lookup(self.robot.root_link, frame).T, '')
        except CameraError as error:
            raise CameraError(
                f'the pose of camera frame {frame!r} is unknown: it is no link of the robot, the '
                f'parameter extrinsics is not set, and TF says: {error}') from error


def moves(robot: Robot, link: str) -> bool:
    """Return whether a joint between the root and `link` can move."""
    above = {joint.child: joint for joint in robot.joints.values()}
    while link in above:
        if above[link].type != JointType.FIXED:
            return True
        link = above[link].parent
    return False
