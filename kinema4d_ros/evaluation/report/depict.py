# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From an episode, its verdict and predicted frames to what a report shows of it."""
from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.video_file import write_video
from kinema4d_ros.evaluation import pictures
from kinema4d_ros.evaluation.comparison import compare, frames_to_compare, frames_with_truth
from kinema4d_ros.evaluation.labels import labels_of, strayed, was_dangerous
from kinema4d_ros.evaluation.report.content import EpisodeReport, EpisodePictures
from kinema4d_ros.robot import Robot
from kinema4d_ros.scene import SceneMemory
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import PredictedFrame, RobotRollout, Verdict

FRAMES = 49
_WIDTH = 360             # [px] of a video
_KEY_FRAMES = 6          # of a strip
_KEY_WIDTH = 232         # [px] of each
_REMEMBERED = 5          # every so many frames are used to remember the scene
_HOLD = 0.5              # [s] that a video stays at its last frame
_TOUCH = 'robot_touches_surroundings'


class EpisodePredictor:
    """Predicts episodes with a world model; what belongs to a robot is made once."""

    def __init__(self, world_model: str, frames: int = FRAMES,
                 package_paths: Sequence[str | Path] = ()):
        """
        Make a predictor that has loaded no robot yet.

        :param frames: how many are predicted.
        :param package_paths: folders to look for mesh packages in.
        """
        self.world_model, self._frames = world_model, frames
        self._package_paths = tuple(package_paths)
        self._simulators: dict[tuple[str, str], ShadowSimulator] = {}
        self._memory = SceneMemory()

    def __call__(self, episode: Episode) -> tuple[RobotRollout, list[PredictedFrame]]:
        """Return the exact robot and the predicted frames, in the size of the camera."""
        simulator, observation = self._simulator(episode), episode.observation()
        if self._memory.background is not None:
            self._memory.update(observation, simulator.robot_mask(observation))
            observation = observation.with_view(background=self._memory.background)
        robot, frames = simulator.future(observation, episode.trajectory)
        return robot, list(frames)

    def remember(self, episode: Episode) -> None:
        """
        Keep what an episode shows of the scene behind the robot, for the episodes after it.

        A live system that is shown one after another does the same; without this, it would be
        compared with a baseline that knows less.
        """
        simulator = self._simulator(episode)
        for index in range(0, len(episode.frames), _REMEMBERED):
            observation = episode.observation(index - episode.start_index)
            self._memory.update(observation, simulator.robot_mask(observation))

    def _simulator(self, episode: Episode) -> ShadowSimulator:
        """Return the simulator of the episode's robot and camera."""
        key = episode.robot_description, episode.camera_frame
        if key not in self._simulators:
            self._simulators[key] = ShadowSimulator(
                Robot.from_urdf(episode.robot_description, package_paths=self._package_paths),
                self.world_model,
                frames=self._frames, camera_poses=LinkPose(episode.camera_frame).poses)
        return self._simulators[key]


def described(episode: Episode, verdict: Verdict, **more: Any) -> EpisodeReport:
    """
    Return what a report says of an episode without any prediction.

    :param more: further fields of EpisodeReport.
    """
    metadata = episode.metadata
    return dataclasses.replace(EpisodeReport(
        name=Path(episode.path).stem, verdict=verdict, duration=episode.trajectory.duration,
        task=metadata.task_text, happened=happened(episode),
        success=None if metadata.success is None else metadata.success and not strayed(episode),
        foreseen=None if verdict.success in (None, 0.5) else verdict.success >= 0.5,
        dangerous=was_dangerous(episode)), **more)


