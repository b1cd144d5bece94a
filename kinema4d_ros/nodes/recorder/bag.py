# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag (MCAP) that is written from a thread of its own, with messages as they came."""
from __future__ import annotations

import collections
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.interfaces import (Qos, QosDurability, QosHistory, QosLiveliness, QosReliability,
                                QosTime)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.resources import share_dir

_SETTLE = 1.0             # [s] what was written so long ago survives a kill
_LEAST_FREE = 500 << 20   # [bytes] of the disk that are left alone
_LATCHED_KEPT = 100       # messages of a latched topic that each part begins with
_OURS = ('Finding', 'ClearanceSample', 'StageLatency', 'Verdict', 'PredictedFrame', 'Candidates')


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag."""

    name: str             # in the bag
    type: str             # such as std_msgs/msg/String
    profile: QoSProfile   # with which a player is to publish it

    @property
    def is_latched(self) -> bool:
        """Whether late subscribers get it."""
        return self.profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


class Bag:
    """
    Takes serialised messages from any thread and never waits for the disk.

    Messages that find the queue full are dropped and counted. A part that has grown to its size
    is finished, and the next begun, which holds the latched messages again, so that each can be
    played alone. Every second what is there goes to disk as whole chunks: after a kill it is
    missing the index only, and `kinema4d record --repair` makes it anew.
    """

    def __init__(self, folder: Path, *, queue_bytes: int, part_bytes: int, compressed: bool):
        """
        Start the writing thread; the folder is made when the first message comes.

        :raises ConfigurationError: the folder is there already, or cannot be made.
        """
        self.folder = folder
        self._queue_bytes, self._part_bytes, self._compressed = queue_bytes, part_bytes, compressed
        if folder.exists():
            raise ConfigurationError(f'{folder} is there already; name another folder')
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f'{folder} cannot be made: {error.strerror}') from error
        self.written: collections.Counter[str] = collections.Counter()     # messages by topic
        self.dropped: collections.Counter[str] = collections.Counter()
        self.parts: list[Path] = []
        self.failure: Exception | None = None
        self._store = _typestore()
        self._changed = threading.Condition()
        self._queue: collections.deque = collections.deque()
        self._queued = 0
        self._ended = False
        self._latched: dict[str, tuple[BagTopic, collections.deque]] = {}
        self._writer: Writer | None = None
        self._connections: dict[str, object] = {}
        self._last_ns = self._settled_ns = 0
        self._thread = threading.Thread(target=self._run, name='bag', daemon=True)
        self._thread.start()

    def put(self, topic: BagTopic, stamp_ns: int, raw: bytes) -> None:
        """Queue a message."""
        with self._changed:
            if self._ended:
                return
            if self._queued + len(raw) > self._queue_bytes:
                self.dropped[topic.name] += 1
                return
            self._queue.append((topic, stamp_ns, raw))
            self._queued += len(raw)
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued and finish the file."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    # ------------------------------------------------------------------ the writing thread

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                for topic, stamp_ns, raw in batch:
                    self._write(topic, stamp_ns, raw)
                if not batch:
                    self._settle()
        except Exception as error:   # a full disk above all; the node tells and ends
            self.failure = error
            with self._changed:
                self._ended = True
                self._queue.clear()
        finally:
            self._finish()

    def _next(self) -> list | None:
        """Wait for and return messages; none after a quiet second, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ended, _SETTLE)
            if self._ended and not self._queue:
                return None
            batch = list(self._queue)
            self._queue.clear()
            self._queued = 0
        return batch

    def _write(self, topic: BagTopic, stamp_ns: int, raw: bytes) -> None:
        if topic.is_latched:
            self._latched.setdefault(topic.name, (
                topic, collections.deque(maxlen=_keep(topic))))[1].append(raw)
        if self._writer is None:
            self._begin()
        # In the order in which they came, so that a file without index can be read too.
        stamp_ns = self._last_ns = max(stamp_ns, self._last_ns)
        self._writer.write(self._connection(topic), stamp_ns, raw)
        self.written[topic.name] += 1
        if stamp_ns - self._settled_ns > _SETTLE * 1e9:
            self._settle()
            self._settled_ns = stamp_ns
        if self._writer.storage.bio.tell() > self._part_bytes:
            self._finish()
            self._begin()
            for latched, kept in self._latched.values():
                for old in kept:
                    self._writer.write(self._connection(latched), stamp_ns, old)

    def _begin(self) -> None:
        number = len(self.parts)
        path = self.folder.with_name(f'{self.folder.name}_{number}') if number else self.folder
        self._check_space()
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        if self._compressed:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        self._writer, self._connections, self._settled_ns = writer, {}, self._last_ns
        self.parts.append(path)

    def _connection(self, topic: BagTopic):
        if topic.name not in self._connections:
            self._connections[topic.name] = self._writer.add_connection(
                topic.name, topic.type, typestore=self._store,
                offered_qos_profiles=[_offered(topic.profile)])
        return self._connections[topic.name]

    def _settle(self) -> None:
        """Bring what is written to the file, as a whole chunk."""
        if self._writer is None:
            return
        storage = self._writer.storage
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._check_space()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if free < _LEAST_FREE:
            raise OSError(f'only {free >> 20} MB are free on the disk of {self.folder}')

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _keep(topic: BagTopic) -> int:
    """Return how many old messages a late subscriber of a latched topic gets."""
    return min(topic.profile.depth, _LATCHED_KEPT)


def _offered(profile: QoSProfile) -> Qos:
    """Return the QoS as bags store it, always reliable: playing loses enough by itself."""
    forever = QosTime(0, 0)
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return Qos(QosHistory.KEEP_LAST, profile.depth, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               forever, forever, QosLiveliness.AUTOMATIC, forever,
               avoid_ros_namespace_conventions=False)


def _typestore():
    """Return the definitions of all messages, those of this package included."""
    store = get_typestore(Stores.ROS2_JAZZY)
    found: Mapping = {}
    for name in _OURS:
        text = (share_dir() / 'msg' / f'{name}.msg').read_text(encoding='utf-8')
        found |= get_types_from_msg(text, f'kinema4d_ros/msg/{name}')
    store.register(found)
    return store
