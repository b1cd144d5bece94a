# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of a recorded episode, published as its driver would."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import calibration_message
from kinema4d_ros.bridge.images import (array_to_image, compressed_depth_message,
                                        compressed_message)
from kinema4d_ros.bridge.transforms import transform_message, TransformTree
from kinema4d_ros.episodes import Episode, EpisodeFrame
from kinema4d_ros.episodes.cameras import EpisodeCamera
from kinema4d_ros.errors import CameraError
from kinema4d_ros.nodes.shadow_sim.camera_parameters import ONE_CAMERA
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.robot import ForwardKinematics, Robot

_JPEG_QUALITY = 95


class PlayedCamera:
    """The publishers of one camera, below its name, or below `camera` where it is the only one."""

    def __init__(self, node: Node, camera: EpisodeCamera, *, is_only: bool, image_transport: str,
                 depth_transport: str) -> None:
        """Make the publishers; the transports are those of the parameters."""
        self.camera, name = camera, ONE_CAMERA if is_only else camera.name
        self._compressed = image_transport == 'compressed'
        self._image = node.create_publisher(
            *((CompressedImage, f'{name}/image_raw/compressed') if self._compressed
              else (Image, f'{name}/image_raw')), qos.PREDICTION)
        self._depth, self._packs_depth = None, depth_transport == 'compressedDepth'
        if depth_transport != 'none':
            self._depth = node.create_publisher(
                *((CompressedImage, f'{name}/depth/image_raw/compressedDepth')
                  if self._packs_depth else (Image, f'{name}/depth/image_raw')), qos.PREDICTION)
        self._info = node.create_publisher(CameraInfo, f'{name}/camera_info', qos.PREDICTION)
        self.publishers = {what if is_only else f'{name} {what}': publisher for what, publisher in (
            ('camera', self._image), ('camera_info', self._info), ('depth', self._depth))
            if publisher is not None}

    def show(self, frame: EpisodeFrame, header: Header) -> None:
        """Publish one frame, with the stamp of the header."""
        header = Header(stamp=header.stamp, frame_id=self.camera.frame)
        self._info.publish(calibration_message(self.camera.calibration, header))
        if self._depth is not None and frame.depth is not None:
            self._depth.publish(compressed_depth_message(frame.depth, header) if self._packs_depth
                                else array_to_image(frame.depth, header, '32FC1'))
        self._image.publish(compressed_message(frame.image, header, _JPEG_QUALITY)
                            if self._compressed else array_to_image(frame.image, header))

    def mounting(self, episode: Episode, robot: Robot, header: Header) -> TransformStamped | None:
        """
        Return where it is, as its driver's launch file would; None where the robot tells it.

        :param header: of the root link.
        """
        camera = self.camera
        try:
            pose = CameraFinder(robot, {}, TransformTree()).find(
                camera.frame, camera.frames[0].joint_positions)
        except CameraError:      # it is no link: the recording has transforms
            view = episode.observation(cameras=[camera.name]).primary
            T = view.T_base_camera @ np.linalg.inv(  # noqa: N806 - a transform
                camera.calibration.T_optical_camera)
            if view.mount_link:
                joints = robot.configuration(view.joint_positions or {}, strict=False)
                T_base_link = ForwardKinematics(robot)(joints[None])[0]
                T = np.linalg.inv(  # noqa: N806
                    T_base_link[robot.link_names.index(view.mount_link)]) @ T
                header = Header(stamp=header.stamp, frame_id=view.mount_link)
            return transform_message(T, header, camera.frame)
        if pose.mount is not None:
            return None
        return transform_message(pose.T_base_camera, header, camera.frame)


class ShownFrame(NamedTuple):
    """A frame of one of the cameras."""

    played: PlayedCamera
    frame: EpisodeFrame
