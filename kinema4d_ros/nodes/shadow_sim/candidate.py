# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One trajectory of a request, what was found out about it so far, and the verdict on that."""
from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema4d_ros.precheck import decide, not_checked, speed_factor, Tier0Settings
from kinema4d_ros.precheck.run import NO_MOTION
from kinema4d_ros.robot import Robot, swept_path
from kinema4d_ros.types import (Background, EventKind, Finding, FindingCode, JointTrajectory,
                                Severity, Verdict)
from kinema4d_ros.worker.job import Job, Outcome

CODES = {Outcome.CANCELLED: FindingCode.CANCELLED, Outcome.REPLACED: FindingCode.CANCELLED,
         Outcome.DEADLINE: FindingCode.DEADLINE, Outcome.FAILED: FindingCode.MODEL_FAILED}
_EVENTS = frozenset(FindingCode[kind.name] for kind in EventKind)


@dataclass
class Candidate:
    """
    Collects findings; they are only ever added, so a verdict can only become worse.

    A tier is in `findings` from the moment it ran, or could not.
    """

    index: int                          # in the request
    rollout_id: str
    message: Any                        # trajectory_msgs/JointTrajectory
    trajectory: JointTrajectory | None = None
    robot: Robot | None = None
    joints: Mapping[str, float] = field(default_factory=dict)     # live ones [rad or m]
    findings: dict[int, list[Finding]] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)    # told with the verdict, of no tier
    fields: dict[str, Any] = field(default_factory=dict)          # of the Verdict
    latencies: dict[str, float] = field(default_factory=dict)     # [s] per stage
    background: Background | None = None      # that its FAIL rests on, for an incident packet

    def add(self, tier: int, *findings: Finding) -> None:
        """Add findings of a tier, which has run thereby."""
        self.findings.setdefault(tier, []).extend(findings)

    def doubt(self, *findings: Finding) -> None:
        """Add what speaks against tier 0, if anything does."""
        if findings:
            self.add(0, *findings)

    @property
    def moves(self) -> bool:
        """Whether there is a motion to look at."""
        return self.trajectory is not None and 0 in self.findings and not any(
            finding.code in NO_MOTION for finding in self.findings[0])

    def has(self, code: FindingCode) -> bool:
        """Whether any tier found this."""
        return any(finding.code == code for found in self.findings.values() for finding in found)

    @property
    def tool_path(self) -> np.ndarray | None:
        """Where the motion takes the tool, (T, 3) [m] in the root link, if there is a motion."""
        if not self.moves or self.robot is None:
            return None
        return swept_path(self.robot, self.trajectory, self.joints)

    def take_check(self, job: Job) -> None:
        """Add what a Check found; one that was not done leaves tier 0 in doubt."""
        self.latencies |= {stage: seconds for stage, seconds in job.latencies.items()
                           if stage not in ('wait', 'total')}
        if job.outcome != Outcome.DONE:
            self.doubt(not_checked(job.message, CODES[job.outcome]))
            return
        self.background = job.background
        told: dict[tuple, Severity] = {}      # the node's own tier 0, not to be told twice
        for finding in self.findings.get(0, ()):
            about = _about(finding)
            told[about] = max(finding.severity, told.get(about, finding.severity))
        for tier, found in job.findings.items():
            self.add(tier, *(finding for finding in found if tier != 0
                             or finding.severity > told.get(_about(finding), -1)))
        self.fields |= job.measured

    def take_prediction(self, job: Job, *, is_evidence: bool) -> None:
        """
        Add what came of a Prediction.

        :param is_evidence: tier 2 was to look at it. Otherwise it is only shown, and that it gave
            way to a newer request or took too long speaks against nothing. That the world model
            failed does, and that the world is not the one any more that was looked at.
        """
        self.latencies |= job.latencies
        if job.outcome == Outcome.DONE:
            self.background = self.background or job.background
            for tier, found in job.findings.items():
                self.add(tier, *found)
            self.fields |= job.measured
        elif is_evidence or job.outcome not in (Outcome.REPLACED, Outcome.DEADLINE):
            self.add(2, not_checked(job.message, CODES[job.outcome]))
        else:
            self.notes.append(Finding(
                CODES[job.outcome], Severity.INFO,
                f'the prediction was not shown to its end: {job.message}'))

    def verdict(self, required: Collection[int], tier0: Tier0Settings | None = None, *,
                final: bool = True) -> Verdict:
        """Return the verdict on what was found so far; with `tier0`, also what speed would do."""
        fields = dict(self.fields)
        fields['outcome'] = fields.get('outcome') or '; '.join(
            finding.message for finding in self.notes if finding.code in _EVENTS)
        against = [finding for found in self.findings.values() for finding in found
                   if finding.severity > Severity.INFO]
        if against and tier0 is not None and self.moves and self.robot is not None:
            with contextlib.suppress(Exception):     # help that cannot be had is no finding
                fields['speed_factor'] = speed_factor(self.trajectory, self.robot, self.joints,
                                                      tier0, against)
        findings = dict(self.findings)
        if findings and self.notes:      # with a tier that ran, so that they make none of one
            ran = min(findings)
            findings[ran] = [*findings[ran], *self.notes]
        return decide(findings, required=required, latencies=self.latencies, final=final,
                      **fields)


def _about(finding: Finding) -> tuple:
    """Return what a finding is about, however the joints were when it was found."""
    parts = (finding.link, finding.other)
    return (finding.code, *(parts if any(parts) else (finding.message,)))
