# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episode files: found by name, and their messages by topic, checked for damage, type, presence."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from kinema4d_ros.episodes import recording
from kinema4d_ros.episodes.images import raw_color, raw_depth
from kinema4d_ros.episodes.repair import repaired_path
from kinema4d_ros.episodes.sources import choose, OWN_NAMES, RAW_TYPE, trajectory_in
from kinema4d_ros.episodes.topics import (of_first, REQUIRED, Topic, type_of, TYPES,
                                         typestore)
from kinema4d_ros.episodes.writer import trajectory_message
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.types import JointTrajectory

MAX_BYTES = 1_000_000_000
_CURE = 'record it again, fetch the file again, or, where its recorder was killed, make a copy ' \
    'that can be read with kinema4d record --repair FILE'
_RAW = {Topic.IMAGE: raw_color, Topic.DEPTH: raw_depth}
OTHER_NAMES = {topic: f'{topic} (or {name})' for topic, name in OWN_NAMES.items()}


class Messages:
    """
    All messages of one file as serialised bytes, deserialised when asked for.

    A file without the metadata of an episode is taken for a recording of a live robot.
    """

    def __init__(self, path: Path, topics: Mapping[str, str] = MappingProxyType({}),
                 trajectory: JointTrajectory | None = None, *, placed: bool = True):
        """
        Make a reader of a recording, which is read once, checksums included.

        :param path: of the file, or of a bag's folder with one file.
        :param topics: what the bag calls them, by role (`sources.ROLES`), where it is not as we do.
        :param trajectory: in place of that of the recording; it begins with its last image.
        :param placed: False: where the camera is need not be in it.
        :raises EpisodeError: when it is missing, too large, damaged, or lacks a topic.
        """
        self.path = path = in_folder(path)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise EpisodeError(f'episode {path} cannot be opened: {error.strerror}; the bundled '
                               'episodes are in data/episodes') from error
        if not path.is_file():
            raise EpisodeError(f'episode {path} is not a file; name one .mcap file')
        if size > MAX_BYTES:
            raise EpisodeError(f'episode {path} has {size} bytes, more than the {MAX_BYTES} that '
                               'are read into memory; record fewer or smaller images')
        self._raw: recording.Stored = {}
        self._types: dict[str, str] = {str(topic): kind for topic, kind in TYPES.items()}
        try:
            with Reader(path) as reader:
                chosen = choose(path, ((c.topic, c.msgtype) for c in reader.connections), topics)
                known = {name: topic for topic, name in chosen.names.items()}
                self._types |= {topic: type_of(topic) for topic in chosen.names}
                connections = [c for c in reader.connections if c.topic in known]
                for connection in connections:
                    topic, kind = known[connection.topic], connection.msgtype
                    if of_first(topic) in _RAW and kind == RAW_TYPE:
                        self._types[topic] = RAW_TYPE
                    elif kind != type_of(topic) and topic != Topic.TRAJECTORY:
                        raise EpisodeError(f'episode {path}: topic {connection.topic} has type '
                                           f'{kind}, expected {type_of(topic)}')
                if connections:
                    for connection, stamp_ns, data in reader.messages(connections=connections):
                        topic, kept = known[connection.topic], data
                        if topic == Topic.TRAJECTORY and connection.msgtype != type_of(topic):
                            kept = _trajectory_inside(data, connection)
                        if kept:
                            self._raw.setdefault(topic, []).append((stamp_ns, kept))
        except EpisodeError:
            raise
        except Exception as error:      # a damaged file makes the reader raise almost anything
            raise EpisodeError(f'episode {path} is damaged or no MCAP file of ROS 2 '
                               f'({type(error).__name__}: {error}); '
                               f'{_why_to_convert(path) or _CURE}') from error
        if trajectory is not None and self._raw.get(Topic.IMAGE):
            self._take(trajectory)
        if self._raw and Topic.METADATA not in self._raw:
            self._raw = recording.as_episode(path, self._raw, chosen.cameras, placed=placed)
        #: names of the cameras, the first of them with the topics of `Topic`
        self.cameras = chosen.cameras
        missing = [OTHER_NAMES.get(topic, str(topic)) for topic in TYPES
                   if topic in REQUIRED and topic not in self._raw]
        if missing:
            there = ', '.join(sorted(chosen.names[topic] for topic in self._raw
                                     if topic in chosen.names)) or 'none'
            hint = f', or say what the bag calls them: {chosen.hints}' if chosen.hints else ''
            raise EpisodeError(f'episode {path} lacks the topic {", ".join(missing)}; it has: '
                               f'{there}; record these topics too{hint}')
        self._check_registered(chosen.names)

    def _take(self, trajectory: JointTrajectory) -> None:
        """Take a trajectory for one that was sent right after the last image."""
        stamp_ns = self._raw[Topic.IMAGE][-1][0] + 1
        message = trajectory_message(stamp_ns, trajectory)
        self._raw[Topic.TRAJECTORY] = [
            (stamp_ns, bytes(typestore.serialize_cdr(message, TYPES[Topic.TRAJECTORY])))]

    def _check_registered(self, names: Mapping[str, str]) -> None:
        """Check that depth, where it was chosen by its name, is that of the image's pixels."""
        if not self._raw.get(Topic.DEPTH) or names[Topic.DEPTH] in (
                Topic.DEPTH, OWN_NAMES[Topic.DEPTH]):
            return
        frames = [self.get(topic, 0).header.frame_id for topic in (Topic.DEPTH, Topic.IMAGE)]
        if len(set(frames)) > 1:
            raise EpisodeError(
                f'episode {self.path}: {names[Topic.DEPTH]} is in the frame {frames[0]!r} and '
                f'{names[Topic.IMAGE]} in {frames[1]!r}, so the depth is not registered to the '
                'image; record registered depth (RealSense: align_depth.enable:=true)')

    def stamps(self, topic: str) -> np.ndarray:
        """Return the stamps of a topic's messages, (N,) int64 [ns], ascending."""
        return np.array([stamp for stamp, _ in self._raw.get(topic, ())], np.int64)

    def get(self, topic: str, index: int) -> Any:
        """
        Deserialise one message.

        :raises EpisodeError: when its bytes do not fit its type.
        """
        raw = self._raw[topic][index][1]
        try:
            return typestore.deserialize_cdr(raw, self._types[topic])
        except Exception as error:      # wrong bytes may fail in any way
            raise self.error(topic, index, f'cannot be deserialised ({error})') from error

    def only(self, topic: str) -> Any:
        """
        Deserialise the one message of a topic.

        :raises EpisodeError: when there are several.
        """
        count = len(self._raw[topic])
        if count != 1:
            raise EpisodeError(f'episode {self.path}: topic {topic} has {count} messages, expected '
                               'one; an episode is one robot, one camera, one trajectory')
        return self.get(topic, 0)

    def decode(self, topic: str, index: int, how: Callable[..., np.ndarray],
               *arguments: int) -> np.ndarray:
        """Decode the data of an image, saying which one it was when it fails."""
        message = self.get(topic, index)
        try:
            if self._types[topic] == RAW_TYPE:
                return _RAW[of_first(topic)](message, *arguments)
            if message.format.startswith('32FC1'):
                raise EpisodeError(f'depth as {message.format!r} is not read; record the raw topic')
            return how(message.data, *arguments)
        except EpisodeError as error:
            raise self.error(topic, index, str(error)) from error

    def error(self, topic: str, index: int, what: str) -> EpisodeError:
        """Return an error that names file, topic and message."""
        return EpisodeError(f'episode {self.path}: topic {topic}, message {index}: {what}; {_CURE}')


