#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Let a policy act only after it has asked: a chunk of actions at a time.

Policies such as those of openpi or LeRobot observe, and return the next half second of actions. An
`ActionFormat` says what the numbers mean: positions of joints or places of the tip, absolute, or as
changes since the chunk's begin or since the action before. An `ActionReader` makes a trajectory of
them, and the shadow simulator judges it before anything moves.

Here the policy is a recording: a real one takes the place of `RecordedPolicy`, the robot's driver
that of `act`. On a ROS graph, send the trajectory to trajectory_gate, which asks by itself; one
whose first point lies ahead on the motion under way may be sent while the robot still moves.

    python examples/05_a_policy_that_asks.py libero_spatial_0_0_into_table
"""
import argparse

import numpy as np

import kinema4d_ros as k4d

RATE, CHUNK = 20.0, 10      # [Hz], actions


class RecordedPolicy:
    """Returns joint positions as changes since the chunk's begin, but absolute for fingers."""

    def __init__(self, episode: k4d.Episode, robot: k4d.Robot):
        """Make a policy of a recorded plan."""
        fingers = k4d.robot.find_gripper(robot).finger_joints
        self.form = k4d.ActionFormat(RATE, robot.joint_names, k4d.Reference.START,
                                     absolute_joints=fingers, limited_joints=fingers)
        times = np.arange(0.0, episode.trajectory.duration, 1.0 / RATE)
        self._plan = k4d.robot.sample_trajectory(
            episode.trajectory, robot, times, episode.observation().joint_positions).positions

    def __call__(self, observation: k4d.Observation, step: int) -> np.ndarray:
        """Return the next actions, (at most CHUNK, joints); none when it is done."""
        here = [0.0 if name in self.form.absolute_joints else observation.joint_positions[name]
                for name in self.form.joints]
        return self._plan[step + 1:step + 1 + CHUNK] - here


def act(episode: k4d.Episode, trajectory: k4d.JointTrajectory, step: int) -> k4d.Observation:
    """Execute it, and observe the world after it; here, as it was when it was recorded."""
    nearest = int(np.abs(episode.frames.times - step / RATE).argmin())
    return episode.observation(nearest - episode.start_index)


def main() -> None:
    """Run the policy until it is done or refused."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    episode = k4d.Episode.open(parser.parse_args().episode)
    robot = k4d.Robot.from_urdf(episode.robot_description)
    policy = RecordedPolicy(episode, robot)
    reader = k4d.ActionReader(robot, policy.form)

    observation, step = episode.observation(), 0
    with k4d.ShadowSimulator(robot, None) as simulator:
        while len(actions := policy(observation, step)):
            trajectory = reader.trajectory(actions, observation.joint_positions)
            verdict = simulator.precheck(observation, trajectory)
            print(f'{step / RATE:.2f} s: {verdict.status.name}: {verdict.summary}')
            if not verdict.passed:
                break       # the robot stays where it is; a person, or another sample, decides
            step += len(actions)
            observation = act(episode, trajectory, step)


if __name__ == '__main__':
    main()
