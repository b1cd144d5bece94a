# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a prediction that began beside its check; workers are played, no graph."""
import logging
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from graph import LIMIT, READY, swing, URDF

from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder, RobotSource
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.pipeline import PrecheckPipeline
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, Observation, PinholeCamera, StartState, Status
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.process import WorkerState

ROBOT = Robot.from_urdf(URDF)


class Worker:
    """In place of a supervisor: a job ends as the test says."""

    is_idle = is_warm = True
    state, model, fingerprint = WorkerState.IDLE, 'played', ''

    def __init__(self):
        self.jobs, self.submitted, self.asked = [], threading.Event(), []

    def submit(self, observation, trajectory, **job):
        def end(job, outcome, message):
            self.asked.append(outcome)
            job.finish(outcome, message)

        job.pop('sink')
        self.jobs.append(Job(1, observation, trajectory, end=end, **job))
        self.jobs[-1].sent.set()
        self.submitted.set()
        return self.jobs[-1]


class Cell:
    """A pipeline with all that it needs, and what it published."""

    def __init__(self):
        now_ns = time.time_ns()
        camera = PinholeCamera(8, 6, 8.0, 8.0, 3.5, 2.5)
        seen = Observation.from_rgbd(np.zeros((6, 8, 3), np.uint8), None, camera, np.eye(4), READY,
                                     stamp_ns=now_ns)
        live = LiveInputsHolder()
        live.update(source=RobotSource(URDF, CameraFinder(ROBOT, {}, TransformTree())),
                    inputs=SimpleNamespace(
                        observe=lambda *_, **__: FramedObservation(seen, (), ROBOT.root_link),
                        start_state=lambda *_: StartState(READY, dict.fromkeys(READY, 0.0))))
        logger = logging.getLogger('cell')
        node = SimpleNamespace(get_logger=lambda: logger, get_clock=lambda: SimpleNamespace(
            now=lambda: SimpleNamespace(nanoseconds=time.time_ns())))
        self.verdicts, self.told = [], threading.Condition()
        outputs = SimpleNamespace(
            verdict_message=lambda verdict, **_: SimpleNamespace(
                status=int(verdict.status), final=verdict.final, summary=verdict.summary,
                outcome='', verdict=verdict),
            publish_verdict=self.publish, publish_markers=lambda *_: None,
            publish_candidates=lambda *_: None)
        settings = shadow_sim_settings(TABLE.validate({'world_model': 'frozen'}))
        self.checks, self.predictions = Worker(), Worker()
        self.pipeline = PrecheckPipeline(node, live, outputs, lambda: settings, self.checks,
                                         self.predictions)

    def publish(self, verdict):
        """Keep a verdict that is published."""
        with self.told:
            self.verdicts.append(verdict)
            self.told.notify_all()

    def wait_for(self, count):
        """Wait until so many verdicts were published, and return them."""
        with self.told:
            assert self.told.wait_for(lambda: len(self.verdicts) >= count, LIMIT)
        return self.verdicts

    def judge(self, message, **request):
        """Begin a request in a thread, as the runner does; return both."""
        request = PrecheckRequest((message,), deadline=LIMIT, is_streamed=True, **request)
        thread = threading.Thread(target=self.pipeline, args=(request,), daemon=True)
        thread.start()
        assert self.checks.submitted.wait(LIMIT)
        return request, thread

    def found(self):
        """Have the check find nothing."""
        check = self.checks.jobs[-1]
        for tier in check.task.tiers:
            check.assessment.add(tier)
        check.finish(JobOutcome.DONE)


def test_one_whose_request_is_replaced_meanwhile_is_ended_as_that_and_not_waited_for():
    cell = Cell()
    request, thread = cell.judge(swing())
    assert cell.predictions.submitted.wait(LIMIT)
    request.stop(JobOutcome.REPLACED, 'newer', but_check=True)
    cell.found()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert set(cell.predictions.asked) == {JobOutcome.REPLACED}      # for the pace of the next
    (verdict,) = cell.verdicts
    assert verdict.final and request.messages == [verdict]
    assert verdict.status == Status.UNSURE


def test_its_verdict_does_not_wait_for_it_and_a_later_one_tells_what_came_of_it():
    cell = Cell()
    request, thread = cell.judge(swing())
    assert cell.predictions.submitted.wait(LIMIT)
    cell.found()
    assert [each.final for each in cell.wait_for(1)] == [False] and thread.is_alive()
    assert request.answered.is_set()
    cell.predictions.jobs[-1].finish(JobOutcome.FAILED, 'the model broke')
    thread.join(LIMIT)
    first, last = (each.verdict for each in cell.verdicts)
    assert last.final and last.status == Status.UNSURE
    assert FindingCode.MODEL_FAILED in [finding.code for finding in last.findings]
    assert FindingCode.MODEL_FAILED not in [finding.code for finding in first.findings]


def test_who_asked_is_answered_before_all_others_are_told():
    """A robot may wait for it; what is published is the same."""
    cell = Cell()
    before = []
    request, thread = cell.judge(swing(), on_answer=lambda: before.append(list(cell.verdicts)))
    cell.found()
    (verdict,) = cell.wait_for(1)
    assert before == [[]] and request.messages == [verdict]
    request.stop(JobOutcome.CANCELLED, 'enough')
    thread.join(LIMIT)
    assert not thread.is_alive()


@pytest.mark.parametrize('outcome', [JobOutcome.FAILED, JobOutcome.DEADLINE])
def test_a_check_that_was_begun_at_once_and_fails_is_no_pass(outcome):
    cell = Cell()
    request, thread = cell.judge(swing())
    assert cell.predictions.submitted.wait(LIMIT)
    cell.checks.jobs[-1].finish(outcome, 'it broke')
    assert cell.wait_for(1)[0].status == Status.UNSURE
    request.stop(JobOutcome.CANCELLED, 'enough')
    thread.join(LIMIT)
    assert cell.verdicts[-1].final and cell.verdicts[-1].status == Status.UNSURE


def test_what_does_not_move_is_told_without_a_prediction():
    cell = Cell()
    message = swing()
    message.joint_names = ['no such joint', *message.joint_names[1:]]
    request, thread = cell.judge(message)
    cell.found()          # a worker that would let it pass
    thread.join(LIMIT)
    (verdict,) = cell.verdicts
    assert verdict.final and verdict.status == Status.FAIL and not cell.predictions.jobs
    assert not thread.is_alive() and request.answered.is_set()
