# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags as a data set: MCAP or db3, in one file or split, with zstd; each bag an episode."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from rosbags.rosbag2 import Reader

from kinema4d_ros.camera.pixels import image_to_array, to_metres, to_rgb
from kinema4d_ros.datasets.paths import file_names, MOST_BYTES, MOST_PIXELS
from kinema4d_ros.datasets.source import FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.datasets.video import decode_image, LazyFrames
from kinema4d_ros.episodes.recording import as_episode
from kinema4d_ros.episodes.sources import choose
from kinema4d_ros.episodes.topics import Topic, TYPES, typestore
from kinema4d_ros.errors import DatasetError, EpisodeError, Kinema4DError
from kinema4d_ros.robot import ForwardKinematics, Robot

CAMERA = 'camera'
_SMALL = (Topic.ROBOT_DESCRIPTION, Topic.TF_STATIC, Topic.CAMERA_INFO, Topic.JOINT_STATES)
_ALL = (*_SMALL, Topic.IMAGE, Topic.DEPTH)
_RAW = 'sensor_msgs/msg/Image'
_PNG = b'\x89PNG'


def bag_paths(path: Path) -> list[Path]:
    """Return the bags at a path: folders with metadata.yaml, and files that are in none."""
    if path.is_file():
        return [path] if path.suffix in ('.mcap', '.db3') else []
    folders = sorted(file.parent for file in path.rglob('metadata.yaml'))
    files = [file for pattern in ('*.mcap', '*.db3') for file in sorted(path.rglob(pattern))
             if file.parent not in folders]
    return [*folders, *files]


class RosbagSource:
    """Bags in a folder; which topic is what is told, or recognised by its name."""

    form = 'ROS 2 bags'

    def __init__(self, path: Path, topics: Mapping[str, str] = MappingProxyType({})) -> None:
        """Remember where to look, and what the bags call things: role -> topic."""
        self.path, self.topics = path, topics

    @cached_property
    def _bags(self) -> Mapping[str, Path]:
        return file_names(((
            bag.name if bag == self.path else bag.relative_to(self.path).as_posix(), bag)
            for bag in bag_paths(self.path)), ('.mcap', '.db3'))

    def episode_names(self) -> Sequence[str]:
        """Return the names of the bags."""
        return tuple(self._bags)

    def read(self, name: str) -> SourceEpisode:
        """
        Read all but the pictures of a bag.

        :raises DatasetError: it is damaged, or lacks joint states or pictures.
        """
        bag = self._bags[name]
        try:
            return self._read(name, bag)
        except DatasetError:
            raise
        except Exception as error:      # a damaged file makes the reader raise almost anything
            raise DatasetError(f'{bag} is damaged, or no bag of ROS 2 '
                               f'({type(error).__name__}: {error})') from error

    def _read(self, name: str, bag: Path) -> SourceEpisode:
        stored: dict[str, list[tuple[int, bytes]]] = {}
        stamps: dict[str, list[int]] = {}
        size = 0
        with Reader(bag) as reader:
            try:
                chosen = choose(bag, ((c.topic, c.msgtype) for c in reader.connections),
                                self.topics)
            except EpisodeError as error:
                raise DatasetError(str(error)) from error
            known = {topic: role for role, topic in chosen.names.items() if role in _ALL}
            connections = [c for c in reader.connections if c.topic in known]
            for connection, stamp, data in reader.messages(connections=connections) \
                    if connections else ():
                role = known[connection.topic]
                if role in _SMALL:
                    size += len(data)
                    if size > MOST_BYTES:
                        raise DatasetError(f'{bag} has more than {MOST_BYTES} bytes of states')
                    stored.setdefault(role, []).append((stamp, bytes(data)))
                else:
                    stamps.setdefault(role, []).append(_header_stamp(connection, stamp, data))
        lacking = [role for role in (Topic.JOINT_STATES, Topic.IMAGE)
                   if role not in stored and role not in stamps]
        if lacking:
            raise DatasetError(f'{bag} lacks {", ".join(map(str, lacking))}; name the topics with '
                               f'--topics: {chosen.hints}')
        cameras, urdf = self._camera(bag, stored)
        names, times, positions, start = _joints(stored[Topic.JOINT_STATES])
        videos: dict[str, FrameStream] = {}
        for role, camera in ((Topic.IMAGE, CAMERA), (Topic.DEPTH, f'{CAMERA}_depth')):
            if role in stamps:
                at = (np.array(stamps[role]) - start) * 1e-9
                within = (at >= times[0]) & (at <= times[-1])
                videos[camera] = LazyFrames(
                    _Pictures(bag, chosen.names[role], role, within), at[within],
                    is_depth=role is Topic.DEPTH)
        return SourceEpisode(
            name, times, {'joint_states': positions}, videos, {'joint_states': names}, cameras,
            origin=f'bag {bag.name}', robot_description=urdf)

    @staticmethod
    def _camera(bag: Path, stored: dict[str, list[tuple[int, bytes]]]
                ) -> tuple[dict[str, SourceCamera], str]:
        """Return what the bag says of its camera, and its robot."""
        if Topic.CAMERA_INFO not in stored:
            return {}, _urdf(stored)
        info = _message(stored[Topic.CAMERA_INFO][0][1], Topic.CAMERA_INFO)
        T = None
        urdf = _urdf(stored)
        if urdf:
            try:        # the camera becomes a link by way of /tf_static
                placed = as_episode(bag, dict(stored), (CAMERA,))
                robot = Robot.from_urdf(_urdf(placed))
                frame = info.header.frame_id
                if all(joint.type.value == 'fixed' for joint in robot.path(frame)):
                    fk = ForwardKinematics(robot)(robot.configuration({})[None])
                    T = fk[0, robot.link_names.index(frame)]
            except Kinema4DError:
                T = None            # the report says that T is not known
        K = np.reshape(np.asarray(info.k, np.float64), (3, 3))
        if not K[0, 0] > 0:
            return {}, urdf
        return {CAMERA: SourceCamera(K, T, (info.width, info.height), tuple(map(float, info.d)),
                                     info.distortion_model, 'camera_info and tf_static')}, urdf


