# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: each limit and the workspace by numbers worked out by hand."""
import math

import pytest
from two_links import check, LIVE, only, ROBOT, SLOW, trajectory, URDF

from kinema4d_ros.precheck import check_tier0, Tier0Settings
from kinema4d_ros.robot import JointLimitsFile, Robot
from kinema4d_ros.types import FindingCode, JointLimit, Severity


def test_position_between_the_points():
    # p = 1.9 + 0.8 u (1 - u): both points are inside, the middle is at 2.1 with the limit at 2;
    # with the tolerance of 0.001 it is left where 0.8 u (1 - u) = 0.101
    motion = trajectory([0, 1], positions=[1.9, 1.9], velocities=[0.8, -0.8])
    found = only(check(motion, {**LIVE, 'shoulder': 1.9}, allow_end_velocity=True),
                 FindingCode.POSITION_LIMIT)
    assert found.value == pytest.approx(2.1, abs=1e-9) and found.limit == 2.0
    assert found.time == pytest.approx((1 - math.sqrt(1 - 0.505)) / 2, abs=1e-6)
    assert found.message == ("joint 'shoulder' would reach 2.100 rad at 0.50 s, limit 2.000 "
                             '(URDF), beyond it since 0.15 s')


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


@pytest.mark.parametrize('limit', ['', 'velocity="0"', 'velocity="1000000000"'])
def test_a_speed_that_nothing_limits_is_not_known_to_be_possible(limit):
    """A point a nanosecond away is a jump, which a limit of 0, none, or 1e9 let pass."""
    arm = Robot.from_urdf(URDF.replace('velocity="1"', limit))
    jump = trajectory([1e-9], positions=[0.5])
    (found,) = against(check_tier0(jump, arm, LIVE))
    assert (found.code, found.severity, found.link) == (
        FindingCode.VELOCITY_LIMIT, Severity.UNSURE, 'shoulder')
    assert 'joint_limits.shoulder.max_velocity' in found.message
    stated = Tier0Settings(limits={'shoulder': JointLimit(velocity=6e8)})
    assert not against(check_tier0(jump, arm, LIVE, stated))
    assert not against(check_tier0(trajectory([0.1], positions=[0.5]), arm, LIVE))


def against(found):
    """Return the findings that forbid a PASS."""
    return [finding for finding in found if finding.severity > Severity.INFO]


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
    found = check_tier0(trajectory([0, 1], 'spin', positions=[0, 5]), ROBOT, LIVE)
    assert [(f.code, f.severity) for f in found] == [(FindingCode.NOT_CHECKED, Severity.INFO)]
    assert 'no velocity limit is known for spin' in found[0].message


def test_a_mimic_joint_may_be_named():
    motion = trajectory([0, 2], ('slide', 'follow'), positions=[[0, 0], [0.05, 0.05]])
    assert check(motion) == []


@pytest.mark.parametrize('names, words', [
    (('follow',), "command 'slide'"), (('again',), "command 'slide'"),
    (('follow', 'again'), "command 'slide'")])
def test_joints_that_only_follow_are_refused(names, words):
    """The controller would refuse them too; what they follow stays, so nothing would be judged."""
    robot = Robot.from_urdf(URDF.replace('</robot>', """<link name="copy2"/>
      <joint name="again" type="prismatic"><parent link="hand"/><child link="copy2"/>
      <limit lower="0" upper="0.1"/><mimic joint="follow"/></joint></robot>"""))
    found = check_tier0(trajectory([0, 2], names, positions=[[0] * len(names), [9] * len(names)]),
                        robot, LIVE)
    assert [f.code for f in found] == [FindingCode.UNKNOWN_JOINT] and words in found[0].message


def test_a_joint_that_follows_must_be_told_where_it_will_be():
    motion = trajectory([0, 2], ('slide', 'follow'), positions=[[0, 0], [0.05, 0.09]])
    assert "'follow' follows 'slide'" in only(check(motion), FindingCode.NOT_CHECKED,
                                              Severity.UNSURE).message


FILE = JointLimitsFile('joint_limits.yaml', {'shoulder': JointLimit(upper=0.5, velocity=0.6)})


