# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag (MCAP) that is written from a thread of its own, with messages as they came."""
from __future__ import annotations

import collections
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.interfaces import (Connection, Qos, QosDurability, QosHistory, QosLiveliness,
                                QosReliability, QosTime)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.recorder.rosbags_compat import flush, written_bytes
from kinema4d_ros.resources import share_dir

STUCK = 10.0              # [s] in which a disk takes at least one message
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

    def __init__(self, folder: Path, *, queue_bytes: int, part_bytes: int,
                 compressed: bool) -> None:
        """
        Make a bag and its writing thread; the folder is made when the first message comes.

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
        self._queue: collections.deque[tuple[BagTopic, int, bytes]] = collections.deque()
        self._queued = 0
        self._ended = False
        self._latched: dict[str, tuple[BagTopic, collections.deque[bytes]]] = {}
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self._last_ns = self._settled_ns = self._done = 0
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
        """
        Write what is queued and finish the file.

        A disk that takes nothing for `STUCK` s, as a share whose server is gone, is not waited for:
        that is the failure then, and a repair saves what is there.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        before = -1
        while self._thread.is_alive() and self._done != before:
            before = self._done
            self._thread.join(STUCK)
        if self._thread.is_alive() and self.failure is None:
            self.failure = OSError(f'the disk of {self.folder} has taken nothing for {STUCK:g} s; '
                                   'kinema4d record --repair makes the index of what is there')

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

    def _next(self) -> list[tuple[BagTopic, int, bytes]] | None:
        """Wait for and return messages: none after a second without any, None at the end."""
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
        writer = self._writer or self._begin()
        # In the order in which they came, so that a file without index can be read too.
        stamp_ns = self._last_ns = max(stamp_ns, self._last_ns)
        writer.write(self._connection(writer, topic), stamp_ns, raw)
        self.written[topic.name] += 1
        self._done += 1
        if stamp_ns - self._settled_ns > _SETTLE * 1e9:
            self._settle()
            self._settled_ns = stamp_ns
        if written_bytes(writer) > self._part_bytes:
            self._finish()
            writer = self._begin()
            for latched, kept in self._latched.values():
                for old in kept:
                    writer.write(self._connection(writer, latched), stamp_ns, old)

    def _begin(self) -> Writer:
        """Open the next part."""
        number = len(self.parts)
        path = self.folder.with_name(f'{self.folder.name}_{number}') if number else self.folder
        self._check_space()
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        if self._compressed:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        writer.open()
        self._writer, self._connections, self._settled_ns = writer, {}, self._last_ns
        self.parts.append(path)
        return writer

    def _connection(self, writer: Writer, topic: BagTopic) -> Connection:
        if topic.name not in self._connections:
            self._connections[topic.name] = writer.add_connection(
                topic.name, topic.type, typestore=self._store,
                offered_qos_profiles=[_offered(topic.profile)])
        return self._connections[topic.name]

    def _settle(self) -> None:
        """Bring what is written to the file, as a whole chunk."""
        if self._writer is None:
            return
        flush(self._writer)
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


def _typestore() -> Typestore:
    """Return the definitions of all messages, those of this package included."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in _OURS:
        text = (share_dir() / 'msg' / f'{name}.msg').read_text(encoding='utf-8')
        store.register(get_types_from_msg(text, f'kinema4d_ros/msg/{name}'))
    return store
