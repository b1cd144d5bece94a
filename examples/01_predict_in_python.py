#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Predict what a trajectory would do, in plain Python without ROS.

An episode holds what a live system has at one moment: the robot's URDF, a camera image with
depth, the joint positions, and a trajectory that is about to be executed. The shadow simulator
checks the trajectory by the rules that need no scene, and predicts its future frame by frame.

    python examples/01_predict_in_python.py data/episodes/libero_object_0_0_success.mcap
"""
import argparse
from pathlib import Path

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation import pictures
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model import available, create


def main() -> None:
    """Predict one episode and write the key frames."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', type=Path, help='episode file (.mcap)')
    parser.add_argument('--world-model', default='kinematic', choices=sorted(available()))
    parser.add_argument('--frames', type=int, default=49)
    parser.add_argument('--out', type=Path, default=Path('prediction.png'),
                        help='picture of the key frames (PNG)')
    options = parser.parse_args()

    episode = Episode.open(options.episode)
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description),
                                create(options.world_model), frames=options.frames)
    observation = episode.observation()

    verdict = simulator.precheck(observation, episode.trajectory)
    print(f'{verdict.status.name}: {verdict.summary}')

    predicted = []
    for frame in simulator.predict(observation, episode.trajectory):
        predicted.append(frame)
        for event in frame.events:
            print(event.message)
    simulator.close()

    chosen = predicted[:: max(1, (len(predicted) - 1) // 6)]
    truth = episode.truth.future([frame.time for frame in chosen])
    pictures.write_png(options.out, pictures.sheet(
        [('predicted', [frame.image for frame in chosen]),
         ('real', [frame.image for frame in truth])],
        [frame.time for frame in chosen], episode.metadata.task_text))
    print(f'{len(predicted)} frames predicted; key frames beside the real ones: {options.out}')


if __name__ == '__main__':
    main()
