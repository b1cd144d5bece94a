# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene: what the cameras see without the robot; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.scene.cloud import scene_cloud
    from kinema4d_ros.scene.knowledge import Knowledge
    from kinema4d_ros.scene.memory import SceneMemory
    from kinema4d_ros.scene.points import ScenePoints
    from kinema4d_ros.scene.scene import Scene
    from kinema4d_ros.scene.settings import SceneSettings
    from kinema4d_ros.scene.view import SceneView

__all__ = ['Knowledge', 'Scene', 'SceneMemory', 'ScenePoints', 'SceneSettings', 'SceneView',
           'scene_cloud']
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
