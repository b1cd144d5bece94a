# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Plug in a world model of your own: a package with one class, found by its entry point.

`Ghost` shows the robot of the future as a tint over the present image. A real model replaces the
few lines in `predict`; everything around it (the process that owns it, cancelling, shared memory,
topics, verdicts) stays as it is. What a model promises: kinema4d_ros/world_model/registry.py.

    pip install --no-deps examples/02_a_world_model_of_your_own
    ros2 run kinema4d_ros shadow_sim --ros-args -p world_model:=ghost
"""
from collections.abc import Iterator

import numpy as np

import kinema4d_ros as k4d


class Ghost(k4d.WorldModel):
    """Tints the pixels that the robot will cover."""

    name = 'ghost'
    follows_actions = True          # the robot is that of the rollout, exactly
    settings = {'opacity': (0.6, 'share of the tint, 0 to 1')}

    def predict(self, observation: k4d.Observation, robot: k4d.RobotRollout, *, seed: int = 0,
                report: k4d.Report = k4d.silent) -> Iterator[k4d.PredictedFrame]:
        """Yield one frame per time of the rollout, each as soon as it is ready."""
        opacity, count = self.setting['opacity'], len(robot.times)
        for index, time in enumerate(robot.times):
            report('ghost', index, count)        # raises when the prediction is to stop
            mask = robot.mask[index]
            image = observation.view.image.copy()
            tint = (1 - opacity) * image[mask] + opacity * np.array([80, 160, 255])
            image[mask] = tint.astype(np.uint8)
            yield k4d.PredictedFrame(index, count, float(time), image, robot.pointmap[index], mask)