def _trajectory_inside(data: bytes, connection: Connection) -> bytes:
    """Return the trajectory of a message that holds one besides other things, b'' without."""
    store = get_typestore(Stores.ROS2_JAZZY)
    known = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    store.register({name: kind for name, kind in known.items() if name not in store.types})
    found = trajectory_in(store.deserialize_cdr(data, connection.msgtype))
    return b'' if found is None else bytes(
        store.serialize_cdr(found, TYPES[Topic.TRAJECTORY]))


def in_folder(path: Path) -> Path:
    """
    Return the one .mcap or .db3 file of a folder, as bags are; any other path as it is.

    The repaired copy of a file stands for it.
    """
    files = _files(path)
    return files[0] if len(files) == 1 else path


def _files(folder: Path) -> list[Path]:
    """Return the files of a bag; those of MCAP where there are some."""
    files = sorted(folder.glob('*.mcap')) or sorted(folder.glob('*.db3'))
    return [file for file in files if not repaired_path(file).is_file()]


def _why_to_convert(path: Path) -> str | None:
    """Say how one file is made of a bag of ROS 1, or in several files; None for what is none."""
    if path.suffix != '.bag' and len(_files(path)) < 2:
        return None
    return ('one file of a bag of ROS 2 is read, which others become by rosbags-convert '
            f'--src {path} --dst {path.with_suffix("")}_mcap --dst-storage mcap')


def find_episode(name: str | Path) -> Path:
    """
    Return the path of an episode given as a path or as the name of a bundled one.

    A folder with one .mcap file, as a recording is, stands for that file.

    :raises EpisodeError: there is no such file; the message lists what there is.
    """
    path = in_folder(Path(name).expanduser())
    if path.is_file():
        return path
    why = _why_to_convert(path) if path.is_dir() else None
    if why is not None:
        raise EpisodeError(f'{path} cannot be read as it is: {why}')
    bundled_folder = share_dir() / 'data' / 'episodes'
    for candidate in (bundled_folder / name, bundled_folder / f'{name}.mcap'):
        if candidate.is_file():
            return candidate
    folder = path if path.is_dir() else path.parent
    here = sorted(file.name for file in folder.glob('*.mcap')) if folder.is_dir() else []
    bundled = sorted(file.stem for file in bundled_folder.glob('*.mcap'))
    raise EpisodeError(
        f'no such episode: {str(name)!r}; in {folder}: {", ".join(here) or "no .mcap file"}; '
        f'bundled: {", ".join(bundled) or "none"}')
