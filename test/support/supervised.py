# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor with a real worker process, what it tells, and jobs for it."""
import threading
import time

import numpy as np
from stub_models import AT

from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera
from kinema4d_ros.worker.protocol import PredictionTask

FRAMES = 6
LIMIT = 60.0   # [s] nothing below takes so long unless it is broken

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


def observation(width=24, height=16, **joints):
    """Return a look at the stick from 1 m along x."""
    camera = PinholeCamera(width, height, 20.0, 20.0, (width - 1) / 2, (height - 1) / 2)
    T_base_camera = np.array([[0, 0, -1.0, 1], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    return Observation.from_rgbd(np.zeros((height, width, 3), np.uint8), None, camera,
                                 T_base_camera, {'swing': 0.0, **joints}, stamp_ns=1)


class Log:
    """Keeps the states that a supervisor tells, and the frames of its jobs; waits for both."""

    def __init__(self):
        self.frames, self.states = [], []
        self.changed = threading.Condition()

    def on_state(self, state, message):
        self.add(self.states, (state, message))

    def add(self, target, item):
        with self.changed:
            target.append(item)
            self.changed.notify_all()

    def wait(self, condition):
        """Wait for a condition on this log."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), LIMIT)

    def indices(self, job):
        """Return the indices of the frames that arrived of a job."""
        return [index for sink, index, *_ in self.frames if sink is job.sink]


class Sink:
    """Keeps the frames of one job in a log."""

    def __init__(self, log):
        self.log = log

    def on_frame(self, frame):
        self.log.add(self.log.frames, (
            self, frame.predicted.index, int(frame.predicted.image[0, 0, 0]),
            float(np.nanmean(frame.robot.pointmap[..., 2]))))

    def on_progress(self, stage, step, total):
        with self.log.changed:
            self.log.changed.notify_all()


def submit(running, seed, *, look=None, deadline=LIMIT, sink=None, **more):
    """Submit a job."""
    return running[0].submit(look or observation(), TRAJECTORY, task=PredictionTask(seed),
                             deadline=time.monotonic() + deadline,
                             sink=sink or Sink(running[1]), **more)


def finished(job):
    """Wait for the end of a job and return how it ended."""
    assert job.done.wait(LIMIT)
    return job.outcome


def in_trouble(running, seed, **more):
    """Submit a job and return it once its last frame before the trouble has arrived."""
    job = submit(running, seed, **more)
    running[1].wait(lambda log: AT - 1 in log.indices(job))
    return job
