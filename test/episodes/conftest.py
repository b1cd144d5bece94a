# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small episode made by hand: three frames, two joints, one object."""
import numpy as np
import pytest
from hand_made import CAMERA, LATE_NS, START_NS, STEP_NS, URDF
from rosbags.rosbag2 import StoragePlugin, Writer

from kinema4d_ros.episodes import (Episode, EpisodeMetadata, EpisodeWriter, ObjectBox, Topic,
                                   TrueClearance)
from kinema4d_ros.episodes.topics import TYPES, typestore
from kinema4d_ros.types import JointTrajectory


@pytest.fixture
def metadata():
    """Return what is said about the small episode."""
    return EpisodeMetadata(
        robot='two', task_text='push it', kind='success', success=True, camera='eye',
        carried_object='box', goal_object='bin', goal={'inside': {'object': 'box'}},
        source='a test', licence='CC0-1.0', trajectory_note='none', seed=3,
        objects={'box': ObjectBox((0., 0., 0.), (.1, .2, .4))},
        events=({'time': 0.1, 'kind': 'object_lifted', 'begins': True, 'object': 'box'},))


@pytest.fixture
def trajectory():
    """Return half a second of motion of two joints."""
    times = np.array([0.0, 0.2, 0.5])
    return JointTrajectory(('a', 'b'), times, np.c_[times, times / 2], np.ones((3, 2)))


@pytest.fixture
def pixels():
    """Return a smooth image (survives JPEG), a depth image with a hole, and a mask."""
    v, u = np.mgrid[:8, :12]
    image = np.stack([u * 15, v * 20, u * 5 + v * 5], -1).astype(np.uint8)
    depth = (0.5 + 0.1 * u + 0.01 * v).astype(np.float32)
    depth[2, 3] = np.nan
    return image, depth, (u > 5)


@pytest.fixture
def fill(metadata, trajectory, pixels):
    """Return a function that adds the small episode to a writer, some topics left out."""
    def run(writer: EpisodeWriter, without: tuple[str, ...] = (), **changed):
        image, depth, mask = pixels
        first = START_NS - STEP_NS
        pose = np.eye(4)
        pose[:3, 3] = 0.1, 0.2, 0.3
        calls = [
            ('add_metadata', first, changed.get('metadata', metadata)),
            ('add_robot_description', first, changed.get('urdf', URDF)),
            ('add_static_transform', first, 'hand', 'eye_optical_frame', pose),
            ('add_clearance', first, TrueClearance(
                np.array([0.0, 0.1]), ('arm',), np.array([[0.02], [np.inf]]),
                np.full((2, 1), np.inf))),
            ('add_trajectory', START_NS, changed.get('trajectory', trajectory))]
        for i in range(3):
            stamp = first + i * STEP_NS
            box = np.eye(4)
            box[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
            box[:3, 3] = i, 0, 0
            calls += [
                ('add_joint_state', stamp, ('a', 'b'),
                 np.array([changed.get('joint', 0.1 * i), 0.2]), np.zeros(2)),
                ('add_camera_info', stamp, 'eye_optical_frame', changed.get('camera', CAMERA)),
                ('add_image', stamp, 'eye_optical_frame', changed.get('image', image)),
                ('add_robot_mask', stamp, 'eye_optical_frame', mask),
                ('add_object_poses', stamp, 'base', {'box': box})]
            if i != 2:
                calls.append(('add_depth', stamp, 'eye_optical_frame', depth))
        for name, *values in calls:
            if name not in without:
                getattr(writer, name)(*values)
    return run


@pytest.fixture
def small_episode(tmp_path, fill):
    """Return the path of the small episode."""
    path = tmp_path / 'small.mcap'
    with EpisodeWriter(path) as writer:
        fill(writer)
    return path


@pytest.fixture
def record(tmp_path, small_episode):
    """
    Return a function that records the small episode as the node does.

    `change` alters messages, `without` leaves topics out, `names` calls them otherwise.
    """
    from kinema4d_ros.episodes.storage import Messages
    _types = typestore.types

    def run(change=lambda topic, message: message, without=(), names=None):
        names = names or {}
        source, frames = Messages(small_episode), Episode.open(small_episode).frames
        raw = []
        for topic in (Topic.ROBOT_DESCRIPTION, Topic.TF_STATIC, Topic.CAMERA_INFO,
                      Topic.JOINT_STATES, Topic.TRAJECTORY):
            raw += [(int(stamp), str(topic), TYPES[topic], source.get(topic, i))
                    for i, stamp in enumerate(source.stamps(topic))]
        for frame in frames:
            for name, pixels, encoding in (('/camera/image_raw', frame.image, 'rgb8'),
                                           ('/camera/depth/image_raw', frame.depth, '32FC1')):
                if pixels is not None:
                    header = _types['std_msgs/msg/Header'](_types['builtin_interfaces/msg/Time'](
                        *divmod(frame.stamp_ns, 10**9)), 'eye_optical_frame')
                    data = np.frombuffer(pixels.tobytes(), np.uint8)
                    raw.append((frame.stamp_ns, name, 'sensor_msgs/msg/Image',
                                _types['sensor_msgs/msg/Image'](
                                    header, *pixels.shape[:2], encoding, 0,
                                    len(data) // pixels.shape[0], data)))
        with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            topics = {}
            for stamp, topic, kind, message in sorted(raw, key=lambda item: item[0]):
                for part in np.atleast_1d(change(topic, message)):
                    if part is None or topic in without:
                        continue
                    if topic not in topics:
                        topics[topic] = writer.add_connection(
                            names.get(topic, topic), kind, typestore=typestore)
                    writer.write(topics[topic], stamp + LATE_NS,
                                 typestore.serialize_cdr(part, kind))
        return tmp_path / 'bag'
    return run
