# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a request becomes verdicts: rules, one look at the world, a prediction, the decision."""
from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.camera_pose import CameraFinder
from kinema4d_ros.nodes.inputs import InputProblem, Inputs, Look
from kinema4d_ros.nodes.job import Job, Outcome
from kinema4d_ros.nodes.outputs import Outputs
from kinema4d_ros.nodes.protocol import Frame
from kinema4d_ros.nodes.requests import Request
from kinema4d_ros.nodes.shadow_parameters import tier0_settings
from kinema4d_ros.nodes.supervisor import Supervisor, WorkerState
from kinema4d_ros.precheck import check_tier0, decide, not_checked, trajectory_hash
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import (EventKind, Finding, FindingCode, JointTrajectory, Severity,
                                Status, WorldEvent)

_CODES = {Outcome.CANCELLED: FindingCode.CANCELLED, Outcome.REPLACED: FindingCode.CANCELLED,
          Outcome.DEADLINE: FindingCode.DEADLINE, Outcome.FAILED: FindingCode.MODEL_FAILED}
#: findings of tier 0 that leave no motion to predict
_NO_MOTION = frozenset((FindingCode.UNKNOWN_JOINT, FindingCode.NOT_FINITE,
                        FindingCode.TIMES_NOT_INCREASING, FindingCode.EMPTY_TRAJECTORY))
_EVENTS = frozenset(FindingCode[kind.name] for kind in EventKind)
_POLL = 0.02      # [s] between looks for an input that is waited for
_PREDICTION = 2   # the tier that a failed prediction speaks against


@dataclass
class _Rollout:
    """What the frames of the running job need, and what they leave."""

    request: Request
    id: str
    look: Look
    values: Mapping[str, Any]
    events: list[WorldEvent] = field(default_factory=list)


