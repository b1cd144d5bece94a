# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate of set points before controllers of other kinds, and what it knows of a controller."""
import sys
import types

import numpy as np
import pytest
from forward_controller import VelocityController
from gate_bench import exact
from graph import parameters, Process, READY, ROOT
from kinema4d_ros.msg import Verdict
from rclpy.qos import QoSProfile
from real_controller import why_absent
from real_set_points import RealSetPointBench
from set_point_bench import ARM, gated, ROBOT
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (duration_message, trajectory_from_message,
                                        trajectory_message)
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.gate.set_points import SetPointSettings
from kinema4d_ros.nodes.set_point_gate.controller import ControllerWatch
from kinema4d_ros.nodes.set_point_gate.parameters import (fixed_joints, set_point_settings,
                                                              TABLE)
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import JointTrajectory as Trajectory


@pytest.fixture(scope='module', params=['ours', 'real'])
def moving(request, module_ros_domain):
    """Start a gate before a controller of velocities."""
    if request.param == 'ours':
        with gated(kind='velocity', controller='/speed_controller', of_velocities=True) as bench:
            assert isinstance(bench.controller, VelocityController)
            yield bench
        return
    if reason := why_absent():
        pytest.skip(reason)
    with gated(RealSetPointBench, kind='velocity', of_velocities=True) as bench:
        yield bench


def speeding(bench, speed):
    since = len(bench.decisions)
    bench.stream.values = lambda: (speed * np.eye(len(ARM))[0]).tolist()
    bench.relays(since)
    return len(bench.decisions)


def test_velocities_are_relayed_and_braked_when_the_source_falls_silent(moving):
    before = moving.pan()
    speeding(moving, 0.1)
    moving.graph.wait(lambda: moving.pan() > before + 0.02, 'the arm to move')
    since = len(moving.decisions)
    moving.stream.values = None
    moving.held('the source has been silent', since)
    moving.graph.wait(lambda: list(moving.controller.commands[-1]) == [0.0] * 6, 'it to stand')
    told = [command[0] for command in moving.controller.commands]
    assert 0.1 in told and max(told) == 0.1                  # as it was sent
    assert sum(0.0 < value < 0.1 for value in told[-12:]) >= 2     # not at once


def test_a_controller_of_velocities_that_is_deactivated_stands_until_it_is_active_again(moving):
    speeding(moving, 0.05)
    since = len(moving.decisions)
    moving.controller.switch(False)
    if isinstance(moving, RealSetPointBench):      # nobody tells of our stand-in
        moving.held('/forward_controller is inactive, as', since)
    place = moving.pan()
    since = len(moving.decisions)
    moving.controller.switch(True)
    if isinstance(moving, RealSetPointBench):
        assert abs(moving.pan() - place) < 0.01
        moving.relays(since)
    moving.graph.wait(lambda: moving.pan() > place + 0.01, 'the arm to move again')
    moving.stream.values = None
    moving.graph.wait(lambda: list(moving.controller.commands[-1]) == [0.0] * 6, 'it to stand')


def test_a_velocity_towards_a_hidden_obstacle_is_braked_before_it(moving):
    since = speeding(moving, 0.1)
    wall = moving.pan() + 0.15
    moving.space.of = lambda joints: max(wall - joints['shoulder_pan_joint'], 0.0) * 0.8
    moving.held('could be displaced by', since)
    moving.graph.wait(lambda: list(moving.controller.commands[-1]) == [0.0] * 6, 'it to stand')
    assert moving.pan() < wall
    moving.stream.values, moving.space.of = None, lambda joints: 0.5


def test_a_gate_that_ends_brakes_first(moving):
    speeding(moving, 0.1)
    moving.stop()
    moving.graph.wait(lambda: list(moving.controller.commands[-1]) == [0.0] * 6, 'it to stand')
    assert 'Traceback' not in moving.process.output()


def point(bench, step=0.004):
    """Return a set point of the kind that servoing nodes send."""
    joints, _ = bench.arm.state()
    place = [joints[name] + step * (name == ARM[0]) for name in ARM]
    return JointTrajectory(joint_names=list(ARM[::-1]), points=[JointTrajectoryPoint(
        positions=place[::-1], velocities=[0.0] * 6, time_from_start=duration_message(0.02))])


class PointController:
    """Moves an arm to the point of each trajectory at once, and keeps what came."""

    def __init__(self, node, arm):
        self.arm, self.commands = arm, []
        node.create_subscription(JointTrajectory, '/arm_controller/joint_trajectory', self._take,
                                 QoSProfile(depth=10))

    def switch(self, active):
        """Nothing deactivates it."""

    def _take(self, message):
        self.commands.append(message)
        self.arm.set_moving(dict(zip(message.joint_names, message.points[0].positions)))