def depict(episode: Episode, verdict: Verdict, robot: RobotRollout,
           futures: Mapping[str, Sequence[PredictedFrame]], *, moving: bool,
           **more: Any) -> EpisodeReport:
    """
    Return what a report says and shows of an episode.

    :param robot: the exact robot at the frames of all futures.
    :param futures: world model -> predicted frames; the last one is shown.
    :param moving: show it as a video; else as a strip of key frames.
    :param more: further fields of EpisodeReport.
    """
    chosen = frames_to_compare(episode, robot.times)
    comparisons = tuple(compare(episode, [frames[index] for index in chosen], robot, name)
                        for name, frames in futures.items())
    shown = list(futures.values())[-1]
    use = np.arange(len(shown)) if moving else _key_frames(episode, robot.times)
    times, images = robot.times[use], [shown[index].image for index in use.tolist()]
    truth = [episode.calibration.rectify(frame.image) for frame in episode.truth.future(times)]
    alt = (f'Prediction above, recording below: {episode.metadata.task_text}. Predicted: '
           f'{verdict.outcome or "nothing is moved."}')
    return described(
        episode, verdict, comparisons=comparisons,
        pictures=(film if moving else strip)(images, truth, times, alt), **more)


def happened(episode: Episode) -> str:
    """Return one or two sentences on what the execution of an episode did."""
    metadata = episode.metadata
    said = ['Nobody says whether the task was solved.' if metadata.success is None else
            'The task was solved.' if metadata.success else
            f'The task was not solved ({metadata.kind.replace("_", " ")}).']
    touched = min((event['time'] for event in metadata.events
                   if event.get('kind') == _TOUCH and event.get('begins')), default=None)
    if touched is not None:
        said.append(f'The robot touched table or fixtures at {touched:.1f} s.')
    labels = labels_of(episode)
    if touched is None and labels.touched:
        said.append('A link that is no finger touched something.')
    if labels.strayed:
        said.append('The arm was stopped or pushed off its trajectory, by '
                    f'{metadata.tracking_error:.2f} rad.')
    if labels.disturbed:
        said.append(f'Pushed, and not meant to be: {", ".join(labels.disturbed)}.')
    return ' '.join(said)


def film(predicted: Sequence[np.ndarray], true: Sequence[np.ndarray], times: np.ndarray,
         alt: str) -> EpisodePictures:
    """
    Return a video of the prediction above the truth, as long as the motion.

    :param predicted: T images (H, W, 3) uint8; :param true: as many.
    :param times: (T,) [s]
    """
    height = round(_WIDTH * predicted[0].shape[0] / predicted[0].shape[1] / 2) * 2

    def stacked(index: int) -> np.ndarray:
        return np.concatenate([np.asarray(Image.fromarray(image).resize(
            (_WIDTH, height), Image.Resampling.LANCZOS)) for image in (
                predicted[index], true[index])])

    fps = (len(times) - 1) / times[-1] if times[-1] > 0 else 10.0
    order = [*range(len(times)), *[len(times) - 1] * round(_HOLD * fps)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'film.mp4')
        write_video(path, map(stacked, order), fps, quality=26)
        data = path.read_bytes()
    return EpisodePictures(data, 'video/mp4', alt, poster=_jpeg(stacked(len(times) // 2)))


def strip(predicted: Sequence[np.ndarray], true: Sequence[np.ndarray], times: np.ndarray,
          alt: str) -> EpisodePictures:
    """Return a sheet of some frames: the prediction above the truth."""
    page = pictures.sheet([('predicted', predicted), ('real', true)], times.tolist(),
                          width=_KEY_WIDTH)
    return EpisodePictures(_jpeg(page), 'image/jpeg', alt)


def _key_frames(episode: Episode, times: np.ndarray) -> np.ndarray:
    """Return the indices of a few frames, spread over the motion, that were recorded too."""
    there = frames_with_truth(episode, times)
    count = min(_KEY_FRAMES, len(there))
    chosen: np.ndarray = there[np.linspace(0, len(there) - 1, count).round().astype(int)]
    return chosen


def _jpeg(image: np.ndarray) -> bytes:
    """Return an (H, W, 3) uint8 image as JPEG."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, 'JPEG', quality=72, optimize=True, progressive=True)
    return out.getvalue()
