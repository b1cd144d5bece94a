# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into an episode comes out of it, for us and for any other ROS tool."""
import numpy as np
import pytest
from hand_made import START_NS, STEP_NS
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.episodes import (Episode, EpisodeMetadata, EpisodeWriter, images, Topic,
                                   TrueClearance)
from kinema4d_ros.episodes.topics import TYPES, typestore
from kinema4d_ros.episodes.transforms import matrix_from_message
from kinema4d_ros.robot.transforms import quaternion, rpy
from kinema4d_ros.errors import EpisodeError


def test_everything_comes_back(small_episode, metadata, trajectory, pixels):
    episode = Episode.open(str(small_episode))
    image, depth, mask = pixels
    assert episode.metadata == metadata
    assert episode.trajectory.joint_names == trajectory.joint_names
    np.testing.assert_allclose(episode.trajectory.times, trajectory.times)
    np.testing.assert_array_equal(episode.trajectory.positions, trajectory.positions)
    np.testing.assert_array_equal(episode.trajectory.velocities, trajectory.velocities)
    assert episode.trajectory.accelerations is None
    assert len(episode.frames) == 3 and episode.start_index == 1
    frame = episode.frames[1]
    assert frame.time == 0.0 and frame.stamp_ns == episode.trajectory_stamp_ns
    assert frame.joint_positions == {'a': 0.1, 'b': 0.2}
    np.testing.assert_allclose(frame.depth, depth, atol=5e-4)      # millimetres, hole kept
    assert np.abs(frame.image.astype(int) - image).mean() < 6      # JPEG
    assert episode.frames[-1].depth is None
    assert [f.time for f in episode.frames[:2]] == pytest.approx([-0.1, 0.0])
    times, names, positions = episode.joint_states
    np.testing.assert_allclose(times, [-0.1, 0.0, 0.1])
    assert names == ('a', 'b') and positions[2, 0] == pytest.approx(0.2)


def test_truth(small_episode, pixels):
    truth = Episode.open(small_episode).truth
    assert truth.carried_object == 'box'
    times, poses = truth.object_poses['box']
    np.testing.assert_allclose(times, [-0.1, 0.0, 0.1])
    np.testing.assert_allclose(poses[:, 0, 3], [0, 1, 2])
    # quarter turn about z: a point at x = 1 of the box lies at y = 1
    np.testing.assert_allclose(truth.object_center('box', (1, 0, 0), [0.05]), [[1.5, 1, 0]],
                               atol=1e-12)
    assert sorted(truth.robot_masks) == [0, 1, 2]
    np.testing.assert_array_equal(truth.robot_masks[1], pixels[2])
    assert [f.time for f in truth.future([-9.0, 0.02, 9.0])] == pytest.approx([-0.1, 0.0, 0.1])
    assert truth.clearance.link_names == ('arm',)
    np.testing.assert_array_equal(truth.clearance.to_scene, [[0.02], [np.inf]])


def test_no_truth_is_fine(tmp_path, fill):
    with EpisodeWriter(tmp_path / 'real.mcap') as writer:
        fill(writer, without=('add_robot_mask', 'add_object_poses', 'add_depth',
                              'add_static_transform', 'add_clearance'))
    episode = Episode.open(tmp_path / 'real.mcap')
    assert not episode.truth.object_poses and not episode.truth.robot_masks
    assert episode.truth.clearance is None
    assert episode.frames[0].depth is None


def test_observation(small_episode):
    pytest.importorskip('PyKDL')
    episode = Episode.open(small_episode)
    observation = episode.observation()
    assert observation.stamp_ns == episode.trajectory_stamp_ns
    assert observation.view.camera.K == pytest.approx(
        np.array([[20, 0, 5.5], [0, 20, 3.5], [0, 0, 1]]))
    # joint a turns by 0.1, joint b reaches 0.2, the eye sits 0.1 0.2 0.3 beyond
    c, s = np.cos(0.1), np.sin(0.1)
    np.testing.assert_allclose(observation.view.T_base_camera[:3, 3],
                               [0.3 * c - 0.2 * s, 0.3 * s + 0.2 * c, 0.3], atol=1e-9)
    np.testing.assert_allclose(observation.view.T_base_camera[:3, 2], [-s, c, 0], atol=1e-7)
    assert episode.observation(-1).stamp_ns == episode.frames[0].stamp_ns


def test_same_input_same_file(tmp_path, fill):
    for name in ('a.mcap', 'b.mcap'):
        with EpisodeWriter(tmp_path / name) as writer:
            fill(writer)
    assert (tmp_path / 'a.mcap').read_bytes() == (tmp_path / 'b.mcap').read_bytes()


@pytest.fixture
def drawn_episode(tmp_path, fill, pixels):
    """Return the path of the small episode with a robot drawn into its first picture."""
    image, _, mask = pixels
    points = np.where(mask[..., None], np.float32([0.1, -0.2, 0.75]), np.float32(np.nan))
    path = tmp_path / 'drawn.mcap'
    with EpisodeWriter(path) as writer:
        fill(writer)
        writer.add_rendered(START_NS - STEP_NS, 'eye_optical_frame', points,
                            np.where(mask, 3, -1).astype(np.int16), image * mask[..., None])
        writer.add_curation(START_NS - STEP_NS, '{"made": "by hand"}')
    return path