def test_points_of_a_servoing_node_along_a_trajectory_that_passed(ros_domain):
    """In a scene that nobody knows: inside of the tube it is relayed, outside it is held."""
    with gated(kind='trajectory', controller='/arm_controller', of_points=PointController,
               source='set_point_gate/joint_trajectory', message=JointTrajectory,
               joints=f'[{",".join(ARM)}]', path_tolerance=0.02) as bench:
        bench.space.problem = 'the camera is dark'
        bench.stream.values = lambda: point(bench)
        bench.held('the camera is dark')
        bench.stream.values = None
        node = bench.graph.node
        asked = node.create_publisher(JointTrajectory, 'joint_trajectory', qos.TRAJECTORY)
        said = node.create_publisher(Verdict, 'verdict', qos.VERDICT)
        bench.graph.wait(lambda: asked.get_subscription_count()
                         and said.get_subscription_count(), 'the gate to listen')
        joints, _ = bench.arm.state()
        begin = np.array([joints[name] for name in ARM])
        # So slow that a busy machine, which sends fewer set points, is not late when it ends.
        motion = trajectory_message(Trajectory(ARM, [0.0, 50.0], [begin, begin
                                                                  + 2.5 * np.eye(6)[0]]))
        now = node.get_clock().now()
        verdict = Verdict(
            status=Verdict.PASS, final=True, tiers_passed=[0, 1],
            robot_hash=ROBOT.description_hash,
            trajectory_hash=trajectory_hash(trajectory_from_message(motion)),
            start_joints=list(READY), start_positions=[joints[name] for name in READY],
            start_velocities=[0.0] * len(READY), min_clearance=0.2)
        verdict.header.stamp = now.to_msg()
        verdict.valid_until.sec = now.to_msg().sec + 50
        since = len(bench.decisions)
        asked.publish(motion)
        said.publish(verdict)
        bench.stream.values = lambda: point(bench, 0.0008)
        bench.relays(since)
        bench.graph.wait(lambda: bench.pan() > begin[0] + 0.03, 'the arm to follow the path')
        assert exact(bench.controller.commands[-1]) in {exact(m) for m in bench.stream.sent[-40:]}
        since = len(bench.decisions)

        def aside():
            message = point(bench, 0.0008)
            message.points[0].positions[3] += 0.03       # the elbow
            return message

        bench.stream.values = aside
        bench.held('away from the checked trajectory', since)
        since = len(bench.decisions)
        bench.stream.values = lambda: point(bench, 0.0008)
        bench.relays(since)
        since = len(bench.decisions)
        said.publish(Verdict(status=Verdict.FAIL, trajectory_hash=verdict.trajectory_hash))
        bench.held('the camera is dark', since)


def test_a_bad_parameter_is_one_clear_error(ros_domain):
    process = Process('set_point_gate', *parameters(controller='/c', kind='pose'))
    assert process.process.wait(60.0) == 1
    assert "set_point_gate" in process.output() or 'node' in process.output()
    assert "parameter 'tip_link' is empty; kind pose needs the link" in process.output()
    assert 'Traceback' not in process.output()


def test_parameter_file_is_complete_and_holds_the_defaults():
    text = (ROOT / 'config' / 'set_point_gate.yaml').read_text()
    with pytest.raises(ConfigurationError, match="'controller' has no default"):
        TABLE.check_yaml(text, 'set_point_gate')
    given = text.replace('# controller: ', 'controller: ')
    values = TABLE.check_yaml(given, 'set_point_gate', complete=True)
    assert values == TABLE.validate({'controller': '/forward_position_controller'})
    assert set_point_settings(values) == SetPointSettings()
    assert fixed_joints(values) == {}
    assert fixed_joints(TABLE.validate({'controller': '/c', 'fixed_joints.grip': 0.1})) == {
        'grip': 0.1}
    comments = ' '.join(line.strip('# ') for line in text.splitlines()
                        if line.strip().startswith('#'))
    for line in TABLE.yaml().splitlines():
        if line.strip().startswith('# ') and 'REQUIRED' not in line:
            assert line.strip('# ') in comments        # each parameter is explained


# ------------------------------------------------------------- the controller, without a graph

class Client:
    """A client whose answers a test gives."""

    def __init__(self):
        self.ready, self.asked, self.removed = True, [], 0

    def service_is_ready(self):
        return self.ready

    def call_async(self, request):
        from rclpy.task import Future
        self.asked.append(Future())
        return self.asked[-1]

    def remove_pending_request(self, future):
        self.removed += 1


