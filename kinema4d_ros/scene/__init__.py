# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene: what the cameras see without the robot; no ROS."""
from kinema4d_ros.scene.cloud import scene_cloud
from kinema4d_ros.scene.knowledge import Knowledge
from kinema4d_ros.scene.memory import SceneMemory
from kinema4d_ros.scene.points import ScenePoints, SceneSettings
from kinema4d_ros.scene.scene import Scene
from kinema4d_ros.scene.view import SceneView

__all__ = ['Knowledge', 'Scene', 'SceneMemory', 'ScenePoints', 'SceneSettings', 'SceneView',
           'scene_cloud']
