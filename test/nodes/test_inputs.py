# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim makes of messages, handed to the callbacks of a real node; nothing spins."""
import threading
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from graph import CAMERA_FRAME, HEIGHT, LIMIT, READY, URDF, WIDTH
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos, subscription_thread
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.bridge.transforms import transform_message, TransformTree
from kinema4d_ros.nodes.shadow_sim import received as received_module
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.diagnostics import diagnostics
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.received import InputStatus
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, PinholeCamera

ROBOT = Robot.from_urdf(URDF)
VALUES = TABLE.validate({})
IMAGE, INFO, DEPTH = 'camera/image_raw', 'camera/camera_info', 'camera/depth/image_raw'
NOW = time.time_ns()


class Desk:
    """Inputs whose messages are handed over one by one."""

    def __init__(self, node):
        self.jumps = []
        self.inputs = Inputs(node, VALUES, TransformTree(), lambda: self.jumps.append(1))
        self.frames = {IMAGE: CAMERA_FRAME, INFO: CAMERA_FRAME, DEPTH: CAMERA_FRAME}
        self.stamp, self.sent = NOW, {}
        self.camera = PinholeCamera(WIDTH, HEIGHT, 90.0, 90.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)

    def header(self, topic):
        """Return a header of this moment."""
        stamp = rclpy.time.Time(nanoseconds=self.stamp).to_msg()
        return Header(stamp=stamp, frame_id=self.frames.get(topic, ''))

    def put(self, topic, message):
        """Hand a message to the callback of its subscription, as from the only publisher."""
        self.sent[topic] = self.sent.get(topic, 0) + 1
        subscription = self.inputs._received.subscriptions[topic]
        subscription.callback(serialize_message(message) if subscription.raw else message,
                              {'publication_sequence_number': self.sent[topic]})

    def show(self, image=None, depth=None, info=None):
        """Hand over one look, the next moment's."""
        self.stamp += 50_000_000
        image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8) if image is None else image
        depth = np.full((HEIGHT, WIDTH), 1.5, np.float32) if depth is None else depth
        self.put('joint_states', joint_state_message(READY, self.header('joint_states')))
        self.put(INFO, info or camera_info_message(self.camera, self.header(INFO)))
        self.put(DEPTH, array_to_image(depth, self.header(DEPTH), '32FC1'))
        if not isinstance(image, Image):
            image = array_to_image(image, self.header(IMAGE), 'rgb8')
        self.put(IMAGE, image)

    def look(self, finder=None):
        """Return what is observed now."""
        finder = finder or CameraFinder(ROBOT, {}, TransformTree())
        return self.inputs.observe(finder, self.stamp, VALUES)

    def problem(self, code=FindingCode.MISSING_INPUT, finder=None) -> str:
        """Return why nothing can be observed."""
        with pytest.raises(InputProblem) as caught:
            self.look(finder)
        assert caught.value.code == code
        return str(caught.value)

    def status(self, topic):
        """Return the status of one input."""
        return next(status for status in self.inputs.status() if status.topic == topic)


@pytest.fixture(scope='module')
def node(module_ros_domain):
    """Return a node that nobody spins."""
    with rclpy.Context() as context:
        made = Node('inputs', context=context)
        yield made
        made.destroy_node()


@pytest.fixture
def desk(node):
    """Return inputs that have seen nothing yet."""
    made = Desk(node)
    yield made
    made.inputs.close()


def test_a_look(desk):
    desk.show()
    look = desk.look()
    seen, = look.framed
    assert (seen.frame, seen.stays, look.root_link) == (CAMERA_FRAME, True, 'base_link')
    assert seen.is_in_frame
    assert (look.observation.view.image == 7).all() and (look.observation.view.depth == 1.5).all()


def test_depth_of_another_camera_is_refused_with_both_frames_and_the_cure(desk):
    desk.frames[DEPTH] = 'camera_depth_optical_frame'
    desk.show()
    words = desk.problem()
    for word in ('camera_depth_optical_frame', CAMERA_FRAME, 'aligned_depth_to_color'):
        assert word in words
    assert desk.status(DEPTH).refused == 1
    desk.frames[DEPTH] = '/' + CAMERA_FRAME        # the slash of ROS 1 days is no difference
    desk.show()
    desk.look()


