# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0, each rule by numbers worked out by hand, and every kind of bad input."""
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import ConfigurationError, UnknownJointError
from kinema4d_ros.precheck import Tier0Settings, check_tier0, decide
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, JointLimit, JointTrajectory, Severity, Status

URDF = """<robot name="hand_made">
  <link name="base"/> <link name="upper"/> <link name="fore"/> <link name="hand"/>
  <link name="wheel"/> <link name="copy"/> <link name="camera"/>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
    <axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
  <joint name="elbow" type="revolute"><parent link="upper"/><child link="fore"/>
    <origin xyz="1 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-1.5" upper="1.5" velocity="2" effort="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="fore"/><child link="hand"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="0.1" velocity="0.2" effort="1"/></joint>
  <joint name="spin" type="continuous"><parent link="hand"/><child link="wheel"/>
    <axis xyz="0 0 1"/></joint>
  <joint name="follow" type="prismatic"><parent link="hand"/><child link="copy"/>
    <axis xyz="0 1 0"/><limit lower="0" upper="0.1" velocity="0.2" effort="1"/>
    <mimic joint="slide"/></joint>
  <joint name="bolt" type="fixed"><parent link="base"/><child link="camera"/>
    <origin xyz="9 9 9"/></joint>
</robot>"""
ROBOT = Robot.from_urdf(URDF)
LIVE = {'shoulder': 0.0, 'elbow': 0.0, 'slide': 0.0, 'spin': 0.0}


def trajectory(times, names='shoulder', **fields):
    """Build a trajectory of one joint from lists, or of several from nested lists."""
    names = (names,) if isinstance(names, str) else tuple(names)
    columns = {key: np.reshape(value, (len(times), len(names)))
               for key, value in fields.items()}
    return JointTrajectory(names, np.array(times, float), **columns)


def check(motion, live=LIVE, **options):
    """Return the findings above INFO."""
    found = check_tier0(motion, ROBOT, live, Tier0Settings(**options))
    return [finding for finding in found if finding.severity > Severity.INFO]


def only(findings, code, severity=Severity.FAIL):
    """Return the one finding, which must have this code."""
    assert [f.code for f in findings] == [code], [f.message for f in findings]
    assert findings[0].severity == severity
    return findings[0]


SLOW = trajectory([0.0, 2.0], positions=[0, 1], velocities=[0, 0])   # peak 0.75 rad/s


def test_a_good_motion_has_no_finding_and_passes():
    assert check_tier0(SLOW, ROBOT, LIVE) == ()
    verdict = decide({0: check_tier0(SLOW, ROBOT, LIVE)}, required=(0,))
    assert verdict.status == Status.PASS


# ------------------------------------------------------------------ form

@pytest.mark.parametrize('motion, words', [
    (JointTrajectory(('shoulder',), np.zeros(0), np.zeros((0, 1))), 'no points'),
    (JointTrajectory((), np.zeros(2), np.zeros((2, 0))), 'no joints')])
def test_empty(motion, words):
    assert words in only(check(motion), FindingCode.EMPTY_TRAJECTORY).message


@pytest.mark.parametrize('name', ['sholder', 'bolt', ''])
def test_unknown_joint_lists_the_known(name):
    found = only(check(trajectory([1.0], name, positions=[0])), FindingCode.UNKNOWN_JOINT)
    assert found.link == name
    assert 'shoulder, elbow, slide, spin' in found.message and 'hand_made' in found.message


def test_missing_joint():
    found = only(check(SLOW, required_joints=('shoulder', 'elbow')), FindingCode.MISSING_JOINT)
    assert found.link == 'elbow'


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('key', ['positions', 'velocities', 'accelerations'])
def test_not_finite(key, bad):
    fields = {'positions': [0, 1], 'velocities': [0, 0], 'accelerations': [0, 0]}
    fields[key] = [0, bad]
    found = only(check(trajectory([0, 2], **fields)), FindingCode.NOT_FINITE)
    assert key in found.message and 'point 1' in found.message and found.link == 'shoulder'


def test_time_that_is_not_finite():
    found = only(check(trajectory([0, math.nan], positions=[0, 1])), FindingCode.NOT_FINITE)
    assert 'times at point 1' in found.message


@pytest.mark.parametrize('times, words', [
    ([0, 1, 1], 'point 2 is at 1.000 s, not after point 1'),
    ([0, 2, 1], 'point 2 is at 1.000 s, not after point 1 at 2.000 s'),
    ([-1, 1, 2], 'first point is at -1.000 s')])
def test_times_not_increasing(times, words):
    motion = trajectory(times, positions=[0, 0.1, 0.2])
    assert words in only(check(motion), FindingCode.TIMES_NOT_INCREASING).message


def test_accelerations_without_velocities_are_unsure():
    motion = trajectory([0, 2], positions=[0, 0], accelerations=[0, 0])
    found = only(check(motion), FindingCode.NOT_CHECKED, Severity.UNSURE)
    assert 'add velocities' in found.message


