# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded robot before shadow_sim as it is installed: no PASS by a camera that is elsewhere."""
import numpy as np
import pytest
from graph import Asker, made, parameters, Process
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, Verdict
from sensor_msgs.msg import CameraInfo, Image, JointState
from shadow_bench import codes
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import calibration_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message, trajectory_message
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.robot.transforms import transform_from_rpy

pytestmark = pytest.mark.timeout(180)
EYE = 'eye_optical_frame'       # no link of the robot: only /tf_static knows it
BODY_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
SPOILT = {
    'inverted': np.linalg.inv,
    'its body': lambda T: T @ np.linalg.inv(BODY_OPTICAL),
    'turned': lambda T: T @ transform_from_rpy((0.0, 0.0, 0.0), (0.0, np.deg2rad(6.0), 0.0)),
    'moved': lambda T: transform_from_rpy((0.0, 0.05, 0.0), (0.0, 0.0, 0.0)) @ T}


class Cell:
    """A recorded robot that waits at the start of its motion, and shadow_sim."""

    def __init__(self, graph):
        self.graph, node, self._asker = graph, graph.node, None
        self.episode = episode = Episode.open(find_episode('libero_object_0_0_success'))
        self.frame = episode.frames[episode.start_index]
        self.robot = Robot.from_urdf(episode.robot_description)
        T_base_link = ForwardKinematics(self.robot)(
            self.robot.configuration(self.frame.joint_positions)[None])[0]
        self.T_base_camera = T_base_link[self.robot.link_names.index(episode.camera_frame)]
        self._describe = node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        self._static = node.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
        self._image, self._depth = (node.create_publisher(Image, f'camera/{name}', qos.PREDICTION)
                                    for name in ('image_raw', 'depth/image_raw'))
        self._info = node.create_publisher(CameraInfo, 'camera/camera_info', qos.PREDICTION)
        self._joints = node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self._describe.publish(String(data=episode.robot_description))
        self.mount(self.T_base_camera)
        self._timer = node.create_timer(0.1, self._show)

    def mount(self, T_base_camera):
        """Say where the camera is."""
        self._static.publish(TFMessage(transforms=[transform_message(
            T_base_camera, Header(frame_id=self.robot.root_link), EYE)]))

    def _show(self):
        stamp = self.graph.node.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id=EYE)
        self._joints.publish(joint_state_message(self.frame.joint_positions, Header(stamp=stamp)))
        self._info.publish(calibration_message(self.episode.calibration, header))
        self._depth.publish(array_to_image(self.frame.depth, header, '32FC1'))
        self._image.publish(array_to_image(self.frame.image, header))

    def ask(self):
        """Return the verdict on the recorded motion, once shadow_sim can tell one."""
        asker = self._asker = self._asker or Asker(self.graph, self.graph.action())
        return asker.verdict(Precheck.Goal(
            candidates=[trajectory_message(self.episode.trajectory)]))


@pytest.fixture(scope='module')
def cell(module_ros_domain):
    with made() as graph:
        cell = Cell(graph)
        process = Process('shadow_sim', *parameters(world_model='frozen'))
        yield cell
        assert process.stop() == 0, process.output()


@pytest.mark.parametrize('how', SPOILT)
def test_a_camera_that_is_elsewhere_is_noticed(cell, how):
    """By defaults, and though it was believed a moment ago; put right, it is believed again."""
    cell.mount(cell.T_base_camera)
    seen = []
    cell.graph.wait(lambda: seen.append(cell.ask()) or seen[-1].status == Verdict.PASS, 'a PASS')
    assert {0, 1} <= set(seen[-1].tiers_passed)
    cell.mount(SPOILT[how](cell.T_base_camera))
    cell.graph.wait(lambda: seen.append(cell.ask()) or Finding.CAMERA_POSE in codes(seen[-1])
                    and seen[-1].status == Verdict.UNSURE, 'the doubt')
    assert cell.ask().status == Verdict.UNSURE
