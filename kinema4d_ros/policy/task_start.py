# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known when a pick-and-place task begins, in the predicted and the simulated world."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import PolicyError

if TYPE_CHECKING:
    from kinema4d_ros.episodes import Episode

RELATIONS = 'inside', 'above'


@dataclass(frozen=True, eq=False)
class TaskStart:
    """
    The state that a policy which sees states begins with; places are in the base frame [m].

    :param name: of the start, such as `libero_90_36_3`.
    :param instruction: the task in words.
    :param robot_description: URDF.
    :param joint_positions: [rad or m] by name.
    :param T_base_object: (4, 4), pose of the object that is to be moved.
    :param low: (3,) lowest corner of the box around that object, in its own frame.
    :param high: (3,) highest corner.
    :param relation: `inside` or `above` of the region.
    :param region_low: (3,) lowest corner of where it is to go, a box along the base's axes.
    :param region_high: (3,) highest corner.
    :param rim: height of the highest point of the thing that it goes into or onto.
    """

    name: str
    instruction: str
    robot_description: str
    joint_positions: Mapping[str, float]
    T_base_object: np.ndarray
    low: np.ndarray
    high: np.ndarray
    relation: str
    region_low: np.ndarray
    region_high: np.ndarray
    rim: float

    @classmethod
    def of(cls, episode: Episode) -> TaskStart:
        """
        Return what a recorded episode knew when its trajectory began.

        :raises PolicyError: the recording lacks the object's pose or a goal for one object.
        """
        meta, truth = episode.metadata, episode.truth
        if meta.carried_object is None or meta.goal_object is None:
            raise PolicyError(f'{episode.path} does not say which object goes where; a policy that '
                              'sees states needs a pick-and-place recording')
        relation = next((key for key in RELATIONS if key in meta.goal), None)
        lacking = [name for name in (meta.carried_object, meta.goal_object)
                   if name not in truth.object_poses or name not in meta.objects]
        if relation is None or lacking:
            raise PolicyError(f'{episode.path} lacks ' + (
                f'the pose or the box of {", ".join(lacking)}' if lacking else
                f'a goal of one of the kinds {", ".join(RELATIONS)}'))
        times, poses = truth.object_poses[meta.carried_object]
        box, target = meta.objects[meta.carried_object], meta.objects[meta.goal_object]
        region = meta.goal[relation]['region']
        begin = int(np.abs(times).argmin())
        T_base_goal = truth.object_poses[meta.goal_object][1][begin]
        when, names, positions = episode.joint_states
        row = positions[int(np.abs(when).argmin())]
        return cls(episode.path.stem, meta.task_text, episode.robot_description,
                   dict(zip(names, map(float, row))), poses[begin], np.array(box.low),
                   np.array(box.high), relation, np.array(region['low'], np.float64),
                   np.array(region['high'], np.float64),
                   float(_corners(T_base_goal, np.array(target.low),
                                  np.array(target.high))[:, 2].max()))

    @property
    def corners(self) -> np.ndarray:
        """The corners of the object's box as it stands, (8, 3) base frame [m]."""
        return _corners(self.T_base_object, self.low, self.high)


def _corners(pose: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    grid = np.array(np.meshgrid(*np.stack([low, high], 1), indexing='ij')).reshape(3, 8).T
    return grid @ pose[:3, :3].T + pose[:3, 3]
