# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion does to the scene, by geometry alone; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.foresight.body import Body
    from kinema4d_ros.foresight.body_points import points_of_body
    from kinema4d_ros.foresight.fingers import can_grasp, Fingers
    from kinema4d_ros.foresight.grasp_settings import GraspSettings
    from kinema4d_ros.foresight.graspability import Graspability, Hold
    from kinema4d_ros.foresight.held import HandLook, Held, HeldMemory
    from kinema4d_ros.foresight.parts import FixturePart
    from kinema4d_ros.foresight.story import best_story, Story
    from kinema4d_ros.foresight.told import (Backdrop, MovingBody, StoryEvent, Target, Told,
                                             uncovered)

__all__ = [
    'Backdrop', 'Body', 'Fingers', 'FixturePart', 'GraspSettings', 'Graspability', 'HandLook',
    'Held', 'HeldMemory', 'Hold', 'MovingBody', 'Story', 'StoryEvent', 'Target', 'Told',
    'best_story', 'can_grasp', 'points_of_body', 'uncovered',
]
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
