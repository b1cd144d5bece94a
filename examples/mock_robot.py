# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A robot that is not there: its topics as in a moment of an episode; and nodes beside it."""
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from ament_index_python import get_package_prefix
from control_msgs.action import FollowJointTrajectory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.action import ActionClient, ActionServer
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header, String

import kinema4d_ros as k4d
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message

PROGRAMS = Path(get_package_prefix('kinema4d_ros'), 'lib', 'kinema4d_ros')


class MockRobot(Node):
    """An arm that stands still before a camera, and a controller that only notes its goals."""

    def __init__(self, episode: k4d.Episode):
        """Make the node; it publishes from now on."""
        super().__init__('mock_robot')
        self._observation, self._frame = episode.observation(), episode.camera_frame
        self.arrived = []
        self._joints, self._info, self._image, self._depth = (
            self.create_publisher(kind, topic, qos.PREDICTION) for kind, topic in (
                (JointState, 'joint_states'), (CameraInfo, 'camera/camera_info'),
                (Image, 'camera/image_raw'), (Image, 'camera/depth/image_raw')))
        self._robot = self.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        self._robot.publish(String(data=episode.robot_description))
        self.create_timer(0.1, self._tell)
        self._server = ActionServer(self, FollowJointTrajectory,
                                    '/arm_controller/follow_joint_trajectory', self._execute)

    def show(self, observation: k4d.Observation) -> None:
        """Stand as in another moment."""
        self._observation = observation
        self._tell()

    def _tell(self) -> None:
        seen = self._observation
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame)
        self._joints.publish(joint_state_message(seen.joint_positions, header))
        self._info.publish(camera_info_message(seen.view.camera, header))
        self._depth.publish(array_to_image(seen.view.depth, header, '32FC1'))
        self._image.publish(array_to_image(seen.view.image, header, 'rgb8'))

    def _execute(self, goal) -> FollowJointTrajectory.Result:
        self.arrived.append(goal.request.trajectory)
        goal.succeed()
        return FollowJointTrajectory.Result(error_string='executed')


@contextlib.contextmanager
def program(name: str, *parameters: str):
    """Run a node of this package as a process of its own."""
    arguments = [part for parameter in parameters for part in ('-p', parameter)]
    process = subprocess.Popen([sys.executable, PROGRAMS / name, '--ros-args', *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def client(node: MockRobot, kind, name: str) -> ActionClient:
    """Return a client whose server is there."""
    made = ActionClient(node, kind, name)
    if not made.wait_for_server(60.0):
        raise SystemExit(f'{name} does not come up; see above')
    return made


def wait_until_ready(node: MockRobot, name: str) -> None:
    """Wait until a node says in /diagnostics that all is there which it needs."""
    ready = threading.Event()

    def hear(array: DiagnosticArray) -> None:
        if any(status.name.startswith(name) and status.level == DiagnosticStatus.OK
               for status in array.status):
            ready.set()

    subscription = node.create_subscription(DiagnosticArray, '/diagnostics', hear, 10)
    if not ready.wait(120.0):
        raise SystemExit(f'{name} is not ready; see above')
    node.destroy_subscription(subscription)


def answer(future):
    """Wait for what a future brings."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(120.0):
        raise SystemExit('no answer came in two minutes')
    return future.result()
