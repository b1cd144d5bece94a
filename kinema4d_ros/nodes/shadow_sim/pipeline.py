# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a request becomes verdicts: the sequence of tiers, with its costly steps in the workers."""
from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterator

from rclpy.lifecycle import LifecycleNode

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.bridge.verdicts import candidates_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.shadow_sim.awaited_inputs import AwaitedInputs
from kinema4d_ros.nodes.shadow_sim.candidate import Candidate, code_of
from kinema4d_ros.nodes.shadow_sim.incidents import IncidentKeeper
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.late_start import first_point, refuse_moved_on
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder
from kinema4d_ros.nodes.shadow_sim.motion_ledger import MotionLedger
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs, Rollout
from kinema4d_ros.nodes.shadow_sim.plan import Plan
from kinema4d_ros.nodes.shadow_sim.prediction_pace import PredictionPace
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.nodes.shadow_sim.rollout_sink import RolloutSink
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import Assessment, rank
from kinema4d_ros.precheck.sequence import begin, conclude
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import FindingCode, StartState, Status, Verdict
from kinema4d_ros.worker.job import Job, JobOutcome
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask
from kinema4d_ros.worker.supervisor import Supervisor

_SEND = 0.05      # [s] that a check gets to be on its way before anything else is done


class PrecheckPipeline:
    """
    Judges requests in the thread of the RequestRunner.

    All candidates are checked first, from one look at the world, and then predicted in the order
    of their ranking: a robot that waits for the checks does not wait for pictures. The answer
    comes as soon as the tiers that it waits for have run; what is predicted after that is shown,
    and may still make the verdict worse: a second verdict, the final one, then follows.
    """

    def __init__(self, node: LifecycleNode, live: LiveInputsHolder, outputs: Outputs,
                 settings: Callable[[], ShadowSimSettings], checks: Supervisor,
                 predictions: Supervisor):
        """
        Make a pipeline that has its costly steps done by worker processes.

        :param node: whose clock and logger are used.
        :param settings: returns the settings as they are now.
        :param checks: the worker of the checks; may be that of the predictions.
        """
        self._node, self._live, self._outputs, self._settings = node, live, outputs, settings
        self._checks, self._predictions = checks, predictions
        self.incidents = IncidentKeeper(node.get_logger())
        self.ledger = MotionLedger(node, live, settings)
        self._pace = PredictionPace()
        self._world = AwaitedInputs(node, live, checks, predictions)
        self.last_message: VerdictMessage | None = None

    def close(self) -> None:
        """Write what waits to be, of incidents and of the ledger."""
        self.incidents.close()
        self.ledger.close()

    def __call__(self, request: PrecheckRequest) -> None:
        """Give every candidate its verdict: to the one who asked, and then to all."""
        plan = Plan.of(request, self._settings())
        candidates = [Candidate(request.rollout_id(index), message)
                      for index, message in enumerate(request.candidates)]
        observed: FramedObservation | InputProblem | None = None
        for candidate in candidates:
            with self._errors_as_findings(candidate):
                self._read(request, candidate, plan)
        for candidate in candidates[:1]:
            with self._errors_as_findings(candidate):
                observed = self._check_early(request, candidate, plan)
        for candidate in candidates:
            with self._errors_as_findings(candidate):
                self._begin(request, candidate, plan)
        for candidate in candidates:
            with self._errors_as_findings(candidate):
                observed = observed or self._world.observe(request, plan)
                self._check(request, candidate, observed, plan)
            if not plan.predicts_first:
                # One that was replaced meanwhile is not predicted, so nothing more will follow.
                final = request.stopped.is_set() or not (
                    candidate.moves and isinstance(observed, FramedObservation))
                self._conclude(request, candidate, observed, plan, final=final)
                if final and candidate.prediction is not None:
                    self._give_up(request, candidate.prediction, plan)
        if plan.predicts_first:
            for candidate in candidates:
                with self._errors_as_findings(candidate):
                    self._predict(request, candidate, observed, plan)
                self._conclude(request, candidate, observed, plan, final=True)
        ranking = rank(request.verdicts, [candidate.duration for candidate in candidates])
        request.answer(ranking)     # first: a robot may wait for it
        self._publish_all(request, ranking)
        for candidate, verdict, message in zip(candidates, request.verdicts, request.messages):
            self._tell(candidate, message, observed, verdict, plan)
        for index in ranking:
            candidate = candidates[index]
            if not request.verdicts[index].final:
                with self._errors_as_findings(candidate):
                    self._predict(request, candidate, observed, plan)
                verdict = self._verdict(candidate, candidate.assessment, plan, final=True)
                self.ledger.remember(candidate, observed, verdict, plan.settings.precheck)
                self._publish(message := self._message(verdict, candidate, plan))
                self._tell(candidate, message, observed, verdict, plan)

    # ------------------------------------------------------------------ the tiers

    def _read(self, request: PrecheckRequest, candidate: Candidate, plan: Plan) -> None:
        """Read the trajectory."""
        assessment = candidate.assessment
        assessment.measure(seed=plan.settings.values['seed'])
        trajectory = trajectory_from_message(candidate.message)
        assessment.measure(trajectory_hash=trajectory_hash(trajectory))
        if request.outcome is not None:     # without a motion nothing more is done for it
            raise InputProblem(code_of(request.outcome), request.reason)
        candidate.trajectory = trajectory

    def _check_early(self, request: PrecheckRequest, candidate: Candidate,
                     plan: Plan) -> FramedObservation | None:
        """
        Have the worker check it from now on, where nothing has to be waited for.

        What of tier 0 needs no meshes is then found, and told, meanwhile. Otherwise it comes
        first, and the check when all is there.

        :return: what was looked at; None where that has to be done yet.
        """
        if candidate.trajectory is None or (known := self._world.at_once(request, plan)) is None:
            return None
        candidate.robot, candidate.start, observed = known
        self._take_receipt(request, candidate, plan)
        candidate.check = self._submit_check(request, candidate, observed, plan)
        candidate.check.sent.wait(_SEND)      # first: this interpreter does one thing at a time
        return observed

    def _begin(self, request: PrecheckRequest, candidate: Candidate, plan: Plan) -> None:
        """Take the first step, which needs nothing but the trajectory and the live joints."""
        assessment, trajectory = candidate.assessment, candidate.trajectory
        if trajectory is None:
            return
        if candidate.check is None:
            self._locate(request, candidate, plan)
        if any(len(point.effort) for point in candidate.message.points):
            assessment.add_unsure('the trajectory commands efforts, whose effect nobody has '
                                  'computed: leave them out')
        if candidate.robot is not None:
            for motion in candidate.motions:
                found = Assessment()
                begin(found, motion, candidate.robot, candidate.start,
                      plan.settings.precheck.tier0)
                assessment.merge(found)
        self._report_provisional(request, candidate, plan, 'tier 0')

    def _locate(self, request: PrecheckRequest, candidate: Candidate, plan: Plan) -> None:
        """Find out where the robot is, which may have to be waited for."""
        assert candidate.trajectory is not None
        try:
            candidate.robot, candidate.start = self._world.start(request, plan)
        except InputProblem as problem:
            candidate.robot = self._live.current.source.robot
            candidate.start = StartState(problem.known, dict.fromkeys(problem.known, math.nan))
            candidate.assessment.add_unsure(str(problem), problem.code)
        else:
            refuse_moved_on(request.not_ready, first_point(candidate.trajectory, candidate.robot),
                            candidate.start, candidate.robot.continuous,
                            plan.settings.precheck.tier0.start_tolerance)
        self._take_receipt(request, candidate, plan)

    def _take_receipt(self, request: PrecheckRequest, candidate: Candidate, plan: Plan) -> None:
        """Have the motion begin as its stamp says, from when it was received."""
        waited_ns = round((time.monotonic() - request.started) * 1e9)
        candidate.take_receipt(self._world.now_ns() - waited_ns,
                               plan.settings.values['verdict_lifetime'])

    def _check(self, request: PrecheckRequest, candidate: Candidate,
               observed: FramedObservation | InputProblem, plan: Plan) -> None:
        """Have tiers 0 and 1 run in the worker process; a failure makes the verdict UNSURE."""
        job = candidate.check
        if job is None:
            if not candidate.moves or request.stopped.is_set():
                return
            if isinstance(observed, InputProblem):
                raise observed
            self._refuse_moved_on(request, candidate, plan)
            job = self._submit_check(request, candidate, observed, plan)
        if candidate.moves and isinstance(observed, FramedObservation) \
                and self._predicts_beside(request, plan):
            candidate.prediction = self._begin_prediction(request, candidate, observed, plan)
        outcome = request.wait(job)
        if candidate.moves and isinstance(observed, FramedObservation):
            candidate.assessment.measure(scene_stamp_ns=observed.oldest_ns)
            candidate.assessment.took('look', observed.took)
            candidate.take_check(job)
            candidate.assessment.took('checks', time.monotonic() - job.submitted)
            if outcome != JobOutcome.DONE:
                request.fail(outcome, job.message)
            if plan.predicts_first:
                self._report_provisional(request, candidate, plan, 'checked')

    def _give_up(self, request: PrecheckRequest, prediction: Job, plan: Plan) -> None:
        """End a prediction that nothing waits for, since its verdict is final."""
        prediction.cancel(request.outcome or JobOutcome.CANCELLED, 'its verdict is final')
        request.wait(prediction)
        self._pace.note(prediction, plan.settings.values['frames'])

    def _predicts_beside(self, request: PrecheckRequest, plan: Plan) -> bool:
        """Return whether the prediction begins beside the check, see `_begin_prediction`."""
        return request.is_streamed and self._predictions is not self._checks \
            and not plan.predicts_first \
            and self._pace.begins_at_once(request, is_judged=plan.is_judged)

    def _refuse_moved_on(self, request: PrecheckRequest, candidate: Candidate,
                         plan: Plan) -> None:
        """Have it start from where the robot is by now, unless that speaks against judging it."""
        # The robot may have moved since the look, of which only where it was then is of use now.
        robot, start = self._world.start(request, plan)
        # `candidate.start` is where the robot had gone already, or nothing, if it was late itself
        assert candidate.trajectory is not None
        for there in (candidate.start, first_point(candidate.trajectory, robot)):
            refuse_moved_on(request.not_ready, there, start, robot.continuous,
                            plan.settings.precheck.tier0.start_tolerance)
        candidate.start = start

    def _submit_check(self, request: PrecheckRequest, candidate: Candidate,
                      observed: FramedObservation, plan: Plan) -> Job:
        task = CheckTask(tuple(sorted(plan.wanted)), plan.goal,
                         bool(plan.settings.values['incident_dir']) or self.ledger.is_on,
                         candidate.start)
        return self._submit(request, candidate, observed, plan, self._checks, task,
                            request.deadline)

    def _predict(self, request: PrecheckRequest, candidate: Candidate,
                 observed: FramedObservation | InputProblem | None, plan: Plan) -> None:
        """
        Have the future predicted, unless there is none, and wait until it is published.

        A failure speaks against the verdict, as tier 2.
        """
        job, values = candidate.prediction, plan.settings.values
        if not isinstance(observed, FramedObservation) or not candidate.moves or (job := (
                job or self._begin_prediction(request, candidate, observed, plan))) is None:
            return
        outcome = request.wait(job)
        self._pace.note(job, values['frames'])
        candidate.assessment.measure(
            world_model=self._predictions.model or values['world_model'],
            checkpoint_hash=self._predictions.fingerprint)
        candidate.take_prediction(job, is_evidence=plan.is_judged)
        if outcome != JobOutcome.DONE and plan.predicts_first:
            request.fail(outcome, job.message)

    def _begin_prediction(self, request: PrecheckRequest, candidate: Candidate,
                          observed: FramedObservation, plan: Plan) -> Job | None:
        """
        Have the prediction of a candidate begun, once it is its turn; None where it was stopped.

        That of a trajectory of the topic need not wait for the verdict where another process
        checks: its frames come 40 ms earlier, and the verdict a few later. One whose verdict
        somebody waits for does.
        """
        if not self._pace.wait(request, is_judged=plan.is_judged):
            return None
        values, deadline = plan.settings.values, request.deadline
        if not plan.predicts_first:
            deadline = max(deadline, request.started + values['deadline'])
        task = PredictionTask(values['seed'], plan.is_judged, bool(values['incident_dir']),
                              candidate.start)
        return self._submit(request, candidate, observed, plan, self._predictions, task, deadline)

    def _submit(self, request: PrecheckRequest, candidate: Candidate, observed: FramedObservation,
                plan: Plan, worker: Supervisor, task: CheckTask | PredictionTask,
                deadline: float) -> Job:
        robot, trajectory = candidate.robot, candidate.trajectory
        if robot is None or trajectory is None:
            raise RuntimeError('there is no motion that a worker could look at')
        values = plan.settings.values
        sink = RolloutSink(
            self._node, self._outputs,
            Rollout(candidate.rollout_id, observed, values['cloud_stride']),
            # of what nobody waits for nobody is told how far it is
            (lambda *_: None) if isinstance(task, PredictionTask) and not plan.predicts_first
            else lambda *progress: request.on_progress(request, *progress),
            candidate.frames if values['incident_dir'] else None)
        job = worker.submit(
            observed.observation, trajectory, task=task, settings=plan.settings.precheck,
            robot_hash=robot.description_hash, deadline=deadline, sink=sink)
        request.add(job)
        return job

    # ------------------------------------------------------------------ the verdict

    def _conclude(self, request: PrecheckRequest, candidate: Candidate,
                  observed: FramedObservation | InputProblem | None, plan: Plan, *,
                  final: bool) -> None:
        """Give the verdict that the request waits for."""
        assessment = candidate.assessment
        with self._errors_as_findings(candidate):
            if request.is_streamed:
                self._live.current.catch_up()
            robot = self._live.current.source.robot
            if candidate.robot is not None and candidate.robot is not robot:
                assessment.add_unsure('the robot description changed', FindingCode.CANCELLED)
            candidate.check_ages(
                observed.oldest_ns if isinstance(observed, FramedObservation) else None,
                self._world.now_ns(), plan.settings.values)
            if reason := self._live.current.why_robot_not_ready():
                assessment.add_unsure(reason, FindingCode.ROBOT_STATE)
            if request.outcome is not None and not assessment.has(code_of(request.outcome)):
                assessment.add_unsure(request.reason, code_of(request.outcome))
        assessment.took('verdict', time.monotonic() - request.started)
        verdict = self._verdict(candidate, assessment, plan, final=final)
        message = self._message(verdict, candidate, plan)
        request.verdicts.append(verdict)
        request.messages.append(message)
        self.ledger.remember(candidate, observed, verdict, plan.settings.precheck)

    def _report_provisional(self, request: PrecheckRequest, candidate: Candidate, plan: Plan,
                            stage: str) -> None:
        """Report to the one who asked the provisional verdict of the tiers done so far."""
        so_far = candidate.assessment.copy()
        so_far.add_unsure('not all tiers have run yet')
        request.provisional = self._message(
            self._verdict(candidate, so_far, plan, final=False), candidate, plan)
        request.on_progress(request, stage, 1, 1)

    @staticmethod
    def _verdict(candidate: Candidate, assessment: Assessment, plan: Plan, *,
                 final: bool) -> Verdict:
        return conclude(assessment, candidate.trajectory, candidate.robot, candidate.start,
                        plan.settings.precheck.tier0,
                        required=plan.settings.values['required_tiers'], final=final)

    def _message(self, verdict: Verdict, candidate: Candidate, plan: Plan) -> VerdictMessage:
        robot = self._live.current.source.robot
        return self._outputs.verdict_message(
            verdict, rollout_id=candidate.rollout_id,
            lifetime=plan.settings.values['verdict_lifetime'],
            root_link='' if robot is None else robot.root_link)

    def _publish_all(self, request: PrecheckRequest, ranking: list[int]) -> None:
        """Publish the verdicts of a request, and what they make of its candidates together."""
        for message in request.messages:
            self._publish(message)
        if len(request.candidates) > 1:
            self._outputs.publish_candidates(candidates_message(
                request.id, request.candidates, request.messages, ranking))

    def _publish(self, message: VerdictMessage) -> None:
        """Publish a verdict; one that nobody heard still counts for the one who asked."""
        self.last_message = message
        try:
            self._outputs.publish_verdict(message)
        except Exception:
            self._node.get_logger().error(traceback.format_exc())

    def _tell(self, candidate: Candidate, message: VerdictMessage, observed: object,
              verdict: Verdict, plan: Plan) -> None:
        """Show people a verdict that was published, log it, and keep what it is to be kept with."""
        word = Status(message.status).name + ('' if message.final else ' so far')
        outcome = f'; predicted: {message.outcome}' if message.outcome else ''
        try:
            self._outputs.publish_markers(message, candidate.tool_path)
        except Exception:
            self._node.get_logger().error(traceback.format_exc())
        self._node.get_logger().info(f'{word}: {message.summary}{outcome}')
        if verdict.final:
            self.incidents.keep(candidate, observed, verdict, plan.settings, plan.goal,
                                self._live.current.source.text)

    @contextlib.contextmanager
    def _errors_as_findings(self, candidate: Candidate) -> Iterator[None]:
        """Turn whatever is raised into a finding that forbids a PASS."""
        try:
            yield
        except InputProblem as problem:
            candidate.assessment.add_unsure(str(problem), problem.code)
        except Kinema4DError as error:   # a malformed message, a setting for no joint
            candidate.assessment.add_unsure(str(error))
        except Exception as error:   # whatever it is, it must end in UNSURE and in the log
            self._node.get_logger().error(traceback.format_exc())
            candidate.assessment.add_unsure(f'internal error: {type(error).__name__}: {error}')
