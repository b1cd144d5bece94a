# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""policy_proxy and action_chunk_proxy as processes, between clients, policies and shadow_sim."""
import socket

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from gate_world import Arm, Nodes, ShadowSim
from graph import made, parameters, Process, READY, ROOT
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from kinema4d_ros.srv import GetActionChunk
from rclpy.callback_groups import ReentrantCallbackGroup
from std_msgs.msg import Float64MultiArray, Header

from kinema4d_ros import ActionFormat, PolicyObservation
from kinema4d_ros.bridge.motion import (joint_state_message, trajectory_from_message,
                                        trajectory_message)
from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.nodes.chunks.action_chunk_proxy import refused, service_type, why_no_chunk
from kinema4d_ros.nodes.chunks.chunk_messages import chunk_of, positions_only
from kinema4d_ros.nodes.chunks.parameters import ACTION_CHUNK_PROXY, POLICY_PROXY
from kinema4d_ros.nodes.chunks.policy_proxy import key_of
from kinema4d_ros.policy.chunk_check import VERDICT_KEY
from kinema4d_ros.policy.wire import (ObservationKeys, PictureKey, PolicyClient, serve_policy,
                                      StateKey, Translator)
from kinema4d_ros.types import JointTrajectory

pytestmark = pytest.mark.timeout(180)
ARM = tuple(name for name in READY if 'finger' not in name)
HERE = np.array([READY[name] for name in ARM])
FORM = ActionFormat(10.0, ARM)
KEYS = ObservationKeys((PictureKey(('observation/image',), 'exterior', (8, 8)),),
                       (StateKey(('observation/state',), ARM),), executed=4)
SEEN = PolicyObservation('go', {'exterior': np.zeros((8, 8, 3), np.uint8)}, READY)
PRESET = f"""
name: demo
title: the arm of the demo
source: this test
rate: 10.0
executed: 4
actions:
  joints: [[{', '.join(ARM)}]]
pictures:
  exterior: {{key: observation/image, height: 8, width: 8}}
state:
- {{key: observation/state, parts: [joints]}}
"""


class Policy:
    """Leads on by `step` [rad] an action."""

    action_format = FORM

    def __init__(self):
        self.step, self.asked = 0.01, 0

    def reset(self, instruction, seed):
        pass

    def act(self, observation):
        self.asked += 1
        return HERE + self.step * np.arange(1, 5)[:, None]


class Service:
    """The policy's own service."""

    def __init__(self, node):
        self.requests, self.change = [], lambda response: None
        node.create_service(GetActionChunk, '/policy/get_action_chunk', self._answer,
                            callback_group=ReentrantCallbackGroup())

    def _answer(self, request, response):
        self.requests.append(request)
        response.chunk = trajectory_message(JointTrajectory(
            ARM, np.zeros(4), HERE + 0.01 * np.arange(1, 5)[:, None]))
        response.native_control_period = 0.1
        response.policy_action_chunk = Float64MultiArray(data=[1.0])
        for point in response.chunk.points:
            point.velocities = [3.0] * len(ARM)
        self.change(response)
        return response


class Desk:
    """All that is around the two proxies."""

    def __init__(self, graph, tester, server, policy, port):
        self.graph, self.tester, self.policy, self.server = graph, tester, policy, server
        self.arm, self.shadow, self.service = Arm(graph.node), ShadowSim(graph.node), \
            Service(graph.node)
        self.port = port
        self.diagnostics = tester.listen('/diagnostics', DiagnosticArray, 10)
        self.client = tester.node.create_client(GetActionChunk,
                                                '/action_chunk_proxy/get_action_chunk')

    def robot(self):
        return PolicyClient(f'ws://127.0.0.1:{self.port}', FORM, KEYS, timeout=30.0)

    def reset(self):
        self.shadow.reset()
        self.shadow.asked.clear()
        self.service.requests.clear()
        self.service.change = lambda response: None
        self.policy.step, self.policy.asked = 0.01, 0
        self.arm.put(READY)

    def fail(self, verdict, result):
        verdict.status, verdict.summary = Verdict.FAIL, 'it would hit the table'

    def ask(self, **fields):
        return self.tester.result(self.client.call_async(GetActionChunk.Request(
            prompt='go', robot_state=joint_state_message(
                {name: READY[name] for name in ARM}, Header()), **fields)))

    def ready(self, node):
        def found():
            return [status for array in self.diagnostics for status in array.status
                    if status.name == f'{node}: policy' and status.message == 'ready']
        self.tester.wait(found, f'{node} to be ready')


