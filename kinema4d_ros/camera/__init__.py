# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: calibration, poses, and the robot as it sees it; no ROS."""
from kinema4d_ros.camera.appearance import Appearance
from kinema4d_ros.camera.calibration import CameraCalibration
from kinema4d_ros.camera.fit import ImageFit
from kinema4d_ros.camera.points import pointmap_from_depth, project
from kinema4d_ros.camera.pose import LinkPose
from kinema4d_ros.camera.raster import rasterize, shade
from kinema4d_ros.camera.robot_renderer import RobotImages, RobotRenderer

__all__ = [
    'Appearance', 'CameraCalibration', 'ImageFit', 'LinkPose', 'RobotImages',
    'RobotRenderer', 'pointmap_from_depth', 'project', 'rasterize',
    'shade',
]
