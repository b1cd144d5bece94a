# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episode files: found by name, and their messages by topic, checked for damage, type, presence."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import Reader

from kinema4d_ros.episodes import recording
from kinema4d_ros.episodes.images import raw_color, raw_depth
from kinema4d_ros.episodes.repair import repaired_path
from kinema4d_ros.episodes.topics import REQUIRED, Topic, TYPES, typestore
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.resources import share_dir

MAX_BYTES = 1_000_000_000
_CURE = 'record it again, fetch the file again, or, where its recorder was killed, make a copy ' \
    'that can be read with kinema4d record --repair FILE'
_RAW = {Topic.IMAGE: raw_color, Topic.DEPTH: raw_depth}


class Messages:
    """
    All messages of one file as serialised bytes, deserialised when asked for.

    A file without the metadata of an episode is taken for a recording of a live robot.
    """

    def __init__(self, path: Path):
        """
        Make a reader of a recording, which is read once, checksums included.

        :param path: of the file, or of a bag's folder with one file.
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
        known = {str(topic): topic for topic in Topic} | recording.RAW
        self._raw: recording.Stored = {}
        self._types = dict(TYPES)
        try:
            with Reader(path) as reader:
                connections = [c for c in reader.connections if c.topic in known]
                raw = {recording.RAW.get(c.topic) for c in connections}   # they hold more
                connections = [c for c in connections if c.topic not in raw]
                for connection in connections:
                    topic, kind = known[connection.topic], connection.msgtype
                    if connection.topic in recording.RAW:
                        self._types[topic] = recording.RAW_TYPE
                    if kind != self._types[topic]:
                        raise EpisodeError(f'episode {path}: topic {connection.topic} has type '
                                           f'{kind}, expected {self._types[topic]}')
                if connections:
                    for connection, stamp_ns, data in reader.messages(connections=connections):
                        self._raw.setdefault(known[connection.topic], []).append((stamp_ns, data))
        except EpisodeError:
            raise
        except Exception as error:      # a damaged file makes the reader raise almost anything
            raise EpisodeError(f'episode {path} is damaged or no MCAP file of ROS 2 '
                               f'({type(error).__name__}: {error}); {_CURE}') from error
        if self._raw and Topic.METADATA not in self._raw:
            self._raw = recording.as_episode(path, self._raw)
        other = {topic: f'{topic} (or {name})' for name, topic in recording.RAW.items()}
        missing = [other.get(topic, str(topic)) for topic in TYPES
                   if topic in REQUIRED and topic not in self._raw]
        if missing:
            there = ', '.join(sorted(map(str, self._raw))) or 'none'
            raise EpisodeError(f'episode {path} lacks the topic {", ".join(missing)}; it has: '
                               f'{there}; record these topics too')

    def stamps(self, topic: Topic) -> np.ndarray:
        """Return the stamps of a topic's messages, (N,) int64 [ns], ascending."""
        return np.array([stamp for stamp, _ in self._raw.get(topic, ())], np.int64)

    def get(self, topic: Topic, index: int) -> Any:
        """
        Deserialise one message.

        :raises EpisodeError: when its bytes do not fit its type.
        """
        raw = self._raw[topic][index][1]
        try:
            return typestore.deserialize_cdr(raw, self._types[topic])
        except Exception as error:      # wrong bytes may fail in any way
            raise self.error(topic, index, f'cannot be deserialised ({error})') from error

    def only(self, topic: Topic) -> Any:
        """
        Deserialise the one message of a topic.

        :raises EpisodeError: when there are several.
        """
        count = len(self._raw[topic])
        if count != 1:
            raise EpisodeError(f'episode {self.path}: topic {topic} has {count} messages, expected '
                               'one; an episode is one robot, one camera, one trajectory')
        return self.get(topic, 0)

    def decode(self, topic: Topic, index: int, how: Callable[..., np.ndarray],
               *arguments: int) -> np.ndarray:
        """Decode the data of an image, saying which one it was when it fails."""
        message = self.get(topic, index)
        try:
            if self._types[topic] == recording.RAW_TYPE:
                return _RAW[topic](message, *arguments)
            if message.format.startswith('32FC1'):
                raise EpisodeError(f'depth as {message.format!r} is not read; record the raw topic')
            return how(message.data, *arguments)
        except EpisodeError as error:
            raise self.error(topic, index, str(error)) from error

    def error(self, topic: Topic, index: int, what: str) -> EpisodeError:
        """Return an error that names file, topic and message."""
        return EpisodeError(f'episode {self.path}: topic {topic}, message {index}: {what}; {_CURE}')


def in_folder(path: Path) -> Path:
    """
    Return the one .mcap file of a folder, as bags are; any other path as it is.

    The repaired copy of a file stands for it.
    """
    files = sorted(path.glob('*.mcap')) if path.is_dir() else []
    files = [file for file in files if not repaired_path(file).is_file()]
    return files[0] if len(files) == 1 else path


def find_episode(name: str | Path) -> Path:
    """
    Return the path of an episode given as a path or as the name of a bundled one.

    A folder with one .mcap file, as a recording is, stands for that file.

    :raises EpisodeError: there is no such file; the message lists what there is.
    """
    path = in_folder(Path(name).expanduser())
    if path.is_file():
        return path
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
