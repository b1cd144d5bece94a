# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of requests; no graph."""
import threading
import time

import pytest
from graph import LIMIT

from kinema4d_ros.nodes.shadow_sim import requests
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest, RequestRunner
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask


def test_the_newest_of_many_is_judged_and_all_others_are_stopped():
    judged, entered = [], threading.Event()

    def judge(request):
        entered.set()
        if request is asked[0]:
            assert request.stopped.wait(LIMIT)
        judged.append((request, request.outcome))

    asked = [PrecheckRequest((), deadline=LIMIT) for _ in range(20)]
    runner = RequestRunner(judge)
    runner.submit(asked[0])
    assert entered.wait(LIMIT)
    for request in asked[1:]:
        runner.submit(request)
    assert all(request.done.wait(LIMIT) for request in asked)
    assert [request for request, _ in judged] == asked
    assert {outcome for _, outcome in judged[:1]} == {JobOutcome.REPLACED}
    assert judged[-1][1] is None
    # each is counted once, however often a newer one comes before its end
    assert runner.replaced == sum(request.outcome == JobOutcome.REPLACED for request in asked)
    runner.close()


def test_closing_ends_what_runs_and_refuses_what_comes():
    entered = threading.Event()

    def judge(request):
        entered.set()
        request.stopped.wait(LIMIT)

    runner = RequestRunner(judge)
    first, late = PrecheckRequest((), deadline=LIMIT), PrecheckRequest((), deadline=LIMIT)
    runner.submit(first)
    assert entered.wait(LIMIT)
    runner.close()
    runner.submit(late)
    for request in (first, late):
        assert request.done.is_set()
        assert (request.outcome, request.reason) == (
            JobOutcome.CANCELLED, 'the node is shutting down')


def test_the_first_reason_to_stop_stays():
    request = PrecheckRequest((), deadline=LIMIT)
    request.stop(JobOutcome.DEADLINE, 'too late')
    request.stop(JobOutcome.CANCELLED, 'never mind')
    assert (request.outcome, request.reason) == (JobOutcome.DEADLINE, 'too late')


def test_what_comes_after_the_answer_does_not_change_it():
    request = PrecheckRequest((), deadline=LIMIT)
    request.fail(JobOutcome.FAILED, 'out of memory')
    request.fail(JobOutcome.FAILED, 'again')
    request.answer([1, 0])
    request.stop(JobOutcome.REPLACED, 'replaced by a newer request')
    request.end()
    assert request.answer_error == (JobOutcome.FAILED, 'out of memory')
    assert (request.ranking, request.outcome) == ([1, 0], JobOutcome.REPLACED)


def job_of(task, cancelled):
    """Return a job that notes when it is cancelled."""
    return Job(1, None, None, task=task, deadline=time.monotonic() + LIMIT,
               end=lambda job, *_: cancelled.append(job))


@pytest.mark.parametrize('older, newer, is_spared', [
    (True, True, True), (True, False, False), (False, True, False), (False, False, False)])
def test_only_between_requests_of_a_stream_a_check_comes_to_its_end(older, newer, is_spared):
    judging, cancelled = threading.Event(), []
    check, prediction = job_of(CheckTask((0, 1)), cancelled), job_of(PredictionTask(), cancelled)
    first, second = (PrecheckRequest((), deadline=LIMIT, is_streamed=each)
                     for each in (older, newer))

    def judge(request):
        if request is first:
            request.add(check)
            request.add(prediction)
            judging.set()
            assert request.stopped.wait(LIMIT)

    runner = RequestRunner(judge)
    runner.submit(first)
    assert judging.wait(LIMIT)
    runner.submit(second)
    assert second.done.wait(LIMIT)
    # whatever the check finds, the older one is told that it was replaced
    assert (first.outcome, second.outcome) == (JobOutcome.REPLACED, None)
    assert cancelled == ([prediction] if is_spared else [check, prediction])
    runner.close()


def test_a_check_that_was_spared_ends_when_the_node_is_deactivated_and_none_begins():
    cancelled = []
    check, late = job_of(CheckTask((0, 1)), cancelled), job_of(CheckTask((0, 1)), cancelled)
    request = PrecheckRequest((), deadline=LIMIT, is_streamed=True)
    request.add(check)
    request.stop(JobOutcome.REPLACED, 'replaced by a newer request', but_check=True)
    assert cancelled == []
    request.add(late)
    assert cancelled == [late]
    request.stop(JobOutcome.CANCELLED, 'the node was deactivated')
    assert check in cancelled
    assert request.outcome == JobOutcome.REPLACED


def test_a_judge_that_fails_is_told_to_the_one_who_asked_and_the_next_is_judged(capfd):
    def judge(request):
        if request is first:
            raise ZeroDivisionError('a bug')

    first, second = PrecheckRequest((), deadline=LIMIT), PrecheckRequest((), deadline=LIMIT)
    answered = []
    third = PrecheckRequest((), deadline=LIMIT, on_answer=lambda: answered.append('once'))
    runner = RequestRunner(judge)
    for request in (first, second, third):
        runner.submit(request)
        assert request.done.wait(LIMIT)
    runner.close()
    assert first.answer_error == (JobOutcome.FAILED, 'internal error: ZeroDivisionError: a bug')
    assert 'ZeroDivisionError' in capfd.readouterr().err
    assert second.answer_error is None and answered == ['once']


def test_a_supervisor_that_is_stuck_does_not_keep_the_thread(monkeypatch):
    monkeypatch.setattr(requests, '_DEADLINE_PERIOD', 0.01)
    monkeypatch.setattr(requests, 'SLACK', 0.05)
    job = Job(1, None, None, task=CheckTask(), deadline=time.monotonic(), end=lambda *_: None)
    request = PrecheckRequest((), deadline=LIMIT)
    request.add(job)
    request.wait(job)
    assert (job.outcome, job.done.is_set()) == (JobOutcome.FAILED, True)
    assert 'does not answer' in job.message
