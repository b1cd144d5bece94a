#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rank several candidate trajectories from one observation of the world, in plain Python without ROS.

A policy that samples can propose more than one motion. All are judged from the same observation,
whose scene is taken apart only once; PASS comes first, then the likelier and the safer. In a ROS
graph, the action shadow_sim/precheck takes several candidates in the same way.

    python examples/06_the_best_of_several.py libero_object_0_0_success
"""
import argparse
import dataclasses
import time

import numpy as np

import kinema4d_ros as k4d


def turned(trajectory: k4d.JointTrajectory, angle: float) -> k4d.JointTrajectory:
    """Return the trajectory with the first joint led away by up to `angle` [rad] on its way."""
    bump = np.sin(np.pi * trajectory.times / trajectory.duration)
    positions = trajectory.positions.copy()
    positions[:, 0] += angle * bump
    return dataclasses.replace(trajectory, positions=positions, velocities=None,
                               accelerations=None)


def main() -> None:
    """Judge and rank."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    episode = k4d.Episode.open(parser.parse_args().episode)

    planned, at_speed = episode.trajectory, k4d.precheck.at_speed
    candidates = {'as planned': planned, 'half as fast': at_speed(planned, 0.5),
                  'four times as fast': at_speed(planned, 4.0),
                  'led to the left': turned(planned, 0.15)}
    started = time.perf_counter()
    with k4d.ShadowSimulator(k4d.Robot.from_urdf(episode.robot_description), None) as simulator:
        ranked = simulator.precheck_all(episode.observation(), list(candidates.values()),
                                        goal=k4d.Goal.of(episode.metadata.goal))

    print(f'{len(candidates)} candidates judged in {time.perf_counter() - started:.2f} s')
    for place, (index, verdict) in enumerate(ranked, start=1):
        print(f'{place}. {list(candidates)[index]}: {verdict.status.name}, goal '
              f'{100 * (verdict.success or 0.0):.0f} %: {verdict.summary}')


if __name__ == '__main__':
    main()
