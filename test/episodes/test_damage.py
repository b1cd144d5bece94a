# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A file that is not a whole episode is refused, with file, topic and cure in the message."""
import dataclasses
import json
import struct

import numpy as np
import pytest
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st

from kinema4d_ros.episodes import Episode, EpisodeMetadata, EpisodeWriter, storage
from kinema4d_ros.episodes.topics import Topic, TYPES
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import JointTrajectory, PinholeCamera


@pytest.fixture
def write(tmp_path, fill):
    """Return a function that writes a changed small episode."""
    def run(**changes):
        with EpisodeWriter(tmp_path / 'changed.mcap') as writer:
            fill(writer, **changes)
        return tmp_path / 'changed.mcap'
    return run


def test_missing_file(tmp_path):
    with pytest.raises(EpisodeError, match='no such episode.*nothing.mcap.*bundled: libero'):
        Episode.open(tmp_path / 'nothing.mcap')


def test_folder(tmp_path):
    with pytest.raises(EpisodeError, match='no such episode.*no .mcap file'):
        Episode.open(tmp_path)


def test_too_large(small_episode, monkeypatch):
    monkeypatch.setattr(storage, 'MAX_BYTES', 100)
    with pytest.raises(EpisodeError, match='more than the 100 that are read'):
        Episode.open(small_episode)


@pytest.mark.parametrize('content', [b'', b'hello', b'\x89MCAP0\r\n' + bytes(100)])
def test_no_mcap(tmp_path, content):
    (tmp_path / 'x.mcap').write_bytes(content)
    with pytest.raises(EpisodeError, match='x.mcap is damaged or no MCAP.*record it again'):
        Episode.open(tmp_path / 'x.mcap')


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(small_episode, share):
    data = small_episode.read_bytes()
    cut = small_episode.with_name('cut.mcap')
    cut.write_bytes(data[:int(share * len(data))])
    with pytest.raises(EpisodeError, match='cut.mcap'):
        Episode.open(cut)


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit_in_a_message_is_noticed(small_episode, share, bit):
    data = bytearray(small_episode.read_bytes())
    chunk = 17 + struct.unpack_from('<Q', data, 9)[0]        # after magic and header record
    assert data[chunk] == 0x06
    first = chunk + 9 + 40                                   # after the chunk's own fields
    length, = struct.unpack_from('<Q', data, first - 8)
    data[first + int(share * length)] ^= 1 << bit
    broken = small_episode.with_name('broken.mcap')
    broken.write_bytes(bytes(data))
    with pytest.raises(EpisodeError, match='broken.mcap is damaged.*checksum'):
        Episode.open(broken)


@pytest.mark.parametrize(('left_out', 'topic'), [
    ('add_robot_description', Topic.ROBOT_DESCRIPTION),
    ('add_camera_info', Topic.CAMERA_INFO), ('add_image', Topic.IMAGE),
    ('add_joint_state', Topic.JOINT_STATES), ('add_trajectory', Topic.TRAJECTORY)])
def test_missing_topic(write, left_out, topic):
    with pytest.raises(EpisodeError, match=f'changed.mcap lacks the topic {topic}.*; it has: /'):
        Episode.open(write(without=(left_out,)))


def test_wrong_type(write, monkeypatch):
    path = write()
    monkeypatch.setitem(TYPES, Topic.JOINT_STATES, 'sensor_msgs/msg/Imu')
    with pytest.raises(EpisodeError, match='/joint_states has type sensor_msgs/msg/JointState, '
                                           'expected sensor_msgs/msg/Imu'):
        Episode.open(path)


def test_two_trajectories(tmp_path, fill, trajectory):
    with EpisodeWriter(tmp_path / 'two.mcap') as writer:
        fill(writer)
        writer.add_trajectory(5, trajectory)
    with pytest.raises(EpisodeError, match='/joint_trajectory has 2 messages, expected one'):
        Episode.open(tmp_path / 'two.mcap')


@pytest.mark.parametrize(('trajectory', 'message'), [
    (JointTrajectory(('a',), np.zeros(0), np.zeros((0, 1))), 'has no points'),
    (JointTrajectory(('a',), [0.0, 1.0], [[0.0], [np.nan]]), 'not finite or times'),
    (JointTrajectory(('a',), [1.0, 1.0], [[0.0], [1.0]]), 'not finite or times')])
def test_bad_trajectory(write, trajectory, message):
    with pytest.raises(EpisodeError, match=f'/joint_trajectory, message 0: .*{message}'):
        Episode.open(write(trajectory=trajectory))


def test_nan_joint(write):
    with pytest.raises(EpisodeError, match='/joint_states, message 0: .*not finite'):
        Episode.open(write(joint=np.nan))


def test_camera_frame_unknown(write):
    with pytest.raises(EpisodeError, match="'eye_optical_frame' of /camera/camera_info is no link"):
        Episode.open(write(urdf='<robot name="x"><link name="base"/></robot>'))


def test_uncalibrated_camera(write):
    class Uncalibrated(PinholeCamera):
        K = property(lambda self: np.zeros((3, 3)))
    with pytest.raises(EpisodeError, match='/camera/camera_info, message 0: .*not calibrated'):
        Episode.open(write(camera=Uncalibrated(12, 8, 1.0, 1.0, 0.0, 0.0)))


def test_image_of_another_size(write):
    episode = Episode.open(write(image=np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(EpisodeError, match=r'compressed, message 0: the image is \(4, 4, 3\)'):
        episode.frames[0]


def test_damaged_image(write, monkeypatch):
    from kinema4d_ros.episodes import images
    monkeypatch.setattr(images, 'encode_color', lambda *_: np.zeros(9, np.uint8))
    episode = Episode.open(write())
    with pytest.raises(EpisodeError, match='message 0: the compressed image is damaged'):
        episode.frames[0]


def test_no_such_observation(small_episode):
    pytest.importorskip('PyKDL')
    with pytest.raises(EpisodeError, match='frames -1 to 1 relative to the trajectory, got 7'):
        Episode.open(small_episode).observation(7)


def test_metadata_of_another_version(metadata):
    other = json.dumps({**json.loads(metadata.to_json()), 'format': 99})
    with pytest.raises(EpisodeError, match='has format 99, this reader knows 1'):
        EpisodeMetadata.from_json(other)


@pytest.mark.parametrize('text', ['{', '[]', '{"format": 1}'])
def test_metadata_nonsense(text):
    with pytest.raises(EpisodeError, match='metadata|format'):
        EpisodeMetadata.from_json(text)


@pytest.mark.parametrize('change', [{'success': 'yes'}, {'objects': 3}, {'events': [1]}])
def test_metadata_of_the_wrong_type(metadata, change):
    text = json.dumps({**json.loads(metadata.to_json()), **change})
    with pytest.raises(EpisodeError, match='wrong type'):
        EpisodeMetadata.from_json(text)


def test_metadata_error_names_file_and_topic(write, metadata, monkeypatch):
    monkeypatch.setattr(EpisodeMetadata, 'to_json', lambda self: 'no')
    with pytest.raises(EpisodeError, match='changed.mcap: topic /episode/metadata: .*not JSON'):
        Episode.open(write(metadata=dataclasses.replace(metadata)))


def test_writer_leaves_nothing_when_it_fails(tmp_path, fill):
    with pytest.raises(RuntimeError), EpisodeWriter(tmp_path / 'x.mcap') as writer:
        fill(writer)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_empty_episode(tmp_path):
    with pytest.raises(EpisodeError, match='nothing was added'), \
            EpisodeWriter(tmp_path / 'x.mcap'):
        pass
