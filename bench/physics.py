# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The world model `physics` on the bundled episodes: what it costs before the first frame is drawn.

From an observation to a model that can be simulated: at most 0.3 s, at 240x360 and at 480x720 (the
same picture, each pixel four times). One simulation of the whole motion: at most 0.12 s in 90 % of
the episodes; the eight of an ensemble, on one thread: at most 1.0 s. Seconds are of processor
time, of all cores together, so that what else a machine does moves them less; longer motions count
as if they took 5 s. The usual way beside it, in the same run, is what `kinematic` needs to foresee
the same.
"""
from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import numpy as np

from bench.timing import interleave, median_of_cores, row
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.foresight import Story
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.scene import Scene
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Observation, PinholeCamera
from kinema4d_ros.world_model.physics import reconstruct
from kinema4d_ros.world_model.physics.ensemble import run_ensemble
from kinema4d_ros.world_model.physics.motion import motion_of

EPISODES = Path(__file__).parents[1] / 'data' / 'episodes'
FRAMES, MEMBERS, SETTLE, SECONDS = 49, 8, 0.5, 5.0
LIMITS = {'observation to model': 0.3, 'one simulation': 0.12, 'eight simulations': 1.0}
SHARE = 90       # per cent of the episodes whose simulation stays within the limit


def measure(repeats: int) -> list[dict]:
    """Return a row for each part and size of picture."""
    paths = sorted(EPISODES.glob('*_success.mcap'))
    return [each for size in (1, 2) for each in compared(paths, max(3, repeats // 2), size)]


def compared(paths: list[Path], repeats: int, size: int = 1) -> list[dict]:
    """
    Return the rows of some episodes.

    :param size: how many times as wide and high the picture is.
    """
    ours: dict[str, list[float]] = {name: [] for name in LIMITS}
    usual, same = [], True
    for path in paths:
        seconds, is_same = of_episode(path, repeats, size)
        same &= is_same
        usual.append(seconds.pop('kinematic'))
        for name, value in seconds.items():
            ours[name].append(value)
    rows = []
    for name, limit in LIMITS.items():
        is_model = name == 'observation to model'
        value = statistics.median(ours[name]) if is_model else float(
            np.percentile(ours[name], SHARE))
        height, width = 240 * size, 360 * size
        one = row(f'{name}, {height}x{width}, {len(paths)} episodes, '
                  + ('median' if is_model else f'{SHARE} %'), value, statistics.median(usual),
                  None, same=same, limit_s=limit, largest_s=max(ours[name]))
        rows.append({**one, 'good': one['good'] and value <= limit})
    return rows


def of_episode(path: Path, repeats: int, size: int) -> tuple[dict[str, float], bool]:
    """Return the median processor time [s] of each part, and whether runs repeat exactly."""
    episode = Episode.open(path)
    robot = Robot.from_urdf(episode.robot_description)
    observation = enlarged(episode.observation(), size)
    simulator = ShadowSimulator(robot, None, frames=FRAMES, meshes=load_meshes(robot),
                                camera_poses=LinkPose(episode.camera_frame).poses)
    rollout = simulator.roll_out(observation, episode.trajectory)
    mask = (rollout.link_id[0] >= 0,)

    def world():
        view = Scene(dataclasses.replace(observation), mask).view
        made = reconstruct(view).world(rollout)
        made.model(rollout)
        return made

    made, motion = world(), motion_of(rollout, SETTLE)
    view = Scene(observation, mask).view
    factor = min(1.0, SECONDS / float(rollout.times[-1]))

    def run(members: int):
        return run_ensemble(made, rollout, motion, seed=0, members=members, threads=1)

    seconds = interleave({
        'observation to model': world, 'one simulation': lambda: run(1),
        'eight simulations': lambda: run(MEMBERS),
        'kinematic': lambda: Story(view, rollout, pictures=False)}, repeats)
    median = {name: median_of_cores(each) for name, each in seconds.items()}
    for name in ('one simulation', 'eight simulations'):
        median[name] *= factor
    return median, bool(np.array_equal(run(1).shown.places, run(1).shown.places))


def enlarged(observation: Observation, size: int) -> Observation:
    """Return the observation with each pixel `size` times as wide and high."""
    view = observation.view
    camera = view.camera
    larger = PinholeCamera(camera.width * size, camera.height * size, camera.fx * size,
                           camera.fy * size, (camera.cx + 0.5) * size - 0.5,
                           (camera.cy + 0.5) * size - 0.5)
    image, depth = (np.repeat(np.repeat(each, size, 0), size, 1)
                    for each in (view.image, view.depth))
    return observation.with_view(image=image, depth=depth, camera=larger)
