# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""episode_player: a bundled episode over DDS is what its file says; and into shadow_sim."""
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from graph import made, parameters, Process
from kinema4d_ros.msg import PredictedFrame, Verdict
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import calibration_from_message
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import depth_to_metres, rgb_image
from kinema4d_ros.bridge.motion import (duration_seconds, joint_positions, stamp_ns,
                                        trajectory_from_message)
from kinema4d_ros.bridge.transforms import matrix
from kinema4d_ros.episodes import Episode, EpisodeWriter, find_episode
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.nodes.episode_player import recorded_time
from kinema4d_ros.nodes.shadow_sim.readiness import READINESS, ROBOT_HASH, SCENE_STAMP
from kinema4d_ros.robot import Robot, trajectory_hash
from kinema4d_ros.resources import share_dir

pytestmark = pytest.mark.timeout(180)
PATH = next(iter(sorted((share_dir() / 'data' / 'episodes').glob('*success*.mcap'))), None)
NS = 1_000_000_000
WHOLE = qos.PREDICTED_FRAMES      # deep enough to lose nothing


def play(**values):
    """Start the player."""
    return Process('episode_player', *parameters(episode=PATH.stem, **values))


def by_stamp(messages):
    return {stamp_ns(message.header.stamp): message for message in messages}


def test_what_is_published_is_what_was_recorded(ros_domain):
    episode = Episode.open(PATH)
    with made() as graph:
        images = graph.listen('camera/image_raw', Image, WHOLE)
        depths = graph.listen('camera/depth/image_raw', Image, WHOLE)
        infos = graph.listen('camera/camera_info', CameraInfo, WHOLE)
        joints = graph.listen('joint_states', JointState, WHOLE)
        trajectories = graph.listen('joint_trajectory', JointTrajectory, qos.TRAJECTORY)
        player = play(rate=20.0, lead_in=0.3)
        statics = graph.listen('/tf_static', TFMessage, qos.TF_STATIC)
        robots = graph.listen('robot_description', String, qos.ROBOT_DESCRIPTION)
        assert player.process.wait(60.0) == 0, player.output()
        graph.wait(lambda: trajectories and len(images) > 3 and depths and robots and statics,
                   'messages')
    assert robots[0].data == episode.robot_description
    assert trajectory_hash(trajectory_from_message(trajectories[0])) == trajectory_hash(
        episode.trajectory)
    assert calibration_from_message(infos[0]) == episode.calibration
    transform = statics[0].transforms[0]
    assert transform.child_frame_id == episode.camera_frame
    np.testing.assert_allclose(
        matrix(transform.transform), episode.observation().view.T_base_camera, atol=1e-9)
    assert images[0].header.frame_id == episode.camera_frame
    stamps, depths, joints = ([stamp_ns(image.header.stamp) for image in images],
                              by_stamp(depths), by_stamp(joints))
    assert stamps == sorted(stamps)
    # What is played before a subscription is matched is lost to it: on a busy machine the first.
    image = next(image for image in images
                 if {stamp_ns(image.header.stamp)} <= depths.keys() & joints.keys())
    stamp, pixels = stamp_ns(image.header.stamp), rgb_image(image)
    frame = next(frame for frame in episode.frames if np.array_equal(frame.image, pixels))
    np.testing.assert_array_equal(depth_to_metres(depths[stamp]), frame.depth)
    assert joint_positions(joints[stamp]) == dict(frame.joint_positions)
    assert stamps[0] > episode.frames[0].stamp_ns + 10**9      # now, not then


