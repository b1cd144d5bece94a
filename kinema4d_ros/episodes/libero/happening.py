# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Follows each thing and joint of a scene as it runs: what becomes of them, and of the goals."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.outcome import (EpisodeOutcome, GoalOutcome, JointOutcome, LIFTED,
                                           ThingOutcome)

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene


class OutcomeMeter:
    """Measured from the first call of `measure` on, which is at the start of the trajectory."""

    def __init__(self, scene: LiberoScene, goals: Sequence[TaskGoal]):
        """Make a meter of a scene whose task has some goals."""
        self._scene, self._goals = scene, tuple(goals)
        self._joints = scene.fixture_joints
        self._middles = {name: 0.5 * np.add(*scene.object_box(name)) for name in scene.objects}
        self._poses: dict[str, list[np.ndarray]] = {name: [] for name in scene.objects}
        self._positions: dict[str, list[float]] = {name: [] for name in self._joints}
        self._met: tuple[bool, ...] = ()

    def measure(self) -> None:
        """Measure the scene as it is now."""
        scene = self._scene
        for name, poses in self._poses.items():
            poses.append(scene.object_pose(name))
        for name, positions in self._positions.items():
            positions.append(scene.joint_position(name))
        if not self._met:
            self._met = tuple(scene.holds(goal.words) for goal in self._goals)

    def outcome(self, aim_errors: Mapping[str, tuple[float, ...]]) -> EpisodeOutcome:
        """Return what became of everything up to now."""
        things = {name: self._thing(name, np.array(poses)) for name, poses in self._poses.items()}
        meant = {goal.joint for goal in self._goals}
        joints = {name: JointOutcome(
            self._joints[name], self._scene.joint_unit(name), round(row[0], 5), round(row[-1], 5),
            round(float(np.abs(np.array(row) - row[0]).max()), 5), name in meant)
            for name, row in self._positions.items()}
        goals = tuple(GoalOutcome(
            goal.relation, goal.thing, goal.place, goal.target, goal.rubric, before,
            self._scene.holds(goal.words),
            things[goal.thing].risen > LIFTED if goal.is_placing else None)
            for goal, before in zip(self._goals, self._met))
        return EpisodeOutcome(things, joints, goals, aim_errors)

    def _thing(self, name: str, poses: np.ndarray) -> ThingOutcome:
        """Return what the poses (N, 4, 4) of a thing come to."""
        middles = poses[:, :3, :3] @ self._middles[name] + poses[:, :3, 3]
        way = middles - middles[0]
        trace = np.einsum('tij,ij->t', poses[:, :3, :3], poses[0, :3, :3])
        turned = np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0))
        distance = np.linalg.norm(way, axis=1)
        return ThingOutcome(
            name not in self._scene.movable, round(float(distance.max()), 5),
            round(float(turned.max()), 4), round(float(way[:, 2].max()), 5),
            round(float(distance[-1]), 5), any(goal.target == name for goal in self._goals))
