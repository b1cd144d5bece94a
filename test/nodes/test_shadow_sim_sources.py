# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim with two sources of one thing on a real graph: what differs is in doubt, no more."""
import contextlib
import dataclasses

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from graph import HEIGHT, READY, URDF, WIDTH
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, Verdict
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, JointState
from shadow_bench import codes
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.bridge.transforms import transform_message

pytestmark = pytest.mark.timeout(180)
ARM = {name: value for name, value in READY.items() if 'finger' not in name}
FINGER = {'finger_joint': READY['finger_joint']}


@contextlib.contextmanager
def another(bench, name, kind, topic, make=None, profile=qos.PREDICTION):
    """Have another node publish what `make` returns for a stamp, 20 times a second."""
    node = Node(name, context=bench.graph.context)
    publisher = node.create_publisher(kind, topic, profile)

    def publish():
        now = bench.graph.node.get_clock().now().nanoseconds
        publisher.publish(make(now))

    timer = bench.graph.node.create_timer(0.05, publish) if make else None
    try:
        yield publisher
    finally:
        if timer is not None:
            bench.graph.node.destroy_timer(timer)
        node.destroy_node()


def joints(positions, offset=0.0, *, stamped=True):
    """Return what makes a JointState, with a clock that is off by `offset` [s]."""
    return lambda now: joint_state_message(positions, Header(
        stamp=Time(nanoseconds=now + round(offset * 1e9) if stamped else 0).to_msg()))


def header(bench, now):
    """Return a header in the camera's frame."""
    return Header(stamp=Time(nanoseconds=now).to_msg(), frame_id=bench.robot.frame)


def contradiction(bench, *words):
    """Wait for a verdict that is UNSURE by a contradiction in which the words are."""
    def found():
        verdict = bench.ask()
        return [finding.message for finding in verdict.findings
                if finding.code == Finding.CONTRADICTION] if verdict.status == Verdict.UNSURE \
            else []

    messages = bench.graph.wait(found, 'the contradiction')
    for word in words:
        assert any(word in message for message in messages), messages
    status, result = bench.outcome(bench.goal())
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Precheck.Result.NOT_READY)


def recovers(bench):
    """Wait for a PASS."""
    bench.graph.wait(lambda: bench.ask().status == Verdict.PASS, 'the cure')


def test_two_publishers_of_one_joint_that_differ(bench):
    wrong = READY | {'elbow_joint': 0.0}
    with another(bench, 'joint_state_publisher', JointState, 'joint_states', joints(wrong)):
        contradiction(bench, 'elbow_joint', '0.0000', '1.7500', '/joint_state_publisher',
                      '/tester', 'stop one of them')
    recovers(bench)
    with another(bench, 'mirror', JointState, 'joint_states', joints(READY)):
        bench.robot.wait_shown(20)
        bench.passes()                      # they agree


def test_two_robots_that_are_described_on_one_topic(bench):
    other = String(data=URDF.replace('name="demo_arm"', 'name="other_arm"'))
    with another(bench, 'second_robot', String, 'robot_description',
                 profile=qos.ROBOT_DESCRIPTION) as publisher:
        publisher.publish(String(data=URDF))
        bench.passes()                      # they agree
        publisher.publish(other)
        verdict = bench.graph.wait(lambda: 'two publishers of robot_description' in (
            told := bench.ask()).summary and told, 'the contradiction')
        assert verdict.status == Verdict.UNSURE
        for word in ('/second_robot', '/tester'):
            assert word in verdict.summary, verdict.summary
        publisher.publish(String(data=URDF))
        recovers(bench)
        publisher.publish(other)
        bench.graph.wait(lambda: bench.ask().status == Verdict.UNSURE, 'it again')
    recovers(bench)                          # one of them is gone


def test_two_static_mountings_of_one_camera(bench):
    bench.robot.frame = bench.robot.depth_frame = 'eye_optical_frame'

    def mounting(x, parent='base_link'):
        T = np.eye(4)
        T[0, 3] = x
        return TFMessage(transforms=[
            transform_message(T, Header(frame_id=parent), 'eye_optical_frame')])

    with another(bench, 'urdf', TFMessage, '/tf_static', profile=qos.TF_STATIC) as first:
        first.publish(mounting(0.1))
        recovers(bench)
        with another(bench, 'driver', TFMessage, '/tf_static', profile=qos.TF_STATIC) as second:
            second.publish(mounting(0.3, 'flange_link'))
            contradiction(bench, "'eye_optical_frame'", "'base_link' at xyz 0.100",
                          "'flange_link' at xyz 0.300", '/driver', '/urdf')
        recovers(bench)                      # one has gone: the other is heard anew
    bench.robot.wait_shown(6)
    with another(bench, 'next', TFMessage, '/tf_static', profile=qos.TF_STATIC) as third:
        third.publish(mounting(0.2))         # after the one before has gone
        recovers(bench)


@pytest.mark.parametrize('differ', [
    lambda camera: dataclasses.replace(camera, fx=camera.fx + 5.0),
    lambda camera: dataclasses.replace(camera, cx=camera.cx - 3.0)], ids=['fx', 'cx'])
