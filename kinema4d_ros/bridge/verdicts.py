# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts and findings to and from the messages of this package."""
from __future__ import annotations

import math
from collections.abc import Sequence

from geometry_msgs.msg import Point
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.transforms import point_message
from kinema4d_ros.msg import Candidates as CandidatesMessage
from kinema4d_ros.msg import Finding as FindingMessage
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.types import CLEARANCE_FIELDS, Finding, FindingCode, Severity, Status, Verdict

_NAN = float('nan')
# NumPy scalars must not reach a message: with field checks off, the default, they are written as
# garbage without an error (a NumPy True goes out as False). So everything is cast here.


def verdict_message(verdict: Verdict, header: Header) -> VerdictMessage:
    """
    Return the message of a verdict; the sender fills in rollout_id and valid_until.

    Without valid_until it is never valid, so forgetting it approves nothing.

    :param header: stamp of the observation; frame_id is the planning frame.
    """
    return VerdictMessage(
        header=header, trajectory_hash=str(verdict.trajectory_hash),
        robot_hash=str(verdict.robot_hash), status=int(verdict.status),
        tier=int(verdict.deciding_tier), tiers_passed=[int(t) for t in verdict.tiers_passed],
        summary=str(verdict.summary), findings=[finding_message(f) for f in verdict.findings],
        min_clearance=_number(verdict.min_clearance),
        clearance_sigma=_number(verdict.clearance_sigma),
        action_following=_number(verdict.action_following),
        safe_prefix=_number(verdict.safe_prefix), speed_factor=_number(verdict.speed_factor),
        success=_number(verdict.success), outcome=str(verdict.outcome),
        latency_stages=[str(stage) for stage in verdict.latencies],
        latencies=[float(seconds) for seconds in verdict.latencies.values()],
        world_model=str(verdict.world_model), seed=int(verdict.seed), final=bool(verdict.final),
        checkpoint_hash=str(verdict.checkpoint_hash),
        clearance_times=list(verdict.clearance_times), clearances=list(verdict.clearances),
        clearance_sigmas=list(verdict.clearance_sigmas),
        clearance_links=list(verdict.clearance_links),
        clearance_points=list(map(point_message, verdict.clearance_points_base)),
        clearance_robot_points=list(map(point_message, verdict.clearance_robot_points_base)))


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
        safe_prefix=_known(message.safe_prefix),
        latencies=dict(zip(message.latency_stages, message.latencies)),
        world_model=message.world_model, seed=message.seed,
        speed_factor=_known(message.speed_factor), min_clearance=_known(message.min_clearance),
        clearance_sigma=_known(message.clearance_sigma), success=_known(message.success),
        action_following=_known(message.action_following), final=message.final,
        checkpoint_hash=message.checkpoint_hash, **_timeline(message))


def candidates_message(rollout_id: str, trajectories: Sequence, verdicts: Sequence[VerdictMessage],
                       ranking: Sequence[int]) -> CandidatesMessage:
    """
    Return the message of the candidates of one goal.

    :param trajectories: trajectory_msgs/JointTrajectory, with a verdict each.
    """
    return CandidatesMessage(
        header=verdicts[0].header if verdicts else Header(), rollout_id=str(rollout_id),
        trajectories=list(trajectories), verdicts=list(verdicts),
        ranking=[int(index) for index in ranking])


def finding_message(finding: Finding) -> FindingMessage:
    """Return the message of a finding; what is unknown is NaN."""
    point = finding.point_base
    return FindingMessage(
        code=int(finding.code), severity=int(finding.severity), message=str(finding.message),
        link=str(finding.link), other=str(finding.other), unit=str(finding.unit),
        point=Point(x=_NAN, y=_NAN, z=_NAN) if point is None else point_message(point),
        time_from_start=_number(finding.time), value=_number(finding.value),
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
        time=_known(message.time_from_start), value=_known(message.value),
        limit=_known(message.limit), sigma=_known(message.sigma))


def _timeline(message: VerdictMessage) -> dict[str, tuple]:
    """Return the clearance timeline of a message; none when its parts do not belong together."""
    parts = (message.clearance_times, message.clearances, message.clearance_sigmas,
             message.clearance_links, map(_place, message.clearance_points),
             map(_place, message.clearance_robot_points))
    timeline = dict(zip(CLEARANCE_FIELDS, map(tuple, parts)))
    return timeline if len(set(map(len, timeline.values()))) == 1 else {}


def _place(point: Point) -> tuple[float, float, float]:
    return point.x, point.y, point.z


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
