# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cameras of an episode besides its first: kept with their place, or to be looked at only."""
from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.pictures import START_NS, write_color, write_depth
from kinema4d_ros.datasets.preset import RobotPreset
from kinema4d_ros.datasets.source import FrameStream, SourceEpisode
from kinema4d_ros.datasets.timing import frame_timing
from kinema4d_ros.datasets.views import color_streams, depth_of, known_camera, KnownCamera
from kinema4d_ros.episodes import EpisodeWriter
from kinema4d_ros.episodes.topics import CAMERA, CameraTopics
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.errors import DatasetError, EpisodeError
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Status


@dataclass(frozen=True, eq=False)
class _Camera:
    """A camera that is to be written; its first picture is decoded already."""

    name: str
    known: KnownCamera
    parent: str
    times: np.ndarray
    pictures: Iterator[np.ndarray]
    depth: FrameStream | None
    rows: np.ndarray

    @property
    def frame(self) -> str:
        return f'{self.name}_color_optical_frame'

    @property
    def is_placed(self) -> bool:
        return self.known.exact and self.known.T_base_camera is not None


class MoreCameras:
    """
    What is written of the cameras besides the first one.

    One whose K or place is not known keeps its pictures, and is in no observation. One that cannot
    be read is left out, with the reason: the episode is not refused for it.
    """

    def __init__(self, cameras: Sequence[_Camera] = (),
                 left_out: Mapping[str, str] = MappingProxyType({})) -> None:
        """
        Keep what is to be written; none by default.

        :param left_out: name of a camera -> why it is not.
        """
        self._cameras, self._left_out = tuple(cameras), dict(left_out)

    @classmethod
    def of(cls, episode: SourceEpisode, preset: RobotPreset, robot: Robot, first: str,
           given: Mapping[str, KnownCamera]) -> MoreCameras:
        """
        Find the cameras of an episode besides its first.

        :param first: what the set calls the first one.
        :param given: what the user knows of cameras, by name.
        """
        found, left_out, taken = [], {}, {CAMERA}
        for key, stream in color_streams(episode).items():
            if key == first:
                continue
            name = _topic_name(key, taken)
            taken.add(name)
            try:
                found.append(_camera(name, key, stream, episode, preset, robot, given.get(key)))
            except DatasetError as error:
                left_out[name] = str(error)
        return cls(found, left_out)

    @property
    def names(self) -> tuple[str, ...]:
        """As their topics begin, in the order of the set."""
        return tuple(camera.name for camera in self._cameras)

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Those whose place is not known."""
        return tuple(camera.name for camera in self._cameras if not camera.is_placed)

    @property
    def checks(self) -> tuple[ImportCheck, ...]:
        """What is to be said of them; nothing where there are none."""
        if not self._cameras and not self._left_out:
            return ()
        said = [f'{camera.name} is placed ({camera.known.origin})' if camera.is_placed else
                f'{camera.name} is kept to be looked at, its place is not known '
                f'({camera.known.origin})' for camera in self._cameras]
        said += [f'{name} is left out: {why}' for name, why in self._left_out.items()]
        return (ImportCheck('more cameras', Status.UNSURE if self._left_out else Status.PASS,
                            len(self._cameras) - len(self.unplaced), None, 'placed',
                            '; '.join(said)),)

    def on(self, urdf: str) -> str:
        """Return a URDF with the frames of those whose place is known."""
        for camera in self._cameras:
            if camera.is_placed:
                assert camera.known.T_base_camera is not None
                urdf = with_camera(urdf, camera.frame, camera.parent, camera.known.T_base_camera)
        return urdf

    def write(self, writer: EpisodeWriter) -> None:
        """Add the pictures; a camera that breaks in the middle keeps what it has given."""
        for camera in self._cameras:
            writer.add_camera_info(START_NS, camera.frame, camera.known.calibration.pinhole,
                                   name=camera.name)
            try:
                write_color(writer, camera.pictures, camera.times, camera.known, camera.frame,
                            camera.name)
                if camera.depth is not None:
                    write_depth(writer, camera.depth, camera.rows, camera.times, camera.known,
                                camera.frame, camera.name)
            except DatasetError as error:
                self._left_out[f'the rest of {camera.name}'] = str(error)


def _camera(name: str, key: str, stream: FrameStream, episode: SourceEpisode, preset: RobotPreset,
            robot: Robot, given: KnownCamera | None) -> _Camera:
    """
    Return a camera as it is to be written.

    :raises DatasetError: it has no pictures, none that go with the rows, or no link that it is on.
    """
    timing = frame_timing(episode.times, stream)
    if timing.check.status is Status.FAIL:
        raise DatasetError(timing.check.message)
    pictures = itertools.islice(stream, timing.skipped, None)
    first = next(pictures, None)
    if first is None or not len(timing.times):
        raise DatasetError('there is no picture')
    known = known_camera(key, episode, preset, (first.shape[1], first.shape[0]), given)
    parent = known.parent or preset.base or robot.root_link
    if parent not in robot.link_names:
        raise DatasetError(f'it is told in the link {parent!r}, which the URDF lacks')
    return _Camera(name, known, parent, timing.times, itertools.chain([first], pictures),
                   depth_of(key, episode), episode.times)


def _topic_name(key: str, taken: set[str]) -> str:
    """Return a name that topics can begin with, and no other camera has."""
    short = re.sub(r'\W', '_', re.split(r'[./]', key)[-1]).lstrip('_0123456789') or 'view'
    for number in itertools.count(1):
        name = short if number == 1 else f'{short}_{number}'
        if name not in taken and _names_a_camera(name):
            return name
    raise AssertionError('numbers do not end')


def _names_a_camera(name: str) -> bool:
    try:
        CameraTopics(name)
    except EpisodeError:
        return False      # of something else
    return True
