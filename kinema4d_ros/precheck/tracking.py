# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way that a robot is likely to take where it is told another, and what speaks against it."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.robot import Robot, sample_trajectory, SampledMotion
from kinema4d_ros.robot.distances import REACH
from kinema4d_ros.robot.tracking import TrackingModel
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity

_MOST = 2000      # samples
_SIGMAS = 33      # samples at which the sigma of links is computed; it changes slowly
_WORDS = 'as the robot is likely to follow it, '


def check_model(model: TrackingModel, trajectory: JointTrajectory, robot: Robot,
                fingers: Collection[str]) -> list[Finding]:
    """
    Return what speaks against a model: it is of another robot, or lacks joints that move.

    :param fingers: joints that such a model is to leave out.
    """
    moved = [name for name in trajectory.joint_names
             if name in robot.limits and name not in fingers]
    lacking = [name for name in moved if name not in model.joints]
    if not lacking:
        return []
    source = f' ({model.source})' if model.source else ''
    if not set(model.joints) & set(robot.limits):
        return [not_checked(
            f'the tracking model{source} is of {", ".join(model.joints) or "no joint"}, none of '
            f'which the robot has, so how {", ".join(lacking)} will follow is not known: fit it to '
            'this robot (kinema4d fit-tracking), or unset tracking', FindingCode.TRACKING)]
    return [Finding(FindingCode.TRACKING, Severity.INFO,
                    f'the tracking model{source} lacks {", ".join(lacking)}, taken to follow '
                    'exactly', link=lacking[0])]


def likely_motion(trajectory: JointTrajectory, robot: Robot, start: Mapping[str, float],
                  model: TrackingModel, samples: int) -> SampledMotion:
    """
    Return the likely motion, from the start until the robot has settled after the last point.

    :param samples: of the commanded motion; the time after it is sampled as densely.
    """
    longest = trajectory.duration + model.settling_time
    share = longest / trajectory.duration if trajectory.duration > 0 else math.inf
    count = int(min(max(samples * share, 33), _MOST))
    times = np.linspace(0.0, longest, count) if longest > 0 else np.zeros(1)
    return model.executed(sample_trajectory(trajectory, robot, times, start), start)


def link_sigmas(motion: SampledMotion, robot: Robot, model: TrackingModel,
                surfaces: Mapping[str, np.ndarray]) -> np.ndarray:
    """
    Return how well it is known where each link is, (T, L) float64 [m].

    Each joint is moved by its sigma, and the way of the farthest corner of the box around a link
    counts; joints err independently.

    :param surfaces: vertices (V, 3) [m] of the links that have a shape, link frame.
    """
    frames = np.unique(np.linspace(0, len(motion.times) - 1, _SIGMAS).round().astype(int))
    kinematics, positions = kinematics_of(robot), motion.positions[frames]
    corners = np.zeros((len(robot.link_names), 8, 3))
    for link, name in enumerate(robot.link_names):
        if len(surfaces.get(name, ())):
            ends = np.stack([surfaces[name].min(axis=0), surfaces[name].max(axis=0)])
            corners[link] = [[ends[i, 0], ends[j, 1], ends[k, 2]]
                             for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    here = kinematics(positions)
    square = np.zeros(here.shape[:2])
    for column, sigma in enumerate(model.sigmas(motion.joint_names)):
        if sigma > 0:
            moved = positions.copy()
            moved[:, column] += sigma
            step = (kinematics(moved) - here)[:, :, :3]
            ways = corners @ np.swapaxes(step[..., :3], -1, -2) + step[..., None, :, 3]
            square += np.linalg.norm(ways, axis=-1).max(axis=-1) ** 2
    sigmas = np.sqrt(square)
    return np.stack([np.interp(motion.times, motion.times[frames], column)
                     for column in sigmas.T], axis=1)


def too_loose(sigmas: np.ndarray, robot: Robot, confidence: float) -> Finding | None:
    """Return a finding that forbids a PASS where sigmas reach farther than distances are known."""
    time, link = np.unravel_index(int(sigmas.argmax()), sigmas.shape)
    worst = confidence * float(sigmas[time, link])
    if worst <= REACH:
        return None
    return not_checked(
        f"by the tracking model '{robot.link_names[link]}' may be {1000 * worst:.0f} mm from "
        f'where it is expected, and distances are known up to {1000 * REACH:.0f} mm: move slower, '
        'and fit the model to that', FindingCode.TRACKING)


def limit_findings(motion: SampledMotion, robot: Robot, tolerance: float) -> list[Finding]:
    """Return the joints that are likely to overshoot their position limits."""
    found = []
    for column, name in enumerate(motion.joint_names):
        limit, values = robot.limits[name], motion.positions[:, column]
        for bound, beyond in ((limit.lower, -1), (limit.upper, 1)):
            if bound is None:
                continue
            over = beyond * (values - bound)
            worst = int(over.argmax())
            if over[worst] > tolerance and over[worst] > over[0]:
                found.append(Finding(
                    FindingCode.TRACKING, Severity.UNSURE,
                    f"{_WORDS}joint '{name}' would reach {values[worst]:.4f} at "
                    f'{motion.times[worst]:.2f} s, limit {bound:.4f}', link=name,
                    time=float(motion.times[worst]), value=float(values[worst]),
                    limit=float(bound)))
    return found


def only_new(likely: Iterable[Finding], commanded: Iterable[Finding]) -> list[Finding]:
    """Return what the likely way adds to the findings of the commanded one, and says so."""
    known: dict[tuple[object, ...], Severity] = {}
    for finding in commanded:
        about = (finding.code, finding.link, finding.other)
        known[about] = max(finding.severity, known.get(about, finding.severity))
    return [dataclasses.replace(finding, message=_WORDS + finding.message) for finding in likely
            if finding.severity > known.get((finding.code, finding.link, finding.other), -1)]