@pytest.fixture(scope='module')
def shared_desk(module_ros_domain, tmp_path_factory):
    preset = tmp_path_factory.mktemp('preset') / 'demo.yaml'
    preset.write_text(PRESET)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    policy, graph = Policy(), Nodes()
    try:
        with made() as tester, serve_policy(policy, KEYS, port=0, metadata={'a': 1}) as server:
            desk = Desk(graph, tester, server, policy, port)
            common = {'diagnostics_rate': 10.0, 'max_joint_age': 5.0}
            running = [
                Process('policy_proxy', *parameters(
                    server=server.address, preset=preset, port=port, **common)),
                Process('action_chunk_proxy', *parameters(
                    service='/policy/get_action_chunk', answer_timeout=20.0, **common))]
            for process in running:
                desk.ready(process.name)
            yield desk
            for process in running:
                assert process.stop() == 0, process.output()
    finally:
        graph.close()


@pytest.fixture
def desk(shared_desk):
    shared_desk.reset()
    return shared_desk


def test_chunks_that_pass_go_on_and_others_hold_the_robot_still(desk):
    with desk.robot() as robot:
        assert robot.connect()['a'] == 1
        np.testing.assert_allclose(robot.act(SEEN), HERE + 0.01 * np.arange(1, 5)[:, None],
                                   atol=1e-6)
        [asked] = desk.shadow.asked
        path = trajectory_from_message(asked.candidates[0])
        assert path.joint_names == ARM and list(asked.tiers) == [0, 1]
        np.testing.assert_allclose(path.times, [0.1, 0.2, 0.3, 0.4])
        desk.shadow.spoil = desk.fail
        answer = robot.infer(Translator(KEYS).request(SEEN))
        assert answer[VERDICT_KEY]['held']
        assert answer[VERDICT_KEY]['summary'] == 'it would hit the table'
        assert np.ptp(answer['actions'], axis=0).max() == 0
        np.testing.assert_allclose(answer['actions'][0], HERE, atol=0.05)


def test_another_sample_is_asked_for_where_the_first_fails(desk):
    assert desk.tester.set_parameter('policy_proxy', samples=3) == ''

    def only_the_last(verdict, result):
        if len(desk.shadow.asked) == 1:
            return desk.fail(verdict, result)
        result.verdicts = [Verdict(status=Verdict.FAIL), verdict]
    desk.shadow.spoil = only_the_last
    with desk.robot() as robot:
        told = robot.infer(Translator(KEYS).request(SEEN))[VERDICT_KEY]
    assert told['status'] == 'PASS' and told['resampled'] and told['samples'] == 3
    assert [len(asked.candidates) for asked in desk.shadow.asked] == [1, 2]
    assert desk.policy.asked == 3
    assert desk.tester.set_parameter('policy_proxy', samples=1) == ''
    assert 'read-only' in desk.tester.set_parameter('policy_proxy', mode='monitor')


@pytest.mark.parametrize(('spoil', 'words'), [
    (lambda verdict, result: setattr(verdict, 'tiers_passed', [0]), 'without tier 1'),
    (lambda verdict, result: setattr(verdict, 'status', 9), ''),
    (lambda verdict, result: setattr(verdict, 'valid_until', Header().stamp), 'was over'),
    (lambda verdict, result: result.verdicts.clear(), '0 verdicts'),
    (lambda verdict, result: [setattr(result, 'error_code', Precheck.Result.NOT_READY),
                              setattr(result, 'error_msg', 'no camera')], 'no camera')],
    ids=['tiers', 'unknown', 'old', 'none', 'not ready'])
