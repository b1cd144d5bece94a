# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client of policy servers: what it sends, and that any fault is a PolicyError."""
import concurrent.futures
import signal
import subprocess
import sys
from pathlib import Path

import faulty_policy
import msgpack
import numpy as np
import pytest
from faulty_policy import FAULTS, faulty_server, FIRST
from websockets.sync.client import connect

from kinema4d_ros import ActionFormat, PolicyObservation
from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy import VelocityResponse
from kinema4d_ros.policy.wire import (Limits, ObservationKeys, PictureKey, PolicyClient,
                                      PolicyServerConfig, serve_policy, StateKey)
from kinema4d_ros.policy.wire.server_config import ActionSpace

KEYS = ObservationKeys((PictureKey(('observation/image',), 'exterior', (32, 32)),),
                       (StateKey(('observation/state',), ('a', 'b')),))
FORM = ActionFormat(10.0, ('a', 'b'))
SEEN = PolicyObservation('pick', {'exterior': np.full((48, 64, 3), 7, np.uint8)},
                         {'a': 0.25, 'b': -0.5})
SMALL = Limits(most_bytes=1 << 20, most_objects=10_000)


def client(address, **options) -> PolicyClient:
    return PolicyClient(address, FORM, KEYS, **({'timeout': 0.3, 'connect_timeout': 2.0,
                                                 'limits': SMALL} | options))


class Remembering:
    """A policy that goes where it is, and remembers what it was shown."""

    action_format = FORM

    def __init__(self):
        self.seen, self.begun = [], []

    def reset(self, instruction, seed):
        self.begun.append((instruction, seed))

    def act(self, observation):
        self.seen.append(observation)
        return np.tile([observation.joint_positions['a'], 0.5], (3, 1))


@pytest.mark.parametrize('fault', sorted(FAULTS.keys() - {'none', 'twice'}))
def test_each_fault_of_an_answer_is_a_policy_error_and_the_next_question_connects_anew(fault):
    with faulty_server(fault) as address, client(address) as policy:
        for _ in range(2):
            with pytest.raises(PolicyError) as raised:
                policy.act(SEEN)
            assert str(raised.value)
        # what is wrong with the numbers only leaves the connection as it is
        assert policy.connection.connected <= 2


@pytest.mark.parametrize('fault', sorted(FIRST))
def test_each_fault_of_the_first_frame_is_a_policy_error(fault):
    with faulty_server(fault) as address, client(address, connect_timeout=0.3) as policy:
        with pytest.raises(PolicyError, match='first frame|CUDA|cannot be read'):
            policy.act(SEEN)
        assert not policy.connection.is_open


def test_the_reason_is_told():
    for fault, words in {'traceback': 'KeyError: observation/wrist_image_left',
                         'silent': 'no answer within 0.3 s', 'nan': 'column 0 of action 0 is nan',
                         'object_dtype': 'no objects', 'drips': 'no answer within',
                         'huge': 'too big|1009', 'closes': 'closed the connection',
                         'many_objects': '10000 objects',
                         'no_actions': "no 'actions'; it has: action"}.items():
        with faulty_server(fault) as address, client(address) as policy:
            with pytest.raises(PolicyError, match=words):
                policy.act(SEEN)


def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next():
    with faulty_server('twice') as address, client(address) as policy:
        assert policy.act(SEEN).shape == (4, 2)
        # the second answer is on its way: it is there before a third can be
        with pytest.raises(PolicyError, match='nobody asked for'):
            for _ in range(1000):
                policy.act(SEEN)
        assert policy.act(SEEN).shape == (4, 2)
        assert policy.connection.connected == 2


def test_no_server():
    with pytest.raises(PolicyError, match='cannot be reached'):
        client('ws://127.0.0.1:9').act(SEEN)
    with pytest.raises(ConfigurationError, match='ws://localhost:8000'):
        client('http://127.0.0.1:9')


def test_a_server_that_restarts_is_asked_again_by_itself():
    policy = Remembering()
    with serve_policy(policy, KEYS, port=0) as server:
        asking, port = client(server.address), server.port
        asking.act(SEEN)
    with serve_policy(policy, KEYS, port=port):     # it was closed between two questions
        assert asking.act(SEEN).shape == (3, 2)
        assert asking.connection.connected == 2
    asking.close()


def test_client_and_server_understand_each_other():
    policy = Remembering()
    with serve_policy(policy, KEYS, port=0, metadata={'robot': 'two joints'}) as server, \
            client(server.address) as asking:
        assert asking.connect()['robot'] == 'two joints'
        actions = asking.act(SEEN)
        np.testing.assert_array_equal(actions, [[0.25, 0.5]] * 3)
        assert actions.dtype == np.float64 and asking.latency > 0
        shown = policy.seen[0]
        assert shown.joint_positions == SEEN.joint_positions and shown.instruction == 'pick'
        picture = shown.images['exterior']
        assert picture.shape == (32, 32, 3)
        assert (picture[4:28] == 7).all() and not picture[:4].any() and not picture[28:].any()
        asking.act(SEEN)
        assert policy.begun == [('pick', 0)]            # once for each instruction


def test_a_policy_that_comes_to_its_end_and_begins_anew():
    """An empty chunk of a policy of ours says that it is over; of others it is a fault (above)."""
    class Ends(Remembering):
        def act(self, observation):
            return super().act(observation)[:None if len(self.seen) % 2 else 0]

    policy = Ends()
    with serve_policy(policy, KEYS, port=0) as server, client(server.address) as asking:
        for _ in range(2):      # the same instruction: each reset begins a task anew
            asking.reset('pick', 0)
            assert asking.act(SEEN).shape == (3, 2)
            assert asking.act(SEEN).shape == (0, 2)
        assert policy.begun == [('pick', 0)] * 2


