#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rank several candidate trajectories from one look at the world, in plain Python without ROS.

A policy that samples can propose more than one motion. All are judged from the same observation,
whose scene is taken apart only once; PASS comes first, then the likelier and the safer. In a ROS
graph, the action shadow_sim/precheck takes several candidates in the same way.

    python examples/06_the_best_of_several.py data/episodes/libero_object_0_0_success.mcap
"""
import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import at_speed, Goal
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory
from kinema4d_ros.world_model import create


def turned(trajectory: JointTrajectory, angle: float) -> JointTrajectory:
    """Return the trajectory with the first joint led away by up to `angle` [rad] on its way."""
    bump = np.sin(np.pi * trajectory.times / trajectory.duration)
    positions = trajectory.positions.copy()
    positions[:, 0] += angle * bump
    return dataclasses.replace(trajectory, positions=positions, velocities=None,
                               accelerations=None)


def main() -> None:
    """Judge and rank."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', type=Path, help='episode file (.mcap)')
    episode = Episode.open(parser.parse_args().episode)
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description), create('frozen'))

    planned = episode.trajectory
    candidates = {'as planned': planned, 'half as fast': at_speed(planned, 0.5),
                  'four times as fast': at_speed(planned, 4.0),
                  'led to the left': turned(planned, 0.15)}
    started = time.perf_counter()
    verdicts, ranking = simulator.precheck_all(
        episode.observation(), list(candidates.values()), tiers=(0, 1),
        goal=Goal.of(episode.metadata.goal))
    simulator.close()

    print(f'{len(candidates)} candidates judged in {time.perf_counter() - started:.2f} s')
    for place, index in enumerate(ranking, start=1):
        verdict = verdicts[index]
        print(f'{place}. {list(candidates)[index]}: {verdict.status.name}, goal '
              f'{100 * (verdict.success or 0.0):.0f} %: {verdict.summary}')


if __name__ == '__main__':
    main()
