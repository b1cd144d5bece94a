# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes and recordings of several cameras: a view of each, where and when it was taken."""
import dataclasses
import re

import numpy as np
import pytest
from hand_made import CAMERA, START_NS, STEP_NS, URDF

from kinema4d_ros.episodes import CameraTopics, Episode, EpisodeWriter
from kinema4d_ros.episodes.sources import choose
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import PinholeCamera

WRIST = PinholeCamera(6, 4, 10.0, 10.0, 2.5, 1.5)
BEFORE_NS = 30_000_000      # [ns] that the wrist's image is older than the trajectory
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'


def moved(x: float) -> np.ndarray:
    """Return a pose that is moved along x."""
    T = np.eye(4)
    T[0, 3] = x
    return T


@pytest.fixture
def write(tmp_path, fill, pixels):
    """Return a function that writes the small episode with a camera on the hand besides."""
    def run(*, frame='eye_optical_frame', stamps=(START_NS - BEFORE_NS,), name='wrist',
            depth=True, transforms=None, joints=True, **changed):
        path = tmp_path / 'two.mcap'
        with EpisodeWriter(path) as writer:
            fill(writer, **changed)
            for stamp in stamps:
                writer.add_image(stamp, frame, pixels[0][:4, :6], name=name)
                writer.add_camera_info(stamp, frame, WRIST, name=name)
                writer.add_robot_mask(stamp, frame, pixels[2][:4, :6], name=name)
                if depth:
                    writer.add_depth(stamp, frame, pixels[1][4:, 6:], name=name)
                if joints:
                    writer.add_joint_state(stamp, ('a', 'b'), np.array([0.05, 0.1]), np.zeros(2))
            for stamp, pose in transforms or ():
                writer.add_transforms(stamp, 'hand', {frame: pose})
        return path
    return run


def test_a_view_of_each_camera(write, pixels):
    episode = Episode.open(write())
    assert [camera.name for camera in episode.cameras] == ['camera', 'wrist']
    wrist = episode.camera('wrist')
    assert wrist.calibration.pinhole == WRIST and episode.calibration.pinhole == CAMERA
    assert wrist.frame == 'eye_optical_frame' and len(wrist.frames) == 1
    np.testing.assert_array_equal(wrist.robot_masks[0], pixels[2][:4, :6])
    np.testing.assert_allclose(wrist.frames[0].depth, pixels[1][4:, 6:], atol=5e-4)
    assert len(episode.truth.robot_masks) == 3      # of the first
    with pytest.raises(EpisodeError, match="no camera 'side'; it has: camera, wrist"):
        episode.camera('side')


def test_their_order_is_that_of_the_metadata(write, metadata, tmp_path, pixels):
    for order in (('camera', 'wrist', 'back'), ('camera', 'back', 'wrist')):
        path = write(metadata=dataclasses.replace(metadata, cameras=order))
        with EpisodeWriter(path) as writer:
            pass_on(path, writer)
            writer.add_image(0, 'eye_optical_frame', pixels[0][:4, :6], name='back')
            writer.add_camera_info(0, 'eye_optical_frame', WRIST, name='back')
        assert tuple(camera.name for camera in Episode.open(path).cameras) == order


def test_each_is_where_it_was_at_its_stamp(write):
    pytest.importorskip('PyKDL')
    observation = Episode.open(write()).observation()
    front, wrist = observation.views
    assert (front.name, wrist.name) == ('camera', 'wrist')
    assert front.stamp_ns == observation.stamp_ns == START_NS
    assert wrist.stamp_ns == START_NS - BEFORE_NS
    assert observation.joints_of(wrist) == {'a': 0.05, 'b': 0.1}
    assert observation.joints_of(front) == observation.joint_positions == {'a': 0.1, 'b': 0.2}
    # joint a turns, joint b reaches, the eye sits 0.1 0.2 0.3 beyond
    for view, a, b in ((front, 0.1, 0.2), (wrist, 0.05, 0.1)):
        c, s = np.cos(a), np.sin(a)
        np.testing.assert_allclose(view.T_base_camera[:3, 3], [
            (0.1 + b) * c - 0.2 * s, (0.1 + b) * s + 0.2 * c, 0.3], atol=1e-9)
    assert wrist.mount_link == 'eye_optical_frame' and not observation.left_out


def test_some_of_the_cameras(write):
    pytest.importorskip('PyKDL')
    episode = Episode.open(write())
    for names in (['wrist'], ['wrist', 'camera'], ['camera']):
        assert [view.name for view in episode.observation(cameras=names).views] == names
    with pytest.raises(EpisodeError, match="no camera 'side'"):
        episode.observation(cameras=['side'])
    with pytest.raises(EpisodeError, match='needs a camera; name some of camera, wrist'):
        episode.observation(cameras=[])


@pytest.mark.parametrize('stamps, why', [
    ((START_NS + 1,), 'has sent nothing yet'),
    ((START_NS - 1_500_000_000,), r'is late: 1\.5 s old')])
def test_a_camera_without_a_recent_image_is_left_out(write, stamps, why):
    pytest.importorskip('PyKDL')
    observation = Episode.open(write(stamps=stamps, joints=False)).observation()
    assert [view.name for view in observation.views] == ['camera']
    assert re.match(why, observation.left_out['wrist'])


def test_a_camera_without_depth(write):
    pytest.importorskip('PyKDL')
    front, wrist = Episode.open(write(depth=False)).observation().views
    assert front.depth is not None and wrist.depth is None


