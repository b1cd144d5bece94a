# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of requests; no graph."""
import threading
import time

import pytest
from graph import LIMIT

from kinema4d_ros.nodes.shadow_sim.requests import Request, RequestRunner
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.worker.job import Job, Outcome
from kinema4d_ros.worker.protocol import Check, Prediction


def test_the_newest_of_many_is_judged_and_all_others_are_stopped():
    judged, entered = [], threading.Event()

    def judge(request):
        entered.set()
        if request is requests[0]:
            assert request.stopped.wait(LIMIT)
        judged.append((request, request.outcome))

    requests = [Request((), deadline=LIMIT) for _ in range(20)]
    runner = RequestRunner(judge)
    runner.submit(requests[0])
    assert entered.wait(LIMIT)
    for request in requests[1:]:
        runner.submit(request)
    assert all(request.done.wait(LIMIT) for request in requests)
    assert [request for request, _ in judged] == requests
    assert {outcome for _, outcome in judged[:1]} == {Outcome.REPLACED}
    assert judged[-1][1] is None
    # each is counted once, however often a newer one comes before its end
    assert runner.replaced == sum(request.outcome == Outcome.REPLACED for request in requests)
    runner.close()


def test_closing_ends_what_runs_and_refuses_what_comes():
    entered = threading.Event()

    def judge(request):
        entered.set()
        request.stopped.wait(LIMIT)

    runner = RequestRunner(judge)
    first, late = Request((), deadline=LIMIT), Request((), deadline=LIMIT)
    runner.submit(first)
    assert entered.wait(LIMIT)
    runner.close()
    runner.submit(late)
    for request in (first, late):
        assert request.done.is_set()
        assert (request.outcome, request.reason) == (
            Outcome.CANCELLED, 'the node is shutting down')


def test_the_first_reason_to_stop_stays():
    request = Request((), deadline=LIMIT)
    request.stop(Outcome.DEADLINE, 'too late')
    request.stop(Outcome.CANCELLED, 'never mind')
    assert (request.outcome, request.reason) == (Outcome.DEADLINE, 'too late')


def test_what_comes_after_the_answer_does_not_change_it():
    request = Request((), deadline=LIMIT)
    request.fail(Outcome.FAILED, 'out of memory')
    request.fail(Outcome.FAILED, 'again')
    request.answer([1, 0])
    request.stop(Outcome.REPLACED, 'replaced by a newer request')
    request.end()
    assert request.complaint == (Outcome.FAILED, 'out of memory')
    assert (request.ranking, request.outcome) == ([1, 0], Outcome.REPLACED)


def job_of(task, cancelled):
    """Return a job that notes when it is cancelled."""
    return Job(1, None, None, task=task, rules=PrecheckSettings(), mount=None,
               deadline=time.monotonic() + LIMIT, end=lambda job, *_: cancelled.append(job))


@pytest.mark.parametrize('older, newer, is_spared', [
    (True, True, True), (True, False, False), (False, True, False), (False, False, False)])
def test_only_between_requests_of_a_stream_a_check_comes_to_its_end(older, newer, is_spared):
    judging, cancelled = threading.Event(), []
    check, prediction = job_of(Check((0, 1)), cancelled), job_of(Prediction(), cancelled)
    first, second = (Request((), deadline=LIMIT, is_streamed=each) for each in (older, newer))

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
    assert (first.outcome, second.outcome) == (Outcome.REPLACED, None)
    assert cancelled == ([prediction] if is_spared else [check, prediction])
    runner.close()


def test_a_check_that_was_spared_ends_when_the_node_is_deactivated_and_none_begins():
    cancelled = []
    check, late = job_of(Check((0, 1)), cancelled), job_of(Check((0, 1)), cancelled)
    request = Request((), deadline=LIMIT, is_streamed=True)
    request.add(check)
    request.stop(Outcome.REPLACED, 'replaced by a newer request', but_check=True)
    assert cancelled == []
    request.add(late)
    assert cancelled == [late]
    request.stop(Outcome.CANCELLED, 'the node was deactivated')
    assert check in cancelled
    assert request.outcome == Outcome.REPLACED
