# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is: a link of the robot, a parameter, or a frame known to TF."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion

from kinema4d_ros.bridge.transforms import matrix, TransformTree
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import CameraError
from kinema4d_ros.robot import ForwardKinematics, JointType, Robot


class CameraPose(NamedTuple):
    """A camera pose at one moment, and how it moves."""

    T_base_camera: np.ndarray    # (4, 4) float64
    mount: LinkPose | None       # on a link that moves; None for a camera that stays

    def moved(self, T_camera_other: np.ndarray) -> CameraPose:
        """Return the pose of another camera, fixed to this one."""
        return CameraPose(self.T_base_camera @ T_camera_other,
                          None if self.mount is None else self.mount.moved(T_camera_other))


class CameraFinder:
    """Finds the camera of one robot; the robot's own link wins over parameter, that over TF."""

    def __init__(self, robot: Robot, extrinsics: Sequence[float], tree: TransformTree):
        """
        Make the finder for a robot.

        :param extrinsics: x y z [m] qx qy qz qw of the optical frame in the root link, or ().
        :param tree: the transforms of /tf and /tf_static.
        """
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
            connect it with the robot, or by a transform that changes.
        """
        if frame in self.robot.link_names:
            return self._on_link(frame, np.eye(4), joint_positions)
        if self._fixed is not None:
            return CameraPose(self._fixed, None)
        try:
            link = self._tree.ancestor(frame, self.robot.link_names)
            found = self._tree.lookup(link or self.robot.root_link, frame)
        except CameraError as error:
            raise CameraError(
                f'the pose of camera frame {frame!r} is unknown: it is no link of the robot, the '
                f'parameter extrinsics is not set, and TF says: {error}') from error
        if found.stamp_ns is not None:
            raise CameraError(
                f'camera frame {frame!r} moves against link {link or self.robot.root_link!r} of '
                'the robot: TF connects them on /tf and not on /tf_static, so where it will be is '
                'unknown; add the camera to the URDF, publish its mounting on /tf_static, or set '
                'the parameter extrinsics of a camera that stays')
        if link is None:
            return CameraPose(found.T, None)
        return self._on_link(link, found.T, joint_positions)

    def _on_link(self, link: str, T_link_camera: np.ndarray,
                 joint_positions: Mapping[str, float]) -> CameraPose:
        positions = self.robot.configuration(joint_positions, strict=False)
        T_base_link = self._kinematics(positions[None])
        mount = LinkPose(link, T_link_camera)
        return CameraPose(mount.poses(self.robot.link_names, T_base_link)[0],
                          mount if moves(self.robot, link) else None)


def moves(robot: Robot, link: str) -> bool:
    """Return whether a joint between the root and `link` can move."""
    return any(joint.type != JointType.FIXED for joint in robot.path(link))