def test_depth_that_comes_more_rarely(write, pixels, tmp_path):
    pytest.importorskip('PyKDL')
    path = write(stamps=(START_NS - 2 * STEP_NS,))
    with EpisodeWriter(path) as writer:      # again, with a newer image that has no depth
        pass_on(path, writer)
        writer.add_image(START_NS - STEP_NS, 'eye_optical_frame', pixels[0][:4, :6], name='wrist')
    wrist = Episode.open(path).observation().views[1]
    assert wrist.depth is not None and wrist.stamp_ns == START_NS - 2 * STEP_NS


def pass_on(path, writer: EpisodeWriter) -> None:
    """Copy the messages of a file to a writer."""
    from rosbags.rosbag2 import Reader

    from kinema4d_ros.episodes.topics import typestore
    with Reader(path) as reader:
        for connection, stamp, raw in reader.messages():
            writer._add(connection.topic, stamp,
                        typestore.deserialize_cdr(raw, connection.msgtype))


@pytest.mark.parametrize('at, x', [(-40, 0.24), (0, 0.30), (+40, 0.30)])
def test_a_camera_that_only_tf_moves(write, at, x):
    pytest.importorskip('PyKDL')
    stamp = START_NS - BEFORE_NS
    path = write(frame='arm_cam', stamps=(stamp,), transforms=[
        (stamp + (at - 10) * 10**6, moved(0.1)), (stamp + at * 10**6, moved(0.3))]
        if at == 0 else [(stamp - 20 * 10**6, moved(0.2)), (stamp + 30 * 10**6, moved(0.3))]
        if at < 0 else [(stamp + at * 10**6, moved(0.3))])
    wrist = Episode.open(path).observation().views[1]
    np.testing.assert_allclose(wrist.T_base_camera[:2, 3], [
        (0.1 + x) * np.cos(0.05), (0.1 + x) * np.sin(0.05)], atol=1e-9)


def test_a_pose_that_is_too_old_or_unknown_is_not_made_up(write):
    pytest.importorskip('PyKDL')
    stamp = START_NS - BEFORE_NS
    observation = Episode.open(write(
        frame='arm_cam', transforms=[(stamp - 10**9, moved(0.1))])).observation()
    assert "'arm_cam' is was last told 1.00 s from" in observation.left_out['wrist']
    episode = Episode.open(write(frame='nowhere'))
    assert [camera.name for camera in episode.cameras] == ['camera']
    assert "'nowhere'" in episode.observation().left_out['wrist']
    with pytest.raises(EpisodeError, match="no camera 'wrist'.*wrist cannot be used: .*'nowhere'"):
        episode.camera('wrist')


@pytest.mark.parametrize('name', ['truth', 'joint_states', 'a/b', '', '2nd'])
def test_names_that_no_camera_can_have(name):
    with pytest.raises(EpisodeError, match='names no camera of an episode'):
        CameraTopics(name)


def test_a_recording_of_cameras_by_name(record, write):
    """As the recorder writes them: /front and /wrist, raw, and nobody says which is the first."""
    pytest.importorskip('PyKDL')
    names = {'/camera/image_raw': '/front/image_raw', '/camera/camera_info': '/front/camera_info',
             '/camera/depth/image_raw': '/front/depth/image_raw'}
    episode = Episode.open(record(names=names))
    assert [camera.name for camera in episode.cameras] == ['front']
    assert episode.observation().view.name == 'front' and episode.frames[0].depth is not None
    bag = [('/wrist/image_raw', IMAGE), ('/wrist/camera_info', INFO), *(
        (name, INFO if 'info' in name else IMAGE) for name in names.values())]
    chosen = choose('x', bag, {})
    assert chosen.cameras == ('wrist', 'front')
    assert chosen.names[CameraTopics('front').depth] == '/front/depth/image_raw'
    bag += [('/camera/image_raw', IMAGE), ('/camera/camera_info', INFO)]
    assert choose('x', bag, {}).cameras == ('camera', 'wrist', 'front')


def test_further_cameras_of_a_bag_are_named():
    bag = [(f'/{name}/color/{last}', kind) for name in ('a', 'b')
           for last, kind in (('image_raw', IMAGE), ('camera_info', INFO))]
    named = {'image': '/a/color/image_raw', 'wrist/image': '/b/color/image_raw'}
    chosen = choose('x', bag, named)
    assert chosen.cameras == ('camera', 'wrist')
    assert chosen.names[CameraTopics('wrist').camera_info] == '/b/color/camera_info'
    with pytest.raises(EpisodeError, match='of the camera wrist no image is named'):
        choose('x', bag, {'wrist/camera_info': '/b/color/camera_info'})
    with pytest.raises(EpisodeError, match='pass --topic wrist/camera_info=NAME'):
        choose('x', [each for each in bag if each[0] != '/b/color/camera_info'], named)
    with pytest.raises(EpisodeError, match='wrist/tf: no topic of an episode is called so'):
        choose('x', bag, {'wrist/tf': '/tf'})


def test_a_recording_whose_camera_tf_moves(write):
    """/tf leads from the camera to a link, so the recording is read although no link is it."""
    pytest.importorskip('PyKDL')
    bare = re.sub(r'<link name="eye_optical_frame"/>|<joint name="eye".*?</joint>', '', URDF,
                  flags=re.DOTALL)
    lacking = {'urdf': bare, 'without': ('add_metadata', 'add_static_transform')}
    with pytest.raises(EpisodeError, match='where the camera is was not recorded'):
        Episode.open(write(**lacking))
    episode = Episode.open(write(transforms=[(START_NS, moved(0.1))], **lacking))
    assert episode.metadata.kind == 'recording'
    np.testing.assert_allclose(episode.observation().views[0].T_base_camera[:2, 3],
                               [0.3 * np.cos(0.1), 0.3 * np.sin(0.1)], atol=1e-9)
