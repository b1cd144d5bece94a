# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays back the recorded future of an episode as if it had been predicted."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kinema4d_ros.camera.points import pointmap
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.base import check_camera, WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard


class Replay(WorldModel):
    """
    The upper bound: what really happened, from an episode file, whatever the trajectory is.

    For tests, and to compare models with. The frame nearest in time is shown at each time; where
    the recording has no depth the pointmap is that of the robot, and so is the robot's mask where
    the recording has none.
    """

    name = 'replay'
    card = ModelCard(
        inputs='an episode; no motion but that of the episode', outputs='RGB and points',
        metres=Metres.MEASURED, views='the camera of the episode', code_licence='Apache-2.0',
        weights_licence='none', memory='that of the episode', time='that of reading the pictures',
        run_here='all of it; it plays the true future, whatever it is asked for')
    settings = {'episode': ('', 'path of the episode file (.mcap) whose future is played')}

    def __init__(self, **values: Any) -> None:
        """
        Make a model of an episode, which is opened.

        :raises WorldModelError: when no episode is named.
        :raises EpisodeError: when it cannot be read.
        """
        from kinema4d_ros.episodes import Episode  # heavy, and only this model reads files

        super().__init__(**values)
        if not self.setting['episode']:
            raise WorldModelError("world model 'replay' needs the setting episode: "
                                  f'{self.settings["episode"][1]}')
        self._episode = Episode.open(self.setting['episode'])

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the recorded frames; nothing is random here, `seed` changes nothing.

        :raises WorldModelError: when the rollout is for another camera than the recording.
        """
        check_camera(observation, robot)
        episode, calibration, camera = self._episode, self._episode.calibration, robot.camera
        if calibration.pinhole != camera:
            raise WorldModelError(f'the episode {episode.path} was recorded by '
                                  f'{calibration.pinhole}, the rollout is for {camera}; replay '
                                  f'works with the observations of its own episode, unfitted')
        masks = episode.truth.robot_masks
        for index, time in enumerate(robot.times):
            report('predict', index, len(robot.times))
            number = int(np.abs(episode.frames.times - time).argmin())
            frame = episode.frames[number]
            points = robot.pointmap[index].copy() if frame.depth is None else pointmap(
                calibration.rectify_depth(frame.depth), camera.fx, camera.fy, camera.cx,
                camera.cy)
            mask = masks[number] if number in masks else robot.link_id[index] >= 0
            yield PredictedFrame(index, len(robot.times), float(time),
                                 calibration.rectify(frame.image), points, mask)
