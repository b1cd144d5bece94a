# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One episode of a set, checked, written as an MCAP file of ours."""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.motion import (MotionSettings, read_motion, SourceMotion, why_refused)
from kinema4d_ros.datasets.preset import RobotPreset
from kinema4d_ros.datasets.source import FrameStream, SourceEpisode
from kinema4d_ros.datasets.timing import decoded_check, frame_timing
from kinema4d_ros.datasets.views import choose_stream, known_camera, KnownCamera
from kinema4d_ros.episodes import EpisodeMetadata, EpisodeWriter
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory

KIND = 'imported'
CAMERA_FRAME = 'camera_color_optical_frame'
_START_NS = 10**9             # stamp of the first row
_TOGETHER = 0.02              # [s] depth and colour that are so near are of one moment


@dataclass(frozen=True)
class EpisodeSettings:
    """What the user says of the episodes of a set."""

    camera: str = ''                        # name or part of it; '' as the preset has it
    motion: MotionSettings = field(default_factory=MotionSettings)
    extrinsics: KnownCamera | None = None   # of that camera, in place of what the set says
    jpeg_quality: int = 92


@dataclass(frozen=True)
class WrittenEpisode:
    """What became of an episode."""

    checks: tuple[ImportCheck, ...]
    camera: str = ''
    camera_known: bool = False
    camera_origin: str = ''
    frames: int = 0
    has_depth: bool = False
    by_ik: bool = False
    refused: str = ''           # why it was not written


def write_episode(path: Path, episode: SourceEpisode, preset: RobotPreset, urdf: str,
                  robot: Robot, settings: EpisodeSettings) -> WrittenEpisode:
    """
    Check an episode and write it, all or nothing; pictures are decoded one at a time.

    The trajectory is the path that was driven, from the first row on: what a set calls an action
    is another, and is told in the checks. An episode whose camera is not known is written without
    a place for it, which gives no observation and no verdict, but can be calibrated by.

    :param urdf: text of the robot.
    :raises DatasetError: it cannot be read.
    """
    key, stream, depth = choose_stream(episode, preset, settings.camera)
    motion = read_motion(episode, preset, robot, settings.motion)
    timing = frame_timing(episode.times, stream)
    checks = [*motion.checks, timing.check]
    allow = settings.motion.allow
    if why := why_refused(tuple(checks), allow):
        return WrittenEpisode(tuple(checks), key, refused=why)
    pictures = iter(stream)
    first = next(pictures, None)
    if first is None or not len(timing.times):
        return WrittenEpisode(tuple(checks), key, refused='frames: there is no picture')
    size = (first.shape[1], first.shape[0])
    camera = known_camera(key, episode, preset, size, settings.extrinsics)
    try:
        with EpisodeWriter(path, jpeg_quality=settings.jpeg_quality) as writer:
            _write_head(writer, episode, preset, key, camera, motion)
            _write_robot(writer, preset, urdf, robot, camera)
            _write_motion(writer, motion)
            count = _write_color(writer, itertools.chain([first], pictures), timing.times, camera,
                                 size)
            has_depth = depth is not None and _write_depth(writer, depth, timing.times, camera,
                                                           size)
            checks.append(decoded_check(count, min(len(timing.times), stream.count or count)))
            if why := why_refused(tuple(checks), allow):
                raise _RefusedError(why)
    except _RefusedError as error:
        return WrittenEpisode(tuple(checks), key, refused=str(error))
    return WrittenEpisode(tuple(checks), key, camera.exact, camera.origin, count, has_depth,
                          motion.by_ik)


class _RefusedError(Exception):
    """Ends the writing of an episode, of which nothing is left then."""


def _stamp(time: float) -> int:
    return _START_NS + round(float(time) * 1e9)


def _write_head(writer: EpisodeWriter, episode: SourceEpisode, preset: RobotPreset, key: str,
                camera: KnownCamera, motion: SourceMotion) -> None:
    """Add what is known of the whole, and the camera's K."""
    writer.add_metadata(_START_NS, EpisodeMetadata(
        robot=episode.robot or preset.name, task_text=episode.text, kind=KIND,
        success=episode.success, camera=key, carried_object=None, goal_object=None, goal={},
        source=episode.origin, licence=episode.licence or preset.licence,
        trajectory_note='the joints as they moved'
        + (', by inverse kinematics of the tip' if motion.by_ik else ''),
        camera_known=camera.exact))
    writer.add_camera_info(_START_NS, CAMERA_FRAME, camera.calibration.pinhole)


def _write_color(writer: EpisodeWriter, pictures: Iterator[np.ndarray], times: np.ndarray,
                 camera: KnownCamera, size: tuple[int, int]) -> int:
    """Add the pictures; return how many there are."""
    count = 0
    for at, image in zip(times, pictures):
        if image.shape[:2] != size[::-1]:
            raise DatasetError(f'picture {count} has {image.shape[1]} x {image.shape[0]} pixels, '
                               f'the first {size[0]} x {size[1]}')
        writer.add_image(_stamp(at), CAMERA_FRAME, camera.calibration.rectify(image))
        count += 1
    return count


def _write_robot(writer: EpisodeWriter, preset: RobotPreset, urdf: str, robot: Robot,
                 camera: KnownCamera) -> None:
    """Add the robot, with the camera where it is known."""
    parent = camera.parent or preset.base or robot.root_link
    if parent not in robot.link_names:
        raise DatasetError(f'the camera is told in the link {parent!r}, which the URDF lacks; it '
                           f'has {", ".join(robot.link_names)}')
    if camera.exact and camera.T_base_camera is not None:
        urdf = with_camera(urdf, CAMERA_FRAME, parent, camera.T_base_camera)
        writer.add_static_transform(_START_NS, parent, CAMERA_FRAME, camera.T_base_camera)
    writer.add_robot_description(_START_NS, urdf)


def _write_motion(writer: EpisodeWriter, motion: SourceMotion) -> None:
    velocities = np.gradient(motion.positions, motion.times, axis=0)
    for at, row, speed in zip(motion.times, motion.positions, velocities):
        writer.add_joint_state(_stamp(at), motion.joint_names, row, speed)
    places = [motion.joint_names.index(name) for name in motion.moved]
    velocities[-1] = 0.0        # a trajectory ends at rest, where a recording was cut off
    writer.add_trajectory(_START_NS, JointTrajectory(
        motion.moved, motion.times, motion.positions[:, places], velocities[:, places]))


def _write_depth(writer: EpisodeWriter, depth: FrameStream, times: np.ndarray,
                 camera: KnownCamera, size: tuple[int, int]) -> bool:
    """Add depth that has a picture for each of the colour's; return whether there was some."""
    own, count = depth.times, 0
    for number, picture in enumerate(depth):
        if number >= len(times if own is None else own):
            break
        if picture.shape != (size[1], size[0]):
            raise DatasetError(f'depth has {picture.shape[1]} x {picture.shape[0]} pixels, colour '
                               f'{size[0]} x {size[1]}: it is not registered to it')
        at = number if own is None else int(np.abs(times - own[number]).argmin())
        if own is None or abs(times[at] - own[number]) < _TOGETHER:
            writer.add_depth(_stamp(times[at]), CAMERA_FRAME,
                             camera.calibration.rectify_depth(picture))
            count += 1
    return count > 0