def test_numbers_too_large_to_compute_with_are_unsure():
    motion = trajectory([0, 1e-3], 'spin', positions=[0, 1e308], velocities=[1e308, 0])
    found = only(check(motion), FindingCode.NOT_CHECKED, Severity.UNSURE)
    assert 'too large' in found.message


# ------------------------------------------------------------------ start and end

def test_start_state():
    found = only(check(SLOW, {**LIVE, 'shoulder': 0.02}), FindingCode.START_STATE)
    assert (found.link, found.time, found.limit) == ('shoulder', 0.0, 0.01)
    assert found.value == pytest.approx(0.02)
    assert check(SLOW, {**LIVE, 'shoulder': 0.02}, start_tolerance=0.03) == []


def test_start_state_of_a_continuous_joint_counts_modulo_a_turn():
    motion = trajectory([0, 9], 'spin', positions=[2 * math.pi, 6.3])
    assert check(motion) == []
    found = only(check(motion, {**LIVE, 'spin': -0.5}), FindingCode.START_STATE)
    assert found.value == pytest.approx(0.5)


def test_a_later_first_point_is_reached_from_the_live_state():
    # 0.8 rad in 0.5 s by a straight line is 1.6 rad/s
    motion = trajectory([0.5, 3.0], positions=[0.8, 1.0])
    found = only(check(motion), FindingCode.VELOCITY_LIMIT)
    assert found.value == pytest.approx(1.6) and found.time == 0.0
    assert check(motion, {**LIVE, 'shoulder': 0.7}) == []


@pytest.mark.parametrize('live', [
    {k: v for k, v in LIVE.items() if k != 'elbow'}, {**LIVE, 'elbow': math.nan}])
def test_unknown_live_joint_is_unsure(live):
    found = only(check(SLOW, live), FindingCode.MISSING_INPUT, Severity.UNSURE)
    assert 'elbow' in found.message


def test_a_joint_that_rests_beyond_its_limits_is_unsure():
    # shoulder moves; elbow may be within 1.5 rad, and 0.01 of tolerance
    found = only(check(SLOW, {**LIVE, 'elbow': -1.52}), FindingCode.POSITION_LIMIT,
                 Severity.UNSURE)
    assert (found.link, found.value, found.limit) == ('elbow', -1.52, -1.5)
    assert check(SLOW, {**LIVE, 'elbow': 1.505, 'spin': 99.0}) == []


def test_limits_are_checked_even_without_live_joints():
    codes = [f.code for f in check(trajectory([0.5, 1.0], positions=[0, 1]), {})]
    assert codes == [FindingCode.MISSING_INPUT, FindingCode.VELOCITY_LIMIT]


def test_end_velocity():
    motion = trajectory([0, 2], positions=[0, 1], velocities=[0, 0.4])
    found = only(check(motion), FindingCode.NONZERO_END_VELOCITY)
    assert (found.value, found.limit, found.time, found.unit) == (0.4, 0.0, 2.0, 'rad/s')
    assert check(motion, allow_end_velocity=True) == []


# ------------------------------------------------------------------ limits

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
    assert check(trajectory([0, 2], 'follow', positions=[0, 0.05])) == []


def test_overshoot_next_to_a_rest():
    # the end is reached from above with no acceleration, where Newton's method finds nothing
    motion = trajectory([0, 1.625], 'elbow', positions=[0, 1.5], velocities=[0, -0.008],
                        accelerations=[0, 0])
    found = only(check(motion, position_tolerance=0.0, allow_end_velocity=True),
                 FindingCode.POSITION_LIMIT)
    assert found.value > 1.5001


# ------------------------------------------------------------------ workspace

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


# ------------------------------------------------------------------ settings

@pytest.mark.parametrize('options, words', [
    ({'start_tolerance': -0.1}, 'start_tolerance must be at least 0'),
    ({'position_tolerance': math.nan}, 'position_tolerance'),
    ({'velocity_scale': 0.0}, 'velocity_scale must be more than 0'),
    ({'step_time': math.inf}, 'step_time'),
    ({'workspace': (0, 0, 0, 1, 1)}, 'workspace must be x0 y0 z0'),
    ({'workspace': (0, 0, 0, 1, -1, 1)}, 'smaller corner first')])
def test_bad_settings(options, words):
    with pytest.raises(ConfigurationError, match=words):
        Tier0Settings(**options)


@pytest.mark.parametrize('options', [
    {'limits': {'nobody': JointLimit()}}, {'required_joints': ('nobody',)}])
def test_settings_for_another_robot(options):
    with pytest.raises(UnknownJointError, match='tier 0 settings: unknown joint.*nobody'):
        check_tier0(SLOW, ROBOT, LIVE, Tier0Settings(**options))


# ------------------------------------------------------------------ properties

