# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: calibration, poses, the robot as it sees it, and the scene without it (ring a)."""
from kinema4d_ros.camera.appearance import Appearance
from kinema4d_ros.camera.calibration import CameraCalibration
from kinema4d_ros.camera.cloud import scene_cloud
from kinema4d_ros.camera.fit import ImageFit
from kinema4d_ros.camera.points import pointmap_from_depth, project
from kinema4d_ros.camera.pose import FixedPose, LinkPose
from kinema4d_ros.camera.raster import rasterize, shade
from kinema4d_ros.camera.robot_renderer import RobotImages, RobotRenderer
from kinema4d_ros.camera.scene_memory import SceneMemory

__all__ = [
    'Appearance', 'CameraCalibration', 'FixedPose', 'ImageFit', 'LinkPose', 'RobotImages',
    'RobotRenderer', 'SceneMemory', 'pointmap_from_depth', 'project', 'rasterize', 'scene_cloud',
    'shade',
]
