#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Plug in a world model of your own: one class with one generator.

`Ghost` below shows the robot of the future as a tint over the present image. A real model
replaces the few lines in `predict`; everything around it (the process that owns it, cancelling,
shared memory, topics, verdicts) stays as it is. Any class can be run by the node under its place,
`module:Class`, with the file's folder on PYTHONPATH:

    ros2 run kinema4d_ros shadow_sim --ros-args -p world_model:=my_models:Ghost
"""
import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.robot import Robot
from kinema4d_ros.shadow import ShadowSimulator
from kinema4d_ros.types import Observation, PredictedFrame, RobotRollout
from kinema4d_ros.world_model import Report, silent, WorldModel


class Ghost(WorldModel):
    """Tints the pixels that the robot will cover."""

    name = 'ghost'
    settings = {'opacity': (0.6, 'share of the tint, 0 to 1')}

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """Yield one frame per time of the rollout, each as soon as it is ready."""
        opacity, count = self.setting['opacity'], len(robot.times)
        for index, time in enumerate(robot.times):
            report('ghost', index, count)        # raises when the prediction is to stop
            mask = robot.mask[index]
            image = observation.image.copy()
            tint = (1 - opacity) * image[mask] + opacity * np.array([80, 160, 255])
            image[mask] = tint.astype(np.uint8)
            yield PredictedFrame(index, count, float(time), image, robot.pointmap[index], mask)


def main() -> None:
    """Predict one episode with the ghost."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', type=Path, help='episode file (.mcap)')
    episode = Episode.open(parser.parse_args().episode)
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description), Ghost(opacity=0.5),
                                frames=13)
    for frame in simulator.predict(episode.observation(), episode.trajectory):
        print(f'{frame.time:.2f} s: the robot covers {100 * frame.robot_mask.mean():.1f} %')
    simulator.close()


if __name__ == '__main__':
    main()
