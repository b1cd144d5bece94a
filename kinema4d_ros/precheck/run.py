# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All tiers of one trajectory, one after the other, into one verdict."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.precheck.outcome import event_finding, Outcome
from kinema4d_ros.precheck.robot_checker import Evidence, RobotChecker, guarded
from kinema4d_ros.precheck.speed_scaling import speed_factor
from kinema4d_ros.precheck.tier2.future_check import FutureCheck
from kinema4d_ros.precheck.verdict import decide
from kinema4d_ros.robot.trajectory_hash import trajectory_hash
from kinema4d_ros.types import (Finding, FindingCode, JointTrajectory, Observation, PredictedFrame,
                                Report, RobotRollout, Severity, silent, Verdict)

#: findings of tier 0 that leave no motion to look at
NO_MOTION = frozenset((FindingCode.UNKNOWN_JOINT, FindingCode.NOT_FINITE,
                       FindingCode.TIMES_NOT_INCREASING, FindingCode.EMPTY_TRAJECTORY))

Show = Callable[[RobotRollout, PredictedFrame], None]


def run_precheck(simulator: Any, checker: RobotChecker, observation: Observation,
                 trajectory: JointTrajectory, *, tiers: Collection[int],
                 required: Collection[int], goal: Goal | None, seed: int = 0,
                 report: Report = silent,
                 live_joints: Mapping[str, float] | None = None) -> Verdict:
    """
    Judge one trajectory; see ShadowSimulator.precheck.

    A later tier is left out when tier 0 finds that there is no motion to look at.
    """
    findings: dict[int, Sequence[Finding]] = {}
    latencies: dict[str, float] = {}
    measured: dict[str, Any] = {}
    joints, evidence = live_joints or observation.joint_positions, Evidence(())

    def run(tier: int, check) -> None:
        report(f'tier {tier}', 0, 1)
        started = time.perf_counter()
        findings[tier] = guarded(check, tier)
        latencies[f'tier {tier}'] = time.perf_counter() - started
        report(f'tier {tier}', 1, 1)

    def look() -> Sequence[Finding]:
        nonlocal evidence
        evidence = checker.tier1(observation, trajectory)
        return evidence.findings

    def predict() -> Sequence[Finding]:
        check, found = check_future(simulator, checker, observation, trajectory, seed, report)
        measured['action_following'] = check.action_following
        # Tier 1 foresees the same events from the same geometry.
        told = [] if evidence.outcome is not None else list(map(event_finding, check.events))
        return [*found, *told]

    # Tier 0 is run even where nobody asked: it tells whether the others have a motion to look at.
    run(0, lambda: checker.tier0(trajectory, joints))
    moves = not any(f.code in NO_MOTION for f in findings[0])
    if 1 in tiers and moves:
        run(1, look)
    if 2 in tiers and moves:
        run(2, predict)
    if goal is not None and evidence.outcome is not None:
        measured['success'], told = judge_goal(goal, evidence.outcome, findings[1])
        findings[1] = (*findings[1], told)
    measured |= evidence.measured
    against = [f for found in findings.values() for f in found if f.severity > Severity.INFO]
    if against:
        with contextlib.suppress(Exception):     # help that cannot be had is no finding
            measured['speed_factor'] = speed_factor(trajectory, checker.robot, joints,
                                                    checker.settings.tier0, against)
    return decide(
        findings, required=required, trajectory_hash=trajectory_hash(trajectory),
        robot_hash=checker.robot.description_hash, scene_stamp_ns=observation.stamp_ns,
        latencies=latencies, seed=seed, **measured,
        world_model='' if simulator.world_model is None else simulator.world_model.name)


def check_future(simulator: Any, checker: RobotChecker, observation: Observation,
                 trajectory: JointTrajectory, seed: int, report: Report,
                 show: Show = lambda *_: None) -> tuple[FutureCheck, tuple[Finding, ...]]:
    """
    Predict, with as many seeds and counterfactuals as the settings say, and look at it.

    :param show: told of the robot's motion with each frame of the first prediction.
    :return: the check of the first prediction, and the findings of all.
    """
    settings = checker.settings.tier2

    def look_at(motion: JointTrajectory, number: int,
                show: Show = lambda *_: None) -> FutureCheck:
        robot, frames = simulator.future(observation, motion, seed=number, report=report)
        check = FutureCheck(robot, checker.surfaces, checker.fields, settings)
        for frame in frames:
            show(robot, frame)
            check.add(frame)
        return check

    first = look_at(trajectory, seed, show)
    others = [look_at(trajectory, seed + number).views for number in range(1, settings.seeds)]
    still = None
    if settings.hold_still:
        still = look_at(held_still(trajectory, observation), seed).views
    return first, first.finish(others, still)


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
               findings: Sequence[Finding]) -> tuple[float, Finding]:
    """Return how likely the goal is reached, 0 to 1, and that as a finding; given tier 1's."""
    blocked = any(f.code == FindingCode.CONTACT and f.severity == Severity.FAIL for f in findings)
    probability = goal.probability(outcome, blocked)
    return probability, goal_finding(goal.margin(outcome), probability)


def goal_finding(margin: float, probability: float) -> Finding:
    """Return what is foreseen of the goal as a finding that moves nothing."""
    said = 'is likely met' if probability >= 0.5 else 'is likely missed'
    return Finding(FindingCode.GOAL, Severity.INFO,
                   f'the goal {said} ({100 * probability:.0f} %)', value=margin, limit=0.0,
                   unit='m')
