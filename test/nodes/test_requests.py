# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of requests; no graph."""
import threading

from graph import LIMIT

from kinema4d_ros.nodes.job import Outcome
from kinema4d_ros.nodes.requests import Request, RequestRunner


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
