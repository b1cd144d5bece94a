# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of other people: what they call their topics, and where their trajectory is."""
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hand_made import START_NS
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.sources import choose, trajectory_in
from kinema4d_ros.episodes.topics import Topic
from kinema4d_ros.episodes.trajectory_file import load_trajectory
from kinema4d_ros.errors import EpisodeError

IMAGE, DEPTH, INFO = '/camera/image_raw', '/camera/depth/image_raw', '/camera/camera_info'
CAMERAS = {
    'RealSense': ('/camera/camera/color/image_raw',
                  '/camera/camera/aligned_depth_to_color/image_raw'),
    'RealSense of old': ('/camera/color/image_raw', '/camera/aligned_depth_to_color/image_raw'),
    'two names': ('/cell/d435/color/image_raw', '/cell/d435/aligned_depth_to_color/image_raw'),
    'Azure Kinect': ('/k4a/rgb/image_raw', '/k4a/depth_to_rgb/image_raw'),
    'ZED': ('/zed/zed_node/rgb/image_rect_color', '/zed/zed_node/depth/depth_registered'),
    'OAK-D': ('/oak/rgb/image_raw', '/oak/stereo/image_raw'),
    'OpenNI': ('/camera/rgb/image_rect_color', '/camera/depth_registered/image_rect')}


@pytest.mark.parametrize('image, depth', CAMERAS.values(), ids=CAMERAS)
def test_cameras_are_recognised(record, small_episode, image, depth):
    info = image.rpartition('/')[0] + '/camera_info'
    real = Episode.open(small_episode)
    episode = Episode.open(record(names={
        IMAGE: image, DEPTH: depth, INFO: info, '/joint_states': '/arm/joint_states',
        '/joint_trajectory': '/arm_controller/joint_trajectory',
        '/robot_description': '/arm/robot_description'}))
    assert episode.calibration.pinhole == real.calibration.pinhole
    np.testing.assert_array_equal(episode.trajectory.positions, real.trajectory.positions)
    np.testing.assert_array_equal(episode.frames[0].image, real.frames[0].image)
    np.testing.assert_array_equal(episode.frames[0].depth, real.frames[0].depth)


def test_any_topic_can_be_named(record):
    names = {IMAGE: '/a', DEPTH: '/b', INFO: '/c', '/joint_states': '/d', '/joint_trajectory': '/e'}
    bag = record(names=names)
    with pytest.raises(EpisodeError) as caught:
        Episode.open(bag)
    assert '--topic image=NAME' in str(caught.value) and '/a' in str(caught.value)
    episode = Episode.open(bag, topics={
        'image': '/a', 'depth': '/b', 'camera_info': '/c', 'joint_states': '/d',
        'trajectory': '/e'})
    assert episode.frames[0].depth is not None


@pytest.mark.parametrize('topics, words', [
    ({'pictures': '/a'}, 'pictures: no topic of an episode is called so; name image, depth'),
    ({'image': '/nowhere'}, 'image: /nowhere is not in it; .* are: /camera/depth/image_raw, /cam'),
    ({'joint_states': IMAGE}, 'has the type sensor_msgs/msg/Image')])
def test_topics_that_cannot_be(record, topics, words):
    with pytest.raises(EpisodeError, match=words):
        Episode.open(record(), topics=topics)


def test_depth_that_is_not_registered_is_not_taken_by_itself():
    image, info = '/cam/color/image_raw', 'sensor_msgs/msg/CameraInfo'
    bag = [(image, 'sensor_msgs/msg/Image'), ('/cam/depth/image_rect_raw', 'sensor_msgs/msg/Image'),
           ('/cam/color/camera_info', info), ('/cam/depth/camera_info', info)]
    chosen = choose('x', bag, {})
    assert chosen.names[Topic.IMAGE] == image and Topic.DEPTH not in chosen.names
    assert chosen.names[Topic.CAMERA_INFO] == '/cam/color/camera_info'
    assert 'align_depth.enable:=true' in chosen.hints


def test_depth_of_another_frame_is_refused(record):
    def moved(topic, message):
        if topic == DEPTH:
            message.header.frame_id = 'depth_optical_frame'
        return message

    image, depth = CAMERAS['RealSense']
    with pytest.raises(EpisodeError, match='the depth is not registered to the image'):
        Episode.open(record(moved, names={IMAGE: image, DEPTH: depth,
                                          INFO: image.replace('image_raw', 'camera_info')}))


def test_of_several_cameras_none_is_guessed():
    bag = [(f'/{name}/color/image_raw', 'sensor_msgs/msg/Image') for name in ('left', 'right')]
    chosen = choose('x', bag, {})
    assert Topic.IMAGE not in chosen.names
    assert '/left/color/image_raw, /right/color/image_raw: pass --topic image=' in chosen.hints


POINTS = {'joint_names': ['a', 'b'], 'points': [
    {'positions': [0.0, 1.0], 'velocities': [], 'time_from_start': {'sec': 0, 'nanosec': 0}},
    {'positions': [0.5, 1.5], 'time_from_start': 1.5}]}


