# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whoever is asked before actions leave: late, failing and strange answers are refusals."""
import http.client
import json
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
from robots import ROOT

from kinema4d_ros import policy
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy import (ActionFormat, ActionReader, as_check, CheckServer, GripperColumn,
                                 HttpCheck)
from kinema4d_ros.policy.asking import Asker
from kinema4d_ros.robot import Robot

ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
ARM = tuple(name for name in ROBOT.joint_names if 'finger' not in name)
FINGER = ROBOT.joint_names[len(ARM)]
HERE = np.array([0.0, 20.0, 100.0, 0.0, 60.0, 0.0, 1.0])       # degrees, and an open gripper
FORM = ActionFormat(10.0, ARM, scale=(np.pi / 180,),
                    grippers=(GripperColumn(-1, 1.0, 0.0, {FINGER: (0.04, 0.0)}),))


def test_an_answer_is_passed_on():
    asker = Asker(lambda actions, state: 'too near' if actions.max() > 1 else None, 5.0)
    assert asker.why_held(np.zeros((2, 3)), None) is None
    assert asker.why_held(np.full((2, 3), 2.0), None) == 'too near'


def test_a_late_answer_is_a_refusal_and_so_is_the_next():
    go = threading.Event()
    asker = Asker(lambda actions, state: go.wait(20.0) and None, 0.05)
    assert asker.why_held(np.zeros((1, 1)), None) == 'the check gave no answer in 0.05 s'
    assert 'has not ended yet' in asker.why_held(np.zeros((1, 1)), None)
    go.set()
    asker.close()


@pytest.mark.parametrize(('check', 'actions', 'words'), [
    (lambda actions, state: 1 / 0, np.zeros((1, 1)), 'failed: ZeroDivisionError'),
    (lambda actions, state: True, np.zeros((1, 1)), 'answered bool, and not a reason'),
    (lambda actions, state: None, np.full((1, 1), np.nan), 'not all finite'),
    (lambda actions, state: None, np.zeros(3), 'not all finite')])
def test_what_is_no_answer_is_a_refusal(check, actions, words):
    assert words in Asker(check, 5.0).why_held(actions, None)


def test_a_deadline_must_be_one():
    with pytest.raises(ConfigurationError, match='more than 0 s'):
        Asker(lambda actions, state: None, 0.0)


def test_motion_of_actions_and_state_in_the_policys_numbers():
    seen = {}

    def judge(trajectory, start):
        seen.update(start=start, trajectory=trajectory)
        return 'no' if trajectory.positions[-1, 0] > 0.5 else None

    check = as_check(ActionReader(ROBOT, FORM), judge)
    chunk = np.repeat(HERE[None], 3, axis=0)
    assert check(chunk, HERE) is None
    assert seen['start'][ARM[2]] == pytest.approx(np.radians(100.0))
    assert seen['start'][FINGER] == pytest.approx(0.04)
    chunk[:, 0] = (10.0, 20.0, 30.0)
    assert check(chunk, HERE) == 'no'
    assert 'is the format right?' in check(np.radians(chunk), HERE)
    assert 'does not tell where the joints are' in check(chunk, None)
    assert 'does not tell where the joints are' in check(chunk, HERE[:3])
    assert 'must have shape' in check(chunk[:, :3], HERE)


def test_joints_that_the_state_does_not_tell_are_not_guessed():
    form, starts, other = ActionFormat(10.0, ARM[:-1]), [], ARM[-1]
    reader, here = ActionReader(ROBOT, form), np.radians(HERE[:-2])

    def judge(trajectory, start):
        starts.append(start)

    with pytest.raises(ConfigurationError, match=f'where {other}, {FINGER} is'):
        as_check(reader, judge)
    at = {FINGER: 0.03}
    check = as_check(reader, judge, rest=lambda: at)
    assert check(here[None], here) == f'nobody tells where {other} is' and not starts
    at[other] = float('nan')
    assert check(here[None], here) == f'nobody tells where {other} is' and not starts
    at[other] = 0.02
    assert check(here[None], here) is None
    assert (starts[0][FINGER], starts[0][other]) == (0.03, 0.02)


def test_another_process_is_asked_in_json():
    with CheckServer(lambda actions, state: None if state is None else f'{actions.sum()} {state}',
                     port=0) as server:
        check = HttpCheck(server.url, timeout=10.0)
        assert check(np.ones((2, 2)), None) is None
        assert check(np.ones((2, 2)), np.array([3.0])) == '4.0 [3.]'
        port = urlsplit(server.url).port
        for body, words in ((b'{', 'cannot be read'), (b'[]', 'it is no object'),
                            (b'{"actions": [1]}', 'rows of numbers'),
                            (b'{"actions": [[NaN]]}', 'finite'), (b'\x80\x04.', 'cannot be read'),
                            (b'{"actions": [["x"]]}', 'cannot be read')):
            link = http.client.HTTPConnection('127.0.0.1', port, timeout=10.0)
            link.request('POST', '/check', body)
            told = json.loads(link.getresponse().read())
            assert told['passed'] is False and words in told['reason']
        link = http.client.HTTPConnection('127.0.0.1', port, timeout=10.0)
        link.request('POST', '/other', b'{}')
        assert link.getresponse().status == 400
    assert 'gives no answer' in check(np.ones((2, 2)), None)


def test_a_server_whose_check_fails_refuses():
    with CheckServer(lambda actions, state: 1 / 0, port=0) as server:
        assert 'ZeroDivisionError' in HttpCheck(server.url, 10.0)(np.ones((1, 1)), None)


@pytest.mark.parametrize(('url', 'words'), [
    ('grpc://127.0.0.1:8080', 'carries pickles'), ('tcp://127.0.0.1:8080', 'carries pickles'),
    ('127.0.0.1', 'is no address'), ('http://10.0.0.1:8090', 'is not on this machine')])
def test_addresses_that_are_not_asked(url, words):
    with pytest.raises(ConfigurationError, match=words):
        HttpCheck(url)


def test_names_of_the_room():
    assert all(getattr(policy, name) is not None for name in policy.__all__)
    with pytest.raises(AttributeError, match='no attribute nose'):
        _ = policy.nose


def test_an_environment_without_the_robots_libraries():
    """As one with LeRobot may be: nothing but NumPy and scipy is asked for."""
    code = ('import sys\n'
            'for name in ("PyKDL", "urdf_parser_py", "rclpy", "lerobot", "torch"):\n'
            '    sys.modules[name] = None\n'
            'from kinema4d_ros.errors import PolicyError\n'
            'from kinema4d_ros.policy.lerobot import check_steps\n'
            'try:\n    check_steps()\nexcept PolicyError as error:\n    print(error)\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert 'pip install lerobot, 0.6' in done.stdout, done.stderr
