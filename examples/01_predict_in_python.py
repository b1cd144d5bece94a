#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Predict what a trajectory would do, in plain Python without ROS.

An episode holds what a live system has at one moment: the robot's URDF, a camera image with
depth, the joint positions, and a trajectory that is about to be executed. The shadow simulator
judges the trajectory, and predicts its future frame by frame.

    python examples/01_predict_in_python.py libero_object_0_0_success
"""
import argparse
from pathlib import Path

import kinema4d_ros as k4d


def main() -> None:
    """Predict one episode and write the key frames."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    parser.add_argument('--world-model', default='kinematic',
                        choices=sorted(k4d.world_model.available()))
    parser.add_argument('--frames', type=int, default=49)
    parser.add_argument('--out', type=Path, default=Path('prediction.png'),
                        help='picture of the key frames (PNG)')
    options = parser.parse_args()

    episode = k4d.Episode.open(options.episode)
    observation, trajectory = episode.observation(), episode.trajectory
    robot = k4d.Robot.from_urdf(episode.robot_description)
    with k4d.ShadowSimulator(robot, options.world_model, frames=options.frames) as simulator:
        verdict = simulator.precheck(observation, trajectory)
        print(f'{verdict.status.name}: {verdict.summary}')

        predicted = []
        for frame in simulator.predict(observation, trajectory):
            predicted.append(frame)
            for event in frame.events:
                print(event.message)

    chosen = predicted[:: max(1, (len(predicted) - 1) // 6)]
    truth = episode.truth.future([frame.time for frame in chosen])
    pictures = k4d.evaluation.pictures
    pictures.write_png(options.out, pictures.sheet(
        [('predicted', [frame.image for frame in chosen]),
         ('real', [frame.image for frame in truth])],
        [frame.time for frame in chosen], episode.metadata.task_text))
    print(f'{len(predicted)} frames predicted; key frames beside the real ones: {options.out}')


if __name__ == '__main__':
    main()
