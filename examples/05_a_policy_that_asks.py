#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Let a policy act only after it has asked: a chunk of actions at a time.

Policies such as those of openpi or LeRobot look, and return the next half second of actions. An
`ActionFormat` says what the numbers mean: positions of joints or places of the tip, absolute, or as
changes since the chunk's begin or since the action before. An `ActionReader` makes a trajectory of
them, and the shadow simulator judges it before anything moves.

Here the policy is a recording: a real one takes the place of `RecordedPolicy`, the robot's driver
that of `act`. On a ROS graph, send the trajectory to trajectory_gate, which asks by itself; one
whose first point lies ahead on the motion under way may be sent while the robot still moves.

    python examples/05_a_policy_that_asks.py data/episodes/libero_spatial_0_0_into_table.mcap
"""
import argparse
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.policy import ActionFormat, ActionReader, Reference
from kinema4d_ros.robot import find_gripper, Robot, sample_trajectory
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, Status
from kinema4d_ros.world_model import create

RATE, CHUNK = 20.0, 10      # [Hz], actions


class RecordedPolicy:
    """Returns joint positions as changes since the chunk's begin, but absolute for fingers."""

    def __init__(self, episode: Episode, robot: Robot):
        """Take the recorded plan."""
        fingers = find_gripper(robot).finger_joints
        self.form = ActionFormat(RATE, robot.joint_names, Reference.START,
                                 absolute_joints=fingers, limited_joints=fingers)
        times = np.arange(0.0, episode.trajectory.duration, 1.0 / RATE)
        self._plan = sample_trajectory(episode.trajectory, robot, times,
                                       episode.observation().joint_positions).positions

    def __call__(self, observation: Observation, step: int) -> np.ndarray:
        """Return the next actions, (at most CHUNK, joints); none when it is done."""
        here = [0.0 if name in self.form.absolute_joints else observation.joint_positions[name]
                for name in self.form.joints]
        return self._plan[step + 1:step + 1 + CHUNK] - here


def act(episode: Episode, trajectory: JointTrajectory, step: int) -> Observation:
    """Execute it, and look at the world after it; here, as it was when it was recorded."""
    nearest = int(np.abs(episode.frames.times - step / RATE).argmin())
    return episode.observation(nearest - episode.start_index)


def main() -> None:
    """Run the policy until it is done or refused."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', type=Path, help='episode file (.mcap)')
    episode = Episode.open(parser.parse_args().episode)
    robot = Robot.from_urdf(episode.robot_description)
    simulator = ShadowSimulator(robot, create('frozen'))
    policy = RecordedPolicy(episode, robot)
    reader = ActionReader(robot, policy.form)

    observation, step = episode.observation(), 0
    while len(actions := policy(observation, step)):
        trajectory = reader.trajectory(actions, observation.joint_positions)
        verdict = simulator.precheck(observation, trajectory, tiers=(0, 1))
        print(f'{step / RATE:.2f} s: {verdict.status.name}: {verdict.summary}')
        if verdict.status is not Status.PASS:
            break       # the robot stays where it is; a person, or another sample, decides
        step += len(actions)
        observation = act(episode, trajectory, step)
    simulator.close()


if __name__ == '__main__':
    main()
