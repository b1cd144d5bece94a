# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is used of rosbags' privates is as it was, in the version that it was written for."""
from importlib.metadata import version

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

from kinema4d_ros.nodes.recorder.rosbags_compat import flush, ROSBAGS_VERSION, written_bytes


def test_version():
    """Another rosbags: look whether `rosbags_compat` still fits, then change the version there."""
    assert version('rosbags').startswith(f'{ROSBAGS_VERSION}.')


def test_what_is_flushed_is_in_the_file_before_it_is_closed(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    path = tmp_path / 'bag'
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/words', 'std_msgs/msg/String', typestore=store)
        writer.write(topic, 1, b'these words')
        assert b'these words' not in (path / 'bag.mcap').read_bytes()
        flush(writer)
        data = (path / 'bag.mcap').read_bytes()
        assert b'these words' in data and written_bytes(writer) == len(data)
        flush(writer)                       # nothing is new
        assert written_bytes(writer) == len(data)
