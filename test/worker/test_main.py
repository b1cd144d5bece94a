# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker process by itself: its model, what it does not import, what it judges on."""
import ast
import dataclasses
import subprocess
import sys
from multiprocessing import Pipe

import numpy as np
import pytest
from supervised import URDF

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera
from kinema4d_ros.worker import pipe_reader
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.main import make_model, Worker
from kinema4d_ros.worker.protocol import (CheckTask, Ended, Progress, Ready, RobotReady, SetRobot,
                                          Stop, Work, WorkerSettings)


@pytest.mark.parametrize('name, words', [
    ('stub_models:Missing', 'cannot be imported'), ('no_such_module:X', 'cannot be imported'),
    ('nothing', 'unknown world model')])
def test_an_unknown_model_is_named(name, words):
    with pytest.raises(WorldModelError, match=words):
        make_model(WorkerSettings(name))


@pytest.mark.parametrize('given, words', [
    ({'unused': 'much'}, "must be a float, got 'much'"),
    ({'unused': True}, 'must be a float, got True'),
    ({'words': ('a',)}, "must be a str, got .'a'")])
def test_settings_of_a_model_keep_their_types(given, words):
    with pytest.raises(WorldModelError, match=words):
        make_model(WorkerSettings('stub_models:Scripted', given))
    good = {'unused': 3, 'words': 'a=b'}
    assert make_model(WorkerSettings('stub_models:Scripted', good)).setting == {
        'unused': 3.0, 'words': 'a=b', 'slow_start': False}


def test_a_device_is_for_models_that_run_on_one():
    assert make_model(WorkerSettings('frozen', {'device': 'cpu'})).name == 'frozen'
    assert make_model(WorkerSettings('stub_models:Scripted', {'device': 'cpu'})).name == 'scripted'
    with pytest.raises(WorldModelError, match='no setting devise'):
        make_model(WorkerSettings('frozen', {'devise': 'cpu'}))


def test_the_worker_knows_no_ros():
    code = ('import sys, kinema4d_ros.worker.main; '
            'sys.exit([name for name in sys.modules if "rclpy" in name or "_msgs" in name] or 0)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Unusable:
    """An observation that cannot be made ready."""

    @property
    def views(self):
        raise ValueError('what is this?')


def test_after_an_observation_that_is_unusable_nothing_is_judged_on_the_one_before(monkeypatch):
    # which ends a worker process that does not end by itself, and would end this one
    monkeypatch.setattr(pipe_reader, '_EXIT_TIMEOUT', 3600.0)
    observation = Observation.from_rgbd(
        np.zeros((16, 24, 3), np.uint8), None, PinholeCamera(24, 16, 20.0, 20.0, 11.5, 7.5),
        np.eye(4), {'swing': 0.0}, stamp_ns=1)
    motion = JointTrajectory(('swing',), np.array([0.0, 1.0]), np.array([[0.0], [0.5]]))
    work = Work(1, observation, motion, CheckTask((0,)), PrecheckSettings(), '', 0, 0)
    ours, theirs = Pipe()
    for message in (WorkerSettings(''), SetRobot(URDF), work,
                    dataclasses.replace(work, job=2, observation=None),
                    dataclasses.replace(work, job=3, observation=Unusable()),
                    dataclasses.replace(work, job=4, observation=None)):
        ours.send(message)
    memory = FrameMemory()
    worker = Worker(theirs, memory)
    said = []

    class UntilTheEnd:
        """Stops the worker after the last job: Stop would overtake the work that waits."""

        def send(self, message):
            said.append(message)
            if isinstance(message, Ended) and message.job == 4:
                ours.send(Stop())

    worker._pipe = UntilTheEnd()
    worker.run()
    memory.close()
    assert [type(m) for m in said if not isinstance(m, Progress)] == [
        Ready, RobotReady, *[Ended] * 4]
    assert [m.error for m in said if isinstance(m, Ended)] == [
        '', '', 'ValueError: what is this?',
        'WorldModelError: the observation of this job has not arrived']


WARM = """
import gc
from numba.core.dispatcher import Dispatcher
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.resources import share_dir
from kinema4d_ros.worker import main
from kinema4d_ros.worker.protocol import WorkerSettings

def compiled():
    return {(each.py_func.__name__, signature) for each in gc.get_objects()
            if isinstance(each, Dispatcher) and each.py_func.__module__.startswith('kinema4d_ros')
            for signature in each.signatures}

main._warm_up(main.make_model(WorkerSettings("frozen")), True)
before = compiled()
EpisodePrechecker()(share_dir() / 'data' / 'episodes' / 'libero_object_0_0_success.mcap')
print(len(before), sorted({name for name, _ in compiled() - before}))
"""


def test_a_process_that_is_ready_has_compiled_what_a_verdict_needs():
    """
    Else the first look is too old once it is judged. What carrying needs may come later.

    The process is one that both predicts and checks, as with `separate_checks: false`.
    """
    done = subprocess.run([sys.executable, '-c', WARM], capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    count, later = done.stdout.split(' ', 1)
    assert int(count) >= 20 and set(ast.literal_eval(later)) <= {
        '_bends', '_deepest', '_labels', '_raise', '_within_reach', 'chamfer', 'pointmap'}


ALONE = """
import sys
from multiprocessing import Pipe
from supervised import URDF
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.main import Worker
from kinema4d_ros.worker.protocol import RobotReady, SetRobot, WorkerSettings

ours, theirs = Pipe()

class Said:
    def send(self, message):
        if isinstance(message, RobotReady):
            assert not message.error, message.error

worker = Worker(theirs, FrameMemory())
worker._pipe = Said()
worker._build(WorkerSettings('frozen', checks=sys.argv[1] == 'checks'))
worker._set_robot(SetRobot(URDF))
print('coal' in sys.modules)
"""


@pytest.mark.parametrize('role', ['checks', 'predicts'])
def test_only_what_checks_makes_hulls_of_the_robot(role):
    done = subprocess.run([sys.executable, '-c', ALONE, role], capture_output=True, text=True,
                          timeout=300)
    assert not done.returncode, done.stderr
    assert done.stdout.split() == [str(role == 'checks')]
