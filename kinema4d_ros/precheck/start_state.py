# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one state from which a motion is judged: what the controller will take it to start from."""
from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from kinema4d_ros.precheck.settings import StartVelocity
from kinema4d_ros.robot import finger_joints, is_blended_by_velocity, Robot
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, StartState

_STILL = 0.01     # [rad/s or m/s] slower is standing still, with the noise of a driver
_MOVES = 0.05     # [rad/s or m/s] faster is a motion that goes on, and no longer one that settles


def controller_start(joints: Mapping[str, float], taken: StartVelocity) -> StartState:
    """
    Return what the controller takes for the state at the start.

    :param joints: as measured; a StartState, or positions of joints that stand still.
    :param taken: which velocities it takes; where it takes those of its last command, joints that
        move get an unknown one.
    """
    start = StartState.of(joints)
    if taken is StartVelocity.ZERO:
        return StartState(start.positions)
    if taken is StartVelocity.COMMANDED:
        return StartState(start.positions, {
            name: 0.0 if abs(value) <= _STILL else math.nan
            for name, value in start.velocities.items()})
    return start


@functools.lru_cache(maxsize=4)
def fingers_of(robot: Robot) -> frozenset[str]:
    """Return the joints of fingers; looked for once, since it is asked for each trajectory."""
    return finger_joints(robot)


def complete_start(trajectory: JointTrajectory, robot: Robot,
                   joints: Mapping[str, float]) -> tuple[StartState, list[Finding]]:
    """
    Return a state from which the motion can be computed, and what speaks against relying on it.

    A joint without a position is taken to be at the first point, one whose velocity is not known
    and matters, to stand still, as one that the trajectory does not name. Fingers may go on moving
    meanwhile.
    """
    start = StartState.of(joints)
    assumed = {name: float(trajectory.positions[0, index])
               for index, name in enumerate(trajectory.joint_names)}
    known = {name: value for name, value in start.positions.items()
             if name in robot.limits and math.isfinite(value)}
    found = []
    unknown = [name for name in start.of_unknown_velocity
               if name in trajectory.joint_names and name in robot.limits]
    if unknown and is_blended_by_velocity(trajectory):
        found.append(Finding(
            FindingCode.START_STATE, Severity.UNSURE,
            f'how fast {", ".join(unknown)} moves is not known, and the controller blends from '
            f'that to the first point at {trajectory.times[0]:.3g} s: have the velocities '
            'published in joint_states, publish them more often, or let the robot stand still',
            link=unknown[0]))
    rest = start.resting_where_unknown
    moving = [name for name, value in rest.velocities.items() if abs(value) > _MOVES
              and name in robot.limits and name not in trajectory.joint_names
              and name not in fingers_of(robot)]
    if moving:
        found.append(Finding(
            FindingCode.OTHER_MOTION, Severity.UNSURE,
            f'{", ".join(moving)} moves, which the trajectory does not name, and nobody says where '
            'to: judge the motions together, or wait until it stands still', link=moving[0],
            value=rest.velocities[moving[0]], limit=_MOVES))
    return StartState(assumed | known, rest.velocities), found
