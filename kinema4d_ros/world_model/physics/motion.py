# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot's exact motion at the steps of a simulation, joint by joint."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from kinema4d_ros.types import ChainJoint, RobotRollout
from kinema4d_ros.world_model.physics.engine import STEP


@dataclass(frozen=True, eq=False)
class Motion:
    """Positions and velocities of the joints that move links, at every step."""

    times: np.ndarray         # (N,) float64 [s] from the start of the trajectory
    links: tuple[int, ...]    # J links that a joint moves, by number
    positions: np.ndarray     # (N, J) float64 [rad or m]
    velocities: np.ndarray    # (N, J) float64 [rad/s or m/s]
    duration: float           # [s] of the trajectory; later the robot stands


def motion_of(robot: RobotRollout, after: float) -> Motion:
    """
    Return the motion of a rollout, smooth between its frames.

    :param after: [s] for which the robot stands at the end.
    """
    links = tuple(number for number, link in enumerate(robot.chain)
                  if link.joint is not ChainJoint.FIXED)
    duration = float(robot.times[-1])
    times = np.arange(int(np.ceil((duration + after) / STEP)) + 1) * STEP
    within = np.minimum(times, duration)
    values = np.stack([joint_positions(robot, link) for link in links], -1) if links \
        else np.zeros((len(robot.times), 0))
    if len(robot.times) < 2 or not links:
        positions = np.repeat(values[:1], len(times), axis=0)
        return Motion(times, links, positions, np.zeros_like(positions), duration)
    smooth = CubicSpline(robot.times, values, bc_type='natural') if len(robot.times) > 2 \
        else PchipInterpolator(robot.times, values)
    positions, velocities = smooth(within), smooth(within, 1)
    # Fingers start and stop abruptly; a spline through their stops would swing over them.
    slides = [column for column, link in enumerate(links)
              if robot.chain[link].joint is ChainJoint.SLIDE]
    if slides:
        steady = PchipInterpolator(robot.times, values[:, slides])
        positions[:, slides], velocities[:, slides] = steady(within), steady(within, 1)
    velocities[times > duration] = 0.0
    return Motion(times, links, positions, velocities, duration)


def joint_positions(robot: RobotRollout, link: int) -> np.ndarray:
    """Return the position of the joint that carries a link in each frame, (T,) [rad or m]."""
    each = robot.chain[link]
    T_parent_child = np.linalg.inv(robot.T_base_link[:, each.parent]) @ robot.T_base_link[:, link]
    moved = np.linalg.inv(each.T_parent_joint) @ T_parent_child
    if each.joint is ChainJoint.SLIDE:
        along: np.ndarray = moved[:, :3, 3] @ each.axis
        return along
    R = moved[:, :3, :3]     # noqa: N806
    sine = 0.5 * np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0],
                           R[:, 1, 0] - R[:, 0, 1]], -1) @ each.axis
    cosine = 0.5 * (np.trace(R, axis1=1, axis2=2) - 1.0)
    turned: np.ndarray = np.unwrap(np.arctan2(sine, cosine))
    return turned
