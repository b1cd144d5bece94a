#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Judge a trajectory before it moves the robot, in plain Python without ROS.

Tier 0 looks at the trajectory by itself (limits, self-collision, where it starts), tier 1 at its
distance to the scene that the depth camera sees. What is grasped, and whether the goal will be
met, is foreseen on the way.

    python examples/03_precheck_in_python.py data/episodes/libero_spatial_0_0_into_table.mcap
"""
import argparse
from pathlib import Path

from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import Goal, PrecheckSettings, Tier0Settings, Tier1Settings
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Verdict
from kinema4d_ros.world_model import create


def tell(verdict: Verdict) -> None:
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
    parser.add_argument('episode', type=Path, help='episode file (.mcap)')
    parser.add_argument('--goal', type=Path, help='rubric (YAML) instead of that of the episode')
    options = parser.parse_args()

    episode = Episode.open(options.episode)
    goal = Goal.load(options.goal) if options.goal else Goal.of(episode.metadata.goal)
    settings = PrecheckSettings(          # every field has a default; these are for show
        tier0=Tier0Settings(velocity_scale=1.0), tier1=Tier1Settings(near_miss=0.01))
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description), create('frozen'))
    verdict = simulator.precheck(episode.observation(), episode.trajectory, tiers=(0, 1),
                                 settings=settings, goal=goal)
    simulator.close()
    tell(verdict)
    print(f'what really happened: {episode.metadata.kind}, '
          f'{"success" if episode.metadata.success else "no success"}')


if __name__ == '__main__':
    main()
