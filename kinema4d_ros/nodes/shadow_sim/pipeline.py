# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a request becomes verdicts: rules, one look at the world, checks, predictions, decision."""
from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.bridge.verdicts import candidates_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.candidate import Candidate, CODES
from kinema4d_ros.nodes.shadow_sim.incidents import IncidentKeeper, Pictures
from kinema4d_ros.nodes.shadow_sim.inputs import InputProblem, Look
from kinema4d_ros.nodes.shadow_sim.looker import Looker
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.nodes.shadow_sim.requests import Request
from kinema4d_ros.nodes.shadow_sim.rollout_publisher import Rollout, RolloutPublisher
from kinema4d_ros.precheck import check_tier0, not_checked, rank, trajectory_hash
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.precheck.outcome import event_finding
from kinema4d_ros.precheck.rubrics import load_rubric
from kinema4d_ros.types import FindingCode, Status, Verdict
from kinema4d_ros.worker.job import Job, Outcome
from kinema4d_ros.worker.protocol import Check, Prediction
from kinema4d_ros.worker.supervisor import Supervisor

_PREDICTED = 2    # the tier that looks at what the world model predicts


class Worker(NamedTuple):
    """A worker process, and what listens to it."""

    supervisor: Supervisor
    rollouts: RolloutPublisher


