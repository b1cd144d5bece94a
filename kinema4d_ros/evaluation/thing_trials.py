# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""World models side by side on one episode: where they say that things end; in any process."""
from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.episode_lineage import episode_lineage
from kinema4d_ros.evaluation.degraded_camera import CLEAN, degrade, REALISTIC
from kinema4d_ros.evaluation.full_frame import full_frame, FullFrame
from kinema4d_ros.evaluation.moved_things import score_things, ThingScore
from kinema4d_ros.jobs import Job
from kinema4d_ros.jobs.lineage import versions_hash
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model import load_world_model, WorldModel

CAMERAS = {'as recorded': CLEAN, 'real': REALISTIC}
"""What can be made of the depth of the first image."""


@dataclass(frozen=True)
class TrialSettings:
    """
    How episodes are predicted.

    :param models: names of world models.
    :param camera: of `CAMERAS`.
    :param frames: that are predicted.
    :param pictures: frames of each episode that are compared as pictures; 0 for none.
    """

    models: tuple[str, ...]
    camera: str = 'as recorded'
    frames: int = 49
    pictures: int = 0


@dataclass(frozen=True)
class ModelTrial:
    """What one model said of one episode."""

    scores: tuple[ThingScore, ...]
    cpu_seconds: float
    members: tuple[int, int] | None = None      # of its last frame, see `PredictedFrame`
    pictures: FullFrame | None = None

    def __str__(self) -> str:
        """Return what moved, in words."""
        return ', '.join(
            f'{score.thing or "nothing there"} {score.happened} {100 * score.distance:.1f} cm, '
            f'off {100 * score.final_error:.1f}' for score in self.scores
            if score.has_moved or score.is_said_to_move) or 'nothing moves'


def job_of(path: Path, settings: TrialSettings, weights: Mapping[str, str]) -> Job:
    """
    Return the job of one episode, whose answer is a `Mapping[str, ModelTrial]`.

    What it depends on are settings, weights and the contents of the file.

    :param weights: what `weights_of` says.
    """
    try:
        lineage = episode_lineage(path, settings)
    except OSError as error:      # the job says what is wrong
        lineage = {'unreadable': str(error)}
    return Job(str(path), (str(path), settings), {**lineage, **weights})


def weights_of(_: object, models: Sequence[str]) -> dict[str, str]:
    """Return the fingerprints of models with weights, and torch's: a question to a pool (`ask`)."""
    found = {f'weights of {name}': str(_model(name).fingerprint) for name in models}
    learned = {name: text for name, text in found.items() if text}
    return learned | ({'torch': versions_hash(('torch',))} if learned else {})


def try_models(item: tuple[str, TrialSettings]) -> Mapping[str, ModelTrial]:
    """
    Predict one episode from its first image with each model: the work of a pool.

    :raises EpisodeError: it cannot be read, or lacks the true poses of its things.
    :raises WorldModelError: a model cannot predict it.
    """
    path, settings = Path(item[0]), item[1]
    episode = Episode.open(path)
    observation = degrade(episode.observation(), CAMERAS[settings.camera],
                          zlib.crc32(path.stem.encode()))
    # what is exact is computed once for all models
    robot = _simulator(episode.robot_description, episode.camera_frame,
                       settings.frames).roll_out(observation, episode.trajectory)
    found = {}
    for name in settings.models:
        begin = time.process_time()
        frames = list(_model(name).predict(observation, robot))
        seconds = time.process_time() - begin
        found[name] = ModelTrial(
            tuple(score_things(episode, frames, name)), seconds, frames[-1].members,
            full_frame(episode, frames, robot.camera, settings.pictures)
            if settings.pictures else None)
    return found


@lru_cache(maxsize=8)
def _model(name: str) -> WorldModel:
    return load_world_model(name)


@lru_cache(maxsize=1)
def _simulator(robot_description: str, camera_frame: str, frames: int) -> ShadowSimulator:
    return ShadowSimulator(Robot.from_urdf(robot_description), None, frames=frames,
                           camera_poses=LinkPose(camera_frame).poses)