def test_every_camera_of_an_episode_is_played_below_its_name(ros_domain):
    episode = Episode.open(find_episode('libero_object_6_0_success_wrist'))
    wrist = episode.camera('wrist')
    with made() as graph:
        images = {name: graph.listen(f'{name}/image_raw', Image, WHOLE)
                  for name in ('camera', 'wrist')}
        infos = {name: graph.listen(f'{name}/camera_info', CameraInfo, WHOLE) for name in images}
        joints = graph.listen('joint_states', JointState, WHOLE)
        trajectories = graph.listen('joint_trajectory', JointTrajectory, qos.TRAJECTORY)
        player = Process('episode_player', *parameters(
            episode=episode.path, rate=50.0, lead_in=0.1, at_end='hold', depth_transport='none'))
        graph.wait(lambda: trajectories and all(len(heard) > 3 for heard in images.values())
                   and joints and infos['wrist'], 'messages of both')
        player.stop()
    assert calibration_from_message(infos['wrist'][0]) == wrist.calibration
    assert {name: heard[0].header.frame_id for name, heard in images.items()} == {
        'camera': episode.camera_frame, 'wrist': wrist.frame}
    np.testing.assert_array_equal(rgb_image(images['wrist'][0]), wrist.frames[0].image)
    # the joints of every image are there, at its stamp
    stamps = {stamp_ns(each.header.stamp) for each in joints}
    for heard in images.values():
        assert {stamp_ns(each.header.stamp) for each in heard[1:-1]} <= stamps


def test_compressed_in_a_loop_with_the_recorded_time(ros_domain):
    episode = Episode.open(PATH)
    with made() as graph:
        images = graph.listen('camera/image_raw/compressed', CompressedImage, WHOLE)
        depths = graph.listen('camera/depth/image_raw/compressedDepth', CompressedImage, WHOLE)
        clocks = graph.listen('/clock', Clock, 100)
        trajectories = graph.listen('joint_trajectory', JointTrajectory, qos.TRAJECTORY)
        player = play(rate=50.0, lead_in=0.2, at_end='loop', image_transport='compressed',
                      depth_transport='compressedDepth', publish_clock='true',
                      wait_for_subscribers=0.0)
        graph.wait(lambda: len(trajectories) >= 2 and depths, 'the second round')
        assert player.stop() == 0, player.output()
    assert 'Traceback' not in player.output()
    frames = {frame.stamp_ns: frame for frame in episode.frames}
    image = next(image for image in images if stamp_ns(image.header.stamp) in frames)
    frame = frames[stamp_ns(image.header.stamp)]
    assert np.abs(rgb_image(image).astype(int) - frame.image).mean() < 4.0     # JPEG
    depth = next(depth for depth in depths if stamp_ns(depth.header.stamp) in frames)
    expected = frames[stamp_ns(depth.header.stamp)].depth
    assert np.nanmax(np.abs(depth_to_metres(depth) - expected)) <= 0.0006      # millimetres
    times = [stamp_ns(clock.clock) for clock in clocks]
    assert min(np.diff(times)) < 0
    assert max(times) <= episode.frames[len(episode.frames) - 1].stamp_ns