def test_what_is_no_pass_holds_the_robot_still(desk, spoil, words):
    desk.shadow.spoil = spoil
    with desk.robot() as robot:
        told = robot.infer(Translator(KEYS).request(SEEN))[VERDICT_KEY]
    assert told['held'] and words in told['summary']


def test_who_tells_the_policy_of_another_robot_is_held(desk):
    elsewhere = READY | {ARM[1]: 0.9}
    with desk.robot() as robot:
        told = robot.infer(Translator(KEYS).request(
            PolicyObservation('go', SEEN.images, elsewhere)))[VERDICT_KEY]
    assert told['held'] and 'state_tolerance' in told['summary'] and not desk.shadow.asked


def test_the_service_goes_through_the_same_check(desk):
    answer = desk.ask(new_episode=True)
    assert answer.status == GetActionChunk.Response.CHUNK_PRODUCED and not answer.held
    assert answer.verdict.status == Verdict.PASS and list(answer.policy_action_chunk.data) == [1.0]
    np.testing.assert_allclose(trajectory_from_message(answer.chunk).positions,
                               HERE + 0.01 * np.arange(1, 5)[:, None])
    assert not any(point.velocities for point in answer.chunk.points)       # nobody judged them
    assert desk.service.requests[0].prompt == 'go' and desk.service.requests[0].new_episode
    path = trajectory_from_message(desk.shadow.asked[0].candidates[0])
    np.testing.assert_allclose(path.times, [0.1, 0.2, 0.3, 0.4])

    desk.shadow.spoil = desk.fail
    held = desk.ask()
    assert held.held and held.message == 'holds still: it would hit the table'
    assert held.status == GetActionChunk.Response.CHUNK_PRODUCED
    positions = trajectory_from_message(held.chunk).positions
    assert positions.shape == (4, len(ARM)) and np.ptp(positions, axis=0).max() == 0
    assert not held.policy_action_chunk.data and held.native_control_period == 0.1

    assert desk.tester.set_parameter('action_chunk_proxy', on_refusal='error') == ''
    refused = desk.ask()
    assert refused.status == GetActionChunk.Response.ERROR and not refused.chunk.points
    assert refused.message == 'it would hit the table' and refused.held
    assert desk.tester.set_parameter('action_chunk_proxy', on_refusal='hold') == ''


def test_with_real_time_chunking_the_spliced_path_is_judged(desk):
    desk.ask(new_episode=True)
    # three of the new rows are over, or cannot be changed any more, when they come
    desk.ask(frozen_prefix_steps=3)
    path = trajectory_from_message(desk.shadow.asked[-1].candidates[0])
    # its fourth row is left, after what of the old chunk is still ahead
    assert path.times[-1] < 0.4 and len(path.times) >= 2
    np.testing.assert_allclose(path.positions[-1], HERE + 0.04)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda response: setattr(response, 'native_control_period', 0.0), 'native_control_period'),
    (lambda response: setattr(response, 'native_control_period', 1e300), 'a time must be finite'),
    (lambda response: response.chunk.points[1].positions.pop(), 'positions for 6 joints'),
    (lambda response: response.chunk.points.clear(), 'has 0 points'),
    (lambda response: response.chunk.points[0].positions.__setitem__(0, float('nan')),
     'not finite'),
    (lambda response: response.chunk.joint_names.__setitem__(0, 'nobody'), '')],
    ids=['period', 'huge period', 'short', 'empty', 'nan', 'stranger'])
def test_a_chunk_of_the_service_that_cannot_be_read_holds_the_robot_still(desk, change, words):
    desk.service.change = change
    if words == '':        # a joint that is not the robot's is shadow_sim's to refuse
        desk.shadow.spoil = desk.fail
    held = desk.ask()
    assert held.held and words in held.message and len(held.chunk.points) >= 1
    assert all(np.isfinite(point.positions).all() for point in held.chunk.points)


