# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts and findings to and from the messages of this package."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import duration_message, duration_seconds, stamp_ns
from kinema4d_ros.bridge.transforms import point_message
from kinema4d_ros.msg import Candidates as CandidatesMessage
from kinema4d_ros.msg import ClearanceSample as ClearanceSampleMessage
from kinema4d_ros.msg import Finding as FindingMessage
from kinema4d_ros.msg import StageLatency
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.types import (ClearanceSample, Finding, FindingCode, Severity, StartState, Status,
                                Verdict)

_NAN = float('nan')
_LONGEST = 2.0**31 - 1      # [s] that a Duration can hold
# NumPy scalars must not reach a message: with field checks off, the default, they are written as
# garbage without an error (a NumPy True goes out as False). So everything is cast here.


def verdict_message(verdict: Verdict, header: Header) -> VerdictMessage:
    """
    Return the message of a verdict; the sender fills in rollout_id and valid_until.

    Without valid_until it is never valid, so forgetting it approves nothing.

    :param header: stamp of the observation; frame_id is the planning frame.
    """
    has_prefix, prefix = known_duration(verdict.safe_prefix)
    return VerdictMessage(
        header=header, trajectory_hash=str(verdict.trajectory_hash),
        robot_hash=str(verdict.robot_hash), status=int(verdict.status),
        tier=int(verdict.deciding_tier), tiers_passed=[int(t) for t in verdict.tiers_passed],
        summary=str(verdict.summary), findings=[finding_message(f) for f in verdict.findings],
        min_clearance=_number(verdict.min_clearance),
        clearance_sigma=_number(verdict.clearance_sigma),
        action_following=_number(verdict.action_following),
        has_safe_prefix=has_prefix, safe_prefix=prefix, speed_factor=_number(verdict.speed_factor),
        success=_number(verdict.success), outcome=str(verdict.outcome),
        latencies=[StageLatency(stage=str(stage), duration=known_duration(seconds)[1])
                   for stage, seconds in verdict.latencies.items()],
        world_model=str(verdict.world_model), seed=int(verdict.seed), final=bool(verdict.final),
        checkpoint_hash=str(verdict.checkpoint_hash),
        clearances=[_sample_message(sample) for sample in verdict.clearances
                    if known_duration(sample.time)[0]],
        start_joints=[str(name) for name in verdict.start],
        start_positions=[float(value) for value in verdict.start.positions.values()],
        start_velocities=[float(verdict.start.velocities.get(name, 0.0))
                          for name in verdict.start])


def verdict_from_message(message: VerdictMessage) -> Verdict:
    """
    Return the verdict that a message carries.

    What is not a known status is UNSURE, so that a newer sender's number is never a PASS.
    """
    status = Status(message.status) if message.status in list(Status) else Status.UNSURE
    return Verdict(
        status=status, summary=message.summary,
        findings=tuple(finding_from_message(finding) for finding in message.findings),
        tiers_passed=tuple(message.tiers_passed), deciding_tier=message.tier,
        trajectory_hash=message.trajectory_hash, robot_hash=message.robot_hash,
        scene_stamp_ns=stamp_ns(message.header.stamp), outcome=message.outcome,
        safe_prefix=_seconds(message.has_safe_prefix, message.safe_prefix),
        latencies={each.stage: duration_seconds(each.duration) for each in message.latencies},
        world_model=message.world_model, seed=message.seed,
        speed_factor=_known(message.speed_factor), min_clearance=_known(message.min_clearance),
        clearance_sigma=_known(message.clearance_sigma), success=_known(message.success),
        action_following=_known(message.action_following), final=message.final,
        checkpoint_hash=message.checkpoint_hash,
        clearances=tuple(map(_sample_from_message, message.clearances)),
        start=_start_from_message(message))


def candidates_message(rollout_id: str, trajectories: Sequence[Any],
                       verdicts: Sequence[VerdictMessage], ranking: Sequence[int]
                       ) -> CandidatesMessage:
    """
    Return the message of the candidates of one goal.

    :param trajectories: trajectory_msgs/JointTrajectory, with a verdict each.
    """
    return CandidatesMessage(
        header=verdicts[0].header if verdicts else Header(), rollout_id=str(rollout_id),
        trajectories=list(trajectories), verdicts=list(verdicts),
        ranking=[int(index) for index in ranking])


def finding_message(finding: Finding) -> FindingMessage:
    """Return the message of a finding; numbers that are unknown are NaN."""
    point, (has_time, time) = finding.point_base, known_duration(finding.time)
    return FindingMessage(
        code=int(finding.code), severity=int(finding.severity), message=str(finding.message),
        link=str(finding.link), other=str(finding.other), unit=str(finding.unit),
        point=Point(x=_NAN, y=_NAN, z=_NAN) if point is None else point_message(point),
        has_time_from_start=has_time, time_from_start=time, value=_number(finding.value),
        limit=_number(finding.limit), sigma=_number(finding.sigma))


def finding_from_message(message: FindingMessage) -> Finding:
    """Return the finding that a message carries; an unknown severity is at least UNSURE."""
    point = (message.point.x, message.point.y, message.point.z)
    known = message.code in list(FindingCode)
    return Finding(
        code=FindingCode(message.code) if known else FindingCode.NOT_CHECKED,
        severity=Severity(message.severity) if message.severity in list(Severity)
        else Severity.UNSURE,
        message=message.message, link=message.link, other=message.other, unit=message.unit,
        point_base=None if any(map(math.isnan, point)) else point,
        time=_seconds(message.has_time_from_start, message.time_from_start),
        value=_known(message.value),
        limit=_known(message.limit), sigma=_known(message.sigma))


def known_duration(seconds: float | None) -> tuple[bool, Duration]:
    """Return whether a time [s] is known and fits a message, and the time, zero where it is not."""
    if seconds is None or not abs(seconds) < _LONGEST:     # not for NaN either
        return False, Duration()
    return True, duration_message(seconds)


def _seconds(has: bool, duration: Duration) -> float | None:
    return duration_seconds(duration) if has else None


def _sample_message(sample: ClearanceSample) -> ClearanceSampleMessage:
    return ClearanceSampleMessage(
        time_from_start=duration_message(sample.time), distance=sample.distance,
        sigma=sample.sigma, link=str(sample.link), point=point_message(sample.point_base),
        robot_point=point_message(sample.robot_point_base))


def _sample_from_message(message: ClearanceSampleMessage) -> ClearanceSample:
    return ClearanceSample(
        duration_seconds(message.time_from_start), message.distance, message.sigma, message.link,
        _place(message.point), _place(message.robot_point))


def _start_from_message(message: VerdictMessage) -> StartState:
    """Return the start state; one whose lists do not match says nothing."""
    names = message.start_joints
    if not len(names) == len(message.start_positions) == len(message.start_velocities):
        return StartState()
    return StartState(dict(zip(names, message.start_positions)),
                      dict(zip(names, message.start_velocities)))


def _place(point: Point) -> tuple[float, float, float]:
    return point.x, point.y, point.z


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
