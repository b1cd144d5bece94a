# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recording of a live robot, without metadata and with raw images, is read as an episode."""
import re

import numpy as np
import pytest
from hand_made import CAMERA, LATE_NS, START_NS, STEP_NS, URDF
from rosbags.rosbag2 import (CompressionFormat, CompressionMode, Reader, StoragePlugin,
                              Writer)
from rosbags.typesys import get_typestore, Stores

from kinema4d_ros.episodes import Episode, EpisodeWriter
from kinema4d_ros.episodes.repair import repair
from kinema4d_ros.episodes.topics import typestore
from kinema4d_ros.errors import EpisodeError

_types = typestore.types
BARE = re.sub(r'<link name="eye_optical_frame"/>|<joint name="eye".*?</joint>', '', URDF,
              flags=re.DOTALL)


def test_it_is_what_was_published(record, small_episode):
    real, episode = Episode.open(small_episode), Episode.open(record())
    assert episode.metadata.success is None and episode.metadata.kind == 'recording'
    assert [stamp for stamp, _ in episode.trajectories] == [START_NS + LATE_NS]
    np.testing.assert_array_equal(episode.trajectory.positions, real.trajectory.positions)
    assert [frame.stamp_ns for frame in episode.frames] == \
        [START_NS + i * STEP_NS for i in (-1, 0, 1)]     # by the header, not when it came
    for mine, theirs in zip(episode.frames, real.frames):
        np.testing.assert_array_equal(mine.image, theirs.image)
        assert (mine.depth is None) == (theirs.depth is None)
        if mine.depth is not None:
            np.testing.assert_array_equal(mine.depth, theirs.depth)
        assert mine.joint_positions == theirs.joint_positions
    assert not episode.truth.object_poses


def test_a_camera_that_only_tf_knows(record, small_episode):
    pytest.importorskip('PyKDL')

    def bare(topic, message):
        return _types['std_msgs/msg/String'](BARE) if topic == '/robot_description' else message

    episode = Episode.open(record(bare))
    T = np.eye(4)  # noqa: N806 - where the fixture says the camera is
    T[:3, 3] = 0.1, 0.2, 0.3
    from kinema4d_ros.robot import ForwardKinematics, Robot
    robot = Robot.from_urdf(episode.robot_description)
    poses = ForwardKinematics(robot)(robot.configuration({'a': 0.5, 'b': 0.1})[None])[0]
    links = robot.link_names
    np.testing.assert_allclose(
        np.linalg.inv(poses[links.index('hand')]) @ poses[links.index('eye_optical_frame')], T,
        atol=1e-8)
    assert episode.observation().view.camera == CAMERA


def test_a_camera_that_nobody_placed(record):
    def bare(topic, message):
        return _types['std_msgs/msg/String'](BARE) if topic == '/robot_description' else message

    with pytest.raises(EpisodeError, match="where the camera is was not recorded.*'eye_optical_f"):
        Episode.open(record(bare, without=('/tf_static',)))


def test_states_of_arm_and_gripper_come_apart(record):
    def apart(topic, message):
        if topic != '/joint_states':
            return message
        kind = _types['sensor_msgs/msg/JointState']
        return [kind(message.header, message.name[i:i + 1], message.position[i:i + 1],
                     np.zeros(0), np.zeros(0)) for i in range(2)]

    for frame, a in zip(Episode.open(record(apart)).frames, (0.0, 0.1, 0.2)):
        assert set(frame.joint_positions) == {'a', 'b'}
        assert abs(frame.joint_positions['a'] - a) <= 0.1 and frame.joint_positions['b'] == 0.2


def test_several_trajectories(record):
    episode = Episode.open(record(lambda topic, message: (
        [message, message] if topic == '/joint_trajectory' else message)))
    assert len(episode.trajectories) == 2
    assert episode.trajectory is episode.trajectories[0][1]


def test_another_robot_meanwhile(record):
    with pytest.raises(EpisodeError, match='/robot_description changed while it was recorded'):
        Episode.open(record(lambda topic, message: [
            message, _types['std_msgs/msg/String'](BARE)] if topic == '/robot_description'
            else message))


@pytest.mark.parametrize('topic', ['/camera/image_raw', '/joint_states', '/joint_trajectory'])
def test_what_it_lacks(record, topic):
    with pytest.raises(EpisodeError, match=f'lacks the topic .*{topic}'):
        Episode.open(record(without=(topic,)))