def test_depth_of_another_size_is_refused_with_both_sizes(desk):
    desk.show(depth=np.ones((HEIGHT // 2, WIDTH // 2), np.float32))
    words = desk.problem()
    assert f'depth image has {WIDTH // 2} x {HEIGHT // 2} pixels' in words
    assert f'{WIDTH} x {HEIGHT}; use the depth that' in words


def test_a_calibration_of_another_camera_is_refused(desk):
    desk.frames[INFO] = 'left_optical_frame'
    desk.show()
    words = desk.problem(FindingCode.CONTRADICTION)
    assert "'left_optical_frame'" in words and f"'{CAMERA_FRAME}'" in words


def test_a_calibration_without_a_frame_is_that_of_the_image_beside_it(desk):
    desk.frames[INFO] = ''
    desk.show()
    assert desk.look().framed[0].frame == CAMERA_FRAME


def test_an_uncalibrated_camera_is_refused(desk):
    info = camera_info_message(desk.camera, desk.header(INFO))
    info.k = [0.0] * 9
    desk.show(info=info)
    assert 'not calibrated' in desk.problem()


@pytest.mark.parametrize('link', [CAMERA_FRAME, ROBOT.joints['wrist_roll_joint'].child])
def test_the_right_camera_of_a_stereo_pair_is_beside_the_left_one(desk, link):
    desk.frames = dict.fromkeys(desk.frames, link)
    info = camera_info_message(desk.camera, desk.header(INFO))
    info.p[3] = -90.0 * 0.125                      # 0.125 m to the right
    desk.show(info=info)
    finder = CameraFinder(ROBOT, {}, TransformTree())
    left, _ = finder.find(link, READY)
    look = desk.look(finder)
    beside = np.eye(4)
    beside[0, 3] = 0.125
    np.testing.assert_allclose(look.observation.view.T_base_camera, left @ beside, atol=1e-9)
    assert look.observation.view.mount_link == ('' if link == CAMERA_FRAME else link)
    assert not look.framed[0].is_in_frame        # its points would be told 0.125 m off


def test_an_image_that_cannot_be_read_is_refused_once_and_forgotten_after_a_while(
        desk, monkeypatch):
    bad = array_to_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), desk.header(IMAGE), 'rgb8')
    bad.encoding = 'nv12'
    desk.show(image=bad)
    for _ in range(3):
        assert 'nv12' in desk.problem()
    assert (desk.status(IMAGE).received, desk.status(IMAGE).refused) == (1, 1)
    assert 'nv12' in desk.status(IMAGE).problem
    desk.show()
    desk.look()
    later = received_module.time.monotonic() + received_module.RECENT
    monkeypatch.setattr(received_module.time, 'monotonic', lambda: later)
    assert desk.status(IMAGE).problem is None
    assert desk.status(IMAGE).refused == 1


def test_joint_states_that_were_bad_once_are_forgotten_after_a_while(desk, monkeypatch):
    desk.put('joint_states', JointState(
        header=desk.header(''), name=['elbow_joint', 'wrist_1_joint'], position=[0.1]))
    assert '1 positions' in desk.status('joint_states').problem
    later = received_module.time.monotonic() + received_module.RECENT
    monkeypatch.setattr(received_module.time, 'monotonic', lambda: later)
    assert desk.status('joint_states').problem is None


def test_joint_states_without_positions_are_told_of_where_there_are_no_others(desk):
    of_velocity = JointState(header=Header(), name=['elbow_joint'], velocity=[0.1])
    desk.put('joint_states', of_velocity)      # its stamp is of long ago, which is no matter
    assert desk.status('joint_states').problem.startswith('a message without positions')
    desk.show()
    desk.look()


def test_joint_states_without_positions_beside_others_are_no_problem(desk):
    desk.show()
    desk.put('joint_states', JointState(header=Header(), name=['elbow_joint'], velocity=[0.1]))
    # the desk's joints have old stamps, which is all that may be said
    assert 'positions' not in (desk.status('joint_states').problem or '')
    desk.look()


def test_a_calibration_that_cannot_be_read_is_refused_when_it_comes(desk):
    raw = serialize_message(camera_info_message(desk.camera, desk.header(INFO)))
    desk.inputs._received.subscriptions[INFO].callback(raw[:-40], {})
    assert 'bytes that are no CameraInfo' in desk.status(INFO).problem
    assert (desk.status(INFO).received, desk.status(INFO).refused) == (1, 1)
    desk.show()
    desk.look()


def test_closing_does_not_wait_for_a_callback_that_hangs(node, monkeypatch, capfd):
    monkeypatch.setattr(subscription_thread, 'END_TIMEOUT', 0.1)
    received, began, go_on = received_module.Received(node), threading.Event(), threading.Event()
    received.listen('hangs', Header, lambda _: (began.set(), go_on.wait(LIMIT)), 5)
    publisher = node.create_publisher(Header, 'hangs', 5)
    closing = threading.Thread(target=received.close)
    try:
        while not began.wait(0.05):
            publisher.publish(Header())
        closing.start()
        closing.join(LIMIT / 2)
        assert not closing.is_alive()
    finally:
        go_on.set()
        closing.join()
    assert 'is left behind' in capfd.readouterr().err


def test_remapped_cameras_get_the_qos_that_their_publisher_offers(module_ros_domain):
    with rclpy.Context() as context:
        node = Node('inputs', context=context, cli_args=[
            '--ros-args', '-r', 'camera/image_raw:=/eye/color'])
        desk = Desk(node)

        def reliability():
            return desk.inputs._received.camera_topics[IMAGE].now

        assert reliability() == QoSReliabilityPolicy.BEST_EFFORT     # while nobody offers more
        node.create_publisher(Image, '/eye/color', 5)
        graph_changed = threading.Event()
        for _ in range(int(LIMIT / 0.02)):
            if node.count_publishers('/eye/color'):
                break
            graph_changed.wait(0.02)
        desk.inputs.refresh()
        assert reliability() == QoSReliabilityPolicy.RELIABLE
        assert desk.inputs._received.subscriptions[IMAGE].topic_name == '/eye/color'
        node.create_publisher(Image, '/eye/color', qos_profile_sensor_data)
        desk.inputs.refresh()
        assert reliability() == QoSReliabilityPolicy.BEST_EFFORT
        desk.inputs.close()
        node.destroy_node()


def test_the_only_publisher_of_a_remapped_tf_static_may_start_again_with_another_mounting(
        module_ros_domain):
    with rclpy.Context() as context:
        node = Node('inputs', context=context, cli_args=[
            '--ros-args', '-r', '/tf_static:=/cell/tf_static'])
        desk = Desk(node)
        node.create_publisher(TFMessage, '/cell/tf_static', qos.TF_STATIC)
        for _ in range(int(LIMIT / 0.02)):
            if node.count_publishers('/cell/tf_static'):
                break
            threading.Event().wait(0.02)
        for x in 0.1, 0.3:
            T = np.eye(4)
            T[0, 3] = x
            desk.sent.clear()       # a program that starts again counts anew
            desk.put('/tf_static', TFMessage(transforms=[
                transform_message(T, Header(frame_id='base_link'), 'eye')]))
        assert desk.inputs._tree.contradicted() == []
        assert desk.inputs._tree.lookup('base_link', 'eye').T[0, 3] == 0.3
        desk.inputs.close()
        node.destroy_node()


def test_diagnostics_warn_of_a_problem_and_not_of_one_long_ago(node):
    def level(problem):
        status = InputStatus('joint_states', 20.0, 0.1, 100, 1, problem)
        return diagnostics(node, '', [status], (), None, {}).status[0].level

    assert level('no name') == DiagnosticStatus.WARN
    assert level('') == DiagnosticStatus.OK


def test_images_of_the_body_frame_are_noted_with_the_optical_one(desk):
    desk.frames = dict.fromkeys(desk.frames, 'camera_link')
    desk.show()
    desk.look()
    problem = desk.status(IMAGE).problem
    assert "'camera_link'" in problem and 'camera_frame to that' in problem
    assert repr(CAMERA_FRAME) in problem


def test_stamps_of_images_that_jump_back_forget_images_and_nothing_else(desk):
    desk.show()
    desk.stamp -= 5_000_000_000
    image = array_to_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), desk.header(IMAGE), 'rgb8')
    desk.put(IMAGE, image)
    assert desk.jumps == [1] and 'jumped back' in desk.status(IMAGE).problem
    desk.stamp += 5_000_000_000
    assert desk.inputs.joint_positions(ROBOT, desk.stamp, VALUES) == {
        name: READY[name] for name in ROBOT.joint_names}


def test_joints_come_with_the_velocities_that_are_published(desk):
    names = ROBOT.joint_names
    message = joint_state_message(READY, desk.header(''), dict.fromkeys(READY, 0.25))
    desk.put('joint_states', message)
    states = desk.inputs.joint_states(ROBOT, desk.stamp, VALUES)
    assert states.velocities == dict.fromkeys(names, 0.25)
    assert tuple(states.positions) == names
    fixed = desk.inputs.joint_states(
        ROBOT, desk.stamp, {**VALUES, 'fixed_joints.finger_joint': READY['finger_joint']})
    assert fixed.velocities['finger_joint'] == 0.0


def test_of_a_camera_that_has_stopped_that_is_said_and_not_that_the_joints_went_on(desk):
    desk.show()
    for _ in range(40):
        desk.stamp += 50_000_000
        desk.put('joint_states', joint_state_message(READY, desk.header('joint_states')))
    words = desk.problem(FindingCode.STALE_INPUT)
    assert words.startswith('the newest camera image on /camera/image_raw is 2.00 s old')
