# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records how the scripted expert does a task in the simulator, as pictures and what it did."""
from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes.libero.render import SceneRenderer
from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.cloned import HALF, HandView
from kinema4d_ros.policy.picture_policy import seen_picture
from kinema4d_ros.policy.scripted import ScriptedPolicy
from kinema4d_ros.policy.simulated.libero_world import LiberoWorld
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import JointTrajectory

_ASIDE = 0.012           # [m] that the hand is led aside by, so that coming back is shown
_REMEMBERS = 0.9         # of that from one action to the next
_STEADY = 12             # actions around those of the fingers in which it is led aside less
_STEPS = 4               # actions from one picture to the next


def demonstrate(scene: LiberoScene, robot: Robot, start: TaskStart, init: int,
                renderer: SceneRenderer, repeat: int = 0) -> Mapping[str, np.ndarray]:
    """
    Let the expert do the task once, led aside on its way, and note what a policy would see.

    :param start: of the same task in the same initial state.
    :param repeat: other numbers lead it aside otherwise.
    :return: `pictures` (N, SIDE, SIDE, 3) uint8; `joints` (N, 9) measured; `fingers` (N, 2) whether
        they were told to be open last and ever to close; `ahead` (N,) the row of `way` at that
        moment; `aside` (N, 3) [m] from it; `way` (R, 5) places of the grip point [m], turn [rad]
        and opening [m] of the expert by itself; `layout`; `success`.
    """
    random = np.random.default_rng([zlib.crc32(start.name.encode()), repeat])
    world = LiberoWorld(scene, robot, init, T_base_object=start.T_base_object)
    first = world.reset()
    expert = ScriptedPolicy(start)
    expert.reset(start.instruction, 0)
    chunks = []
    while len(chunk := expert.act(PolicyObservation(start.instruction, {},
                                                    start.joint_positions))):
        chunks.append(chunk)
    rows = np.concatenate(chunks)
    aside = _led_aside(rows[:, 7], random)
    led = rows.copy()
    led[:, :3] += aside
    reader = ActionReader(robot, expert.action_format)
    motion = reader.trajectory(led, first.joint_positions)
    velocities = np.gradient(motion.positions, motion.times, axis=0)
    view = HandView(start)
    clean = reader.trajectory(rows, first.joint_positions)
    way = np.c_[_ways(view, clean), np.r_[HALF * 2, rows[:, 7]]]
    pictures, joints, fingers, ahead = [], [], [], []
    is_open, has_closed = True, False
    for begin in range(0, len(rows), _STEPS):
        pictures.append(seen_picture(renderer(mask=False).image))
        joints.append(scene.joint_state[0])
        is_open = bool(rows[begin - 1, 7] > HALF) if begin else True
        has_closed |= not is_open
        fingers.append([is_open, has_closed])
        ahead.append(begin)
        part = slice(begin, begin + _STEPS + 1)
        world.execute(JointTrajectory(
            motion.joint_names, motion.times[part] - motion.times[begin],
            motion.positions[part], velocities[part]))
    offset = np.r_[np.zeros((1, 3)), aside]
    return {'pictures': np.array(pictures), 'joints': np.array(joints),
            'fingers': np.array(fingers), 'ahead': np.array(ahead),
            'aside': offset[ahead], 'way': way, 'layout': view.layout,
            'success': np.array(bool(world.outcome().success))}


def _ways(view: HandView, motion: JointTrajectory) -> np.ndarray:
    """Return places [m] and turns [rad] of the grip point along a motion, (R, 4)."""
    places, turns = view.grip(view.configurations(motion.joint_names, motion.positions))
    return np.c_[places, turns]


def _led_aside(openings: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return by how much the hand is led aside at each action, (N, 3) [m]; not at the end."""
    n = len(openings)
    kicks = random.normal(0, _ASIDE * np.sqrt(1 - _REMEMBERS ** 2), (n, 3))
    aside = np.zeros((n, 3))
    for row in range(1, n):
        aside[row] = _REMEMBERS * aside[row - 1] + kicks[row]
    moving = np.flatnonzero(np.abs(np.diff(openings, prepend=openings[0])) > 1e-5)
    far = np.abs(np.arange(n)[:, None] - np.r_[moving, n - 1]).min(1)
    return aside * np.clip((far - 1) / _STEADY, 0.1, 1.0)[:, None] \
        * np.clip(np.arange(n) / _STEADY, 0.0, 1.0)[:, None]


def write_demonstration(path: Path, instruction: str, noted: Mapping[str, np.ndarray]) -> None:
    """Write one as a file of arrays, as a whole or not at all: what is there is kept as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        with partial.open('wb') as file:
            np.savez_compressed(file, instruction=np.array(instruction),
                                **noted)  # type: ignore[arg-type]
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

