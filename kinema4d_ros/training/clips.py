# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips for training of recorded episodes: what happened, beside the exact robot."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from kinema4d_ros.camera import LinkPose, RobotRenderer
from kinema4d_ros.datasets.robo4d_writer import ClipPixels
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError, WorldModelError
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import CameraView, Observation, RobotRollout
from kinema4d_ros.world_model.kinema4d import pointmap_codec
from kinema4d_ros.world_model.kinema4d.config import Geometry
from kinema4d_ros.world_model.kinema4d.frames import ModelView, padded

NORMALISERS = {'scene': pointmap_codec.per_clip, 'per_frame': pointmap_codec.per_frame}
_STILL = 5e-3      # how far the camera's pose matrix may change; as the engine allows


@dataclass(frozen=True)
class ClipSettings:
    """How clips are made; the engine's settings of the same names must say the same later."""

    normaliser: str = 'scene'       # scene or per_frame
    background: float = -1.0        # value of pixels without robot, -1 (black) to 1
    fit: str = 'crop'               # how other image shapes become 3:2: crop, pad or stretch
    padding: str = 'reverse'        # of clips that are too short: reverse or hold
    seconds: float = 0.0            # length of a clip; 0 takes the whole motion as one clip

    def check(self) -> None:
        """Raise WorldModelError for a value that does not exist, naming those that do."""
        if self.normaliser not in NORMALISERS:
            raise WorldModelError(f'normaliser {self.normaliser!r} cannot be trained with; choose '
                                  f'one of: {", ".join(NORMALISERS)}')
        if not -1 <= self.background <= 1:
            raise WorldModelError(f'background must be -1 to 1, got {self.background:g}')
        if not (self.seconds == 0 or self.seconds > 0.1):
            raise WorldModelError(
                f'seconds must be 0, for the whole motion, or more than 0.1, got {self.seconds:g}')
        padded(1, 1, self.padding)


class EpisodeRobot:
    """The robot of an episode as it really moved, drawn as its camera sees it."""

    def __init__(self, episode: Episode, package_paths: Sequence[str | Path] = ()):
        """Load the meshes of an episode's robot, whose packages may be in further folders."""
        self._episode = episode
        self.robot = Robot.from_urdf(episode.robot_description, package_paths=package_paths)
        self._kinematics = ForwardKinematics(self.robot)

    @cached_property
    def _renderer(self) -> RobotRenderer:
        return RobotRenderer(load_meshes(self.robot), self.robot.link_names)

    def rollout(self, frames: np.ndarray, first: Observation) -> RobotRollout:
        """
        Return the robot at frames of the episode, by the joint states that were measured.

        :param frames: (T,) int, index of each.
        :param first: of the first of them; the robot has its colours.
        :raises DatasetError: the camera moves.
        """
        episode, robot, view = self._episode, self.robot, first.view
        positions = np.stack([robot.configuration(episode.frames[i].joint_positions, strict=False)
                              for i in frames])
        T_base_link = self._kinematics(positions)
        T_base_frame = LinkPose(episode.camera_frame).poses(robot.link_names, T_base_link)
        moved = float(np.abs(T_base_frame - T_base_frame[0]).max())
        if moved > _STILL:
            raise DatasetError(f'{episode.path.name}: the camera moves (its pose matrix changes by '
                               f'{moved:.3f}); the model knows only cameras that stand still')
        T_base_camera = np.repeat(view.T_base_camera[None], len(frames), axis=0)
        seen = self._renderer.render(T_base_link[:1], view.camera, view.T_base_camera)
        look = self._renderer.appearance(view.image, seen.link_id[0], seen.pointmap[0],
                                         T_base_link[0], view.camera, view.T_base_camera,
                                         view.depth)
        images = self._renderer.render(T_base_link, view.camera, T_base_camera, look)
        return RobotRollout(
            episode.frames.times[frames] - episode.frames.times[frames[0]],
            robot.joint_names, positions, robot.link_names, T_base_link,
            view.camera, T_base_camera, images.pointmap, images.link_id, images.image)


def clips_of_episode(episode: Episode, size: Geometry, settings: ClipSettings,
                     wanted: Callable[[str], bool] = lambda name: True, *,
                     package_paths: Sequence[str | Path] = ()) -> Iterator[ClipPixels]:
    """
    Yield the clips of an episode.

    :param size: of the model.
    :param wanted: asked by name before a clip is made, which takes seconds.
    :param package_paths: folders to look for mesh packages in.
    :raises DatasetError: naming the episode: without depth, with a camera that moves, without a
        robot in view.
    """
    settings.check()
    robot = EpisodeRobot(episode, package_paths)
    for number, frames in enumerate(pieces(episode, settings.seconds)):
        name = clip_name(episode.path.stem, number)
        if wanted(name):
            yield make_clip(name, episode, robot, chosen(frames, size.frames, settings.padding),
                            size, settings)


