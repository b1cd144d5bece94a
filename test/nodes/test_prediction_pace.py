# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When predictions begin in a stream of trajectories; no graph."""
import threading
import time

import pytest
from graph import LIMIT

from kinema4d_ros.nodes.shadow_sim.prediction_pace import PredictionPace
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.protocol import PredictionTask

SOON = 0.05      # [s] less than any pause of these streams


def asked(*, came: float = 0.0, is_streamed: bool = True):
    """Return a request that came some seconds from now."""
    request = PrecheckRequest((), deadline=LIMIT, is_streamed=is_streamed)
    request.started += came
    return request


def ended(outcome: JobOutcome, frames: int = 0) -> Job:
    """Return a prediction that ended so after some frames."""
    job = Job(1, None, None, task=PredictionTask(), deadline=LIMIT, end=lambda *_: None)
    job.finish(outcome)
    job.frames = frames
    return job


def took(pace: PredictionPace, request: PrecheckRequest, *, is_judged: bool = False) -> float:
    """Return how long a request that stands waits [s]."""
    began = time.monotonic()
    assert pace.wait(request, is_judged=is_judged)
    return time.monotonic() - began


@pytest.fixture
def hurried():
    """Return the pace of a stream of 0.3 s whose last prediction was replaced early."""
    pace = PredictionPace()
    assert took(pace, asked(came=-0.3)) < SOON        # nothing is known yet
    pace.note(ended(JobOutcome.REPLACED, 24), 49)
    return pace


def test_a_prediction_waits_where_the_last_one_was_replaced_before_half_of_its_frames(hurried):
    assert 0.3 < took(hurried, asked()) <= 1.0        # by half a period more than the period


def test_it_is_told_which_ones_have_to_wait(hurried):
    assert not hurried.begins_at_once(asked(), is_judged=False)
    assert hurried.begins_at_once(asked(is_streamed=False), is_judged=False)
    assert hurried.begins_at_once(asked(), is_judged=True)
    assert PredictionPace().begins_at_once(asked(), is_judged=False)


def test_one_that_is_replaced_while_it_waits_is_not_begun(hurried):
    request = asked()
    timer = threading.Timer(SOON, request.stop, (JobOutcome.REPLACED, 'newer'))
    timer.start()
    assert not hurried.wait(request, is_judged=False)
    timer.join()


@pytest.mark.parametrize('last', [
    ended(JobOutcome.DONE, 49), ended(JobOutcome.REPLACED, 25), ended(JobOutcome.FAILED),
    ended(JobOutcome.DEADLINE)], ids=['came to its end', 'was half seen', 'failed', 'was late'])
def test_none_waits_where_the_last_one(hurried, last):
    hurried.note(last, 49)
    assert took(hurried, asked()) < SOON


def test_what_a_verdict_rests_on_or_somebody_asked_for_begins_at_once(hurried):
    assert took(hurried, asked(is_streamed=False)) < SOON
    assert took(hurried, asked(came=0.1), is_judged=True) < SOON


def test_the_last_of_a_slow_stream_begins_within_a_second():
    pace = PredictionPace()
    pace.wait(asked(came=-30.0), is_judged=False)
    pace.note(ended(JobOutcome.REPLACED, 24), 49)
    assert took(pace, asked(came=-0.9)) < 0.2


def test_a_stream_that_has_become_slow_enough_is_predicted_again(hurried, monkeypatch):
    """Its pause would be longer than its period for ever, and nobody would see a prediction."""
    now = time.monotonic
    monkeypatch.setattr(time, 'monotonic', lambda: now() + 6.0)
    assert took(hurried, asked()) < SOON
    assert 0.6 < took(hurried, asked(came=0.3)) <= 1.0     # and the next one waits as before
