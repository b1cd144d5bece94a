# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How soon the worker process is started again, and what is left where it cannot be."""
import os
import subprocess

import pytest

from kinema4d_ros.worker.process import Backoff, WorkerProcess


def test_a_process_that_keeps_dying_is_started_less_and_less_often():
    backoff = Backoff()
    assert [backoff.after(1.0) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert backoff.after(31.0) == 0.5


def test_a_process_that_cannot_be_started_leaves_nothing_open(monkeypatch):
    def fail(*_, **__):
        raise OSError('Cannot allocate memory')

    monkeypatch.setattr(subprocess, 'Popen', fail)
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(3):
        with pytest.raises(OSError, match='Cannot allocate'):
            WorkerProcess(0)
    assert len(os.listdir('/proc/self/fd')) == before
