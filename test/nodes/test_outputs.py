# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the outputs of shadow_sim cost nobody, and what they send to whoever listens."""
import numpy as np
import pytest
from graph import CAMERA_FRAME, made, READY
from rclpy.lifecycle import LifecycleNode

from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import compressed_to_array, image_to_array
from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.nodes.shadow_sim import outputs
from kinema4d_ros.nodes.shadow_sim.camera_input import FramedView
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.output_topics import OF_FRAMES, TOPICS, topics
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs, Rollout
from kinema4d_ros.types import CameraView, Observation, PinholeCamera, PredictedView
from kinema4d_ros.types import PredictedFrame as Predicted
from kinema4d_ros.worker.rollout_frame import RobotFrame, RolloutFrame

HEIGHT, WIDTH = 24, 40
CAMERAS = ('front', 'wrist')
MAKERS = ('array_to_image', 'cloud_message', 'compressed_message', 'camera_info_message',
          'joint_state_message', 'PredictedFrame')


def frame(index: int = 0) -> RolloutFrame:
    """Return a frame whose colours and points tell the pixel."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([4 * rows, 4 * columns, np.full_like(rows, 128)], -1).astype(np.uint8)
    points = np.stack([columns, rows, np.ones_like(rows)], -1).astype(np.float32)
    mask = rows > 12
    camera, T = PinholeCamera(WIDTH, HEIGHT, 30.0, 30.0, 19.5, 11.5), np.eye(4)
    T[0, 3] = 10.0
    wrist = PredictedView('wrist', 255 - image, points + 1, ~mask)
    return RolloutFrame(Predicted(index, 3, 0.1 * index, image, points, mask, others=(wrist,)),
                        RobotFrame(camera, np.eye(4), dict(READY), points, mask),
                        {'wrist': RobotFrame(camera, T, dict(READY), points + 1, ~mask)})


def rollout(stride: int) -> Rollout:
    """Return what the frames start from."""
    views = [CameraView(frame().predicted.image, None, frame().robot.camera, np.eye(4), 5 * 10**9,
                        name) for name in CAMERAS]
    framed = (FramedView(views[0], JointStates({}, {}), CAMERA_FRAME, True, True),
              FramedView(views[1], JointStates({}, {}), 'hand', False, False))
    return Rollout('r', FramedObservation(
        Observation(5 * 10**9, views, dict(READY)), framed, 'base_link'), stride)


class Sender:
    """An active lifecycle node with the outputs, and a count of what was made for them."""

    def __init__(self, context, monkeypatch):
        self.node = LifecycleNode('sender', context=context)
        self.outputs = Outputs(self.node, CAMERAS)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self.made = []
        for name in MAKERS:
            make = getattr(outputs, name)
            monkeypatch.setattr(outputs, name, lambda *args, name=name, make=make, **more: (
                self.made.append(name), make(*args, **more))[1])

    def send(self, index: int = 0, stride: int = 1) -> None:
        """Publish one frame."""
        self.outputs.publish_frame(frame(index), rollout(stride))


@pytest.fixture
def sender(ros_domain, monkeypatch):
    with made() as graph:
        sender = Sender(graph.context, monkeypatch)
        sender.graph = graph
        yield sender
        sender.node.destroy_node()


def test_nothing_is_made_for_nobody(sender):
    sender.send()
    assert sender.made == []
    assert sender.outputs.wanted_of_frames() == frozenset()


@pytest.mark.parametrize(('topic', 'made_for_it'), [
    ('predicted/image', ['array_to_image']),
    ('predicted/image/compressed', ['compressed_message']),
    ('predicted/points', ['cloud_message']),
    ('predicted/points/decimated', ['cloud_message']),
    ('predicted/camera_info', ['camera_info_message']),
    ('predicted/joint_states', ['joint_state_message']),
    ('robot/points', ['cloud_message']),
    ('robot/mask', ['array_to_image'])])
def test_one_reader_gets_its_topic_and_nothing_else_is_made(sender, topic, made_for_it):
    heard = listen(sender, topic)
    sender.send()
    sender.graph.wait(lambda: heard, topic)
    assert sender.made == made_for_it


def listen(sender, topic: str) -> list:
    kind, profile = topics(CAMERAS)[topic]
    heard = sender.graph.listen(topic, kind, profile)
    sender.graph.wait(lambda: topic in sender.outputs.wanted_of_frames(), 'the reader to be known')
    return heard


def test_a_whole_frame_shares_what_the_display_topics_need(sender):
    heard = {topic: listen(sender, topic)
             for topic in ('predicted/frame', 'predicted/image', 'predicted/points')}
    sender.send()
    for topic, messages in heard.items():
        sender.graph.wait(lambda messages=messages: messages, topic)
    assert sender.made.count('cloud_message') == 1
    assert sender.made.count('array_to_image') == 2      # picture and mask


def test_each_of_several_cameras_has_topics_of_its_own(sender):
    names = ('predicted/front/image', 'predicted/wrist/image', 'predicted/wrist/points',
             'robot/wrist/mask', 'predicted/wrist/frame')
    heard = {topic: listen(sender, topic) for topic in names}
    sender.send()
    for topic, messages in heard.items():
        sender.graph.wait(lambda messages=messages: messages, topic)
    front, wrist, cloud, mask, whole = (heard[topic][0] for topic in names)
    assert (whole.image, whole.points, whole.header.frame_id) == (wrist, cloud, 'hand')
    assert (whole.rollout_id, whole.index, whole.count) == (
        rollout(1).id, 0, frame().predicted.count)
    np.testing.assert_array_equal(image_to_array(front), frame().predicted.image)
    np.testing.assert_array_equal(image_to_array(wrist), 255 - frame().predicted.image)
    assert (front.header.frame_id, wrist.header.frame_id) == (CAMERA_FRAME, 'hand')
    # that camera moves, so where its points are is said in the frame of the robot
    assert cloud.header.frame_id == 'base_link'
    np.testing.assert_array_equal(cloud_to_arrays(cloud)[0],
                                  frame().predicted.pointmap + 1 + (10, 0, 0))
    np.testing.assert_array_equal(image_to_array(mask) > 0, ~frame().robot.mask)


def test_the_compressed_image_shows_the_same(sender):
    heard = listen(sender, 'predicted/image/compressed')
    sender.send()
    sender.graph.wait(lambda: heard, 'the picture')
    assert heard[0].header.frame_id == CAMERA_FRAME and heard[0].header.stamp.sec == 5
    assert 'jpeg' in heard[0].format
    difference = compressed_to_array(heard[0]).astype(int) - frame().predicted.image
    assert np.abs(difference).mean() < 3.0


@pytest.mark.parametrize('stride', [1, 2])
def test_the_decimated_cloud_is_every_fourth_row_and_column(sender, stride):
    heard = listen(sender, 'predicted/points/decimated')
    sender.send(stride=stride)
    sender.graph.wait(lambda: heard, 'the cloud')
    points, colors = cloud_to_arrays(heard[0])
    np.testing.assert_array_equal(points, frame().predicted.pointmap[::4 * stride, ::4 * stride])
    np.testing.assert_array_equal(colors, frame().predicted.image[::4 * stride, ::4 * stride])


def test_topics_of_frames_are_all_but_those_of_verdicts():
    assert set(TOPICS) - OF_FRAMES == {'verdict', 'verdict_markers', 'candidates',
                                              'local_clearance'}
