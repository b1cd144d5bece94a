# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The engine in the process where the node runs it: answers, refuses, cancels, dies, comes back."""
from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera

pytest.importorskip('torch', reason='needs the [model] extra')
LIMIT = 100.0   # [s] nothing takes so long unless it is broken
URDF = """
<robot name="stick">
  <link name="base"/>
  <link name="tip"><visual><geometry><box size="0.1 0.1 0.4"/></geometry></visual></link>
  <joint name="swing" type="revolute">
    <parent link="base"/><child link="tip"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" velocity="2" effort="1"/>
  </joint>
</robot>
"""
TRAJECTORY = JointTrajectory(('swing',), np.array([0.0, 1.0]), np.array([[0.0], [0.5]]))


def look(distance=1.0):
    """Return a look at the stick along -x; from far below zero it is behind the camera."""
    camera = PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5)
    pose = np.array([[0, 0, -1.0, distance], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    return Observation(1, np.zeros((40, 60, 3), np.uint8), None, camera, pose, {'swing': 0.0})


class Log:
    """Counts frames and waits for progress."""

    def __init__(self):
        self.frames, self.steps = [], []
        self.changed = threading.Condition()

    def on_frame(self, job, frame):
        with self.changed:
            self.frames.append((job.number, frame.index))

    def on_progress(self, job, stage, step, total):
        with self.changed:
            self.steps.append((job.number, stage, step))
            self.changed.notify_all()

    def on_end(self, job):
        pass

    def on_state(self, state, message):
        pass


@pytest.fixture(scope='module')
def running(checkpoints):
    """Return a supervisor whose worker holds a tiny engine, and its log."""
    from kinema4d_ros.nodes.protocol import WorkerSettings
    from kinema4d_ros.nodes.supervisor import Supervisor
    log, environment = Log(), pytest.MonkeyPatch()
    environment.setenv('OMP_NUM_THREADS', '1')     # of the worker; the model is too small to share
    supervisor = Supervisor(
        WorkerSettings('kinema4d', {**checkpoints['pmcond'], 'steps': 300, 'device': 'cpu'},
                       {'frames': 9}), log, cancel_grace=60.0)
    supervisor.set_robot(URDF)
    yield supervisor, log
    supervisor.stop()
    environment.undo()


def submit(running, **more):
    """Submit a prediction."""
    return running[0].submit(more.get('look', look()), TRAJECTORY,
                             deadline=time.monotonic() + LIMIT)


def sampling(running, job):
    """Wait until the job is being sampled."""
    with running[1].changed:
        assert running[1].changed.wait_for(lambda: any(
            number == job.number and stage == 'denoise' and step > 1
            for number, stage, step in running[1].steps), LIMIT)


def ended(job):
    """Wait for the end and return (outcome, message)."""
    assert job.done.wait(LIMIT)
    return str(job.outcome), job.message


def test_cancel_then_refusal_then_death_and_a_request_after_each(running):
    supervisor, log = running
    job = submit(running)
    sampling(running, job)
    pid = supervisor.pid
    job.cancel()
    assert ended(job)[0] == 'cancelled'

    outcome, message = ended(submit(running, look=look(-3.0)))
    assert outcome == 'failed' and 'robot is in no frame of the camera image' in message
    assert supervisor.pid == pid                    # neither cost the loaded model

    job = submit(running)
    sampling(running, job)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert ended(job)[0] == 'failed'

    job = submit(running)
    assert ended(job)[0] == 'done', job.message
    assert [index for number, index in log.frames if number == job.number] == list(range(9))
    assert supervisor.pid != pid and supervisor.restarts == 1