def test_raw_images_of_another_size(record):
    def halved(topic, message):
        if topic == '/camera/image_raw':
            message.height //= 2
            message.data = message.data[:message.step * message.height]
        return message

    with pytest.raises(EpisodeError, match='12 x 4 pixels, camera_info says 12 x 8'):
        _ = Episode.open(record(halved)).frames[0]


def test_an_episode_without_its_metadata_is_a_recording(tmp_path, fill):
    with EpisodeWriter(tmp_path / 'x.mcap') as writer:
        fill(writer, without=('add_metadata',))
    assert Episode.open(tmp_path / 'x.mcap').metadata.kind == 'recording'


@pytest.mark.parametrize('lost', [1, 60, 3000])
def test_a_file_whose_writer_was_killed(record, lost):
    bag = record()
    path = bag / 'bag.mcap'
    whole = path.read_bytes()
    with pytest.raises(EpisodeError, match='is whole'):
        repair(path)
    assert path.read_bytes() == whole
    chunk = whole.index(b'\x0f\x04' + bytes(7))          # where the data ends
    cut = whole[:-lost] if lost < 3000 else whole[:chunk]
    path.write_bytes(cut)
    with pytest.raises(EpisodeError, match='kinema4d record --repair'):
        Episode.open(bag)
    done = repair(path)
    assert path.read_bytes() == cut      # the only copy of what happened is left alone
    assert done.path == bag / 'bag.repaired.mcap' and done.salvaged == 0
    assert len(Episode.open(bag).frames) == 3
    with pytest.raises(EpisodeError, match='is there already; name another file'):
        repair(path)
    assert repair(path, bag / 'again.mcap').messages == done.messages


def written(path, compression: str) -> tuple[bytes, int]:
    """Write 30 messages in one chunk; return the file and where the chunk's data ends."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    if compression:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        store = get_typestore(Stores.ROS2_JAZZY)
        topic = writer.add_connection('/noise', 'std_msgs/msg/String', typestore=store)
        noise = np.random.default_rng(0)
        for stamp in range(30):
            text = noise.bytes(15000).hex()
            writer.write(topic, stamp, store.serialize_cdr(store.types['std_msgs/msg/String'](
                data=text), 'std_msgs/msg/String'))
    content = (path / f'{path.name}.mcap').read_bytes()
    return content, content.index(b'\x0f\x04' + bytes(7))


@pytest.mark.parametrize('compression', ['', 'zstd'])
@pytest.mark.parametrize('share', [0.3, 0.6, 0.99])
def test_messages_of_a_chunk_that_was_being_written_are_saved(tmp_path, compression, share):
    content, end = written(tmp_path / 'bag', compression)
    path = tmp_path / 'cut.mcap'
    path.write_bytes(content[:int(share * end)])
    done = repair(path, tmp_path / 'out.mcap')
    with Reader(tmp_path / 'out.mcap') as reader:
        stamps = [stamp for _, stamp, _ in reader.messages()]
    assert stamps == list(range(done.messages))
    assert done.salvaged == done.messages and done.messages >= 30 * share - 6
    assert f'{done.messages} messages, {done.salvaged} of them out of a chunk' in done.sentence


def test_a_damaged_chunk_is_kept_as_far_as_it_goes(tmp_path):
    """A loss of power leaves zeros where the disk had promised data."""
    content, end = written(tmp_path / 'bag', '')
    path = tmp_path / 'zeros.mcap'
    path.write_bytes(content[:end // 2] + bytes(len(content) - end // 2))
    done = repair(path)
    with Reader(done.path) as reader:
        assert len(list(reader.messages())) == done.messages
    assert 12 <= done.messages <= 16 and done.lost_bytes > 0


def test_nothing_to_save_is_said(tmp_path):
    content, _ = written(tmp_path / 'bag', '')
    path = tmp_path / 'head.mcap'
    path.write_bytes(content[:300])
    with pytest.raises(EpisodeError, match='holds no whole message in its 300 bytes'):
        repair(path)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ['head.mcap']


def test_what_is_no_recording_is_not_repaired(tmp_path):
    (tmp_path / 'x.mcap').write_bytes(b'hello')
    with pytest.raises(EpisodeError, match='is no MCAP file'):
        repair(tmp_path / 'x.mcap')
    with pytest.raises(EpisodeError, match='cannot be repaired: No such file'):
        repair(tmp_path / 'y.mcap')
