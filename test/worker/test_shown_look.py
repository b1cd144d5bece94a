# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at the scene that the supervisor shows a real worker process."""
import os
import signal

from stub_models import GOOD
from supervised import finished, observation, submit

from kinema4d_ros.worker import shown_look
from kinema4d_ros.worker.job import JobOutcome
from kinema4d_ros.worker.protocol import Remember, Remembered


def test_a_worker_that_is_stopped_in_a_look_is_killed_and_another_one_goes_on(
        running, monkeypatch):
    """Nobody asks for a verdict, so that nothing else has a deadline."""
    supervisor, log = running
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    monkeypatch.setattr(shown_look, 'LONGEST', 0.3)
    pid, since = supervisor.pid, len(log.states)
    os.kill(pid, signal.SIGSTOP)
    supervisor.remember(observation())
    log.wait(lambda log: any('did not end a look at the scene in time and was killed' in message
                             for _, message in log.states[since:]))
    monkeypatch.undo()
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.pid != pid


def test_one_look_to_remember_is_under_way_at_a_time(running, monkeypatch):
    supervisor, _ = running
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    traffic, send, handle = [], supervisor._send, supervisor._handle
    monkeypatch.setattr(supervisor, '_send', lambda m: (traffic.append(type(m)), send(m)))
    monkeypatch.setattr(supervisor, '_handle', lambda m: (traffic.append(type(m)), handle(m)))
    for _ in range(30):
        supervisor.remember(observation())
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    told = [kind for kind in traffic if kind in (Remember, Remembered)]
    assert told == [Remember, Remembered] * (len(told) // 2)
    assert told
