# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The proxy between a policy's server and a robot's client, over loopback."""
import re
import threading

import msgpack
import numpy as np
import pytest
from faulty_policy import array, FAULTS, faulty_server
from robots import ROOT
from websockets.sync.server import serve

from kinema4d_ros import ActionFormat, ActionReader, PolicyObservation, Robot
from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.chunk_check import ChunkChecker, VERDICT_KEY
from kinema4d_ros.policy.chunk_guard import ChunkGuard
from kinema4d_ros.policy.chunk_settings import ChunkSettings
from kinema4d_ros.policy.wire import (ObservationKeys, PolicyClient, PolicyServerConfig,
                                      serve_policy, serve_proxy, StateKey, Translator)
from kinema4d_ros.policy.wire.server_config import ActionSpace
from kinema4d_ros.precheck import decide
from kinema4d_ros.types import Finding, FindingCode, Severity

ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
NAMES = ROBOT.joint_names
READY = dict(zip(NAMES, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.02, 0.02)))
HERE = np.array(list(READY.values()))
FORM = ActionFormat(10.0, NAMES)
KEYS = ObservationKeys(states=(StateKey(('observation/state',), NAMES),))
SEEN = PolicyObservation('go', {}, READY)


class Stepping:
    """Each chunk leads a little further than the one before."""

    action_format = FORM

    def __init__(self):
        self.asked, self.begun = 0, []

    def reset(self, instruction, seed):
        self.begun.append((instruction, seed))

    def act(self, observation):
        self.asked += 1
        return HERE + 0.001 * self.asked * np.arange(1, 4)[:, None]


def up_to(limit):
    """Return a judge that refuses what leads further than `limit` [rad]."""
    def judge(paths, joints):
        return [decide({0: [Finding(FindingCode.WORKSPACE, Severity.FAIL, 'too far')]
                        if path.positions[-1, 0] > limit else []}, required=(0,))
                for path in paths]
    return judge


def proxy(address, judge, told=None, keys=KEYS, executed=0, **settings):
    guard = ChunkGuard(ROBOT, judge, ChunkSettings(**settings))
    return serve_proxy(address, ChunkChecker(ActionReader(ROBOT, FORM), guard, executed),
                       Translator(keys), port=0, timeout=2.0, connect_timeout=2.0,
                       on_checked=(told if told is not None else []).append)


def client(address, **options):
    return PolicyClient(address, FORM, KEYS, **{'timeout': 5.0} | options)


def test_a_client_gets_what_passed_and_holds_still_otherwise():
    policy, told = Stepping(), []
    with serve_policy(policy, KEYS, port=0, metadata={'of': 'the server'}) as server, \
            proxy(server.address, up_to(0.01), told) as between, \
            client(between.address) as robot:
        assert robot.connect()['of'] == 'the server'
        for _ in range(3):          # the first three lead up to 0.009 rad
            np.testing.assert_allclose(robot.act(SEEN)[-1, 0], 0.003 * policy.asked, rtol=1e-6)
        answer = robot.infer(Translator(KEYS).request(SEEN))
        verdict = answer[VERDICT_KEY]
        assert verdict['status'] == 'FAIL' and verdict['held'] and verdict['summary'] == 'too far'
        assert answer['actions'].shape == (3, len(NAMES))
        assert np.abs(answer['actions'] - HERE).max() < 0.02      # stays about where it is
        assert np.ptp(answer['actions'], axis=0).max() == 0
        assert 'infer_ms' in answer['server_timing']
    assert [checked.held for checked in told] == [False] * 3 + [True]
    assert policy.begun == [('go', 0)]


def test_one_policy_serves_one_client_at_a_time():
    policy = Stepping()
    with serve_policy(policy, KEYS, port=0) as server, client(server.address) as first:
        first.act(SEEN)
        with client(server.address) as second, \
                pytest.raises(PolicyError, match='another client is in a task with this policy'):
            second.act(SEEN)
        first.act(SEEN)
        assert (policy.asked, policy.begun) == (2, [('go', 0)])       # its task goes on
        first.close()
        with client(server.address) as third:
            assert third.act(SEEN).shape == (3, len(NAMES))


def test_each_client_has_a_policy_of_its_own_where_one_is_made_for_each():
    made = []

    def make():
        made.append(Stepping())
        return made[-1]

    with serve_policy(make, KEYS, port=0) as server, client(server.address) as first, \
            client(server.address) as second:
        for each in (first, second, first):
            each.act(SEEN)
    assert sorted(policy.asked for policy in made) == [1, 2]


def test_a_class_makes_a_policy_for_each_client():
    with serve_policy(Stepping, KEYS, port=0) as server, client(server.address) as first, \
            client(server.address) as second:
        assert first.act(SEEN).shape == second.act(SEEN).shape == (3, len(NAMES))


def test_the_best_of_several_samples_is_passed_on():
    class Wandering(Stepping):
        def act(self, observation):
            self.asked += 1
            return HERE + (0.1, 0.08, 0.004)[min(self.asked, 3) - 1] * np.ones((3, 1))
    policy = Wandering()
    with serve_policy(policy, KEYS, port=0) as server, \
            proxy(server.address, up_to(0.01), samples=3) as between, \
            client(between.address) as robot:
        answer = robot.infer(Translator(KEYS).request(SEEN))
        assert answer[VERDICT_KEY]['status'] == 'PASS' and answer[VERDICT_KEY]['resampled']
        np.testing.assert_allclose(answer['actions'][0, 0], 0.004, rtol=1e-5)
        assert policy.asked == 3


