# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Position, velocity, acceleration and jerk limits of each joint along the motion."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kinema4d_ros.precheck.numbers import distinct
from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.tier0.splines import Exceedance, exceedances, MotionSplines
from kinema4d_ros.robot import JointType, LIMIT_FIELDS, Robot, tightest
from kinema4d_ros.types import Finding, FindingCode, JointLimit, Severity

_SLACK = 1 + 1e-6   # a motion timed to reach a limit exactly must not fail by rounding
#: [rad/s], [m/s] what no URDF says a joint can do is UNSURE from here on
_FAST = {'rad': 6.3, 'm': 2.0}
#: [rad/s], [m/s] a limit in a URDF that is larger is no limit: 100 or 1e9 stand for none
_PLACEHOLDER = {'rad': 30.0, 'm': 10.0}


def check_limits(splines: MotionSplines, robot: Robot, settings: Tier0Settings,
                 start: Mapping[str, float]) -> list[Finding]:
    """
    Return one finding per joint and broken limit, and what could not be checked.

    :param start: live joints [rad or m] by name. A joint that stands beyond its limits may be
        brought back within: by a motion that takes it no farther out.
    """
    held = [limit_of(robot, name, settings) for name in splines.joint_names]
    limits, sources = [limit for limit, _ in held], [where for _, where in held]
    units = ['m' if robot.joints[name].type is JointType.PRISMATIC else 'rad'
             for name in splines.joint_names]
    found = _check_positions(splines, limits, sources, units, settings,
                             np.array([start.get(name, np.nan) for name in splines.joint_names]))
    found += _check_file(splines, robot, settings)
    step = settings.step_time
    # What the polynomials cannot show: between linear segments the velocity jumps (between cubic
    # ones the acceleration), which a drive spreads over about one control period.
    jumps = {1: np.zeros(()), 2: np.abs(splines.jumps(1)) / step,
             3: np.maximum(np.abs(splines.jumps(2)) / step, np.abs(splines.jumps(1)) / step**2)}
    for order, name, code in ((1, 'velocity', FindingCode.VELOCITY_LIMIT),
                              (2, 'acceleration', FindingCode.ACCELERATION_LIMIT),
                              (3, 'jerk', FindingCode.JERK_LIMIT)):
        bound = np.array([np.inf if getattr(limit, name) is None else getattr(limit, name)
                          for limit in limits])
        if not np.isfinite(bound).any():
            continue
        over = exceedances(splines.times, splines.derivative(order), -bound * _SLACK,
                           bound * _SLACK)
        over = _worse(over, jumps[order], bound, splines.times)
        power = ('/s', '/s^2', '/s^3')[order - 1]
        found += [_finding(code, e, splines.joint_names[e.joint], float(bound[e.joint]),
                           units[e.joint] + power, f'{name} ', sources[e.joint][name])
                  for e in over]
    found += _check_unlimited_speeds(splines, limits, sources, units)
    found += _unlimited(splines, robot, limits)
    return found


def _check_unlimited_speeds(splines: MotionSplines, limits: list[JointLimit],
                            sources: list[Mapping[str, str]], units: list[str]) -> list[Finding]:
    """Return where a joint is fast of which nobody says how fast it may be."""
    is_known = np.array([
        limit.velocity is not None and not (
            limit.velocity > _PLACEHOLDER[unit] and where['velocity'].endswith('URDF'))
        for limit, where, unit in zip(limits, sources, units)])
    bound = np.where(is_known, np.inf, [_FAST[unit] for unit in units])
    found = []
    for e in exceedances(splines.times, splines.derivative(1), -bound, bound):
        name, unit, limit = splines.joint_names[e.joint], units[e.joint], limits[e.joint].velocity
        said = 'no velocity limit of it is known' if limit is None else (
            f'its limit in the URDF, {limit:g} {unit}/s, is none')
        found.append(Finding(
            FindingCode.VELOCITY_LIMIT, Severity.UNSURE,
            f"joint '{name}' would reach velocity {distinct(e.value)[0]} {unit}/s at "
            f'{e.worst_time:.2f} s, and {said}, so nobody knows whether it can: state it in the '
            f'URDF, or set joint_limits.{name}.max_velocity', link=name, time=e.time,
            value=e.value, limit=float(bound[e.joint]), unit=f'{unit}/s'))
    return found


def limit_of(robot: Robot, joint: str,
             settings: Tier0Settings) -> tuple[JointLimit, Mapping[str, str]]:
    """Return the limit that holds for a joint, and where each field of it is stated."""
    stated = robot.limit_sources[joint]
    own = [(stated[name], JointLimit(**{name: value})) for name in LIMIT_FIELDS
           if (value := getattr(robot.limits[joint], name)) is not None]
    if settings.joint_limits_file is not None:
        own.append((settings.joint_limits_file.name,
                    settings.joint_limits_file.limits.get(joint, JointLimit())))
    scale = settings.velocity_scale
    if scale != 1.0:
        own = [(where if limit.velocity is None else f'{scale:g} of {where}',
                limit if limit.velocity is None else
                replace(limit, velocity=scale * limit.velocity)) for where, limit in own]
    return tightest([*own, ('settings', settings.limits.get(joint, JointLimit()))])