@st.composite
def motions(draw):
    """Draw a motion of two joints, smooth or rough, inside or outside of the limits."""
    points = draw(st.integers(1, 5))
    value = st.floats(-2.5, 2.5).map(lambda x: round(x, 3))
    array = st.lists(value, min_size=2 * points, max_size=2 * points)
    gaps = draw(st.lists(st.floats(0.05, 3.0), min_size=points, max_size=points))
    kind = draw(st.integers(1, 3))
    fields = dict(zip(('positions', 'velocities', 'accelerations'),
                      [draw(array) for _ in range(kind)]))
    times = np.cumsum(gaps) - (gaps[0] if draw(st.booleans()) else 0)
    return trajectory(times, ('shoulder', 'elbow'), **fields)


def status(motion, options):
    """Return the verdict's status of tier 0 alone."""
    return decide({0: check_tier0(motion, ROBOT, LIVE, options)}, required=(0,)).status


@settings(max_examples=60, deadline=None)
@given(motions(), st.floats(0.1, 4), st.floats(0.1, 4), st.floats(1, 50), st.floats(0.1, 1))
def test_a_tighter_limit_never_turns_fail_into_pass(motion, upper, velocity, acceleration, share):
    loose = JointLimit(upper=upper, lower=-upper, velocity=velocity, acceleration=acceleration,
                       jerk=20 * acceleration)
    tight = JointLimit(*(None if value is None else value * share
                         for value in dataclasses.astuple(loose)))
    box = (-2.0, -2.0, -1.0, 2.5, 1.5, 1.0)
    wide = Tier0Settings(limits={'shoulder': loose, 'elbow': loose}, workspace=box,
                         allow_end_velocity=True, start_tolerance=1.0)
    narrow = Tier0Settings(limits={'shoulder': tight, 'elbow': tight}, velocity_scale=share,
                           workspace=tuple(share * x for x in box),
                           start_tolerance=share, position_tolerance=1e-3 * share,
                           step_time=0.01 * share)
    if status(motion, wide) == Status.FAIL:
        assert status(motion, narrow) == Status.FAIL


@settings(max_examples=40, deadline=None)
@given(motions(), st.floats(0.2, 5.0))
def test_time_scaling(motion, factor):
    # Positions stay, speeds go with 1 / factor, accelerations with its square, jerks with its cube.
    assume(len(motion.times) > 1)
    if motion.times[0] > 0:      # the way from the live joints is a part of it
        motion = dataclasses.replace(motion, times=motion.times - motion.times[0])
    slower = JointTrajectory(
        motion.joint_names, motion.times * factor, motion.positions,
        None if motion.velocities is None else motion.velocities / factor,
        None if motion.accelerations is None else motion.accelerations / factor ** 2)
    tight = JointLimit(lower=-1e-3, upper=1e-3, velocity=1e-9, acceleration=1e-9, jerk=1e-9)

    def worst(moved, step):
        options = Tier0Settings(limits={'shoulder': tight, 'elbow': tight}, step_time=step,
                                start_tolerance=9, allow_end_velocity=True)
        return {(f.code, f.link): abs(f.value) for f in check_tier0(moved, ROBOT, LIVE, options)
                if f.value is not None}
    one, other = worst(motion, 0.01), worst(slower, 0.01 * factor)
    power = {FindingCode.VELOCITY_LIMIT: 1, FindingCode.ACCELERATION_LIMIT: 2,
             FindingCode.JERK_LIMIT: 3}
    for key, value in one.items():
        scaled = value / factor ** power.get(key[0], 0)
        assert other.get(key, 0.0) == pytest.approx(scaled, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(motions())
def test_findings_agree_with_dense_sampling(motion):
    from kinema4d_ros.robot import sample_trajectory
    found = check_tier0(motion, ROBOT, LIVE, Tier0Settings(start_tolerance=9))
    times = np.linspace(0, max(motion.duration, 1e-3), 4001)
    dense = sample_trajectory(motion, ROBOT, times, LIVE)
    for name in motion.joint_names:
        column, limit = ROBOT.joint_names.index(name), ROBOT.limits[name]
        for code, values, bound in (
                (FindingCode.POSITION_LIMIT, dense.positions, limit.upper + 1e-3),
                (FindingCode.VELOCITY_LIMIT, dense.velocities, limit.velocity * (1 + 1e-6))):
            worst = np.abs(values[:, column]).max()
            mine = [f for f in found if f.code == code and f.link == name]
            if worst > bound:
                assert abs(mine[0].value) >= worst - 1e-9
            if mine and len(motion.times) > 1:
                # between two samples the motion can go a little further than at them
                assert abs(mine[0].value) <= worst * (1 + 1e-2) + 1e-2


@settings(max_examples=40, deadline=None)
@given(motions(), st.permutations([0, 1]))
def test_the_order_of_joints_does_not_matter(motion, order):
    names = tuple(motion.joint_names[i] for i in order)
    other = JointTrajectory(names, motion.times, *(
        None if x is None else x[:, order]
        for x in (motion.positions, motion.velocities, motion.accelerations)))
    key = lambda f: (f.code, f.link)  # noqa: E731
    first, second = (sorted(check_tier0(m, ROBOT, LIVE), key=key) for m in (motion, other))
    assert [f.message for f in first] == [f.message for f in second]
