# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How long whole tasks take in the predicted world.

    python -m bench.rollouts

The recorded motion of each bundled episode is played in chunks of 8 actions by a policy that looks
at nothing, and by one that looks at all views after each chunk. The tables of docs/rollouts.md are
its output.
"""
from __future__ import annotations

import argparse
import time

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.policy.closed_loop import PredictedWorld, run_task
from kinema4d_ros.policy.closed_loop.one_run import make_simulator
from kinema4d_ros.policy.closed_loop.plan import RolloutSettings
from kinema4d_ros.policy.closed_loop.recorded import RecordedPolicy
from kinema4d_ros.policy.closed_loop.starts import goal_of
from kinema4d_ros.policy.closed_loop.views import views_of
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot import ForwardKinematics, Robot

EPISODES = ('libero_object_0_0_success', 'libero_object_1_0_success', 'libero_object_5_0_success',
            'libero_spatial_1_0_success', 'libero_spatial_2_0_success')


class LookingPolicy(RecordedPolicy):
    """Looks at all views before it goes on."""

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """Return the recorded actions."""
        for name in observation.images:
            _ = observation.images[name]
        return super().act(observation)


def main() -> None:
    """Measure, and print a row for each world model."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('--models', nargs='+', default=['kinematic', 'physics'])
    options = parser.parse_args()
    print('| world model | pictures | runs | CPU s a run | per s of robot time | success |')
    for model in options.models:
        settings = RolloutSettings(world_model=model,
                                   model_settings={'threads': 1} if model == 'physics' else {})
        rows: dict[str, list[tuple[float, float, bool | None]]] = {'none': [], 'both views': []}
        for name in EPISODES:
            episode = Episode.open(name)
            robot = Robot.from_urdf(episode.robot_description)
            with make_simulator(robot, settings) as simulator:
                observation = episode.observation()
                here = robot.configuration(observation.joint_positions, strict=False)
                views = views_of(observation, robot, ForwardKinematics(robot)(here[None])[0],
                                 'libero')
                world = PredictedWorld(simulator, observation, goal=goal_of(episode), views=views)
                run_task(RecordedPolicy(episode, robot), world)      # what is made once
                for kind, policy in (('none', RecordedPolicy), ('both views', LookingPolicy)):
                    began = time.process_time()
                    run = run_task(policy(episode, robot), world)
                    rows[kind].append((time.process_time() - began, run.duration,
                                       run.outcome.success))
        for kind, found in rows.items():
            seconds, durations = sum(row[0] for row in found), sum(row[1] for row in found)
            print(f'| {model} | {kind} | {len(found)} | {seconds / len(found):.2f} | '
                  f'{seconds / durations:.2f} | {sum(row[2] is True for row in found)} |')


if __name__ == '__main__':
    main()
