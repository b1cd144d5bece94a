# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The speed that would pass: computed by hand, and never a false promise; and the ranking."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.precheck import at_speed, check_tier0, rank, speed_factor, Tier0Settings
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import (Finding, FindingCode, JointLimit, JointTrajectory, Severity, Status,
                                Verdict)

ROBOT = Robot.from_urdf('''<robot name="one"><link name="base"/><link name="arm"/>
<joint name="turn" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/>
<limit lower="-2" upper="2" velocity="1.0" effort="1"/></joint></robot>''')
LIVE = {'turn': 0.0}


def move(way: float, seconds: float) -> JointTrajectory:
    """Return a motion from rest to rest: peak velocity 1.5 way / seconds."""
    return JointTrajectory(('turn',), np.array([0.0, seconds]), np.array([[0.0], [way]]),
                           np.zeros((2, 1)))


def factor(motion, options=Tier0Settings(), more=()):
    """Return the speed factor from what tier 0 finds, and more findings."""
    found = [*check_tier0(motion, ROBOT, LIVE, options), *more]
    return speed_factor(motion, ROBOT, LIVE, options, found)


def touch(speed: float, limit: float) -> Finding:
    """Return the finding of a touch that is too fast."""
    return Finding(FindingCode.CONTACT, Severity.FAIL, 'fast', value=speed, limit=limit, unit='m/s')


def test_velocity_by_hand():
    # 1 rad in 0.75 s peaks at 2 rad/s, twice the limit
    assert factor(move(1.0, 0.75)) == pytest.approx(0.5, rel=2e-3)


def test_acceleration_by_hand():
    # 1.5 rad / s^2 at the ends of 1 rad in 2 s; it falls with the square of the speed
    options = Tier0Settings(limits={'turn': JointLimit(acceleration=0.5)})
    assert factor(move(1.0, 2.0), options) == pytest.approx(math.sqrt(1 / 3), rel=2e-3)


def test_touch_speed_by_hand():
    assert factor(move(1.0, 3.0), more=[touch(0.6, 0.3)]) == pytest.approx(0.5, rel=2e-3)
    both = factor(move(1.0, 0.75), more=[touch(0.6, 0.2)])
    assert both == pytest.approx(1 / 3, rel=2e-3)


def test_none_where_slowness_is_no_cure():
    assert factor(move(1.0, 3.0)) is None                       # nothing is wrong
    assert factor(move(2.5, 0.75)) is None                      # and beyond its position
    assert factor(move(1.0, 0.01)) is None                      # slower than 5 %
    contact = Finding(FindingCode.CONTACT, Severity.FAIL, 'deep', value=-0.02, unit='m')
    assert factor(move(1.0, 0.75), more=[contact]) is None


def test_at_speed_keeps_the_way():
    slow = at_speed(move(1.0, 1.0), 0.5)
    np.testing.assert_allclose(slow.times, [0.0, 2.0])
    np.testing.assert_array_equal(slow.positions, [[0.0], [1.0]])


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 1.9), st.floats(0.05, 2.0), st.floats(0.5, 20.0))
def test_the_factor_passes_and_a_little_more_does_not(way, seconds, acceleration):
    options = Tier0Settings(limits={'turn': JointLimit(acceleration=acceleration)})
    motion = move(way, seconds)
    best = factor(motion, options)
    if best is not None:
        assert check_tier0(at_speed(motion, best), ROBOT, LIVE, options) == ()
        assert check_tier0(at_speed(motion, best * 1.01), ROBOT, LIVE, options) != ()


def verdict(status, clearance=None, success=None) -> Verdict:
    """Return a verdict."""
    return Verdict(status, '', min_clearance=clearance, success=success)


def test_rank():
    good = [verdict(Status.FAIL, 0.5), verdict(Status.PASS, 0.02), verdict(Status.UNSURE),
            verdict(Status.PASS, 0.04), verdict(Status.PASS, float('inf'))]
    assert rank(good) == [4, 3, 1, 2, 0]
    same = [verdict(Status.PASS, 0.041), verdict(Status.PASS, 0.043), verdict(Status.PASS, None)]
    assert rank(same, [5.0, 4.0, 1.0]) == [1, 0, 2]
    goals = [verdict(Status.PASS, 0.04, 0.3), verdict(Status.PASS, 0.01, 0.9)]
    assert rank(goals) == [1, 0]
    assert rank([]) == []