def test_the_tightest_limit_holds_and_is_named():
    soft = Robot.from_urdf(URDF.replace('<axis', '<safety_controller soft_lower_limit="-0.7" '
                                        'soft_upper_limit="0.7"/><axis', 1))
    for settings, limit, source in (
            ({}, 0.7, 'safety_controller of the URDF'),
            ({'joint_limits_file': FILE}, 0.5, 'joint_limits.yaml'),
            ({'joint_limits_file': FILE, 'limits': {'shoulder': JointLimit(upper=0.4)}}, 0.4,
             'settings')):
        found = check_tier0(trajectory([0, 4], positions=[0, 1]), soft, LIVE,
                            Tier0Settings(**settings))
        position = [f for f in found if f.code == FindingCode.POSITION_LIMIT]
        assert position[0].limit == limit and f'limit {limit:.3f} ({source})' in position[0].message


def test_a_velocity_limit_of_a_file_holds():
    found = only(check(trajectory([0, 1], positions=[0, 0.49], velocities=[0, 0]),
                       joint_limits_file=FILE), FindingCode.VELOCITY_LIMIT)
    assert found.limit == 0.6 and '(joint_limits.yaml)' in found.message
    found = only(check(trajectory([0, 2], positions=[0, 0.49], velocities=[0, 0]),
                       joint_limits_file=FILE, velocity_scale=0.5), FindingCode.VELOCITY_LIMIT)
    assert found.limit == 0.3 and '(0.5 of joint_limits.yaml)' in found.message


@pytest.mark.parametrize('names, severity', [
    (('shoulder', 'other'), Severity.INFO), (('left_shoulder',), Severity.UNSURE)])
def test_a_file_of_limits_for_joints_that_are_not_there(names, severity):
    file = JointLimitsFile('l.yaml', {name: JointLimit(velocity=1.0) for name in names})
    found = check_tier0(SLOW, ROBOT, LIVE, Tier0Settings(joint_limits_file=file))
    assert [(f.severity, names[-1] in f.message) for f in found] == [(severity, True)]


@pytest.mark.parametrize('start, end, want', [
    (2.004, 2.004, None), (2.004, 1.0, None), (2.004, 2.008, Severity.FAIL),
    (2.05, 1.0, Severity.UNSURE), (2.05, 2.04, Severity.FAIL), (2.05, 2.5, Severity.FAIL),
    (-2.05, -1.0, Severity.UNSURE), (-2.004, -1.99, None), (-2.05, 2.05, Severity.FAIL)])
@pytest.mark.parametrize('first', [0.0, 5.0])
def test_a_joint_beyond_its_limit_may_be_brought_back(start, end, want, first):
    """A hair beyond is how drives rest; more is doubtful, and no motion goes farther out."""
    positions = [start, end] if first == 0.0 else [end, end]
    found = check(trajectory([first, 20], positions=positions), {**LIVE, 'shoulder': start})
    if want is None:
        assert found == []
    else:
        assert 'limit' in only(found, FindingCode.POSITION_LIMIT, want).message


def test_a_resting_joint_beyond_a_soft_limit_is_no_doubt():
    soft = Robot.from_urdf(URDF.replace('<limit lower="-1.5" upper="1.5"', '<safety_controller '
                                        'soft_lower_limit="-1" soft_upper_limit="1"/>'
                                        '<limit lower="-1.5" upper="1.5"'))
    assert [f for f in check_tier0(SLOW, soft, {**LIVE, 'elbow': 1.2})
            if f.severity > Severity.INFO] == []


@pytest.mark.parametrize('motion, live, options, words', [
    (trajectory([0, 2], positions=[0, 1], velocities=[0, 2e-7]), LIVE, {},
     'still moves at 0.0000002 rad/s'),
    (trajectory([0, 20], positions=[0, 2.0003]), LIVE, {'position_tolerance': 0},
     'reach 2.0003 rad at 20.00 s, limit 2.0000'),
    (trajectory([0, 1], positions=[0, 1.00002]), LIVE, {},
     'velocity 1.00002 rad/s at 0.00 s, limit 1.00000'),
    (trajectory([0, 2], positions=[0.01000001, 0.1]), LIVE, {},
     '0.01000001 rad away (allowed 0.01000000)'),
    (trajectory([0, 1, 1 - 1e-5], positions=[0, 0.1, 0.2]), LIVE, {},
     'point 2 is at 0.99999 s, not after point 1 at 1.00000 s'),
    (SLOW, {**LIVE, 'elbow': 1.50001}, {'start_tolerance': 0},
     'at 1.50001 rad, beyond its limit of 1.50000')])
def test_numbers_show_what_is_wrong(motion, live, options, words):
    messages = [finding.message for finding in check(motion, live, **options)]
    assert any(words in message for message in messages), messages


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
