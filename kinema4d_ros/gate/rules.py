# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether a trajectory may go to the controller: everything that the gate decides, without ROS.

In mode `enforce` there are two ways through, both in `rule`: no objection at all, which takes a
fresh matching PASS, or an operator's override for exactly this trajectory, which is used up.
"""
from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer
from kinema4d_ros.gate.settings import GateSettings, Mode
from kinema4d_ros.types import FindingCode, Severity, Status, Verdict

_NS = 1_000_000_000
_JOINTS = frozenset((FindingCode.UNKNOWN_JOINT, FindingCode.MISSING_JOINT))


class Ruling(enum.StrEnum):
    """What happens to a trajectory now."""

    FORWARD = 'forward'
    REFUSE = 'refuse'
    ASK = 'ask'           # an operator decides


class GoalErrorCode(enum.IntEnum):
    """Error codes for the client; same numbers as in control_msgs/FollowJointTrajectory."""

    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3
    PATH_TOLERANCE_VIOLATED = -4


@dataclass(frozen=True)
class Objection:
    """One reason not to forward."""

    reason: str
    error: GoalErrorCode = GoalErrorCode.INVALID_GOAL
    code: FindingCode | None = None     # for programs, where there is one for it


@dataclass(frozen=True)
class Situation:
    """The world at the moment of the decision; a problem is a sentence, None for none."""

    now_ns: int              # ROS time
    robot_hash: str          # of the robot description that the gate has
    gate_problem: str | None = None
    controller_problem: str | None = None
    shadow_sim_problem: str | None = None
    joints_problem: str | None = None
    moved: float = 0.0       # [rad or m] the most that a joint is from where the verdict has it
    moved_joint: str = ''     # when the trajectory starts: where it was, or will be, when asked
    watch_problem: str | None = None  # why its execution cannot be watched
    robot_problem: str | None = None  # why the robot would not move
    other_problem: str | None = None  # which other motion of the robot the verdict did not cover
    waits_at: float = 0.0    # [rad, m or per s] what the robot does before its header.stamp
    blend: float = 0.0       # [rad or m] that the way to the first point differs by another start
    blend_joint: str = ''    # velocity than that which was judged


@dataclass(frozen=True)
class RuleResult:
    """What `rule` says: a ruling, the reason in one sentence, and the code for the client."""

    ruling: Ruling
    reason: str
    error: GoalErrorCode = GoalErrorCode.INVALID_GOAL
    code: FindingCode | None = None


def rule(mode: Mode, request: GateRequest, answer: ShadowSimAnswer, situation: Situation,
         settings: GateSettings, *, overridden: bool = False,
         approved: bool | None = None) -> RuleResult:
    """
    Return what to do with a trajectory; refusing is the default.

    :param overridden: an override for this very trajectory has just been used up (`enforce`).
    :param approved: what the operator said, None while nothing (`advise`).
    """
    objections = evidence_objections(request, answer, situation, settings)
    firm = unoverridable_objections(request, situation, settings)
    if mode is Mode.MONITOR:
        if situation.controller_problem:
            return _refuse([Objection(situation.controller_problem)])
        return RuleResult(Ruling.FORWARD, 'forwarded unchecked, as mode monitor does')
    if mode is Mode.ADVISE:
        if firm:
            return _refuse(firm)
        if approved is None:
            return RuleResult(Ruling.ASK, _sentence(objections) if objections else _passed(answer))
        if not approved:
            return _refuse([Objection('denied by the operator')])
        return RuleResult(Ruling.FORWARD, 'approved by the operator')
    if mode is Mode.ENFORCE and overridden:
        if firm:
            return _refuse(firm)
        return RuleResult(Ruling.FORWARD, "forwarded by the operator's override")
    if mode is Mode.ENFORCE and not firm and not objections:
        return RuleResult(Ruling.FORWARD, _passed(answer))
    return _refuse(firm + objections)


def farthest(names: Iterable[str], start: Mapping[str, float], live: Mapping[str, float],
             continuous: Collection[str] = ()) -> tuple[str, float]:
    """
    Return the joint that is farthest from where the verdict takes it to start, and how far.

    :param names: joints of the trajectory; those that `start` or `live` lacks are inf away.
    :param start: [rad or m] all joints that the verdict relied on, those of the trajectory or not.
    :param live: [rad or m] where they are now.
    :param continuous: joints of which a whole turn is no distance: at half a turn drivers change
        their sign.
    """
    moved = {}
    for name in (*names, *start):
        distance = live.get(name, math.nan) - start.get(name, math.nan)
        if name in continuous and math.isfinite(distance):
            distance = math.remainder(distance, math.tau)
        moved[name] = math.inf if math.isnan(distance) else abs(distance)
    joint = max(moved, key=lambda name: moved[name], default='')
    return joint, moved.get(joint, 0.0)


def unoverridable_objections(request: GateRequest, situation: Situation,
                             settings: GateSettings) -> list[Objection]:
    """Return objections that no operator may override: what goes out would not be what was seen."""
    found = [Objection(problem) for problem in (
        request.problem, situation.gate_problem, situation.controller_problem) if problem]
    if situation.robot_problem:
        found.append(Objection(situation.robot_problem, code=FindingCode.ROBOT_STATE))
    if situation.other_problem:
        found.append(Objection(situation.other_problem, code=FindingCode.OTHER_MOTION))
    if situation.now_ns <= 0:
        found.append(Objection('there is no time: use_sim_time is set but nothing is on /clock'))
    if request.start_ns and request.start_ns < situation.now_ns:
        late = (situation.now_ns - request.start_ns) / _NS
        found.append(Objection(
            f'header.stamp is {late:.2f} s in the past, so the controller would begin in the '
            'middle; leave it zero to start at once', GoalErrorCode.OLD_HEADER_TIMESTAMP))
    elif request.start_ns and situation.waits_at > settings.start_tolerance:
        found.append(Objection(
            'header.stamp is ahead, and until then the controller would move to the first point '
            f'({situation.waits_at:.3f} away or per second), which no verdict covers; leave the '
            'stamp zero, or have the first point stand where the robot is'))
    if situation.moved == math.inf:
        found.append(Objection(
            f'joint_states do not tell how far {situation.moved_joint} is from where the '
            'trajectory was checked to start', GoalErrorCode.INVALID_JOINTS))
    elif not situation.moved <= settings.start_tolerance:
        found.append(Objection(
            f'{situation.moved_joint} moved by {situation.moved:.4f} from where the trajectory was '
            f'checked to start, limit {settings.start_tolerance}'))
    elif situation.blend == math.inf:
        found.append(Objection(
            f'joint_states do not tell how fast {situation.blend_joint} is, on which its way to '
            'the first point depends', GoalErrorCode.INVALID_JOINTS))
    elif not situation.blend <= settings.start_tolerance:
        found.append(Objection(
            f'{situation.blend_joint} is not as fast as when the trajectory was checked, so that '
            f'its way to the first point would be {situation.blend:.3f} off, limit '
            f'{settings.start_tolerance}'))
    return found


def evidence_objections(request: GateRequest, answer: ShadowSimAnswer, situation: Situation,
                        settings: GateSettings) -> list[Objection]:
    """Return what keeps the answer from being a fresh PASS for this trajectory and robot."""
    found = [Objection(problem) for problem in (
        request.unchecked and f'{request.unchecked}, which no verdict covers',
        situation.shadow_sim_problem, answer.problem, situation.joints_problem,
        situation.watch_problem and f'it cannot be watched: {situation.watch_problem}')
        if problem]
    verdict = answer.verdict
    if verdict is None:
        return found or [Objection('there is no verdict')]
    if verdict.status != Status.PASS:
        codes = {finding.code for finding in verdict.findings}
        found.insert(0, Objection(
            f'{Status(verdict.status).name}: {verdict.summary}',
            GoalErrorCode.INVALID_JOINTS if codes & _JOINTS else GoalErrorCode.INVALID_GOAL))
    elif any(finding.severity != Severity.INFO for finding in verdict.findings):
        found.append(Objection('the verdict says PASS but its findings do not'))
    if not request.asked_hash or verdict.trajectory_hash != request.asked_hash:
        found.append(Objection('the verdict is on another trajectory (hash '
                               f'{verdict.trajectory_hash[:12] or "missing"}, asked '
                               f'{request.asked_hash[:12]})'))
    if not situation.robot_hash:
        found.append(Objection('the gate has no robot description: is robot_state_publisher '
                               'running in this namespace?'))
    elif verdict.robot_hash != situation.robot_hash:
        found.append(Objection('the verdict is on another robot description than the gate has '
                               f'(hash {verdict.robot_hash[:12] or "missing"}, here '
                               f'{situation.robot_hash[:12]})'))
    missing = sorted(set(settings.required_tiers) - set(verdict.tiers_passed))
    if missing or not settings.required_tiers:
        found.append(Objection(f'tier {", ".join(map(str, missing)) or "none"} did not pass'))
    return found + _out_of_date(request, answer, verdict, situation.now_ns, settings)


def _out_of_date(request: GateRequest, answer: ShadowSimAnswer, verdict: Verdict, now_ns: int,
                 settings: GateSettings) -> list[Objection]:
    """Return what time has done to a verdict."""
    found = []
    if answer.valid_until_ns <= now_ns:
        found.append(Objection(
            f'the verdict expired {(now_ns - answer.valid_until_ns) / _NS:.2f} s ago'
            if answer.valid_until_ns else 'the verdict is not valid at any time'))
    elif request.start_ns > answer.valid_until_ns:
        found.append(Objection(
            'header.stamp has the motion start '
            f'{(request.start_ns - answer.valid_until_ns) / _NS:.2f} s after its verdict expires'))
    age = (now_ns - verdict.scene_stamp_ns) / _NS
    if settings.max_scene_age and not verdict.scene_stamp_ns:
        found.append(Objection('the verdict rests on no observed scene'))
    elif settings.max_scene_age and not abs(age) <= settings.max_scene_age:
        found.append(Objection(f'the scene that was checked is {age:.2f} s old, limit '
                               f'{settings.max_scene_age} s'))
    return found


def _refuse(objections: list[Objection]) -> RuleResult:
    first = objections[0]
    return RuleResult(Ruling.REFUSE, _sentence(objections), first.error, first.code)


def _passed(answer: ShadowSimAnswer) -> str:
    return 'PASS' if answer.verdict is None else f'PASS: {answer.verdict.summary}'


def _sentence(objections: list[Objection]) -> str:
    more = len(objections) - 1
    return objections[0].reason + (f' (and {more} more)' if more > 0 else '')


class OverrideGrant:
    """Overrides that an operator granted: each for one goal, once, and not for long."""

    def __init__(self) -> None:
        """Begin with no override granted."""
        self._digest, self._until = '', 0.0

    def grant(self, digest: str, until: float) -> None:
        """Let this goal pass once until the steady time `until` [s]; the last grant holds."""
        self._digest, self._until = digest, until

    def take(self, digest: str, now: float) -> bool:
        """Return whether this goal may pass at steady time `now` [s]; that uses it up."""
        if not digest or digest != self._digest:
            return False
        self._digest = ''
        return now < self._until
