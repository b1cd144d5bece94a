# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay of a bundled episode: the recorded frames come back, and only for their own camera."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import EpisodeError, WorldModelError
from kinema4d_ros.evaluation import evaluate_episode
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model import load_world_model

EPISODE = Path(__file__).parents[2] / 'data/episodes/libero_object_0_0_success.mcap'


def test_the_recorded_future_is_played():
    score = evaluate_episode(EPISODE, 'replay', frames=5, settings={'episode': str(EPISODE)})
    assert score.psnr_changed == score.psnr_still == 60.0
    assert score.depth_changed == pytest.approx(0.0, abs=1e-6) or np.isnan(score.depth_changed)


def test_another_camera_is_refused():
    episode = Episode.open(EPISODE)
    robot = Robot.from_urdf(episode.robot_description)
    simulator = ShadowSimulator(robot, load_world_model('replay', episode=str(EPISODE)), frames=2)
    observation = episode.observation()
    half = observation.view.camera.resized(180, 120)
    small = observation.with_view(camera=half, image=observation.view.image[::2, ::2], depth=None)
    with pytest.raises(WorldModelError, match='replay works with the observations of its own'):
        next(simulator.predict(small, episode.trajectory))


def test_the_episode_must_be_named_and_exist(tmp_path):
    with pytest.raises(WorldModelError, match='needs the setting episode: path of the episode'):
        load_world_model('replay')
    with pytest.raises(EpisodeError):
        load_world_model('replay', episode=str(tmp_path / 'nothing.mcap'))
