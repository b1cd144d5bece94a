# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: each limit and the workspace by numbers worked out by hand."""
import math

import pytest
from two_links import check, LIVE, only, ROBOT, SLOW, trajectory

from kinema4d_ros.precheck import check_tier0
from kinema4d_ros.types import FindingCode, JointLimit, Severity


def test_position_between_the_points():
    # p = 1.9 + 0.8 u (1 - u): both points are inside, the middle is at 2.1 with the limit at 2;
    # with the tolerance of 0.001 it is left where 0.8 u (1 - u) = 0.101
    motion = trajectory([0, 1], positions=[1.9, 1.9], velocities=[0.8, -0.8])
    found = only(check(motion, {**LIVE, 'shoulder': 1.9}, allow_end_velocity=True),
                 FindingCode.POSITION_LIMIT)
    assert found.value == pytest.approx(2.1, abs=1e-9) and found.limit == 2.0
    assert found.time == pytest.approx((1 - math.sqrt(1 - 0.505)) / 2, abs=1e-6)
    assert found.message == ("joint 'shoulder' would reach 2.100 rad at 0.50 s, limit 2.000, "
                             'beyond it since 0.15 s')


def test_position_below_the_lower_limit_of_a_prismatic_joint():
    motion = trajectory([0, 1], 'slide', positions=[0, -0.05])
    found = only(check(motion), FindingCode.POSITION_LIMIT)
    assert (found.limit, found.unit) == (0.0, 'm') and found.value == pytest.approx(-0.05)
    assert found.time == pytest.approx(0.02)     # 0.001 of tolerance at 0.05 m/s


def test_position_of_a_single_point_at_time_zero():
    motion = trajectory([0], positions=[2.5])
    found = only(check(motion, {**LIVE, 'shoulder': 2.5}), FindingCode.POSITION_LIMIT)
    assert found.value == 2.5 and found.time == 0.0


def test_velocity_of_a_straight_line_and_of_a_cubic():
    found = only(check(trajectory([0, 0.5], positions=[0, 1])), FindingCode.VELOCITY_LIMIT)
    assert found.value == pytest.approx(2.0) and (found.limit, found.unit) == (1.0, 'rad/s')
    # rest to rest over 1 rad in 1 s: 6 u (1 - u), at most 1.5 at 0.5 s
    found = only(check(trajectory([0, 1], positions=[0, 1], velocities=[0, 0])),
                 FindingCode.VELOCITY_LIMIT)
    assert found.value == pytest.approx(1.5)
    assert found.time == pytest.approx((1 - math.sqrt(1 / 3)) / 2, abs=1e-5)


def test_velocity_exactly_at_its_limit_is_allowed():
    assert check(trajectory([0, 1.5], positions=[0, 1], velocities=[0, 0])) == []


def test_velocity_scale():
    found = only(check(SLOW, velocity_scale=0.5), FindingCode.VELOCITY_LIMIT)
    assert found.limit == 0.5 and found.value == pytest.approx(0.75)


def test_acceleration_of_cubic_and_quintic():
    limit = {'shoulder': JointLimit(acceleration=1.4)}
    # rest to rest over 1 rad in 2 s: cubic 6 / 4 = 1.5 at the start
    found = only(check(SLOW, limits=limit), FindingCode.ACCELERATION_LIMIT)
    assert abs(found.value) == pytest.approx(1.5) and found.time == pytest.approx(0)
    assert found.unit == 'rad/s^2'
    # quintic 10 / sqrt(3) / 4 = 1.443 at u = (3 - sqrt 3) / 6
    motion = trajectory([0, 2], positions=[0, 1], velocities=[0, 0], accelerations=[0, 0])
    found = only(check(motion, limits=limit), FindingCode.ACCELERATION_LIMIT)
    assert abs(found.value) == pytest.approx(10 / math.sqrt(3) / 4, abs=1e-9)
    assert check(motion, limits={'shoulder': JointLimit(acceleration=1.45)}) == []


def test_acceleration_of_straight_lines_is_the_jump_over_the_step_time():
    motion = trajectory([0, 2, 4], positions=[0, 1, 1.5])     # 0.5, then 0.25 rad/s
    limit = {'shoulder': JointLimit(acceleration=30.0)}
    found = only(check(motion, limits=limit), FindingCode.ACCELERATION_LIMIT)
    assert found.value == pytest.approx(50) and found.time == 0.0   # from rest in 0.01 s
    assert check(motion, limits=limit, step_time=0.02) == []


