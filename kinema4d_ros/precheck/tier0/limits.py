# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Position, velocity, acceleration and jerk limits of each joint along the motion."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.tier0.splines import Exceedance, exceedances, MotionSplines
from kinema4d_ros.robot import JointType, Robot
from kinema4d_ros.types import Finding, FindingCode, JointLimit, Severity

_SLACK = 1 + 1e-6   # a motion timed to reach a limit exactly must not fail by rounding


def check_limits(splines: MotionSplines, robot: Robot, settings: Tier0Settings) -> list[Finding]:
    """Return one finding per joint and broken limit, and what could not be checked."""
    limits = [_tighter(robot.limits[name], settings.limits.get(name), settings.velocity_scale)
              for name in splines.joint_names]
    units = ['m' if robot.joints[name].type is JointType.PRISMATIC else 'rad'
             for name in splines.joint_names]
    found = _check_positions(splines, limits, units, settings.position_tolerance)
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
                           units[e.joint] + power, f'{name} ') for e in over]
    unlimited = [name for name, limit in zip(splines.joint_names, limits)
                 if limit.velocity is None]
    if unlimited:
        found.append(Finding(
            FindingCode.NOT_CHECKED, Severity.INFO,
            f'no velocity limit is known for {", ".join(unlimited)}, so none was checked'))
    return found


def _check_positions(splines: MotionSplines, limits: list[JointLimit], units: list[str],
                     tolerance: float) -> list[Finding]:
    lower = np.array([-np.inf if limit.lower is None else limit.lower for limit in limits])
    upper = np.array([np.inf if limit.upper is None else limit.upper for limit in limits])
    over = exceedances(splines.times, splines.coefficients, lower - tolerance, upper + tolerance)
    return [_finding(FindingCode.POSITION_LIMIT, e, splines.joint_names[e.joint],
                     float(upper[e.joint] if e.value > upper[e.joint] else lower[e.joint]),
                     units[e.joint], '') for e in over]


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
             quantity: str) -> Finding:
    """Return the finding; `time` is when the limit is first broken, `value` the worst."""
    message = (f"joint '{joint}' would reach {quantity}{e.value:.3f} {unit} at "
               f'{e.worst_time:.2f} s, limit {limit:.3f}')
    if e.worst_time - e.time > 0.005:
        message += f', beyond it since {e.time:.2f} s'
    return Finding(code, Severity.FAIL, message, link=joint, time=e.time, value=e.value,
                   limit=limit, unit=unit)


def _tighter(own: JointLimit, extra: JointLimit | None, velocity_scale: float) -> JointLimit:
    """Return the tighter of the robot's limits and the configured ones, field by field."""
    extra = JointLimit() if extra is None else extra

    def pick(choose: Callable[[list[float]], float], *values: float | None) -> float | None:
        known = [value for value in values if value is not None]
        return choose(known) if known else None

    velocity = None if own.velocity is None else own.velocity * velocity_scale
    return JointLimit(
        lower=pick(max, own.lower, extra.lower), upper=pick(min, own.upper, extra.upper),
        velocity=pick(min, velocity, extra.velocity),
        acceleration=pick(min, own.acceleration, extra.acceleration),
        jerk=pick(min, own.jerk, extra.jerk))
