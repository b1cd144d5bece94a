# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: what a trajectory does to the robot itself, in milliseconds and without a scene."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import Kinema4DError, UnknownJointError
from kinema4d_ros.precheck.numbers import distinct
from kinema4d_ros.precheck.sampling_times import kinematics_of, sampling_times
from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.start_state import complete_start
from kinema4d_ros.precheck.tier0.limits import check_limits
from kinema4d_ros.precheck.tier0.self_contact import check_self_contact
from kinema4d_ros.precheck.tier0.splines import MotionSplines
from kinema4d_ros.precheck.tier0.workspace import check_workspace
from kinema4d_ros.precheck.unchecked import left_out
from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.robot import JointType, Robot, sample_trajectory
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity

if TYPE_CHECKING:
    from kinema4d_ros.robot import SelfCollision

_END_VELOCITY = float(np.finfo(np.float32).eps)   # what joint_trajectory_controller takes for 0


def check_tier0(trajectory: JointTrajectory, robot: Robot, joint_positions: Mapping[str, float],
                settings: Tier0Settings = Tier0Settings(),
                self_collision: SelfCollision | None = None) -> tuple[Finding, ...]:
    """
    Return what is wrong with a trajectory, as far as the robot alone shows.

    The motion is judged as joint_trajectory_controller interpolates it, from the live joints on.

    :param joint_positions: live joints [rad or m] by name, with velocities where it is a
        StartState; more than the robot has may be given.
    :param self_collision: of this robot; None leaves contacts between its links unchecked.
    :raises UnknownJointError: the settings name a joint that the robot does not have.
    """
    named = (*settings.limits, *settings.required_joints)
    unknown = tuple(name for name in named if name not in robot.joints)
    if unknown:
        raise UnknownJointError(unknown, robot.joint_names, 'tier 0 settings')
    found = _check_form(trajectory, robot, settings)
    if any(finding.severity == Severity.FAIL for finding in found):
        return tuple(found)   # there is no motion to check
    live = {name: float(value) for name, value in joint_positions.items()
            if name in robot.limits and np.isfinite(value)}
    found += _check_live(trajectory, robot, live, settings)
    if not settings.allow_end_velocity:
        found += _check_end(trajectory, robot)
    assumed, doubts = complete_start(trajectory, robot, joint_positions)
    found += doubts
    try:
        splines = MotionSplines.of(trajectory, robot, assumed)
        found += check_limits(splines, robot, settings, live)
        if settings.workspace is not None:
            found += check_workspace(trajectory, robot, assumed, settings.workspace)
        if self_collision is not None:
            times, too_long = sampling_times(trajectory, robot, assumed, settings.travel,
                                             self_collision.boxes)
            found += too_long
            motion = sample_trajectory(trajectory, robot, times, assumed)
            T_base_link = kinematics_of(robot)(motion.positions)
            found += left_out(self_collision, T_base_link)
            found += check_self_contact(times, T_base_link, self_collision, settings.self_margin)
    except Kinema4DError as error:
        found.append(not_checked(f'the motion could not be checked: {error}'))
    return tuple(found)


def _check_form(trajectory: JointTrajectory, robot: Robot,
                settings: Tier0Settings) -> list[Finding]:
    """Check names, numbers and times; after a FAIL the trajectory describes no motion."""
    if not len(trajectory.times) or not trajectory.joint_names:
        return [_fail(FindingCode.EMPTY_TRAJECTORY, 'the trajectory has no '
                      + ('joints' if len(trajectory.times) else 'points'))]
    found = []
    for name in trajectory.joint_names:
        joint = robot.joints.get(name)
        if joint is None or joint.type is JointType.FIXED:
            found.append(_fail(
                FindingCode.UNKNOWN_JOINT,
                f"joint '{name}' is not a movable joint of robot '{robot.name}', which has "
                + ', '.join(robot.joint_names), link=name))
    if not found and not set(trajectory.joint_names) & set(robot.joint_names):
        leaders = ', '.join(dict.fromkeys(
            f"'{_leader(robot, name)}'" for name in trajectory.joint_names))
        found.append(_fail(
            FindingCode.UNKNOWN_JOINT,
            f'{", ".join(trajectory.joint_names)} only follows {leaders} (mimic), so a controller '
            f'does not move it by itself; command {leaders}', link=trajectory.joint_names[0]))
    for name in settings.required_joints:
        if name not in trajectory.joint_names:
            found.append(_fail(FindingCode.MISSING_JOINT,
                               f"joint '{name}' is not in the trajectory, but the controller "
                               'needs it', link=name))
    found += _check_finite(trajectory)
    found += _check_mimics(trajectory, robot, settings)
    times = trajectory.times
    if np.isfinite(times).all():
        if times[0] < 0:
            found.append(_fail(
                FindingCode.TIMES_NOT_INCREASING,
                f'the first point is at {distinct(float(times[0]), 0.0)[0]} s, '
                'before the start', value=float(times[0]), limit=0.0, unit='s'))
        for index in np.flatnonzero(np.diff(times) <= 0)[:1]:
            before, after = distinct(float(times[index]), float(times[index + 1]))
            found.append(_fail(
                FindingCode.TIMES_NOT_INCREASING,
                f'point {index + 1} is at {after} s, not after point {index} at {before} s',
                value=float(times[index + 1]), limit=float(times[index]), unit='s'))
    return found


