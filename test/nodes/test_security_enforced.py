# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""With keys and permissions enforced: the nodes work, and strangers are not heard."""
import shutil
import threading
import time

import pytest
import rclpy
from control_msgs.action import FollowJointTrajectory
from gate_world import ABORTED, Arm, Controller, RESULT, ShadowSim, SUCCEEDED
from graph import Asker, Graph, LIMIT, parameters, Process, READY, swing
from kinema4d_ros.msg import Decision, Verdict
from kinema4d_ros.srv import Decide
from rclpy.action import ActionClient
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import joint_state_message, trajectory_from_message
from kinema4d_ros.bridge.rclpy_compat import RCLError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.security import Keystore, SecurityPolicy

pytestmark = pytest.mark.timeout(240)
GATE, CONTROLLER = '/trajectory_gate', '/joint_trajectory_controller'
FOLDER = share_dir() / 'config' / 'security'
#: what rmw_fastrtps and rmw_cyclonedds say where they were built without
NO_PLUGINS = ('security libraries', 'security support')


class Member(Graph):
    """A node with the key of an enclave, or with none, that may wait in its callbacks."""

    def __init__(self, enclave: str, name: str = ''):
        words = ['--ros-args', '--enclave', enclave] if enclave else []
        self.context = rclpy.Context()
        self.context.init(args=words)
        try:
            self.node = Node(name or enclave.rpartition('/')[2], context=self.context)
        except BaseException:
            self.context.try_shutdown()
            raise
        self._executor = MultiThreadedExecutor(num_threads=6, context=self.context)
        self._executor.add_node(self.node)
        self.changed = threading.Condition()
        self.heard = {}
        self._begin()


@pytest.fixture
def member(ros_domain, tmp_path, monkeypatch):
    """Give what makes members of a graph in which everything is enforced."""
    if shutil.which('openssl') is None:
        pytest.skip('there is no openssl: apt-get install openssl')
    keys = Keystore(tmp_path / 'keys', domain=ros_domain)
    keys.add(*(SecurityPolicy.read(FOLDER / f'{name}.xml') for name in ('policy', 'player')))
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(keys.folder))
    made = []

    def make(*arguments, **environment) -> Member:
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            made.append(Member(*arguments))
        return made[-1]

    try:
        make('/kinema4d/client')
    except RCLError as error:
        if any(words in str(error) for words in NO_PLUGINS):
            pytest.skip('the RMW here has no security plug-ins')
        raise
    make.client = made[0]
    yield make
    for one in made:
        one.close()


def start(name, *arguments, **values) -> Process:
    """Start a node in its enclave."""
    return Process(name, *parameters(**values), '--enclave', f'/kinema4d/{name}', *arguments)


def override(member):
    """Return a client of the service that lets a refused trajectory pass."""
    return member.node.create_client(Decide, f'{GATE}/override')


class Cell:
    """A gate as a process, and the world around it, each with its own key."""

    def __init__(self, member):
        self.client, self.robot = member.client, member('/kinema4d/robot')
        self.arm = Arm(self.robot.node)
        self.controller = Controller(self.robot.node, CONTROLLER, self.arm)
        self.shadow = ShadowSim(member('/kinema4d/shadow_sim').node)
        self.gate = start('trajectory_gate', controller=CONTROLLER, max_joint_age=10.0,
                          verdict_timeout=20.0)
        self.decisions = self.client.listen(f'{GATE}/decision', Decision, qos.DECISIONS)
        self.asker = Asker(self.client, ActionClient(
            self.client.node, FollowJointTrajectory, f'{GATE}/follow_joint_trajectory'))
        assert self.asker.client.wait_for_server(LIMIT), self.gate.output()

    def run(self):
        """Send a goal; return its status and result."""
        return self.asker.outcome(self.asker.send(FollowJointTrajectory.Goal(
            trajectory=swing())))

    def wait_until_it_passes(self):
        end = time.monotonic() + LIMIT
        while (said := self.run())[0] != SUCCEEDED:      # until all have found each other
            assert time.monotonic() < end, (said[1].error_string, self.gate.output())