def test_roboarena():
    policy, config = Remembering(), PolicyServerConfig(n_external_cameras=1)
    with serve_policy(policy, KEYS, port=0, config=config) as server, \
            client(server.address) as asking:
        asking.reset('stack', 4)
        asking.act(SEEN)
        assert asking.config == config and policy.begun == [('stack', 4), ('pick', 0)]


@pytest.mark.parametrize(('told', 'words'), [
    ({'action_space': 'joint_torque'}, 'action_space'),
    ({'action_space': 'cartesian_position'}, 'joints only'),
    ({'action_space': 'joint_position', 'n_external_cameras': 3}, 'n_external_cameras'),
    ({'action_space': 'joint_position', 'image_resolution': [0, 1 << 40]}, 'image_resolution'),
    ({'action_space': 'joint_position', 'needs_wrist_camera': 'maybe'}, 'needs_wrist_camera')])
def test_a_roboarena_server_of_which_something_is_not_known_is_refused(told, words):
    with faulty_server('none', told) as address, client(address) as policy:
        with pytest.raises(PolicyError, match=words):
            policy.connect()


@pytest.mark.parametrize('space', ActionSpace)
def test_a_server_answers_with_what_its_format_reads(space):
    for tip in ('', 'tool'):
        for velocity in (None, VelocityResponse()):
            why = PolicyServerConfig(action_space=space).why_not(ActionFormat(
                10.0, () if tip else ('a',), tip_link=tip, velocity=velocity))
            fits = f'{"cartesian" if tip else "joint"}_{"velocity" if velocity else "position"}'
            assert (why is None) == (space == fits), why


def test_a_server_that_is_started_anew_is_looked_at_anew():
    """The connection is found to be gone in the middle of a question, and made again."""
    server = serve_policy(Remembering(), KEYS, port=0, config=PolicyServerConfig())
    with client(server.address) as asking:
        asking.act(SEEN)
        server.close()
        changed = PolicyServerConfig(action_space=ActionSpace.JOINT_VELOCITY)
        with serve_policy(Remembering(), KEYS, port=server.port, config=changed):
            with pytest.raises(PolicyError, match='answers with joint_velocity'):
                asking.act(SEEN)


def test_a_request_that_cannot_be_read_is_told_and_ends_its_client_only():
    with serve_policy(Remembering(), KEYS, port=0) as server, client(server.address) as asking:
        asking.act(SEEN)
        for bad in (b'\xc1', msgpack.packb([1]), msgpack.packb({'prompt': 'x'}), 'text'):
            with connect(server.address, compression=None) as socket:
                socket.recv()
                socket.send(bad)
                assert socket.recv(timeout=5).startswith('PolicyError')
        asking.act(SEEN)
        assert asking.connection.connected == 1


def test_who_may_ask():
    with pytest.raises(ConfigurationError, match='api_key'):
        serve_policy(Remembering(), KEYS, host='0.0.0.0', port=0)
    with serve_policy(Remembering(), KEYS, port=0, api_key='secret') as server:
        with client(server.address, api_key='secret') as asking:
            asking.act(SEEN)
        with pytest.raises(PolicyError, match='401'):
            client(server.address, api_key='wrong').act(SEEN)
        with pytest.raises(Exception, match='403'):
            connect(server.address, origin='http://elsewhere.example',
                    additional_headers={'Authorization': 'Api-Key secret'})


def test_health_is_told_while_a_policy_computes():
    import http.client
    import threading
    computing, go_on = threading.Event(), threading.Event()

    class Slow(Remembering):
        def act(self, observation):
            computing.set()
            assert go_on.wait(10)
            return super().act(observation)

    with serve_policy(Slow(), KEYS, port=0) as server, client(server.address, timeout=10) as one:
        thread = threading.Thread(target=one.act, args=(SEEN,))
        thread.start()
        assert computing.wait(10)
        asked = http.client.HTTPConnection('127.0.0.1', server.port, timeout=5)
        asked.request('GET', '/healthz')
        assert asked.getresponse().read() == b'OK\n'
        go_on.set()
        thread.join(10)


def test_a_server_that_does_not_read_is_not_waited_for_without_end():
    process = subprocess.Popen(
        [sys.executable, str(Path(faulty_policy.__file__)), 'none'], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    try:
        connection = client(process.stdout.readline().strip(), timeout=1.0).connection
        connection.open()
        process.send_signal(signal.SIGSTOP)
        large = {'observation/image': np.zeros((64, 1000, 1000), np.uint8)}
        told = concurrent.futures.ThreadPoolExecutor(1).submit(connection.ask, large)
        with pytest.raises(PolicyError, match='did not read for 1 s'):
            told.result(30.0)
        assert not connection.is_open
    finally:
        process.kill()
        process.communicate()


def test_a_server_in_a_process_of_its_own_that_dies():
    script = Path(__file__).parents[1] / 'support' / 'faulty_policy.py'
    with subprocess.Popen([sys.executable, script, 'none'], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE) as process:
        policy = client(process.stdout.readline().strip(), timeout=5)
        assert policy.act(SEEN).shape == (4, 2)
        process.kill()
        process.wait()
        with pytest.raises(PolicyError, match='reached|gone|closed'):
            policy.act(SEEN)
        policy.close()
