# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Copies of bags with topics called differently, left out, or saying something else."""
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores


def copy_bag(source: Path, target: Path, *, names: Mapping[str, str] = {},
             without: Collection[str] = (),
             change: Mapping[str, Callable[[object], object]] = {}) -> Path:
    """
    Copy a bag and return the folder of the copy.

    :param names: topic -> what it is called in the copy.
    :param without: topics that are left out.
    :param change: topic -> what each of its messages becomes.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(source) as reader, \
            Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kept = [c for c in reader.connections if c.topic not in without]
        made = {c.id: writer.add_connection(names.get(c.topic, c.topic), c.msgtype,
                                            typestore=store) for c in kept}
        for connection, stamp_ns, data in reader.messages(connections=kept):
            if connection.topic in change:
                message = store.deserialize_cdr(data, connection.msgtype)
                data = store.serialize_cdr(change[connection.topic](message), connection.msgtype)
            writer.write(made[connection.id], stamp_ns, data)
    return target
