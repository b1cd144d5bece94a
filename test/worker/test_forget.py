# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A base that drives has the scene forgotten many times a second: what loads is not told of it."""
import queue
from multiprocessing import Pipe

from supervised import LIMIT, Log, URDF

from kinema4d_ros.worker.process import WorkerState
from kinema4d_ros.worker.protocol import Forget, Ready, RobotReady, SetRobot, WorkerSettings
from kinema4d_ros.worker.supervisor import Supervisor


class Process:
    """In place of a worker process: keeps what it is sent, and says what the test has it say."""

    pid = 1

    def __init__(self, memory_fd):
        self.pipe, self.worker = Pipe()
        self.sent = queue.Queue()

    def send(self, message):
        self.sent.put(type(message))

    def receive(self):
        return self.pipe.recv()

    def end(self, grace):
        self.pipe.close()


def test_what_loads_is_not_told_to_forget():
    started, log = queue.Queue(), Log()

    def start(memory_fd):
        started.put(process := Process(memory_fd))
        return process

    supervisor = Supervisor(WorkerSettings(''), log.on_state, start_process=start)
    supervisor.set_robot(URDF)
    process = started.get(timeout=LIMIT)
    assert process.sent.get(timeout=LIMIT) is WorkerSettings
    supervisor.forget()
    process.worker.send(Ready())
    assert process.sent.get(timeout=LIMIT) is SetRobot
    supervisor.forget()
    process.worker.send(RobotReady(''))
    log.wait(lambda log: [state for state, _ in log.states].count(WorkerState.IDLE) == 2)
    supervisor.forget()
    assert process.sent.get(timeout=LIMIT) is Forget
    supervisor.stop()
    assert process.sent.empty()