def test_of_a_recording_that_begins_soon_after_0_no_time_is_before_that(ros_domain, tmp_path):
    """As of Gazebo: what is shown while shadow_sim gets ready is earlier than the recording."""
    episode, path, start = Episode.open(PATH), tmp_path / 'simulated.mcap', 1
    with EpisodeWriter(path) as writer:
        writer.add_robot_description(start * NS, episode.robot_description)
        for number in range(3):
            frame, stamp = episode.frames[number], start * NS + number * NS // 20
            writer.add_image(stamp, episode.camera_frame, frame.image)
            writer.add_depth(stamp, episode.camera_frame, frame.depth)
            writer.add_camera_info(stamp, episode.camera_frame, episode.calibration.pinhole)
            writer.add_joint_state(stamp, tuple(frame.joint_positions),
                                   np.array([*frame.joint_positions.values()]),
                                   np.zeros(len(frame.joint_positions)))
        writer.add_trajectory(start * NS + NS // 20, episode.trajectory)
    with made() as graph:
        clocks = graph.listen('/clock', Clock, 100)
        images = graph.listen('camera/image_raw', Image, WHOLE)
        player = Process('episode_player', *parameters(
            episode=path, publish_clock='true', use_sim_time='true', at_end='hold',
            wait_for_subscribers=0.0, wait_for_ready='[shadow_sim]'))
        graph.wait(lambda: len(clocks) > 2 and images, 'the first frame')
        told = graph.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        ready = DiagnosticStatus(name=f'shadow_sim: {READINESS}', level=DiagnosticStatus.OK)
        ready.values = [KeyValue(key=ROBOT_HASH, value=Robot.from_urdf(
            episode.robot_description).description_hash),
                        KeyValue(key=SCENE_STAMP, value=str(start * NS))]
        graph.wait(told.get_subscription_count, 'the player to listen')
        told.publish(DiagnosticArray(status=[ready]))
        graph.wait(lambda: stamp_ns(clocks[-1].clock) >= start * NS + NS // 10, 'the last frame')
        assert player.stop() == 0, player.output()
    assert 'Traceback' not in player.output()
    times = [stamp_ns(clock.clock) for clock in clocks]
    assert min(times) > 0 and times == sorted(times)


@pytest.mark.parametrize('start', [0, 1, NS, 30 * NS, 10**9 * NS])
def test_time_before_a_recording_grows_up_to_it_and_is_never_0(start):
    offsets = range(-122 * NS, NS, NS // 10)
    times = [recorded_time(start, offset) for offset in offsets]
    assert min(times) > 0 and times == sorted(times)
    assert recorded_time(start, 0) == max(start, 1)
    if start >= NS:
        assert len(set(times)) == len(times)


def test_hold_shows_the_last_frame_until_told_to_stop(ros_domain):
    last = Episode.open(PATH).frames[-1]
    with made() as graph:
        joints = graph.listen('joint_states', JointState, WHOLE)
        player = play(rate=100.0, lead_in=0.0, at_end='hold', wait_for_subscribers=0.2)
        graph.wait(lambda: joints and joint_positions(joints[-1]) == dict(last.joint_positions),
                   'the last frame')
        count = len(joints)
        graph.wait(lambda: len(joints) > count + 3, 'the last frame again')
        assert player.stop() == 0, player.output()


def test_a_wrong_episode_says_what_there_is(ros_domain, tmp_path):
    (tmp_path / 'mine.mcap').touch()
    player = Process('episode_player', *parameters(episode=tmp_path / 'yours.mcap'))
    assert player.process.wait(60.0) == 1
    assert 'mine.mcap' in player.output() and PATH.stem in player.output()
    assert 'Traceback' not in player.output()
    with pytest.raises(EpisodeError, match='no .mcap file'):
        find_episode(str(tmp_path / 'nowhere' / 'x.mcap'))
    assert find_episode(PATH.stem) == find_episode(PATH.name) == PATH


def test_an_episode_into_shadow_sim(ros_domain):
    """The whole way: recorded robot, real nodes, a predicted future that fits what happened."""
    episode, frames = Episode.open(PATH), 49
    with made() as graph:
        heard = graph.listen('predicted/frame', PredictedFrame, WHOLE)
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        node = Process('shadow_sim', *parameters(frames=frames))
        graph.wait(lambda: 'is ready' in node.output(), 'the world model')
        player = play(rate=2.0, lead_in=2.0)
        graph.wait(lambda: verdicts and verdicts[-1].final, 'the final verdict')
        graph.wait(lambda: len(heard) == frames or verdicts[-1].status, 'the frames')
        assert player.process.wait(60.0) == 0, player.output()
        assert node.stop() == 0, node.output()
    verdict = verdicts[-1]
    assert verdict.status == Verdict.PASS, verdict.summary
    assert list(verdict.tiers_passed) == [0, 1]
    assert 0.0 < verdict.min_clearance < 0.06 and verdict.clearance_sigma > 0.0
    assert verdict.trajectory_hash == trajectory_hash(episode.trajectory)
    assert 'close on an object' in verdict.outcome and 'rest' in verdict.outcome
    assert verdict.world_model == 'kinematic'
    truth = episode.truth.future([duration_seconds(frame.time_from_start) for frame in heard])
    for frame, real in zip(heard, truth):
        points, colors = cloud_to_arrays(frame.points)
        assert colors.shape == real.image.shape
        error = np.abs(rgb_image(frame.image).astype(float) - real.image).mean()
        assert error < 8.0, f'frame {frame.index}: the picture is {error:.1f} grey levels off'
