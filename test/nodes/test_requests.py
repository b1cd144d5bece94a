# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of requests; no graph."""
import gc
import os
import threading
import time

import pytest
from graph import LIMIT, swing
from kinema4d_ros.msg import Verdict as VerdictMessage
from rclpy.logging import get_logger
from std_msgs.msg import Header

from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.nodes.shadow_sim import requests
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest, RequestRunner
from kinema4d_ros.nodes.shadow_sim.unanswered import always_answered
from kinema4d_ros.types import Status, Verdict
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask

#: chunks that a streaming policy sends; a working day has 100000
DAY = int(os.environ.get('KINEMA4D_CHUNKS', '5000'))


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


class Ears:
    """Stands for the outputs: keeps the verdicts that are published."""

    def __init__(self):
        self.published = []

    def verdict_message(self, verdict, *, rollout_id, lifetime, root_link):
        """Return the message of a verdict."""
        message = verdict_message(verdict, Header())
        message.rollout_id = rollout_id
        return message

    def publish_verdict(self, message):
        """Keep it."""
        self.published.append(message)


@pytest.mark.parametrize('given', [(), (True,), (False,), (True, False)])
def test_a_judge_that_fails_leaves_no_trajectory_without_a_final_verdict(given):
    """Whatever it had said before: those that were final stay, PASS so far is taken back."""
    ears = Ears()

    def judge(request):
        for final in given:
            request.verdicts.append(Verdict(Status.PASS, 'well', final=final))
            request.messages.append(VerdictMessage())
        raise ZeroDivisionError('who wrote this?')

    runner = RequestRunner(always_answered(judge, ears, get_logger('test')))
    request = PrecheckRequest((swing(), swing(0.1)), deadline=LIMIT)
    runner.submit(request)
    assert request.done.wait(LIMIT)
    runner.close()
    assert len(request.verdicts) == len(request.messages) == 2 and request.ranking == [0, 1]
    assert request.answer_error == (JobOutcome.FAILED,
                                    'internal error: ZeroDivisionError: who wrote this?')
    assert len(ears.published) == 2 - sum(given)
    for message in ears.published:
        assert message.final and message.status == VerdictMessage.UNSURE
        assert 'who wrote this?' in message.summary and message.trajectory_hash


def test_a_day_of_chunks_leaves_memory_flat():
    """Streamed requests, many of them replaced, with jobs that end or are cancelled."""
    def judge(request):
        job = job_of(CheckTask(()), [])
        request.add(job)
        job.finish(JobOutcome.DONE)
        request.wait(job)
        request.verdicts.append(Verdict(Status.PASS, 'well'))
        request.messages.append(VerdictMessage())
        request.answer([0])

    runner, message = RequestRunner(judge), swing()

    def stream(count):
        for number in range(count):
            request = PrecheckRequest((message,), deadline=LIMIT, is_streamed=True)
            runner.submit(request)
            if number % 4 == 3:
                assert request.done.wait(LIMIT)
        gc.collect()
        return len(gc.get_objects())

    stream(200)
    before = stream(1)
    after = stream(DAY)
    runner.close()
    assert after - before < 500, f'{after - before} objects more after {DAY} chunks'