def _check_mimics(trajectory: JointTrajectory, robot: Robot,
                  settings: Tier0Settings) -> list[Finding]:
    """Check that joints that follow others are told to be where they will be."""
    found = []
    for index, name in enumerate(trajectory.joint_names):
        joint = robot.joints.get(name)
        mimic = None if joint is None else joint.mimic
        if mimic is None or mimic.joint not in trajectory.joint_names:
            continue
        leader = trajectory.positions[:, trajectory.joint_names.index(mimic.joint)]
        off = np.abs(trajectory.positions[:, index] - mimic.multiplier * leader - mimic.offset)
        if off.max(initial=0.0) > settings.start_tolerance:     # no number, no finding here
            found.append(not_checked(
                f"joint '{name}' follows '{mimic.joint}', but is told to be up to "
                f'{off.max():.3g} {_unit(robot, name)} from where that takes it; leave it out of '
                'the trajectory'))
    return found


def _leader(robot: Robot, name: str) -> str:
    """Return the joint that a joint follows in the end."""
    while (mimic := robot.joints[name].mimic) is not None:
        name = mimic.joint
    return name


def _check_finite(trajectory: JointTrajectory) -> list[Finding]:
    """Return the first number that is not finite, per field."""
    found = []
    for key in ('times', 'positions', 'velocities', 'accelerations'):
        values = getattr(trajectory, key)
        if values is None or np.isfinite(values).all():
            continue
        point, *joint = np.argwhere(~np.isfinite(values))[0]
        name = trajectory.joint_names[joint[0]] if joint else ''
        of = f" of joint '{name}'" if name else ''
        found.append(_fail(FindingCode.NOT_FINITE,
                           f'{key}{of} at point {point}: {values[(point, *joint)]} is not a '
                           'number to move to', link=name))
    return found


def _check_end(trajectory: JointTrajectory, robot: Robot) -> list[Finding]:
    """Check that the robot comes to rest."""
    found: list[Finding] = []
    if trajectory.velocities is None:
        return found
    for index, name in enumerate(trajectory.joint_names):
        value, unit = float(trajectory.velocities[-1, index]), _unit(robot, name) + '/s'
        if abs(value) > _END_VELOCITY:
            found.append(_fail(
                FindingCode.NONZERO_END_VELOCITY,
                f"joint '{name}' still moves at {distinct(value, 0.0)[0]} {unit} at the last "
                'point; the controller demands 0', link=name, time=trajectory.duration, value=value,
                limit=0.0, unit=unit))
    return found


def _check_live(trajectory: JointTrajectory, robot: Robot, live: Mapping[str, float],
                settings: Tier0Settings) -> list[Finding]:
    """Check that the live joints are known, and are where the trajectory begins."""
    missing = [name for name in robot.joint_names if name not in live]
    found = []
    if missing:
        found.append(Finding(
            FindingCode.MISSING_INPUT, Severity.UNSURE,
            f'the live position of {", ".join(missing)} is not known', link=missing[0]))
    found += _check_resting(trajectory, robot, live, settings)
    if trajectory.times[0] > 0:
        return found   # the controller blends from the live state; the limits judge how fast
    for index, name in enumerate(trajectory.joint_names):
        if name not in live:
            continue
        wanted = float(trajectory.positions[0, index])
        difference = wanted - live[name]
        if name in robot.continuous:
            difference = (difference + np.pi) % (2 * np.pi) - np.pi
        if abs(difference) > settings.start_tolerance:
            unit = _unit(robot, name)
            at, begins = distinct(live[name], wanted)
            away, allowed = distinct(abs(difference), settings.start_tolerance)
            found.append(_fail(
                FindingCode.START_STATE,
                f"joint '{name}' is at {at} {unit}, but the trajectory starts at "
                f'{begins} {unit}, {away} {unit} away (allowed {allowed})', link=name,
                time=0.0, value=abs(difference), limit=settings.start_tolerance, unit=unit))
    return found


def _check_resting(trajectory: JointTrajectory, robot: Robot, live: Mapping[str, float],
                   settings: Tier0Settings) -> list[Finding]:
    """
    Check that the joints that are not to move stand within their limits.

    Those of <limit> only, and with a tolerance: drives rest a hair beyond them. Tighter ones say
    where a motion may go, not where a robot may be.
    """
    found = []
    for name in sorted(set(live) - set(trajectory.joint_names)):
        limit, value = robot.joints[name].limit, live[name]
        low = -np.inf if limit.lower is None else limit.lower
        high = np.inf if limit.upper is None else limit.upper
        if low - settings.start_tolerance <= value <= high + settings.start_tolerance:
            continue
        bound, unit = low if value < low else high, _unit(robot, name)
        at, end = distinct(value, bound)
        found.append(Finding(
            FindingCode.POSITION_LIMIT, Severity.UNSURE,
            f"joint '{name}' is said to be at {at} {unit}, beyond its limit of {end}; is the "
            'joint state right?', link=name, time=0.0, value=value,
            limit=bound, unit=unit))
    return found


def _fail(code: FindingCode, message: str, *, link: str = '', time: float | None = None,
          value: float | None = None, limit: float | None = None, unit: str = '') -> Finding:
    return Finding(code, Severity.FAIL, message, link=link, time=time, value=value, limit=limit,
                   unit=unit)


def _unit(robot: Robot, name: str) -> str:
    joint = robot.joints.get(name)
    return 'm' if joint is not None and joint.type is JointType.PRISMATIC else 'rad'
