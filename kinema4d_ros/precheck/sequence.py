# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The sequence of tiers, for plain Python, the command line and the node.

`begin` (tier 0 without meshes), `check` (tier 0 with self-collision, tier 1, the goal), `predict`
(the world model, tier 2) and `conclude` (the verdict) work on one Assessment. `run_precheck` calls
them one after the other; the node calls `begin` and `conclude` itself, and has its worker process
call the other two.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck.assessment import Assessment
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.speed_scaling import speed_factor
from kinema4d_ros.precheck.start_state import controller_start
from kinema4d_ros.precheck.tier0.check import check_tier0
from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.trajectory_hash import trajectory_hash
from kinema4d_ros.types import (Finding, FindingCode, JointTrajectory, Observation, PredictedFrame,
                                Report, RobotRollout, Severity, silent, StartState, Verdict,
                                WorldEvent)

if TYPE_CHECKING:      # the node, which begins and concludes, needs nothing of what checks
    from kinema4d_ros.precheck.outcome import Outcome
    from kinema4d_ros.precheck.robot_checker import RobotChecker
    from kinema4d_ros.precheck.tier2.future_check import FutureCheck

_STOPPED = 0.005    # [m] what is pressed in deeper than this, as far as is known, stops the robot

Show = Callable[[RobotRollout, PredictedFrame], None]


class Predictor(Protocol):
    """What predicts futures: a ShadowSimulator with a world model."""

    def future(self, observation: Observation, trajectory: JointTrajectory, *, seed: int = 0,
               report: Report = silent, start: Mapping[str, float] | None = None,
               ) -> tuple[RobotRollout, Iterable[PredictedFrame]]:
        """Return the robot's motion from `start`, and the predicted frames one after the other."""


def run_precheck(simulator: Predictor, checker: RobotChecker, observation: Observation,
                 trajectory: JointTrajectory, *, tiers: Collection[int],
                 required: Collection[int], goal: Goal | None, seed: int = 0,
                 report: Report = silent, live_joints: Mapping[str, float] | None = None,
                 ) -> Verdict:
    """
    Judge one trajectory; see ShadowSimulator.precheck.

    :param simulator: its `world_model` may be None where tier 2 is not among `tiers`.
    :raises PredictionCancelled: as raised by `report`. Nothing else is raised.
    """
    joints = controller_start(live_joints or observation.start,
                              checker.settings.tier0.start_velocity)
    model = getattr(simulator, 'world_model', None)
    assessment = Assessment()
    assessment.measure(trajectory_hash=trajectory_hash(trajectory),
                       robot_hash=checker.robot.description_hash,
                       scene_stamp_ns=observation.stamp_ns,
                       world_model='' if model is None else model.name, seed=seed)
    check(assessment, checker, observation, trajectory, tiers=tiers, goal=goal, start=joints,
          report=report)
    if 2 in tiers and assessment.moves:
        with assessment.tier(2, report=report):
            if model is None:
                raise WorldModelError('there is no world model to predict with; give the '
                                      'ShadowSimulator one, or leave tier 2 out')
            predict(assessment, simulator, checker, observation, trajectory, seed=seed,
                    report=report, start=joints)
    return conclude(assessment, trajectory, checker.robot, joints, checker.settings.tier0,
                    required=required)


def begin(assessment: Assessment, trajectory: JointTrajectory, robot: Robot,
          joint_positions: Mapping[str, float], settings: Tier0Settings) -> None:
    """
    Apply what of tier 0 needs no meshes, within milliseconds.

    :param joint_positions: live joints [rad or m] by name.
    :raises UnknownJointError: the settings name a joint that the robot does not have.
    """
    assessment.measure(robot_hash=robot.description_hash, start=StartState.of(joint_positions))
    with assessment.timed('tier 0'):
        assessment.add(0, *check_tier0(trajectory, robot, joint_positions, settings))