#: faults whose answer comes, and holds no chunk; the others end the connection
CONTENT = {'nan', 'one_axis', 'empty', 'long_chunk', 'text_actions', 'ragged_actions', 'no_actions',
           'a_number', 'none'}      # 'none': two columns where the robot has eight


@pytest.mark.parametrize('fault', sorted(FAULTS.keys() - {'silent', 'drips', 'twice'}))
def test_no_fault_of_a_server_reaches_the_robot(fault):
    with faulty_server(fault) as address, proxy(address, up_to(1.0)) as between, \
            client(between.address) as robot:
        if fault in CONTENT:
            held = robot.act(SEEN)
            assert np.abs(held - HERE).max() < 1e-6
        else:
            with pytest.raises(PolicyError, match='PolicyError'):
                robot.act(SEEN)


def test_a_server_that_is_not_there_is_told_to_the_client_that_asks():
    with proxy('ws://127.0.0.1:9', up_to(1.0)) as between, client(between.address) as robot:
        with pytest.raises(PolicyError, match='ws://127.0.0.1:9 cannot be reached'):
            robot.act(SEEN)


def test_roboarena_goes_through():
    policy = Stepping()
    with serve_policy(policy, KEYS, port=0, config=PolicyServerConfig()) as server, \
            proxy(server.address, up_to(0.01)) as between, client(between.address) as robot:
        robot.reset('stack', 7)
        assert robot.act(SEEN).shape == (3, len(NAMES))
        assert robot.config == PolicyServerConfig() and policy.begun[0] == ('stack', 7)


@pytest.mark.parametrize('config', [PolicyServerConfig(), None], ids=['roboarena', 'openpi'])
def test_rows_that_nobody_judged_do_not_reach_the_client(config):
    """RoboArena's clients execute every row, others those of their preset."""
    with serve_policy(Stepping(), KEYS, port=0, config=config) as server, \
            proxy(server.address, up_to(0.0025), executed=2) as between, \
            client(between.address) as robot:
        actions = robot.act(SEEN)           # up to 0.003 rad in the third row
    assert actions.shape == (3, len(NAMES))
    np.testing.assert_allclose(actions[:, 0], 0.0 if config else [0.001, 0.002, 0.002], atol=1e-6)


def test_a_bare_array_is_held_as_a_bare_array():
    def bare(socket):
        socket.send(msgpack.packb({}))
        for _ in socket:
            socket.send(msgpack.packb(array(np.tile(HERE + 0.05, (2, 1)))))
    with serve(bare, '127.0.0.1', 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'ws://127.0.0.1:{server.socket.getsockname()[1]}'
        with proxy(address, up_to(0.01)) as between, client(between.address) as robot:
            np.testing.assert_allclose(robot.infer(Translator(KEYS).request(SEEN)),
                                       np.tile(HERE, (2, 1)), atol=1e-6)
        server.shutdown()


def restarted(server, **options):
    server.close()
    return serve_policy(Stepping(), KEYS, port=server.port, **options)


@pytest.mark.parametrize(('space', 'words'), [
    ('joint_velocity', 'answers with joint_velocity'), (None, 'says other things of itself')])
def test_a_server_that_became_another_one_is_not_asked(space, words):
    """Its client, who was told of the one before, is let go."""
    config = PolicyServerConfig(action_space=ActionSpace(space)) if space else None
    server = serve_policy(Stepping(), KEYS, port=0, config=PolicyServerConfig())
    with proxy(server.address, up_to(1.0)) as between, client(between.address) as robot:
        robot.act(SEEN)
        with restarted(server, config=config):
            with pytest.raises(PolicyError, match=words):
                robot.act(SEEN)
            assert not robot.connection.is_open


def test_a_server_that_is_started_again_as_it_was_is_asked_on():
    server = serve_policy(Stepping(), KEYS, port=0, config=PolicyServerConfig())
    with proxy(server.address, up_to(1.0)) as between, client(between.address) as robot:
        robot.act(SEEN)
        with restarted(server, config=PolicyServerConfig()):
            assert robot.act(SEEN).shape == (3, len(NAMES))


def test_one_robot_has_one_client():
    with serve_policy(Stepping(), KEYS, port=0) as server, \
            proxy(server.address, up_to(1.0)) as between, client(between.address) as robot:
        robot.act(SEEN)
        with pytest.raises(PolicyError, match='503'):
            client(between.address).connect()
        robot.act(SEEN)


@pytest.mark.parametrize(('arguments', 'words'), [
    (('ws://localhost:9', '--preset', 'droide'), "no policy preset 'droide'.*droid"),
    (('http://localhost:9', '--preset', 'droid'), "'http://localhost:9'.*ws://")])
def test_a_command_that_is_written_wrongly_is_wrong_usage(arguments, words, capsys):
    """Before any node is started; exit code 2."""
    assert main(['proxy', *arguments]) == 2
    assert re.search(words, capsys.readouterr().err)