@pytest.mark.parametrize('document', [POINTS, {'trajectory': POINTS},
                                      {'goal': {'trajectory': POINTS}}])
@pytest.mark.parametrize('kind', ['yaml', 'json'])
def test_trajectories_as_documents(tmp_path, document, kind):
    path = tmp_path / f'reach.{kind}'
    path.write_text(yaml.dump(document) if kind == 'yaml' else json.dumps(document))
    got = load_trajectory(path)
    assert got.joint_names == ('a', 'b') and got.times.tolist() == [0.0, 1.5]
    assert got.positions.tolist() == [[0.0, 1.0], [0.5, 1.5]] and got.velocities is None


def test_trajectories_as_arrays(tmp_path):
    np.savez(tmp_path / 't.npz', joint_names=['a'], times=[0.0, 1.0], positions=[[0.0], [1.0]],
             velocities=[[0.0], [0.0]])
    got = load_trajectory(tmp_path / 't.npz')
    assert got.joint_names == ('a',) and got.velocities.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize('name, content', [
    ('a.yaml', 'joint_names: [a]'), ('a.yaml', '3'), ('a.yaml', '{'), ('a.json', '[]'),
    ('a.yaml', 'joint_names: [a]\npoints: [{positions: [1]}]'), ('a.npz', 'PK'),
    ('gone.yaml', None), ('a.yaml', 'joint_names: [a]\npoints: [{positions: [1], velocities: [1], '
                                    'time_from_start: 0}, {positions: [1], time_from_start: 1}]'),
    ('a.yaml', 'joint_names: [a]\npoints: [{positions: [1, 2], time_from_start: 1}]')])
def test_files_that_hold_no_trajectory(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(EpisodeError, match=f'{name} (is no trajectory|cannot be read)'):
        load_trajectory(tmp_path / name)


def test_a_trajectory_from_a_file_is_judged_from_the_last_image_on(record, tmp_path, small_episode):
    bag = record(without=('/joint_trajectory',))
    with pytest.raises(EpisodeError, match='lacks the topic /joint_trajectory'):
        Episode.open(bag)
    mine = Episode.open(small_episode).trajectory
    episode = Episode.open(bag, trajectory=mine)
    assert episode.start_index == len(episode.frames) - 1
    np.testing.assert_array_equal(episode.trajectory.positions, mine.positions)
    assert episode.trajectory_stamp_ns > START_NS


def test_a_trajectory_inside_of_another_message_is_found(small_episode):
    """A plan for display, or the goal of an action that service introspection recorded."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg('trajectory_msgs/JointTrajectory joint_trajectory',
                                      'my_msgs/msg/RobotTrajectory'))
    store.register(get_types_from_msg('string model\nmy_msgs/RobotTrajectory[] trajectory',
                                      'my_msgs/msg/Plan'))
    types = store.types
    point = types['trajectory_msgs/msg/JointTrajectoryPoint'](
        np.ones(1), np.zeros(0), np.zeros(0), np.zeros(0),
        types['builtin_interfaces/msg/Duration'](1, 0))
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](0, 0), '')
    plan = [types['my_msgs/msg/RobotTrajectory'](
        types['trajectory_msgs/msg/JointTrajectory'](header, ['a'], points))
        for points in ([], [point])]
    found = trajectory_in(types['my_msgs/msg/Plan']('r', plan))
    assert found.points == [point]
    assert trajectory_in(types['my_msgs/msg/Plan']('r', plan[:1])) is None


# ------------------------------------------------------------------------------- other forms

def convert(*arguments):
    """Run the command of rosbags that makes a bag of another."""
    program = Path(sys.executable).with_name('rosbags-convert')
    subprocess.run([program, *arguments], check=True, capture_output=True)


def test_a_bag_of_sqlite_is_read_as_it_is(record, tmp_path):
    old = tmp_path / 'old'
    convert('--src', record(), '--dst', old, '--dst-storage', 'sqlite3')
    for name in (old, next(old.glob('*.db3'))):
        assert len(Episode.open(name).frames) > 1


def test_a_bag_of_ros_1_is_told_how_it_becomes_one_that_is_read(record, tmp_path):
    """The command that is named is run as it stands."""
    convert('--src', record(), '--dst', tmp_path / 'old.bag')
    with pytest.raises(EpisodeError, match='rosbags-convert --src .*-storage mcap') as why:
        Episode.open(tmp_path / 'old.bag')
    convert(*re.search(r'rosbags-convert (.*)', str(why.value))[1].split())
    assert len(Episode.open(tmp_path / 'old_mcap').frames) > 1


def test_a_bag_in_several_files_is_told_so(small_episode, tmp_path):
    for number in range(2):
        (tmp_path / f'bag_{number}.mcap').symlink_to(small_episode)
    with pytest.raises(EpisodeError, match='others become by rosbags-convert --src'):
        Episode.open(tmp_path)


def test_what_is_lacking_is_told_with_what_the_bag_has(record):
    """Not with what is made up for a recording."""
    with pytest.raises(EpisodeError) as why:
        Episode.open(record(names={IMAGE: '/a'}))
    assert '/episode/metadata' not in str(why.value)
    assert 'or say what the bag calls them' in str(why.value)