def check(assessment: Assessment, checker: RobotChecker, observation: Observation,
          trajectory: JointTrajectory, *, tiers: Collection[int], goal: Goal | None = None,
          start: Mapping[str, float] | None = None, report: Report = silent,
          stage: str = 'tier 0') -> None:
    """
    Run tier 0 with self-collision and, where it is among `tiers` and there is a motion, tier 1.

    Tier 0 is run even where nobody asked: it finds whether the others have a motion to check.
    What fails is a finding.

    :param goal: what the motion is meant to achieve; needs tier 1.
    :param start: joints where the motion starts [rad or m]; None for those of the observation.
    :param stage: what tier 0 is called in the latencies and for `report`.
    :raises PredictionCancelled: as raised by `report`.
    """
    start = observation.start if start is None else StartState.of(start)
    check_robot(assessment, checker, trajectory, start=start, report=report, stage=stage)
    if 1 not in tiers or not assessment.moves:
        return
    with assessment.tier(1, report=report):
        result = checker.tier1(observation, trajectory, start,
                               *(() if goal is None else (goal.fixture_parts, goal.places)))
        assessment.add(1, *result.findings)
        assessment.measure(**result.measured)
        if goal is not None and result.outcome is not None:
            success, finding = judge_goal(goal, result.outcome, result.findings)
            assessment.add(1, finding)
            assessment.measure(success=success)


def check_robot(assessment: Assessment, checker: RobotChecker, trajectory: JointTrajectory, *,
                start: StartState, report: Report = silent, stage: str = 'tier 0') -> None:
    """Run tier 0 with self-collision; parameters as for `check`."""
    assessment.measure(start=start)
    with assessment.tier(0, stage, report):
        assessment.add(0, *checker.tier0(trajectory, start))


def predict(assessment: Assessment, simulator: Predictor, checker: RobotChecker,
            observation: Observation, trajectory: JointTrajectory, *, seed: int = 0,
            is_judged: bool = True, report: Report = silent,
            show: Show = lambda *_: None, start: Mapping[str, float] | None = None) -> None:
    """
    Predict the future, and have tier 2 check the very frames that are shown.

    :param is_judged: whether tier 2 checks it; otherwise it is only shown.
    :param show: called with the robot's motion with each frame of the first prediction.
    :param start: joints where the motion starts [rad or m]; None for those of the observation.
    :raises PredictionCancelled: as raised by `report`.
    :raises Exception: whatever the world model raises, since then there is no prediction.
    """
    if (unpredicted := _unpredicted(simulator, observation)) is not None:
        assessment.note(unpredicted)
    if is_judged:
        first, findings, others = check_future(simulator, checker, observation, trajectory, seed,
                                               report, show, start)
        assessment.add(2, *findings)
        assessment.measure(action_following=first.action_following)
        events = list(first.events)
    else:
        events, others = [], {}
        robot, frames = simulator.future(observation, trajectory, seed=seed, report=report,
                                         start=start)
        for frame in frames:
            show(robot, frame)
            events += frame.events
    assessment.note(*checker.settings.physics.findings_of_seeds(events, others))


def conclude(assessment: Assessment, trajectory: JointTrajectory | None, robot: Robot | None,
             joint_positions: Mapping[str, float], settings: Tier0Settings, *,
             required: Collection[int], final: bool = True) -> Verdict:
    """
    Return the verdict on what was found so far, with the speed at which the motion would pass.

    The assessment stays as it is: a later verdict may follow.

    :param trajectory: None where it could not be read.
    :param joint_positions: live joints [rad or m] by name, as for tier 0.
    :param final: False while a later tier may still change it.
    """
    fields: dict[str, float | None] = {}
    notes: list[Finding] = []
    if assessment.against and assessment.moves and trajectory is not None and robot is not None:
        try:
            fields['speed_factor'] = speed_factor(trajectory, robot, joint_positions, settings,
                                                  assessment.against)
        except Exception as error:     # help that cannot be had decides nothing, but is reported
            notes.append(Finding(
                FindingCode.NOT_CHECKED, Severity.INFO,
                'whether a slower motion would pass could not be computed: '
                f'{type(error).__name__}: {error}'))
    return assessment.verdict(required, final=final, notes=notes, **fields)