def test_two_calibrations_of_one_camera(bench, differ):
    other = differ(bench.robot.camera)
    with another(bench, 'old_driver', CameraInfo, 'camera/camera_info',
                 lambda now: camera_info_message(other, header(bench, now))):
        contradiction(bench, 'different calibrations', '/camera/camera_info', '/old_driver',
                      '/tester')
    recovers(bench)
    with another(bench, 'mirror', CameraInfo, 'camera/camera_info',
                 lambda now: camera_info_message(bench.robot.camera, header(bench, now))):
        bench.robot.wait_shown(10)
        bench.passes()


@pytest.mark.parametrize('topic, pixels, encoding', [
    ('camera/image_raw', np.zeros((HEIGHT, WIDTH, 3), np.uint8), 'rgb8'),
    ('camera/depth/image_raw', np.ones((HEIGHT, WIDTH), np.float32), '32FC1')])
def test_two_cameras_on_one_topic(bench, topic, pixels, encoding):
    with another(bench, 'other_camera', Image, topic,
                 lambda now: array_to_image(pixels, header(bench, now), encoding)):
        contradiction(bench, f'/{topic}', '/other_camera', '/tester')
    recovers(bench)


def test_a_republisher_beside_the_driver_sends_the_same_images(bench):
    """As image_transport's does, and a plugin of the driver: with the driver's headers."""
    node = Node('republisher', context=bench.graph.context)
    publisher = node.create_publisher(Image, 'camera/image_raw', qos.PREDICTION)

    def make(image, header):
        message = array_to_image(image, header, 'rgb8')
        publisher.publish(message)
        return message

    bench.robot.make_image = make
    try:
        bench.graph.wait(publisher.get_subscription_count, 'shadow_sim')
        bench.robot.wait_shown(10)
        for _ in range(3):
            bench.passes()
    finally:
        bench.robot.make_image = lambda image, header: array_to_image(image, header, 'rgb8')
        node.destroy_node()


def test_camera_and_calibration_of_two_frames(bench):
    bench.robot.make_info = lambda camera, header: camera_info_message(
        camera, Header(stamp=header.stamp, frame_id='left_optical_frame'))
    contradiction(bench, "'left_optical_frame'", "'camera_optical_frame'")


@pytest.mark.parametrize('clock, words', [
    ({'offset': -2.0}, ('finger_joint', '2.0 s behind', '/gripper')),
    ({'offset': 2.0}, ('finger_joint', '2.0 s ahead', '/gripper')),
    ({'stamped': False}, ('finger_joint', 'no stamp', '/gripper'))])
def test_a_gripper_with_another_clock_puts_its_joint_in_doubt_and_no_other(bench, clock, words):
    bench.robot.joints = dict(ARM)
    with another(bench, 'gripper', JointState, 'joint_states', joints(FINGER, **clock)):
        bench.robot.wait_shown(25)
        verdict = bench.ask()
        assert verdict.status == Verdict.UNSURE
        assert {Finding.STALE_INPUT, Finding.CONTRADICTION} & set(codes(verdict))
        said = ' '.join(finding.message for finding in verdict.findings)
        assert all(word in said for word in words) and 'elbow_joint' not in said, said


@pytest.mark.parametrize('clock', [{'offset': -2.0}, {'stamped': False}])
def test_a_joint_that_nobody_asked_for_may_have_any_clock(bench, clock):
    jumps = bench.process.output().count('jumped back')
    with another(bench, 'wheels', JointState, 'joint_states', joints({'wheel': 1.0}, **clock)):
        bench.robot.wait_shown(10)
        for _ in range(3):
            bench.passes()
        status, _ = bench.outcome(bench.goal(tiers=[2]))      # nor is what runs cancelled
        assert status == GoalStatus.STATUS_SUCCEEDED
        bench.graph.wait(lambda: 'wheel: the' in bench.status('inputs')[2].get(
            'joint_states problem', ''), 'the notice')
    assert bench.process.output().count('jumped back') == jumps


def test_joints_that_come_under_other_names_are_told_with_these(bench):
    try:
        bench.robot.joints = {f'left_{name}': position for name, position in READY.items()}
        bench.robot.wait_shown(30)
        verdict = bench.ask()
        assert verdict.status == Verdict.UNSURE
        assert 'messages come, but they name left_' in verdict.summary, verdict.summary
    finally:
        bench.robot.joints = dict(READY)
    recovers(bench)


def test_a_joint_that_nobody_publishes_is_fixed_by_a_parameter(bench):
    bench.robot.joints = dict(ARM)
    bench.robot.wait_shown(25)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert any('set fixed_joints.finger_joint to its position' in finding.message
               for finding in verdict.findings), verdict.summary
    try:
        bench.set(**{'fixed_joints.finger_joint': READY['finger_joint']})
        recovers(bench)
        bench.robot.joints = READY | {'finger_joint': 0.02}
        contradiction(bench, 'fixed_joints.finger_joint says 0.0440', '0.0200')
    finally:
        bench.set(**{'fixed_joints.finger_joint': READY['finger_joint']})
