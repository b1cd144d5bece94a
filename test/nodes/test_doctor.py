# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor on real graphs: a robot that is fine, and one thing wrong after another."""
import json

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import FakeRobot, made, parameters, Process
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Float64MultiArray, String

from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.cli.main import main
from kinema4d_ros.diagnosis import Level
from kinema4d_ros.nodes.doctor import graph as graph_checks

pytestmark = pytest.mark.timeout(180)
EPISODE = 'libero_spatial_0_0_into_table'


def examined(seconds=1.0, arguments=(), must=True) -> dict:
    """Return the checks of the graph by name."""
    return {check.name: check
            for check in graph_checks.check_graph(arguments, seconds, must, lambda *_: None)}


def errors(checks: dict) -> set:
    """Return the names of what will not work."""
    return {name for name, check in checks.items() if check.level == Level.ERROR}


def test_an_episode_is_all_fine(ros_domain, capsys):
    with made() as graph:
        player = Process('episode_player', *parameters(
            episode=EPISODE, at_end='hold', rate=10.0, wait_for_subscribers=0.0))
        graph.wait(lambda: 'played' in player.output(), 'the player')
        told = graph.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        graph.node.create_timer(0.2, lambda: told.publish(DiagnosticArray(status=[DiagnosticStatus(
            level=DiagnosticStatus.WARN, name='shadow_sim: camera drift', message='12.0 mm')])))
        assert main(['doctor', '--graph', '--json', '--seconds', '2']) == 0
        out = json.loads(capsys.readouterr().out)
        player.stop()
    checks = {check['name']: check for check in out['checks']}
    assert out['problems'] == 0
    for name in ('topics', 'QoS', 'joint names', 'camera calibration', 'camera place', 'clock',
                 'robot description', 'meshes', 'robot in the image'):
        assert checks[name]['level'] == 'ok', checks[name]
    assert '100 % of it is where it should be' in checks['robot in the image']['message']
    drift = checks['camera drift']       # as a running shadow_sim tells it
    assert drift['level'] == 'warning' and drift['message'] == '12.0 mm'
    assert 'kinema4d calibrate' in drift['cure']


def test_each_of_several_cameras_is_examined(ros_domain, capsys):
    """One of them stays, one is on the hand, and one that is wanted is not there."""
    with made() as graph:
        player = Process('episode_player', *parameters(
            episode='libero_object_6_0_success_wrist', at_end='hold', rate=10.0,
            wait_for_subscribers=0.0))
        graph.wait(lambda: 'played' in player.output(), 'the player')
        assert main(['doctor', '--graph', '--json', '--seconds', '2', '--ros-args', '-p',
                     'cameras:=[camera, wrist, side]']) == 1
        out = json.loads(capsys.readouterr().out)
        player.stop()
    checks = {check['name']: check for check in out['checks']}
    for name in ('camera calibration', 'camera place', 'clock', 'robot in the image'):
        for camera in ('camera', 'wrist'):
            assert checks[f'{name} ({camera})']['level'] == 'ok', checks
    wrong = {name: check['message'] for name, check in checks.items() if check['level'] == 'error'}
    assert wrong == dict.fromkeys(('topic /side/image_raw', 'topic /side/camera_info'),
                                  'has no publisher')


def test_nothing_is_running(ros_domain, capsys, monkeypatch):
    monkeypatch.setattr(graph_checks, 'REQUIRED_DISCOVERY', 0.5)
    checks = examined(must=False)
    assert checks['ROS graph'].level == Level.INFO
    assert f'domain {ros_domain}' in checks['ROS graph'].message
    assert main(['doctor', '--graph', '--seconds', '0']) == 1
    text = ' '.join(capsys.readouterr().out.split())
    assert 'ROS graph' in text and '-> start the robot' in text


def test_ros_arguments_that_cannot_be_understood(ros_domain, capsys):
    assert main(['doctor', '--ros-args', '-r', 'nonsense']) == 2
    assert '-r nonsense cannot be understood' in capsys.readouterr().err


def test_one_thing_wrong_after_another(ros_domain):
    """All on one graph, since finding each other is what takes time."""
    with made() as graph:
        robot = FakeRobot(graph)
        robot.wait_shown()
        checks = examined()
        assert errors(checks) == {'robot in the image'}, checks     # a wall is no robot
        assert 'does not see the robot where it' in checks['robot in the image'].message
        assert 'pose of the camera' in checks['robot in the image'].cure

        robot.make_info = lambda camera, header: _uncalibrated(camera, header)
        robot.make_joints = lambda joints, header: joint_state_message(
            {'left_' + name: value for name, value in joints.items()}, header)
        robot.stamp_offset = -5.0
        robot.depth_on = False
        robot.wait_shown()
        checks = examined()
        assert {'camera calibration', 'joint names', 'clock'} <= errors(checks)
        assert 'calibrate it' in checks['camera calibration'].cure
        assert 'left_elbow_joint' in checks['joint names'].message
        assert 'lack elbow_joint' in checks['joint names'].message
        assert '5.0 s in the past' in checks['clock'].message

        robot.info_on = robot.joints_on = False
        robot.describe('<robot name="x"><link')
        # shadow_sim asks for reliable, and the second wants what the first does not keep
        node = graph.node
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(String, 'robot_description', lambda message: None, 1)
        node.create_publisher(String, 'robot_description', best_effort)
        node.create_publisher(Image, 'd435/image', 1)
        node.create_publisher(Float64MultiArray, 'forward_controller/commands', 1)
        robot.wait_shown()
        checks = examined(arguments=[
            '--ros-args', '-r', 'camera/image_raw:=/other',
            '-r', 'camera/image_raw/compressed:=/other/compressed'])
        assert 'QoS of /robot_description' in errors(checks)
        assert checks['robot description'].level == Level.ERROR
        assert checks['topic /other'].level == Level.ERROR
        assert '/d435/image' in checks['topic /other'].cure
        assert checks['rate of joint_states'].message == 'has a publisher, but nothing came'
        past = checks['topic /forward_controller/commands']
        assert past.level == Level.WARNING and 'nobody has checked' in past.message
        assert 'set_points:=/forward_controller' in past.cure


def _uncalibrated(camera, header):
    message = camera_info_message(camera, header)
    message.k = [0.0] * 9
    return message
