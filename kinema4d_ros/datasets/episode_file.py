# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One episode of a set, checked, written as an MCAP file of ours."""
from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.more_cameras import MoreCameras
from kinema4d_ros.datasets.motion import (MotionSettings, read_motion, SourceMotion, why_refused)
from kinema4d_ros.datasets.pictures import stamp, START_NS, write_color, write_depth
from kinema4d_ros.datasets.preset import RobotPreset
from kinema4d_ros.datasets.source import SourceEpisode
from kinema4d_ros.datasets.timing import decoded_check, frame_timing
from kinema4d_ros.datasets.views import (choose_stream, given_cameras, known_camera,
                                         KnownCamera)
from kinema4d_ros.episodes import EpisodeMetadata, EpisodeWriter
from kinema4d_ros.episodes.topics import CAMERA
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory

KIND = 'imported'
CAMERA_FRAME = 'camera_color_optical_frame'


@dataclass(frozen=True)
class EpisodeSettings:
    """What the user says of the episodes of a set."""

    camera: str = ''                        # name or part of it; '' as the preset has it
    motion: MotionSettings = field(default_factory=MotionSettings)
    extrinsics: KnownCamera | None = None   # of that camera, in place of what the set says
    #: of cameras, by name or a part of it that fits one only
    more_extrinsics: Mapping[str, KnownCamera] = field(default_factory=dict)
    one_camera: bool = False                # leave out all but that one
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
    more_cameras: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()      # of these, those whose place is not known


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
    pictures = itertools.islice(stream, timing.skipped, None)
    first = next(pictures, None)
    if first is None or not len(timing.times):
        return WrittenEpisode(tuple(checks), key, refused='frames: there is no picture')
    size = (first.shape[1], first.shape[0])
    given = given_cameras(settings.more_extrinsics, episode)
    if settings.extrinsics is not None and key in given:
        raise DatasetError(f'{episode.name}: two extrinsics are of the first camera, {key}')
    camera = known_camera(key, episode, preset, size, settings.extrinsics or given.get(key))
    more = MoreCameras() if settings.one_camera else MoreCameras.of(
        episode, preset, robot, key, given)
    try:
        with EpisodeWriter(path, jpeg_quality=settings.jpeg_quality) as writer:
            _write_head(writer, episode, preset, key, camera, motion, more)
            _write_robot(writer, preset, more.on(urdf), robot, camera)
            _write_motion(writer, motion, () if preset.gripper is None else preset.gripper.joints)
            count = write_color(writer, itertools.chain([first], pictures), timing.times, camera,
                                CAMERA_FRAME)
            has_depth = depth is not None and write_depth(
                writer, depth, episode.times, timing.times, camera, CAMERA_FRAME)
            checks.append(decoded_check(count, min(len(timing.times), stream.count or count)))
            if why := why_refused(tuple(checks), allow):
                raise _RefusedError(why)
            more.write(writer)
    except _RefusedError as error:
        return WrittenEpisode(tuple(checks), key, refused=str(error))
    return WrittenEpisode((*checks, *more.checks), key, camera.exact, camera.origin, count,
                          has_depth, motion.by_ik, more_cameras=more.names,
                          unplaced=more.unplaced)


class _RefusedError(Exception):
    """Ends the writing of an episode, of which nothing is left then."""


def _write_head(writer: EpisodeWriter, episode: SourceEpisode, preset: RobotPreset, key: str,
                camera: KnownCamera, motion: SourceMotion, more: MoreCameras) -> None:
    """Add what is known of the whole, and the camera's K."""
    writer.add_metadata(START_NS, EpisodeMetadata(
        robot=episode.robot or preset.name, task_text=episode.text, kind=KIND,
        success=episode.success, camera=key, carried_object=None, goal_object=None, goal={},
        source=episode.origin, licence=episode.licence or preset.licence,
        trajectory_note='the joints as they moved'
        + (', by inverse kinematics of the tip' if motion.by_ik else ''),
        camera_known=camera.exact, cameras=(CAMERA, *more.names) if more.names else (),
        unplaced=more.unplaced))
    writer.add_camera_info(START_NS, CAMERA_FRAME, camera.calibration.pinhole)


def _write_robot(writer: EpisodeWriter, preset: RobotPreset, urdf: str, robot: Robot,
                 camera: KnownCamera) -> None:
    """Add the robot, with the camera where it is known."""
    parent = camera.parent or preset.base or robot.root_link
    if parent not in robot.link_names:
        raise DatasetError(f'the camera is told in the link {parent!r}, which the URDF lacks; it '
                           f'has {", ".join(robot.link_names)}')
    if camera.exact and camera.T_base_camera is not None:
        urdf = with_camera(urdf, CAMERA_FRAME, parent, camera.T_base_camera)
        writer.add_static_transform(START_NS, parent, CAMERA_FRAME, camera.T_base_camera)
    writer.add_robot_description(START_NS, urdf)


def _write_motion(writer: EpisodeWriter, motion: SourceMotion, gripper: Collection[str]) -> None:
    """Add the joints and the trajectory."""
    velocities = np.gradient(motion.positions, motion.times, axis=0)
    # A gripper stops at its end within one row. Through mean velocities, what is between two rows
    # would go on beyond it, out of the limits of the joint; monotone pieces stay between the rows.
    for place, name in enumerate(motion.joint_names):
        if name in gripper:
            velocities[:, place] = PchipInterpolator(
                motion.times, motion.positions[:, place]).derivative()(motion.times)
    for at, row, speed in zip(motion.times, motion.positions, velocities):
        writer.add_joint_state(stamp(at), motion.joint_names, row, speed)
    places = [motion.joint_names.index(name) for name in motion.moved]
    velocities[-1] = 0.0        # a trajectory ends at rest, where a recording was cut off
    writer.add_trajectory(START_NS, JointTrajectory(
        motion.moved, motion.times, motion.positions[:, places], velocities[:, places]))