def test_the_gate_works_and_only_the_operator_overrides(member):
    cell = Cell(member)
    cell.wait_until_it_passes()

    def fail(verdict, _):
        verdict.status, verdict.summary = Verdict.FAIL, 'told by the test'

    cell.shadow.spoil = fail
    status, result = cell.run()
    assert status == ABORTED and result.error_code == RESULT.INVALID_GOAL
    unknown = override(member('', 'stranger', ROS_SECURITY_ENABLE='false'))
    with pytest.raises(RCLError):       # the key of another enclave does not allow it
        override(cell.client)
    before = len(cell.controller.goals)
    assert cell.run()[0] == ABORTED and len(cell.controller.goals) == before
    operator = member('/kinema4d/operator', '_ros2cli_requester_kinema4d_ros_Decide')
    allowed = override(operator)
    assert allowed.wait_for_service(LIMIT), cell.gate.output()
    assert not unknown.service_is_ready()       # though it has looked for longer
    digest = trajectory_hash(trajectory_from_message(swing()))
    assert operator.result(allowed.call_async(Decide.Request(trajectory_hash=digest))).success
    assert cell.run()[0] == SUCCEEDED and len(cell.controller.goals) == before + 1
    assert cell.gate.stop() == 0, cell.gate.output()


def test_joints_of_a_stranger_are_not_heard(member, tmp_path, ros_domain):
    cell = Cell(member)
    cell.wait_until_it_passes()
    theirs = Keystore(tmp_path / 'theirs', domain=ros_domain)
    theirs.add(SecurityPolicy.read(FOLDER / 'policy.xml'))
    others = [member('', 'robot', ROS_SECURITY_ENABLE='false'),
              member('/kinema4d/robot', 'robot', ROS_SECURITY_KEYSTORE=str(theirs.folder)),
              member('/kinema4d/robot', 'robot')]      # the last has the robot's own key
    publishers = [other.node.create_publisher(JointState, '/joint_states', qos.PREDICTION)
                  for other in others]

    def say(publisher):
        stamp = cell.client.node.get_clock().now().to_msg()
        publisher.publish(joint_state_message(dict.fromkeys(READY, 1.0), Header(stamp=stamp)))

    def heard():
        for publisher in publishers[:2]:
            say(publisher)
        return publishers[2].get_subscription_count()

    cell.client.wait(heard, 'the gate to find the last')
    assert [publisher.get_subscription_count() for publisher in publishers[:2]] == [0, 0]
    assert cell.run()[0] == SUCCEEDED
    cell.arm.on = False
    end = time.monotonic() + LIMIT
    assert 'away from the checked' not in cell.gate.output()
    while 'away from the checked' not in cell.gate.output():
        assert time.monotonic() < end, cell.gate.output()
        say(publishers[2])
        cell.run()
    for other in (cell.client, member('/kinema4d/viewer')):
        with pytest.raises(RCLError):
            other.node.create_publisher(JointState, '/joint_states', qos.PREDICTION)
    assert cell.gate.stop() == 0, cell.gate.output()


def test_all_nodes_work_with_what_they_are_allowed(member, tmp_path):
    """From the episode to a verdict, a recording and a page; none asks for more than it has."""
    pytest.importorskip('viser', reason='the viewer needs viser')
    client = member.client
    verdicts = client.listen('/verdict', Verdict, qos.VERDICT)
    common = {'world_model': 'frozen', 'frames': 2, 'max_input_age': 30.0, 'sync_tolerance': 5.0}
    nodes = [start('shadow_sim', **common),
             start('recorder', output=tmp_path / 'bag'), start('viewer', port=18080),
             start('episode_player', episode='libero_object_0_0_success', at_end='hold',
                   subscribers=2, wait_for_ready=['shadow_sim'], ready_timeout=60.0)]
    client.wait(lambda: any(verdict.final for verdict in verdicts), 'a verdict', 120.0)
    assert verdicts[-1].trajectory_hash
    for node in nodes[::-1]:
        assert node.stop() == 0, node.output()
        assert 'Traceback' not in node.output()
        assert 'not found in allow rule' not in node.output()
    assert list((tmp_path / 'bag').glob('*.mcap'))


def test_without_its_enclave_a_node_does_not_start(member):
    node = Process('shadow_sim')
    assert node.process.wait(60.0) != 0
    assert 'security' in node.output().lower(), node.output()