def test_a_drawn_robot_comes_back(drawn_episode, small_episode, pixels):
    image, _, mask = pixels
    episode = Episode.open(drawn_episode)
    drawn, = episode.rendered
    assert drawn.stamp_ns == episode.frames[0].stamp_ns and np.array_equal(drawn.mask, mask)
    assert np.array_equal(drawn.link_id, np.where(mask, 3, -1))
    assert np.array_equal(drawn.image, image * mask[..., None])
    rays = episode.calibration.pinhole.rays()
    assert np.array_equal(np.isfinite(drawn.pointmap[..., 2]), mask)
    assert np.allclose(drawn.pointmap[mask], 0.75 * rays[mask])
    assert episode.curation == '{"made": "by hand"}' and episode.cameras[1:] == ()
    plain = Episode.open(small_episode)
    assert len(plain.rendered) == 0 and plain.curation == ''


def test_rclpy_reads_every_message(drawn_episode):
    serialization = pytest.importorskip('rclpy.serialization')
    import importlib

    from rosbags.rosbag2 import Reader
    seen = set()
    with Reader(drawn_episode) as reader:
        for connection, _, raw in reader.messages():
            package, _, name = connection.msgtype.split('/')
            try:
                kind = getattr(importlib.import_module(f'{package}.msg'), name)
            except ImportError:
                assert package == 'tf2_msgs'      # the one package that no wheel has
                continue
            message = serialization.deserialize_message(bytes(raw), kind)
            seen.add(connection.topic)
            if connection.topic == Topic.JOINT_STATES:
                assert list(message.name) == ['a', 'b']
            if connection.topic == Topic.DEPTH:
                assert message.format == '16UC1; compressedDepth png'
                assert bytes(message.data)[12:16] == b'\x89PNG'
    assert seen >= {str(topic) for topic, kind in TYPES.items() if not kind.startswith('tf2')}


def test_latched_topics_are_offered_transient_local(small_episode):
    from rosbags.interfaces import QosDurability
    from rosbags.rosbag2 import Reader
    with Reader(small_episode) as reader:
        latched = {c.topic for c in reader.connections
                   if c.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL}
    assert latched == {'/robot_description', '/tf_static', '/episode/metadata'}


def test_bare_png_depth_is_read(pixels):
    data = images.encode_depth(pixels[1])
    np.testing.assert_array_equal(images.decode_depth(data[12:], 8, 12),
                                  images.decode_depth(data, 8, 12))


def test_metadata_round_trip(metadata):
    assert EpisodeMetadata.from_json(metadata.to_json()) == metadata
    assert metadata.objects['box'].center == pytest.approx((.05, .1, .2))


_component = st.floats(-1, 1)


def test_true_clearance_between_samples():
    times = np.arange(5) / 20
    truth = TrueClearance(times, ('hand', 'finger'),
                          np.c_[[np.inf, 0.05, 0.04, 0.03, 0.02], np.full(5, 0.01)],
                          np.c_[np.full(5, 0.02), np.full(5, np.inf)])
    # linear stretches stay linear, the carried object counts until 0.1 s, far is inf
    np.testing.assert_allclose(truth.nearest([0.0, 0.125, 0.15, 0.2], ['hand'], before=0.1),
                               [0.02, 0.035, 0.03, 0.02], atol=1e-9)
    assert np.isinf(truth.nearest([0.025], ['hand'], before=-1.0)).all()
    np.testing.assert_allclose(truth.nearest([0.05, 0.1], ['hand', 'finger']), [0.01, 0.01])
    assert np.isinf(truth.nearest([0.05], ['none'])).all()
    back = TrueClearance.from_json(truth.to_json())
    np.testing.assert_array_equal(back.to_scene, truth.to_scene)
    for text in ('[', '{}', '{"times": [0], "links": ["a"], "to_scene": [[]]}'):
        with pytest.raises(EpisodeError, match='not as it is written'):
            TrueClearance.from_json(text)


def rotation(q) -> np.ndarray:
    """Return the rotation of a message with this quaternion."""
    types = typestore.types
    return matrix_from_message(types['geometry_msgs/msg/Transform'](
        types['geometry_msgs/msg/Vector3'](0.0, 0.0, 0.0),
        types['geometry_msgs/msg/Quaternion'](*map(float, q))))[:3, :3]


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[_component] * 4).filter(lambda q: np.linalg.norm(q) > 1e-3))
def test_rotations(q):
    R = rotation(q)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation(quaternion(R)), R, atol=1e-9)
    assert quaternion(R)[3] >= 0
    roll, pitch, yaw = rpy(R)
    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    cy, sy = np.cos(yaw), np.sin(yaw)
    built = (np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
             @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
             @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]]))
    np.testing.assert_allclose(built, R, atol=3e-6)      # as good as gimbal lock lets it be


@pytest.mark.parametrize('q', [(0, 0, 0, 0), (np.nan, 0, 0, 1), (np.inf, 0, 0, 1)])
def test_what_is_no_rotation_is_refused(q):
    with pytest.raises(EpisodeError, match='not a pose'):
        rotation(q)