def pieces(episode: Episode, seconds: float) -> list[np.ndarray]:
    """Return the frames of each clip, in order; the trajectory's own time bounds them."""
    times = episode.frames.times
    first = episode.start_index
    last = int(np.searchsorted(times, episode.trajectory.duration, 'right'))
    inside = np.arange(first, max(last, first + 1))
    if not seconds:
        return [inside]
    number = ((times[inside] - times[first]) / seconds).astype(int)
    parts = [inside[number == at] for at in range(number[-1] + 1)]
    return [part for part in parts if len(part) > 1] or [inside]


def chosen(frames: np.ndarray, count: int, padding: str) -> np.ndarray:
    """Return `count` of the frames, evenly spread; where there are too few, padded."""
    if len(frames) >= count:
        picked: np.ndarray = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        return picked
    padded_frames: np.ndarray = frames[padded(len(frames), count, padding)]
    return padded_frames


def make_clip(name: str, episode: Episode, robot: EpisodeRobot, frames: np.ndarray,
              size: Geometry, settings: ClipSettings) -> ClipPixels:
    """Return one clip of the frames of an episode (repeats allowed)."""
    unique, back = np.unique(frames, return_inverse=True)
    first = episode.observation(int(frames[0]) - episode.start_index)
    if first.view.depth is None:
        raise DatasetError(f'{episode.path.name}: no depth was recorded, so that the pointmap half '
                           'cannot be trained; record it, or estimate it before the import')
    rollout = robot.rollout(unique, first)
    view = ModelView(first, rollout, size, settings.fit)
    exact = view.robot_frames(np.arange(len(unique)))
    if not exact.mask.any():
        raise DatasetError(f'{episode.path.name}: the robot is in no frame of the image; check the '
                           "camera's pose and the robot's meshes")
    pictures, metres = [], []
    for index in unique:
        picture, points = seen_at(episode, int(index), first.view, size, settings)
        pictures.append(picture)
        metres.append(points)
    how = NORMALISERS[settings.normaliser](view.scene_points(), rollout.pointmap)
    every = slice(None)
    values = how.encode(np.stack(metres), every, settings.background)
    robot_values = how.encode(exact.pointmap, every, settings.background)
    return ClipPixels(
        name, np.stack(pictures)[back], exact.image[back], values[back], robot_values[back],
        exact.mask[back],
        {'source': episode.path.name, 'times': (episode.frames.times[frames]).tolist(),
         'normaliser': settings.normaliser, 'background': settings.background,
         'fit': settings.fit, 'padding': settings.padding, 'scale_m': how.scale,
         'centre_m': how.centre[back].tolist()})


def seen_at(episode: Episode, index: int, first: CameraView, size: Geometry,
            settings: ClipSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return picture (H, W, 3) uint8 and pointmap (H, W, 3) [m] of a frame in the model's size."""
    from kinema4d_ros.camera import ImageFit

    frame, calibration, camera = episode.frames[index], episode.calibration, first.camera
    if frame.depth is None:
        raise DatasetError(f'{episode.path.name}: frame {index} has no depth image')
    picture = calibration.rectify(frame.image)
    points = camera.rays() * without_holes(calibration.rectify_depth(frame.depth))[..., None]
    if (camera.width, camera.height) == (size.width, size.height):
        return picture, points
    fit = ImageFit(camera, size.width, size.height, settings.fit)
    return fit.apply(picture), fit.apply(points, nearest=True, fill=np.nan)


def without_holes(depth: np.ndarray) -> np.ndarray:
    """
    Return a depth image (H, W) whose unknown pixels have the value of the nearest known one.

    The labels that the released weights were trained on have no holes either.

    :raises DatasetError: nothing is known.
    """
    unknown = ~np.isfinite(depth)
    if unknown.all():
        raise DatasetError('a depth image knows no pixel at all')
    if not unknown.any():
        return depth
    rows, columns = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    filled: np.ndarray = depth[rows, columns]
    return filled


def clip_name(stem: str, number: int) -> str:
    """Return a name that the official scripts do not take apart."""
    safe = re.sub(r'[^A-Za-z0-9_.-]', '_', stem).replace('videos', 'vids').replace('mp4', 'm4')
    return f'{safe}_{number:03d}'
