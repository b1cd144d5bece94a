# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: the form of a trajectory, where it starts and ends, and every kind of bad input."""
import math

import numpy as np
import pytest
from two_links import check, LIVE, only, ROBOT, SLOW, trajectory

from kinema4d_ros.errors import ConfigurationError, UnknownJointError
from kinema4d_ros.precheck import check_tier0, decide, Tier0Settings
from kinema4d_ros.types import FindingCode, JointLimit, JointTrajectory, Severity, Status


def test_a_good_motion_has_no_finding_and_passes():
    assert check_tier0(SLOW, ROBOT, LIVE) == ()
    verdict = decide({0: check_tier0(SLOW, ROBOT, LIVE)}, required=(0,))
    assert verdict.status == Status.PASS


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


@pytest.mark.parametrize('options, words', [
    ({'start_tolerance': -0.1}, 'start_tolerance must be at least 0'),
    ({'position_tolerance': math.nan}, 'position_tolerance'),
    ({'velocity_scale': 0.0}, 'velocity_scale must be more than 0'),
    ({'velocity_scale': 50.0}, 'velocity_scale must be at most 1, got 50'),
    ({'step_time': 1e9}, 'step_time must be at most 1'),
    ({'travel': 10.0}, 'travel must be at most 0.2'),
    ({'start_tolerance': 1.5}, 'start_tolerance must be at most 1'),
    ({'step_time': math.inf}, 'step_time'),
    ({'position_tolerance': 10.0}, 'position_tolerance must be at most 1'),
    ({'limits': {'elbow': JointLimit(velocity=math.nan)}}, "limit of joint 'elbow' is nan"),
    ({'limits': {'elbow': JointLimit(lower=math.nan)}}, 'lower limit'),
    ({'limits': {'elbow': JointLimit(acceleration=-1.0)}}, '0 or more'),
    ({'limits': {'elbow': JointLimit(lower=1.0, upper=-1.0)}}, 'swap them'),
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