class Stub:
    """What ControllerWatch needs of a node."""

    def __init__(self):
        self.clients, self.listeners, self.publishers, self.said = {}, 1, [], []

    def create_client(self, kind, name, callback_group=None):
        return self.clients.setdefault(name, Client())

    def get_publishers_info_by_topic(self, topic):
        return self.publishers

    def count_subscribers(self, topic):
        return self.listeners

    def get_name(self):
        return 'set_point_gate'

    def get_namespace(self):
        return '/'

    def get_logger(self):
        return types.SimpleNamespace(warning=self.said.append)


@pytest.fixture
def manager(monkeypatch):
    """Have controller_manager_msgs be installed."""
    made = types.ModuleType('controller_manager_msgs.srv')
    made.ListControllers = types.SimpleNamespace(Request=object)
    monkeypatch.setitem(sys.modules, 'controller_manager_msgs',
                        types.ModuleType('controller_manager_msgs'))
    monkeypatch.setitem(sys.modules, 'controller_manager_msgs.srv', made)


def watch(node, joints=(), manager_name='/controller_manager', asks=True):
    return ControllerWatch(node, '/arm/forward', manager_name, joints, '/arm/forward/commands',
                           None, asks_joints=asks)


def state(name, word):
    return types.SimpleNamespace(controller=[types.SimpleNamespace(name=name, state=word)])


def joints_of(*names):
    return types.SimpleNamespace(values=[types.SimpleNamespace(string_array_value=names)])


def test_a_controller_is_used_while_its_manager_says_that_it_is_active(manager):
    node = Stub()
    found = watch(node)
    assert 'has not told its joints' in found.why_not()
    found.look()
    node.clients['/arm/forward/get_parameters'].asked[0].set_result(joints_of('a', 'b'))
    assert found.joints == ('a', 'b')
    assert 'does not tell whether' in found.why_not()
    lists = node.clients['/controller_manager/list_controllers']
    lists.asked[0].set_result(state('forward', 'active'))
    assert found.why_not() is None
    found.look()
    lists.asked[1].set_result(state('forward', 'inactive'))
    assert '/arm/forward is inactive, as /controller_manager says' in found.why_not()
    found.look()
    lists.asked[2].set_result(state('other', 'active'))
    assert 'is not loaded' in found.why_not()


def test_a_controller_that_was_inactive_is_asked_for_its_joints_again(manager):
    """It may have been loaded anew with them in another order, and set points have no names."""
    node = Stub()
    found = watch(node)
    lists, asked = (node.clients.setdefault(f'/{name}', Client()) for name in (
        'controller_manager/list_controllers', 'arm/forward/get_parameters'))

    def tell(word, *names):
        found.look()
        lists.asked[-1].set_result(state('forward', word))
        if names:
            asked.asked[-1].set_result(joints_of(*names))

    tell('active', 'a', 'b')
    assert found.why_not() is None
    tell('inactive')
    found.look()        # it sees that
    lists.asked[-1].set_result(state('forward', 'active'))
    assert 'has not said since which joints it has' in found.why_not()
    asked.asked[-1].set_result(joints_of('b', 'a'))
    assert found.why_not() is None and found.joints == ('b', 'a')
    node.listeners = 0      # without a manager that is all that tells
    found.look()
    node.listeners = 1
    assert 'has not said since which joints it has' in found.why_not()


def test_without_the_messages_of_its_manager_that_is_said_and_nobody_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, 'controller_manager_msgs.srv', None)
    node = Stub()
    found = watch(node, ('a',), asks=False)
    assert 'controller_manager_msgs is not installed' in node.said[0]
    assert found.why_not() is None


def test_another_order_of_the_joints_is_refused():
    node = Stub()
    found = watch(node, ('a', 'b'), '')
    assert found.why_not() is None
    found.look()
    node.clients['/arm/forward/get_parameters'].asked[0].set_result(joints_of('b', 'a'))
    assert 'parameter joints is a, b, and the controller has b, a' in found.why_not()


def test_a_topic_that_nobody_hears_or_another_one_feeds_is_refused():
    node = Stub()
    found = watch(node, ('a',), '')
    node.listeners = 0
    assert 'nobody listens to /arm/forward/commands' in found.why_not()
    node.publishers = [types.SimpleNamespace(node_name='set_point_gate', node_namespace='/'),
                       types.SimpleNamespace(node_name='joystick', node_namespace='/hand')]
    assert '/hand/joystick publishes /arm/forward/commands too' in found.why_not()
