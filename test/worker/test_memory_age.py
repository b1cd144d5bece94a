# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How old the worker's memory of the scene is, decides whether a motion behind the hand passes."""
import dataclasses
import threading
from multiprocessing import Pipe

import gantry
import numpy as np
import pytest
from scenes import Path, World

from kinema4d_ros.precheck import CameraCheck, PrecheckSettings, Tier1Settings
from kinema4d_ros.types import FindingCode, Severity
from kinema4d_ros.worker import pipe_reader
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.main import Worker
from kinema4d_ros.worker.protocol import (CheckTask, Ended, Remember, SetRobot, Stop, Work,
                                          WorkerSettings)

SECOND = 1_000_000_000
# While the hand is elsewhere, nothing in the image vouches for the camera.
SETTINGS = PrecheckSettings(tier1=Tier1Settings(unseen_behind_hand=0.01,
                                                camera_check=CameraCheck.OFF))


def judged(monkeypatch, *messages):
    """Return the findings about unseen space of each job that is among the messages."""
    # what ends a worker process that does not end by itself would end this one
    monkeypatch.setattr(pipe_reader, '_EXIT_TIMEOUT', 3600.0)
    jobs = sum(isinstance(message, Work) for message in messages)
    ours, theirs = Pipe()

    def give():
        for message in (WorkerSettings('', precheck=SETTINGS), SetRobot(gantry.URDF), *messages):
            ours.send(message)

    giver, said = threading.Thread(target=give), []
    giver.start()        # a pipe takes less than an image before somebody reads

    class UntilTheEnd:
        """Stops the worker after the last job."""

        def send(self, message):
            said.append(message)
            if isinstance(message, Ended) and message.job == jobs:
                ours.send(Stop())

    memory = FrameMemory()
    worker = Worker(theirs, memory)
    worker._pipe = UntilTheEnd()
    worker.run()
    giver.join()
    memory.close()
    ended = [message for message in said if isinstance(message, Ended)]
    assert [message.error for message in ended] == [''] * jobs
    return [[finding for finding in message.assessment.verdict((0, 1)).findings
             if finding.code is FindingCode.UNSEEN_SPACE] for message in ended]


@pytest.mark.parametrize('seconds, severity', [(20, Severity.INFO), (600, Severity.UNSURE)])
def test_what_stood_free_ten_minutes_ago_is_not_free_now(monkeypatch, seconds, severity):
    # The hand goes away from the camera, into its own shadow. That is not much wider than 5 cm.
    behind = Path.through((0, 0.2, 0, 0.15, 0.08), (3, -0.05, 0, 0.08, 0.08))
    elsewhere = Path.through((0, 0.1, -0.5, 0.3, 0.08), (1, 0.1, -0.5, 0.3, 0.08))
    before = dataclasses.replace(gantry.observe(World(), elsewhere), stamp_ns=SECOND)
    before = before.with_view(stamp_ns=SECOND)
    now = (1 + seconds) * SECOND
    after = dataclasses.replace(gantry.observe(World(), behind), stamp_ns=now)
    work = Work(1, after.with_view(stamp_ns=now), gantry.motion(behind), CheckTask((0, 1)),
                SETTINGS, '', 0, 0)
    (remembered,), (never,) = (judged(monkeypatch, *messages) for messages in (
        (Remember(before), work), (work,)))
    assert max(finding.severity for finding in never) is Severity.UNSURE
    assert max(finding.severity for finding in remembered) is severity
    if severity is Severity.INFO:
        assert remembered[0].value == pytest.approx(seconds, abs=0.01)
        assert '20.0 s old' in remembered[0].message
    else:
        assert f'last seen {seconds} s ago' in remembered[0].message
    assert np.isfinite([finding.value for finding in never]).all()