class _Pictures:
    """The pictures of one topic, decoded one at a time."""

    def __init__(self, bag: Path, topic: str, role: Topic, within: np.ndarray) -> None:
        self._bag, self._topic, self._role, self._within = bag, topic, role, within

    def __call__(self) -> Iterator[np.ndarray]:
        number = -1
        try:
            with Reader(self._bag) as reader:
                connections = [c for c in reader.connections if c.topic == self._topic]
                for connection, _, data in reader.messages(connections=connections):
                    number += 1
                    if self._within[number]:
                        yield self._decode(typestore.deserialize_cdr(data, connection.msgtype),
                                           connection.msgtype, number)
        except Kinema4DError:
            raise
        except Exception as error:      # as above
            raise DatasetError(f'{self._bag}: {self._topic}, message {number}: {error}') from error

    def _decode(self, message: Any, kind: str, number: int) -> np.ndarray:
        is_depth = self._role is Topic.DEPTH
        if kind == _RAW:
            if message.width * message.height > MOST_PIXELS:
                raise DatasetError(f'{self._topic}, message {number}: {message.width} x '
                                   f'{message.height} pixels are too many')
            pixels = image_to_array(message)
            return to_metres(pixels, message.encoding) if is_depth else to_rgb(
                pixels, message.encoding)
        data = np.asarray(message.data, np.uint8).tobytes()
        where = f'{self._topic}, message {number}'
        if not is_depth:
            return decode_image(data, where)
        if message.format.startswith('32FC1'):
            raise DatasetError(f'{where}: depth as {message.format!r} is not read; record the raw '
                               'topic')
        return decode_image(data if data[:4] == _PNG else data[12:], where, 1e-3)


def _header_stamp(connection: Any, logged: int, data: Any) -> int:
    """Return the stamp of a message that begins with a header, that of the log where it has 0."""
    head = bytes(data[:12])
    order: Literal['little', 'big'] = 'little' if head[1] & 1 else 'big'
    seconds = int.from_bytes(head[4:8], order, signed=True)
    rest = int.from_bytes(head[8:12], order)
    return seconds * 10**9 + rest or logged


def _urdf(stored: Mapping[str, list[tuple[int, bytes]]]) -> str:
    texts = stored.get(Topic.ROBOT_DESCRIPTION)
    return str(_message(texts[-1][1], Topic.ROBOT_DESCRIPTION).data) if texts else ''


def _message(raw: bytes, topic: Topic) -> Any:
    return typestore.deserialize_cdr(raw, TYPES[topic])


def _joints(messages: list[tuple[int, bytes]]
            ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, int]:
    """Return names, times (N,) [s], positions (N, J), and the stamp of time 0 [ns]."""
    states = []
    for stamp, raw in messages:
        message = _message(raw, Topic.JOINT_STATES)
        at = message.header.stamp
        states.append((at.sec * 10**9 + at.nanosec or stamp,
                       dict(zip(message.name, map(float, message.position)))))
    states.sort(key=lambda item: item[0])
    known: dict[str, float] = {}
    for _, state in reversed(states):        # before a joint is first heard of, it is there too
        known.update(state)
    names, rows = tuple(known), []
    for _, state in states:
        known.update(state)
        rows.append([known[name] for name in names])
    stamps = np.array([stamp for stamp, _ in states], np.int64)
    keep = np.r_[True, np.diff(stamps) > 0]
    start = int(stamps[0])
    return names, (stamps[keep] - start) * 1e-9, np.array(rows, np.float64)[keep], start
