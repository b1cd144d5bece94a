# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a LIBERO task wants moved, and where to, as a rubric in the robot's base frame."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema4d_ros.episodes.libero.scene import base_aligned, LiberoScene
from kinema4d_ros.errors import EpisodeError

ABOVE = 0.15      # [m] how far above a support something may be to count as above it


@dataclass(frozen=True)
class TaskGoal:
    """A pick-and-place goal."""

    carried: str                     # object to move
    target: str                      # object that it goes in or on
    rubric: Mapping[str, Any]        # {'inside' or 'above': {'object', 'region'}}, boxes [m]


def task_goal(scene: LiberoScene) -> TaskGoal:
    """
    Return the task's goal in the scene as it is now.

    :raises EpisodeError: when the task is anything but one object in or on another.
    """
    wanted = [list(item) for item in scene.problem['goal_state']]
    if len(wanted) != 1 or wanted[0][0].lower() not in ('in', 'on') or len(wanted[0]) != 3:
        raise EpisodeError(f'task {scene.task} of {scene.suite} ({scene.task_text}) is not one '
                           f'object in or on another, its goal is {wanted}; choose another task')
    relation, carried, place = wanted[0]
    targets = [name for name in scene.objects if place == name or place.startswith(f'{name}_')]
    if carried not in scene.objects or not targets:
        raise EpisodeError(f'the goal {wanted[0]} names things that are not among the objects '
                           f'{", ".join(scene.objects)}')
    target = max(targets, key=len)
    if place == target:
        low, high = scene.bounds(target)
        high = np.r_[high[:2], low[2] + ABOVE]
    else:
        pose, half = scene.site(place)
        low, high = base_aligned(pose, -half, half)
    region = {'name': place, 'low': low.round(4).tolist(), 'high': high.round(4).tolist()}
    key = 'inside' if relation.lower() == 'in' else 'above'
    return TaskGoal(carried, target, {key: {'object': carried, 'region': region}})
