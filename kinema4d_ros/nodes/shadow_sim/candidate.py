# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One trajectory of a request: the message, what was read of it, and its assessment."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.incidents import KeptFrames
from kinema4d_ros.nodes.shadow_sim.input_problem import refuse_no_time
from kinema4d_ros.precheck import Assessment
from kinema4d_ros.robot import from_receipt, Robot, swept_path
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, StartState
from kinema4d_ros.worker.job import Job, JobOutcome

CODES = {JobOutcome.CANCELLED: FindingCode.CANCELLED, JobOutcome.REPLACED: FindingCode.CANCELLED,
         JobOutcome.DEADLINE: FindingCode.DEADLINE, JobOutcome.FAILED: FindingCode.MODEL_FAILED}


def code_of(outcome: JobOutcome | None) -> FindingCode:
    """Return the code of a finding about a job, or a request, that ended before it was done."""
    if outcome is None:
        raise RuntimeError('it has not ended yet, so there is no finding about its end')
    return CODES[outcome]


@dataclass(eq=False)
class Candidate:
    """A trajectory that is being judged; what jobs found goes into its assessment."""

    rollout_id: str
    message: TrajectoryMessage
    trajectory: JointTrajectory | None = None      # once the message was read
    robot: Robot | None = None
    start: StartState = field(default_factory=StartState)    # the live joints that it starts from
    motions: tuple[JointTrajectory, ...] = ()      # for tier 0, once the robot is known
    check: Job | None = None                       # that was begun before tier 0
    assessment: Assessment = field(default_factory=Assessment)
    frames: KeptFrames = field(default_factory=KeptFrames)        # of its prediction
    prediction: Job | None = None      # one that was begun beside the checks

    def take_receipt(self, received_ns: int, lifetime: float) -> None:
        """
        Have it judged as its stamp makes the controller execute it, from its receipt on.

        Whoever forwards a trajectory that is stamped ahead within the life of the verdict shortens
        the blend to its first point, so tier 0 looks at the shortest, too.

        :param received_ns: ROS time.
        :param lifetime: [s] of the verdict.
        """
        trajectory, robot = self.trajectory, self.robot
        if trajectory is None or robot is None:
            return
        self.motions = (trajectory,)
        stamp = stamp_ns(self.message.header.stamp)
        if not stamp:
            return
        late = (received_ns - stamp) * 1e-9
        try:
            received = from_receipt(trajectory, robot, late)
        except Kinema4DError as error:
            self.assessment.add_unsure(str(error))
            return
        shortest = () if late >= 0 else (
            from_receipt(trajectory, robot, min(0.0, late + lifetime)),)
        self.trajectory, self.motions = received, (received, *shortest)

    def check_ages(self, look_ns: int | None, now_ns: int, values: Mapping[str, Any]) -> None:
        """
        Add what speaks against acting on it now: old stamp, old look.

        :param look_ns: stamp of the look at the world; None for none.
        :param now_ns: ROS time.
        :param values: snapshot of the parameters.
        :raises InputProblem: there is no time.
        """
        refuse_no_time(now_ns)
        stamp = stamp_ns(self.message.header.stamp)
        late = (now_ns - stamp) * 1e-9
        if stamp and values['max_input_age'] and abs(late) > values['max_input_age']:
            self.assessment.add_unsure(
                f'the trajectory is stamped {abs(late):.1f} s in the '
                f'{"past, so the controller would skip its beginning" if late > 0 else "future"}; '
                'send it with stamp 0, which means now', FindingCode.STALE_INPUT)
        age = 0.0 if look_ns is None else (now_ns - look_ns) * 1e-9
        if age > values['verdict_lifetime']:
            self.assessment.add_unsure(
                f'the look at the world is {age:.1f} s old by now, and a verdict lives '
                f"{values['verdict_lifetime']:.1f} s (parameter verdict_lifetime)",
                FindingCode.STALE_INPUT)

    @property
    def motion(self) -> tuple[Robot, JointTrajectory] | None:
        """The robot and where it is to move, if both are known and there is a motion."""
        if self.robot is None or self.trajectory is None or not self.assessment.moves:
            return None
        return self.robot, self.trajectory

    @property
    def duration(self) -> float:
        """How long the motion takes [s]; infinite where it could not be read."""
        return math.inf if self.trajectory is None else self.trajectory.duration

    @property
    def moves(self) -> bool:
        """Whether there is a motion, of a known robot, to look at."""
        return self.motion is not None

    @property
    def tool_path(self) -> np.ndarray | None:
        """Where the motion takes the tool, (T, 3) [m] in the root link, if there is a motion."""
        motion = self.motion
        return None if motion is None else swept_path(*motion, self.start)

    def take_check(self, job: Job) -> None:
        """Add what a CheckTask found; one that was not done makes tier 0 UNSURE."""
        self._take_latencies(job)
        if job.outcome == JobOutcome.DONE:
            self.assessment.merge(job.assessment)
        else:
            self.assessment.add_unsure(job.message, code_of(job.outcome))

    def take_prediction(self, job: Job, *, is_evidence: bool) -> None:
        """
        Add what came of a PredictionTask.

        :param is_evidence: tier 2 was to look at it. Otherwise it is only shown, and that it gave
            way to a newer request or took too long speaks against nothing. That the world model
            failed does, and that the world is not the one any more that was looked at.
        """
        if job.waited is not None:
            self.assessment.took('wait', job.waited)
        self._take_latencies(job)
        if job.outcome == JobOutcome.DONE:
            self.assessment.merge(job.assessment)
        elif is_evidence or job.outcome not in (JobOutcome.REPLACED, JobOutcome.DEADLINE):
            self.assessment.add_unsure(job.message, code_of(job.outcome), tier=2)
        else:
            self.assessment.note(Finding(
                code_of(job.outcome), Severity.INFO,
                f'the prediction was not shown to its end: {job.message}'))

    def _take_latencies(self, job: Job) -> None:
        for stage, seconds in job.assessment.latencies.items():
            self.assessment.took(stage, seconds)