class Judge:
    """
    Judges requests in the thread of the RequestRunner; frames pass in the supervisor's thread.

    The node sets `finder`, which knows the robot, and `inputs` (None while there is none).
    """

    def __init__(self, node, outputs: Outputs, snapshot: Callable[[], Mapping[str, Any]]):
        """:param snapshot: returns the parameters as they are now; one request keeps one."""
        self._node, self._outputs, self._snapshot = node, outputs, snapshot
        self.supervisor: Supervisor | None = None
        self.inputs: Inputs | None = None
        self.finder: CameraFinder | None = None
        self.refusal = ''        # why the present robot description is not used
        self.last_message = None
        self._rollout: _Rollout | None = None

    @property
    def robot(self) -> Robot | None:
        """The present robot."""
        finder = self.finder
        return None if finder is None else finder.robot

    # ------------------------------------------------------------------ in the runner's thread

    def __call__(self, request: Request) -> None:
        """Give every candidate its verdict and publish it; never raises."""
        values = self._snapshot()
        look: Look | InputProblem | None = None
        for index, message in enumerate(request.candidates):
            latencies: dict[str, float] = {}
            findings: dict[int, list[Finding]] = {}
            context = {'trajectory_hash': '', 'seed': values['seed'], 'scene_stamp_ns': 0}
            try:
                if request.outcome is not None:
                    raise InputProblem(_CODES[request.outcome], request.reason)
                trajectory = trajectory_from_message(message)
                context['trajectory_hash'] = trajectory_hash(trajectory)
                with _timed(latencies, 'tier 0'):
                    robot, findings[0] = self._tier0(request, trajectory, values)
                context['robot_hash'] = '' if robot is None else robot.description_hash
                request.provisional = self._message(
                    decide({**findings, _PREDICTION: [not_checked('not predicted yet')]},
                           required=values['required_tiers'], **context), request, index, values)
                request.on_progress(request, 'tier0', 1, 1)
                if look is None:
                    self._await_model(request)
                    with _timed(latencies, 'observe'):
                        look = self._look(request, values)
                if not any(f.code in _NO_MOTION for f in findings[0]):
                    self._predict(request, index, trajectory, look, values, findings, context,
                                  latencies)
                if robot is not self.robot:
                    findings[0].append(not_checked('the robot description changed',
                                                   FindingCode.CANCELLED))
                findings[0] += self._check_time(message, look, values)
                if request.outcome is not None and _PREDICTION not in findings:
                    findings[0].append(not_checked(request.reason, _CODES[request.outcome]))
            except InputProblem as problem:
                findings.setdefault(0, []).append(not_checked(str(problem), problem.code))
            except Kinema4DError as error:   # a malformed message, a setting for no joint
                findings.setdefault(0, []).append(not_checked(str(error)))
            except Exception as error:   # whatever it is, it must end in UNSURE and in the log
                self._node.get_logger().error(traceback.format_exc())
                findings.setdefault(0, []).append(
                    not_checked(f'internal error: {type(error).__name__}: {error}'))
            context.setdefault('outcome', '; '.join(
                finding.message for finding in findings.get(0, ()) if finding.code in _EVENTS))
            verdict = decide(findings, required=values['required_tiers'], latencies=latencies,
                             **context)
            message = self._message(verdict, request, index, values)
            try:
                self._tell(message)
            except Exception:   # a verdict that nobody heard still counts for the one who asked
                self._node.get_logger().error(traceback.format_exc())
            request.verdicts.append(verdict)
            request.messages.append(message)

    def _tier0(self, request: Request, trajectory: JointTrajectory,
               values: Mapping[str, Any]) -> tuple[Robot | None, list[Finding]]:
        """Return what the rules say of the trajectory, and the robot they looked at."""
        live, doubts = {}, []
        try:
            robot, live = self._await(request, values, lambda finder, inputs: (
                finder.robot, inputs.joint_positions(finder.robot, self._now_ns(), values)))
        except InputProblem as problem:
            robot = self.robot
            doubts.append(not_checked(str(problem), problem.code))
        if robot is not None:
            doubts += check_tier0(trajectory, robot, live, tier0_settings(values))
        return robot, doubts

    def _check_time(self, message, look: Look | InputProblem | None,
                    values: Mapping[str, Any]) -> list[Finding]:
        """Return what speaks against acting on the verdict now: old stamp, old look."""
        found, now = [], self._now_ns()
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        late = (now - stamp) * 1e-9
        if stamp and values['max_input_age'] and abs(late) > values['max_input_age']:
            found.append(not_checked(
                f'the trajectory is stamped {abs(late):.1f} s in the '
                f'{"past, so the controller would skip its beginning" if late > 0 else "future"}; '
                'send it with stamp 0, which means now', FindingCode.STALE_INPUT))
        if isinstance(look, Look):
            age = (now - look.observation.stamp_ns) * 1e-9
            if age > values['verdict_lifetime']:
                found.append(not_checked(
                    f'the look at the world is {age:.1f} s old by now, and a verdict lives '
                    f"{values['verdict_lifetime']:.1f} s (parameter verdict_lifetime)",
                    FindingCode.STALE_INPUT))
        return found

    def _await_model(self, request: Request) -> None:
        """Wait while the worker loads, so that the look is not old by the time it is used."""
        loading = (WorkerState.STARTING, WorkerState.RESTARTING)
        while self.supervisor.state in loading and time.monotonic() < request.deadline:
            if request.stopped.wait(_POLL):
                return

    def _look(self, request: Request, values: Mapping[str, Any]) -> Look | InputProblem:
        """Observe; a problem is kept, since it is the same for every candidate."""
        try:
            return self._await(request, values, lambda finder, inputs: inputs.observe(
                finder, self._now_ns(), values))
        except InputProblem as problem:
            return problem

    def _await(self, request: Request, values: Mapping[str, Any],
               take: Callable[[CameraFinder, Inputs], Any]) -> Any:
        """
        Return what `take` gets from the inputs, waiting a little for what is missing or stale.

        A node that is asked in its first second has often not heard everything yet.

        :raises InputProblem: an input is missing, stale or unusable.
        """
        patience = request.started + values['input_wait']
        while True:
            finder, inputs = self.finder, self.inputs
            try:
                if finder is None or inputs is None:
                    raise InputProblem(FindingCode.MISSING_INPUT, self.refusal or (
                        'no robot description has been received: is robot_state_publisher '
                        'running in this namespace?'))
                return take(finder, inputs)
            except InputProblem:
                if time.monotonic() > patience:
                    raise
            if request.stopped.wait(_POLL):
                raise InputProblem(_CODES[request.outcome], request.reason)

    def _predict(self, request: Request, index: int, trajectory: JointTrajectory,
                 look: Look | InputProblem, values: Mapping[str, Any],
                 findings: dict[int, list[Finding]], context: dict[str, Any],
                 latencies: dict[str, float]) -> None:
        """Predict and publish the frames; a failure speaks against the verdict, as tier 2."""
        if isinstance(look, InputProblem):
            findings[_PREDICTION] = [not_checked(str(look), look.code)]
            return
        context['scene_stamp_ns'] = look.observation.stamp_ns
        # Set before submitting: the first frame may come before submit returns.
        rollout = self._rollout = _Rollout(request, request.rollout_id(index), look, values)
        job = self.supervisor.submit(
            look.observation, trajectory, seed=values['seed'], mount=look.mount,
            tiers=values['required_tiers'], deadline=request.deadline)
        request.run(job)
        latencies.update(job.latencies)
        context['world_model'] = self.supervisor.model or values['world_model']
        context['checkpoint_hash'] = self.supervisor.fingerprint
        if job.outcome == Outcome.DONE:
            findings[0] += job.findings.get(0, ())
            context.update(job.measured)
            if 1 in job.findings:     # it foresees the same events, from the same geometry
                findings[1] = list(job.findings[1])
            else:
                findings[0] += [_told(event) for event in rollout.events]
        else:
            findings[_PREDICTION] = [not_checked(job.message, _CODES[job.outcome])]
            if request.outcome is None:
                request.outcome, request.reason = job.outcome, job.message

    def _message(self, verdict, request: Request, index: int, values: Mapping[str, Any]):
        return self._outputs.verdict_message(
            verdict, rollout_id=request.rollout_id(index), lifetime=values['verdict_lifetime'],
            root_link='' if self.robot is None else self.robot.root_link)

    def _tell(self, message) -> None:
        word = Status(message.status).name
        outcome = f'; predicted: {message.outcome}' if message.outcome else ''
        self._node.get_logger().info(f'{word}: {message.summary}{outcome}')
        self.last_message = message
        self._outputs.publish_verdict(message)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    # ------------------------------------------------------------------ supervisor's listener

    def on_frame(self, job: Job, frame: Frame) -> None:
        """Publish a frame."""
        rollout = self._rollout
        rollout.events += frame.events
        try:
            self._outputs.publish_frame(
                frame, rollout_id=rollout.id, stamp_ns=rollout.look.observation.stamp_ns,
                camera_frame=rollout.look.frame, root_link=rollout.look.root_link,
                in_frame=rollout.look.is_in_frame, values=rollout.values)
        except Exception as error:   # must not end the supervisor's thread
            self._node.get_logger().error(traceback.format_exc())
            job.cancel(Outcome.FAILED, f'a frame could not be published: {error}')

    def on_progress(self, job: Job, stage: str, step: int, total: int) -> None:
        """Pass progress on to whoever asked."""
        request = self._rollout.request
        try:
            request.on_progress(request, stage, step, total)
        except Exception:   # feedback to a client that left is no reason to stop
            self._node.get_logger().warning(traceback.format_exc(), throttle_duration_sec=5.0)

    def on_end(self, job: Job) -> None:
        """Nothing: `Request.run` waits for it."""

    def on_state(self, state: WorkerState, message: str) -> None:
        """Log what matters."""
        logger = self._node.get_logger()
        if state in (WorkerState.FAILED, WorkerState.RESTARTING):
            logger.error(f'world model {state}: {message}')
        elif message:
            logger.info(f'world model {state}: {message}')


class _timed:  # noqa: N801 - reads as a statement
    """Adds the time that its block takes to `latencies[stage]` [s]."""

    def __init__(self, latencies: dict[str, float], stage: str):
        self._latencies, self._stage = latencies, stage

    def __enter__(self):
        self._started = time.perf_counter()

    def __exit__(self, *_):
        self._latencies[self._stage] = time.perf_counter() - self._started


def _told(event: WorldEvent) -> Finding:
    """Return a predicted event as a finding that moves nothing: tier 2 will judge it."""
    point = None if event.point_base is None else tuple(map(float, event.point_base))
    return Finding(FindingCode[event.kind.name], Severity.INFO, event.message, other='scene',
                   point_base=point, time=float(event.time))
