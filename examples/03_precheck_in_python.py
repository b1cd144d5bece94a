#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Judge a trajectory before it moves the robot, in plain Python without ROS.

Tier 0 checks the trajectory by itself (limits, self-collision, where it starts), tier 1 at its
distance to the scene that the depth camera sees. What is grasped, and whether the goal will be
met, is foreseen on the way.

    python examples/03_precheck_in_python.py libero_spatial_0_0_into_table
"""
import argparse
from pathlib import Path

import kinema4d_ros as k4d


def show(verdict: k4d.Verdict) -> None:
    """Print a verdict: the decision, its evidence, and what helps."""
    print(f'{verdict.status.name}: {verdict.summary}')
    for finding in verdict.findings:
        when = '' if finding.time is None else f' at {finding.time:.2f} s'
        print(f'  {finding.severity.name:6} {finding.code.name}{when}: {finding.message}')
    if verdict.min_clearance is not None:
        print(f'nearest to the scene: {1000 * verdict.min_clearance:.1f} mm '
              f'+- {1000 * (verdict.clearance_sigma or 0.0):.1f} mm')
    if verdict.safe_prefix is not None:
        print(f'safe until {verdict.safe_prefix:.2f} s')
    if verdict.speed_factor is not None:
        print(f'would pass at {100 * verdict.speed_factor:.0f} % of the speed')
    if verdict.success is not None:
        print(f'reaches its goal with probability {verdict.success:.2f}')
    print(', '.join(f'{stage}: {1000 * s:.0f} ms' for stage, s in verdict.latencies.items()))


def main() -> None:
    """Judge one episode."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    parser.add_argument('--goal', type=Path, help='rubric (YAML) instead of that of the episode')
    options = parser.parse_args()

    episode = k4d.Episode.open(options.episode)
    goal = k4d.Goal.load(options.goal) if options.goal else k4d.Goal.of(episode.metadata.goal)
    settings = k4d.PrecheckSettings(          # every field has a default; these are for show
        tier0=k4d.Tier0Settings(velocity_scale=1.0), tier1=k4d.Tier1Settings(near_miss=0.01))
    robot = k4d.Robot.from_urdf(episode.robot_description)
    with k4d.ShadowSimulator(robot, None, settings=settings) as simulator:
        verdict = simulator.precheck(episode.observation(), episode.trajectory, tiers=(0, 1),
                                     goal=goal)
    show(verdict)
    print(f'what really happened: {episode.metadata.kind}, '
          f'{"success" if episode.metadata.success else "no success"}')


if __name__ == '__main__':
    main()
