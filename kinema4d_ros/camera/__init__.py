# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: calibration, poses, and the robot as it sees it; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
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
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
