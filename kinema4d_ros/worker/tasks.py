# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the worker process does for one trajectory; without pipe, memory or threads."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.precheck.robot_checker import Evidence, RobotChecker, guarded
from kinema4d_ros.precheck.run import check_future, judge_goal
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (Finding, JointTrajectory, Observation, PredictedFrame, Report,
                                RobotRollout)
from kinema4d_ros.worker.protocol import Check, Prediction


@dataclass(frozen=True)
class Found:
    """What came of a task."""

    findings: dict[int, tuple[Finding, ...]] = field(default_factory=dict)   # tier -> found
    measured: dict[str, Any] = field(default_factory=dict)                   # of a Verdict
    latencies: dict[str, float] = field(default_factory=dict)                # [s] per stage


def check(checker: RobotChecker, observation: Observation, trajectory: JointTrajectory,
          task: Check, report: Report) -> Found:
    """
    Run tiers 0 and 1; what fails is a finding.

    The node has run what of tier 0 needs no meshes, but with the joints of a moment before: the
    robot may have moved since.

    :raises PredictionCancelled: as raised by `report`.
    """
    latencies: dict[str, float] = {}
    started = time.perf_counter()
    report('self-collision', 0, 1)
    findings = {0: tuple(guarded(
        lambda: checker.tier0(trajectory, observation.joint_positions), 0))}
    evidence = Evidence(())

    def look() -> tuple[Finding, ...]:
        nonlocal evidence
        evidence = checker.tier1(observation, trajectory)
        return evidence.findings

    latencies['self-collision'] = time.perf_counter() - started
    measured: dict[str, Any] = {}
    if 1 in task.tiers:
        report('tier1', 0, 1)
        findings[1] = tuple(guarded(look, 1))
        measured |= evidence.measured
        if task.goal is not None and evidence.outcome is not None:
            measured['success'], told = judge_goal(task.goal, evidence.outcome, findings[1])
            findings[1] += (told,)
        latencies['tier 1'] = time.perf_counter() - started - latencies['self-collision']
    return Found(findings, measured, latencies)


def predict(simulator: ShadowSimulator, checker: RobotChecker, observation: Observation,
            trajectory: JointTrajectory, task: Prediction, report: Report,
            show: Callable[[RobotRollout, PredictedFrame], None]) -> Found:
    """
    Predict and show each frame; when it is judged, tier 2 looks at the very same frames.

    :raises Exception: whatever the world model raises, since then there is no prediction.
    """
    if not task.is_judged:
        robot, frames = simulator.future(observation, trajectory, seed=task.seed, report=report)
        for frame in frames:
            show(robot, frame)
        return Found()
    future, findings = check_future(simulator, checker, observation, trajectory, task.seed,
                                    report, show)
    return Found({2: tuple(findings)}, {'action_following': future.action_following})