def _check_file(splines: MotionSplines, robot: Robot, settings: Tier0Settings) -> list[Finding]:
    """Say which joints of the file of limits are not the robot's, UNSURE when none is."""
    file = settings.joint_limits_file
    others = [] if file is None else [name for name in file.limits if name not in robot.joints]
    if file is None or not others:
        return []
    meant_for_another = len(others) == len(file.limits)
    return [Finding(
        FindingCode.NOT_CHECKED, Severity.UNSURE if meant_for_another else Severity.INFO,
        f'{file.name} limits {", ".join(others)}, which the robot does not have'
        + (f'; none of its joints ({", ".join(splines.joint_names)}) is limited there'
           if meant_for_another else ''))]


def _unlimited(splines: MotionSplines, robot: Robot, limits: list[JointLimit]) -> list[Finding]:
    """Say which limits are not known."""
    no_velocity = [name for name, limit in zip(splines.joint_names, limits)
                   if limit.velocity is None]
    no_end = [name for name, limit in zip(splines.joint_names, limits)
              if name not in robot.continuous and (limit.lower is None or limit.upper is None)]
    return [Finding(FindingCode.NOT_CHECKED, Severity.INFO,
                    f'no {kind} limit is known for {", ".join(names)}, so none was checked')
            for kind, names in (('velocity', no_velocity), ('position', no_end)) if names]


def _check_positions(splines: MotionSplines, limits: list[JointLimit],
                     sources: list[Mapping[str, str]], units: list[str], settings: Tier0Settings,
                     start: np.ndarray) -> list[Finding]:
    """Return where a joint leaves its limits, or goes farther out where it stands beyond them."""
    lower = np.array([-np.inf if limit.lower is None else limit.lower for limit in limits])
    upper = np.array([np.inf if limit.upper is None else limit.upper for limit in limits])
    tolerance = settings.position_tolerance
    beyond = np.fmax(np.fmax(lower - start, start - upper), 0.0)     # 0 where nobody knows
    end = splines.coefficients[-1].sum(axis=0)
    returns = (end >= lower - tolerance) & (end <= upper + tolerance)
    allowed = np.where((beyond <= settings.start_tolerance) | returns, beyond, 0.0)
    low, high = (np.where(start < lower, lower - allowed, lower),
                 np.where(start > upper, upper + allowed, upper))
    over = exceedances(splines.times, splines.coefficients, low - tolerance, high + tolerance)
    found = []
    for e in over:
        side = 'upper' if e.value > upper[e.joint] else 'lower'
        limit = float((upper if side == 'upper' else lower)[e.joint])
        found.append(_finding(FindingCode.POSITION_LIMIT, e, splines.joint_names[e.joint], limit,
                              units[e.joint], '', sources[e.joint][side]))
    failed = {e.joint for e in over}
    for joint in np.flatnonzero((beyond > settings.start_tolerance) & (allowed > 0)):
        if joint in failed:
            continue
        side = 'upper' if start[joint] > upper[joint] else 'lower'
        name = splines.joint_names[joint]
        limit = float((upper if side == 'upper' else lower)[joint])
        value, bound = distinct(float(start[joint]), limit)
        found.append(Finding(
            FindingCode.POSITION_LIMIT, Severity.UNSURE,
            f"joint '{name}' stands at {value} {units[joint]} where the motion begins, beyond its "
            f'limit {bound} ({sources[joint][side]}); the motion brings it back', link=name,
            time=0.0, value=float(start[joint]), limit=limit, unit=units[joint]))
    return found


def _worse(over: list[Exceedance], jumps: np.ndarray, bound: np.ndarray,
           times: np.ndarray) -> list[Exceedance]:
    """Return the exceedances with the jumps at the knots taken in, one per joint."""
    if not jumps.ndim:
        return over
    by_joint = {e.joint: e for e in over}
    for joint in np.flatnonzero((jumps > bound * _SLACK).any(axis=0)):
        beyond = jumps[:, joint] > bound[joint] * _SLACK
        worst, first = int(jumps[:, joint].argmax()), int(beyond.argmax())
        jump = Exceedance(int(joint), float(times[first]), float(jumps[worst, joint]),
                          float(bound[joint]), float(times[worst]))
        smooth = by_joint.get(jump.joint)
        if smooth is not None:
            worse = max(jump, smooth, key=lambda e: abs(e.value))
            jump = Exceedance(jump.joint, min(jump.time, smooth.time), worse.value, worse.limit,
                              worse.worst_time)
        by_joint[jump.joint] = jump
    return [by_joint[joint] for joint in sorted(by_joint)]


def _finding(code: FindingCode, e: Exceedance, joint: str, limit: float, unit: str,
             quantity: str, source: str) -> Finding:
    """Return the finding; `time` is when the limit is first broken, `value` the worst."""
    value, bound = distinct(e.value, limit)
    message = (f"joint '{joint}' would reach {quantity}{value} {unit} at "
               f'{e.worst_time:.2f} s, limit {bound} ({source})')
    if e.worst_time - e.time > 0.005:
        message += f', beyond it since {e.time:.2f} s'
    return Finding(code, Severity.FAIL, message, link=joint, time=e.time, value=e.value,
                   limit=limit, unit=unit)