def test_a_policy_that_has_no_chunk_is_heard(desk):
    def error(response):
        response.status, response.message = response.ERROR, 'still loading the model'
    desk.service.change = error
    answer = desk.ask()
    assert answer.status == GetActionChunk.Response.ERROR
    assert answer.message == 'the policy has no chunk: still loading the model'


def test_nothing_is_held_by_guess_where_nobody_knows_the_joints(desk):
    """The last test of this module: the arm falls silent."""
    assert desk.tester.set_parameter('policy_proxy', max_joint_age=0.05) == ''
    desk.arm.on = False
    with desk.robot() as robot:
        def refused():
            try:
                robot.act(SEEN)
            except PolicyError as error:
                return 'was not told for 0.05 s' in str(error)
            return False
        desk.tester.wait(refused, 'the joints to be too old')
    assert desk.tester.set_parameter('policy_proxy', max_joint_age=5.0) == ''


def test_what_cannot_work_is_refused_at_the_start(ros_domain):
    cases = [('policy_proxy', {'server': 'http://x', 'preset': 'droid'}, 'ws://localhost:8000'),
             ('action_chunk_proxy', {'service': '/action_chunk_proxy/get_action_chunk'},
              'this proxy itself')]
    started = [(Process(name, *parameters(**values)), words) for name, values, words in cases]
    for process, words in started:
        assert process.process.wait(60.0) == 1, process.output()
        assert words in process.output()
        Process.running.discard(process)


@pytest.mark.parametrize(('name', 'table', 'needed'), [
    ('policy_proxy', POLICY_PROXY, {'server': 'ws://a:1', 'preset': 'droid'}),
    ('action_chunk_proxy', ACTION_CHUNK_PROXY, {'service': '/policy'})])
def test_parameter_files_are_complete_and_hold_the_defaults(name, table, needed):
    text = (ROOT / 'config' / f'{name}.yaml').read_text()
    lines = ''.join(f'    {key}: {value}\n' for key, value in needed.items())
    assert table.check_yaml(text + lines, name, complete=True) == table.validate(needed)
    comments = ' '.join(line.strip('# ') for line in text.splitlines()
                        if line.strip().startswith('#'))
    for line in table.yaml().splitlines():
        if line.strip().startswith('#') and 'REQUIRED' not in line:
            assert line.strip('# ') in comments         # each parameter is explained


def test_service_types():
    assert service_type('kinema4d_ros/srv/GetActionChunk') is GetActionChunk
    for name, words in {'nobody/srv/None': 'not installed', 'kinema4d_ros/srv/Decide': 'no chunk',
                        'GetActionChunk': 'not installed'}.items():
        with pytest.raises(ConfigurationError, match=words):
            service_type(name)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / 'key'
    file.write_text('secret\n')
    file.chmod(0o600)
    assert (key_of(str(file)), key_of('')) == ('secret', '')
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match='chmod 600'):
        key_of(str(file))
    with pytest.raises(ConfigurationError, match='cannot be read'):
        key_of(str(tmp_path / 'none'))


def test_answers_of_other_types_are_read():
    """That of grove-g1: ok, message, and a chunk whose rows say when they are."""
    class Grove:
        def __init__(self):
            self.ok, self.message = True, ''
            self.chunk = trajectory_message(JointTrajectory(('a',), np.array([0.1, 0.2]),
                                                            np.zeros((2, 1))))
    answer = Grove()
    np.testing.assert_allclose(chunk_of(answer, 0.0).times, [0.1, 0.2])
    assert why_no_chunk(answer) is None and refused(answer, 'no').ok is False
    for point in answer.chunk.points:
        point.velocities, point.accelerations, point.effort = [9.0], [9.0], [9.0]
    assert positions_only(answer.chunk) == trajectory_message(chunk_of(answer, 0.0))
    answer.ok = False
    assert why_no_chunk(answer) == 'it says no more'
    answer.chunk.points.reverse()
    assert 'does not increase' in chunk_of(answer, 0.0)