class _Plan(NamedTuple):
    """What is to be done for a request."""

    settings: ShadowSimSettings         # when it came; it keeps them to its end
    goal: Goal | None
    wanted: frozenset[int]              # tiers that the answer waits for
    is_judged: bool                     # whether tier 2 looks at the predictions

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the parameters."""
        return self.settings.values


class PrecheckPipeline:
    """
    Judges requests in the thread of the RequestRunner.

    All candidates are checked first, from one look at the world, and then predicted in the order
    of their ranking: a robot that waits for the checks does not wait for pictures. The answer
    comes as soon as the tiers that it waits for have run; what is predicted after that is shown,
    and may still make the verdict worse: a second verdict, the final one, then follows.
    """

    def __init__(self, node, outputs: Outputs, looker: Looker,
                 snapshot: Callable[[], ShadowSimSettings]):
        """:param snapshot: returns the settings as they are now."""
        self._node, self._outputs, self._looker = node, outputs, looker
        self._snapshot = snapshot
        self.checks: Worker | None = None         # both may be the same
        self.predictions: Worker | None = None
        self.incidents = IncidentKeeper(node.get_logger())
        self.last_message = None
        #: Takes trajectories that wait to be heard: what they outdate must not pass.
        self.catch_up: Callable[[], None] = lambda: None

    def __call__(self, request: Request) -> None:
        """Give every candidate its verdict and publish it; never raises."""
        candidates = [Candidate(index, request.rollout_id(index), message)
                      for index, message in enumerate(request.candidates)]
        plan = look = None
        for candidate in candidates:
            with self._doubts_in(candidate):
                plan = plan or self._plan(request)
                self._begin(request, candidate, plan)
        if plan is None:
            plan = _Plan(self._snapshot(), None, frozenset(), False)
        predicts_first = _PREDICTED in plan.wanted
        for candidate in candidates:
            with self._doubts_in(candidate):
                look = look or self._look(request, plan)
                self._check(request, candidate, look, plan)
            if not predicts_first:
                # One that was replaced meanwhile is not predicted, so nothing more will follow.
                self._conclude(request, candidate, look, plan, final=request.stopped.is_set()
                               or not self._is_predictable(candidate, look))
        if predicts_first:
            for candidate in candidates:
                with self._doubts_in(candidate):
                    self._predict(request, candidate, look, plan)
                self._conclude(request, candidate, look, plan, final=True)
            self._answer(request, candidates)
            return
        for index in self._answer(request, candidates):
            candidate = candidates[index]
            if not request.verdicts[index].final:
                with self._doubts_in(candidate):
                    self._predict(request, candidate, look, plan)
                verdict = self._verdict(candidate, plan, final=True)
                self._tell(candidate, self._message(verdict, candidate, plan))
                self._keep(candidate, look, plan, verdict)

    # ------------------------------------------------------------------ the steps

    def _plan(self, request: Request) -> _Plan:
        settings = self._snapshot()
        values, goal = settings.values, settings.goal
        if request.goal_rubric:
            goal = load_rubric(request.goal_rubric, values['rubric_dir'])
        wanted = {*values['required_tiers'], *request.tiers}
        if goal is not None:
            wanted.add(1)       # which foresees the outcome
        return _Plan(settings, goal, frozenset(wanted),
                     _PREDICTED in wanted or _PREDICTED in values['late_tiers'])

    def _begin(self, request: Request, candidate: Candidate, plan: _Plan) -> None:
        """Apply the rules that need nothing but the trajectory and the live joints."""
        values = plan.values
        candidate.fields |= {'seed': values['seed']}
        trajectory = trajectory_from_message(candidate.message)
        candidate.fields['trajectory_hash'] = trajectory_hash(trajectory)
        if request.outcome is not None:     # without a motion nothing more is done for it
            raise InputProblem(CODES[request.outcome], request.reason)
        candidate.trajectory = trajectory
        with _timed(candidate.latencies, 'tier 0'):
            robot, live, doubts = self._looker.joints(request, values)
            candidate.robot, candidate.joints = robot, live
            candidate.doubt(*doubts)
            if robot is not None:
                candidate.fields['robot_hash'] = robot.description_hash
                candidate.add(0, *check_tier0(candidate.trajectory, robot, live,
                                              plan.settings.precheck.tier0))
        self._foretell(request, candidate, plan, 'tier0')

    def _look(self, request: Request, plan: _Plan) -> Look | InputProblem:
        workers = [self.checks] + [self.predictions] * (_PREDICTED in plan.wanted)
        self._looker.await_ready(request, *(worker.supervisor for worker in workers))
        return self._looker.look(request, plan.values)

    def _check(self, request: Request, candidate: Candidate, look: Look | InputProblem,
               plan: _Plan) -> None:
        """Run tiers 0 and 1 in the worker process; a failure leaves them in doubt."""
        if not candidate.moves or request.stopped.is_set():
            return
        if isinstance(look, InputProblem):
            raise look
        candidate.fields['scene_stamp_ns'] = look.observation.stamp_ns
        job = self._submit(request, candidate, look, plan, self.checks,
                           Check(tuple(sorted(plan.wanted)), plan.goal,
                                 bool(plan.values['incident_dir'])), request.deadline)
        request.wait(job)
        candidate.take_check(job)
        if job.outcome != Outcome.DONE:
            request.fail(job.outcome, job.message)
        if _PREDICTED in plan.wanted:
            self._foretell(request, candidate, plan, 'checked')

    def _predict(self, request: Request, candidate: Candidate, look: Look | InputProblem | None,
                 plan: _Plan) -> None:
        """
        Have the future predicted, unless there is none, and wait until it is published.

        A failure speaks against the verdict, as tier 2.
        """
        if not self._is_predictable(candidate, look) or request.stopped.is_set():
            return
        deadline = request.deadline
        if _PREDICTED not in plan.wanted:
            deadline = max(deadline, request.started + plan.values['deadline'])
        job = self._submit(request, candidate, look, plan, self.predictions,
                           Prediction(plan.values['seed'], plan.is_judged,
                                      bool(plan.values['incident_dir'])), deadline)
        request.wait(job)
        supervisor, rollouts = self.predictions
        candidate.fields |= {'world_model': supervisor.model or plan.values['world_model'],
                             'checkpoint_hash': supervisor.fingerprint}
        candidate.take_prediction(job, is_evidence=plan.is_judged)
        if job.outcome == Outcome.DONE and 1 not in candidate.findings:
            # Tier 1 would foresee the same events, from the same geometry.
            candidate.notes += map(event_finding, rollouts.current.events)
        if job.outcome != Outcome.DONE and _PREDICTED in plan.wanted:
            request.fail(job.outcome, job.message)

    @staticmethod
    def _submit(request: Request, candidate: Candidate, look: Look, plan: _Plan, worker: Worker,
                task: Check | Prediction, deadline: float) -> Job:
        # Set before submitting: the first frame may come before submit returns.
        worker.rollouts.current = Rollout(request, candidate.rollout_id, look, plan.values)
        job = worker.supervisor.submit(
            look.observation, candidate.trajectory, task=task,
            rules=plan.settings.precheck, mount=look.mount, deadline=deadline)
        request.add(job)
        return job

    @staticmethod
    def _is_predictable(candidate: Candidate, look: Look | InputProblem | None) -> bool:
        return candidate.moves and isinstance(look, Look)

    @contextlib.contextmanager
    def _doubts_in(self, candidate: Candidate) -> Iterator[None]:
        """Turn whatever is raised into a finding that forbids a PASS."""
        try:
            yield
        except InputProblem as problem:
            candidate.doubt(not_checked(str(problem), problem.code))
        except Kinema4DError as error:   # a malformed message, a setting for no joint
            candidate.doubt(not_checked(str(error)))
        except Exception as error:   # whatever it is, it must end in UNSURE and in the log
            self._node.get_logger().error(traceback.format_exc())
            candidate.doubt(not_checked(f'internal error: {type(error).__name__}: {error}'))

    # ------------------------------------------------------------------ telling

    def _conclude(self, request: Request, candidate: Candidate,
                  look: Look | InputProblem | None, plan: _Plan, *, final: bool) -> None:
        """Give the verdict that the request waits for."""
        with self._doubts_in(candidate):
            if request.is_streamed:
                self.catch_up()
            if candidate.robot is not None and candidate.robot is not self._looker.robot:
                candidate.doubt(not_checked('the robot description changed',
                                            FindingCode.CANCELLED))
            candidate.doubt(*self._looker.check_time(candidate.message, look, plan.values))
            if request.outcome is not None and not candidate.has(CODES[request.outcome]):
                candidate.doubt(not_checked(request.reason, CODES[request.outcome]))
        candidate.latencies['verdict'] = time.monotonic() - request.started
        verdict = self._verdict(candidate, plan, final=final)
        request.verdicts.append(verdict)
        request.messages.append(self._message(verdict, candidate, plan))
        self._tell(candidate, request.messages[-1])
        if final:
            self._keep(candidate, look, plan, verdict)

    def _answer(self, request: Request, candidates: list[Candidate]) -> list[int]:
        """Rank the candidates and end the wait of the one who asked; return the ranking."""
        ranking = rank(request.verdicts, [
            float('inf') if candidate.trajectory is None else candidate.trajectory.duration
            for candidate in candidates])
        if len(candidates) > 1:
            self._outputs.publish_candidates(candidates_message(
                request.id, request.candidates, request.messages, ranking))
        request.answer(ranking)
        return ranking

    def _foretell(self, request: Request, candidate: Candidate, plan: _Plan, stage: str) -> None:
        """Tell the provisional verdict by the tiers done so far."""
        so_far = Candidate(candidate.index, candidate.rollout_id, candidate.message,
                           findings={tier: list(found)
                                     for tier, found in candidate.findings.items()},
                           fields=candidate.fields, latencies=candidate.latencies)
        so_far.add(0, not_checked('not all tiers have run yet'))
        request.provisional = self._message(self._verdict(so_far, plan, final=False), so_far,
                                            plan)
        request.on_progress(request, stage, 1, 1)

    @staticmethod
    def _verdict(candidate: Candidate, plan: _Plan, *, final: bool) -> Verdict:
        return candidate.verdict(plan.values['required_tiers'], plan.settings.precheck.tier0,
                                 final=final)

    def _message(self, verdict: Verdict, candidate: Candidate, plan: _Plan):
        robot = self._looker.robot
        return self._outputs.verdict_message(
            verdict, rollout_id=candidate.rollout_id, lifetime=plan.values['verdict_lifetime'],
            root_link='' if robot is None else robot.root_link)

    def _keep(self, candidate: Candidate, look: Look | InputProblem | None, plan: _Plan,
              verdict: Verdict) -> None:
        """Have an incident packet written, where that is wanted."""
        rollout = self.predictions.rollouts.current
        predicted = rollout is not None and rollout.id == candidate.rollout_id
        self.incidents.keep(candidate, look, verdict, plan.settings, plan.goal,
                            rollout.pictures if predicted else Pictures())

    def _tell(self, candidate: Candidate, message) -> None:
        """Publish and log a verdict; one that nobody heard still counts for the one who asked."""
        word = Status(message.status).name + ('' if message.final else ' so far')
        outcome = f'; predicted: {message.outcome}' if message.outcome else ''
        logger = self._node.get_logger()
        self.last_message = message
        try:
            self._outputs.publish_verdict(message)     # first: it may be outdated at any moment
            self._outputs.publish_markers(message, candidate.tool_path)
        except Exception:
            logger.error(traceback.format_exc())
        logger.info(f'{word}: {message.summary}{outcome}')


class _timed:  # noqa: N801 - reads as a statement
    """Adds the time that its block takes to `latencies[stage]` [s]."""

    def __init__(self, latencies: dict[str, float], stage: str):
        self._latencies, self._stage = latencies, stage

    def __enter__(self):
        self._started = time.perf_counter()

    def __exit__(self, *_):
        self._latencies[self._stage] = time.perf_counter() - self._started