def test_jerk_of_quintic_and_of_the_jump_in_a_cubic():
    motion = trajectory([0, 2], positions=[0, 1], velocities=[0, 0], accelerations=[0, 0])
    found = only(check(motion, limits={'shoulder': JointLimit(jerk=7.0)}), FindingCode.JERK_LIMIT)
    assert abs(found.value) == pytest.approx(60 / 8) and found.unit == 'rad/s^3'
    # the cubic starts with 1.5 rad/s^2 from rest: 150 rad/s^3 over 0.01 s
    found = only(check(SLOW, limits={'shoulder': JointLimit(jerk=140.0)}), FindingCode.JERK_LIMIT)
    assert found.value == pytest.approx(150)


def test_configured_limits_only_tighten():
    loose = {'shoulder': JointLimit(lower=-9, upper=9, velocity=9)}
    assert only(check(trajectory([0, 0.5], positions=[0, 1]), limits=loose),
                FindingCode.VELOCITY_LIMIT).limit == 1.0
    tight = {'shoulder': JointLimit(upper=0.5)}
    assert only(check(SLOW, limits=tight), FindingCode.POSITION_LIMIT).limit == 0.5
    tight = {'shoulder': JointLimit(lower=-0.5, velocity=0.7)}
    assert only(check(SLOW, limits=tight), FindingCode.VELOCITY_LIMIT).limit == 0.7
    back = trajectory([0, 2], positions=[0, -0.6], velocities=[0, 0])
    assert only(check(back, limits=tight), FindingCode.POSITION_LIMIT).limit == -0.5
    assert only(check(trajectory([0, 9], positions=[0, -3]), limits=loose),
                FindingCode.POSITION_LIMIT).limit == -2.0


def test_what_was_not_checked_is_said():
    found = check_tier0(trajectory([0, 1], 'spin', positions=[0, 9]), ROBOT, LIVE)
    assert [(f.code, f.severity) for f in found] == [(FindingCode.NOT_CHECKED, Severity.INFO)]
    assert 'no velocity limit is known for spin' in found[0].message


def test_a_mimic_joint_may_be_named():
    motion = trajectory([0, 2], ('slide', 'follow'), positions=[[0, 0], [0.05, 0.05]])
    assert check(motion) == []


@pytest.mark.parametrize('end', [0.05, 9.0])
def test_a_trajectory_of_mimic_joints_alone_is_refused(end):
    found = only(check(trajectory([0, 2], 'follow', positions=[0, end])),
                 FindingCode.UNKNOWN_JOINT)
    assert found.severity == Severity.FAIL and "name 'slide'" in found.message


def test_overshoot_next_to_a_rest():
    # the end is reached from above with no acceleration, where Newton's method finds nothing
    motion = trajectory([0, 1.625], 'elbow', positions=[0, 1.5], velocities=[0, -0.008],
                        accelerations=[0, 0])
    found = only(check(motion, position_tolerance=0.0, allow_end_velocity=True),
                 FindingCode.POSITION_LIMIT)
    assert found.value > 1.5001


def test_workspace_by_hand():
    # the fore link's origin runs on a circle of 1 m; y = sin(q) leaves 0.8 at q = 0.927
    motion = trajectory([0, 4], positions=[0, 1.2])
    box = (-2, -1, -1, 2, 0.8, 1)
    found = check(motion, workspace=box)
    assert {f.code for f in found} == {FindingCode.WORKSPACE}
    fore = next(f for f in found if f.link == 'fore')
    assert fore.value == pytest.approx(math.sin(1.2)) and fore.limit == 0.8
    assert fore.point_base == pytest.approx((math.cos(1.2), math.sin(1.2), 0))
    assert math.asin(0.8) / 0.3 <= fore.time <= math.asin(0.8) / 0.3 + 0.06
    assert check(motion, workspace=(-2, -1, -1, 2, 1.0, 1)) == []


def test_a_link_that_stands_still_may_be_outside():
    assert check(SLOW, workspace=(-2, -1, -1, 2, 1, 1)) == []     # the camera is at 9 9 9
