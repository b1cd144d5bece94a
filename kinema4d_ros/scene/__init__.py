# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene: what the cameras see without the robot (ring a)."""
from kinema4d_ros.scene.cloud import scene_cloud
from kinema4d_ros.scene.memory import SceneMemory

__all__ = ['SceneMemory', 'scene_cloud']