def check_future(simulator: Predictor, checker: RobotChecker, observation: Observation,
                 trajectory: JointTrajectory, seed: int, report: Report,
                 show: Show = lambda *_: None, start: Mapping[str, float] | None = None,
                 ) -> tuple[FutureCheck, tuple[Finding, ...], dict[int, list[WorldEvent]]]:
    """
    Predict, with as many seeds and counterfactuals as the settings say, and check it.

    :param show: called with the robot's motion with each frame of the first prediction.
    :return: the check of the first prediction, the findings of all, and by seed the events of
        the other predictions of this motion.
    """
    from kinema4d_ros.precheck.tier2.future_check import FutureCheck
    settings = checker.settings.tier2

    def look_at(motion: JointTrajectory, number: int,
                show: Show = lambda *_: None) -> FutureCheck:
        robot, frames = simulator.future(observation, motion, seed=number, report=report,
                                         start=start)
        future = FutureCheck(robot, checker.surfaces, checker.fields, settings)
        for frame in frames:
            show(robot, frame)
            future.add(frame)
        return future

    first = look_at(trajectory, seed, show)
    others = {seed + number: look_at(trajectory, seed + number)
              for number in range(1, settings.seeds)}
    still = None
    if settings.hold_still:
        still = look_at(held_still(trajectory, observation), seed).views
    model = getattr(simulator, 'world_model', None)
    findings = first.finish([each.views for each in others.values()], still,
                            () if model is None else settings.doubts_about(model))
    return first, findings, {number: each.events for number, each in others.items()}


def _unpredicted(simulator: Predictor, observation: Observation) -> Finding | None:
    """Return which cameras a world model that predicts the first one leaves out; None for none."""
    model = getattr(simulator, 'world_model', None)
    if len(observation.views) == 1 or model is None or model.predicts_every_view:
        return None
    names = ', '.join(repr(view.name) for view in observation.views[1:])
    return Finding(FindingCode.NOT_CHECKED, Severity.INFO,
                   f'the world model {model.name!r} predicts what the camera '
                   f'{observation.primary.name!r} will see, and nothing of {names}')


def held_still(trajectory: JointTrajectory, observation: Observation) -> JointTrajectory:
    """
    Return the trajectory of the same length in which nothing moves.

    A joint that is not observed, as one that mimics another, stays where it is to begin.
    """
    here = [observation.joint_positions.get(name, float(begin))
            for name, begin in zip(trajectory.joint_names, trajectory.positions[0])]
    return JointTrajectory(trajectory.joint_names, np.array([0.0, trajectory.duration]),
                           np.array([here, here]))


def judge_goal(goal: Goal, outcome: Outcome,
               findings: Sequence[Finding]) -> tuple[float | None, Finding]:
    """
    Return how likely the goal is reached, 0 to 1, and that as a finding; given tier 1's.

    Where nobody knows what happens there is no probability, and the finding forbids a PASS. Where
    the goal names what is not judged, or is met or missed by a hair, there is none either, which
    decides nothing: a goal that is missed forbids no PASS.
    """
    blocked = any(f.code == FindingCode.CONTACT and f.severity == Severity.FAIL for f in findings)
    doubt = _may_be_stopped(findings)
    probability = goal.probability(outcome, blocked, doubt)
    if probability is not None:
        return probability, goal_finding(goal.margin(outcome), probability)
    if (why := goal.why_unknown(outcome) or doubt):
        return None, Finding(FindingCode.GOAL, Severity.UNSURE,
                             f'whether the goal is met is not known: {why}')
    if goal.is_even(outcome):
        margin = goal.margin(outcome)
        return None, Finding(FindingCode.GOAL, Severity.INFO,
                             'whether the goal is met cannot be foreseen: it is '
                             f'{"met" if margin >= 0 else "missed"} by '
                             f'{1000 * abs(margin):.0f} mm', value=margin, limit=0.0, unit='m')
    return None, Finding(FindingCode.GOAL, Severity.INFO,
                         f'not judged is whether it will {" and ".join(goal.unjudged)}')


def _may_be_stopped(findings: Sequence[Finding]) -> str:
    """Return what probably stops the robot on its way; '' for nothing."""
    for each in findings:
        if each.severity == Severity.UNSURE and each.unit == 'm' and each.value is not None \
                and each.code in (FindingCode.CONTACT, FindingCode.NEAR_MISS) \
                and each.value < -_STOPPED:
            return f'the robot may be stopped on its way ({each.message})'
    return ''


def goal_finding(margin: float, probability: float) -> Finding:
    """Return what is foreseen of the goal as a finding that moves nothing."""
    said = 'is likely met' if probability >= 0.5 else 'is likely missed'
    return Finding(FindingCode.GOAL, Severity.INFO,
                   f'the goal {said} ({100 * probability:.0f} %)', value=margin, limit=0.0,
                   unit='m')
