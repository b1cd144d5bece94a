# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion does to the scene, by geometry alone (ring a)."""
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import can_grasp, Fingers
from kinema4d_ros.foresight.story import Story

__all__ = ['Body', 'Fingers', 'Story', 'can_grasp']
