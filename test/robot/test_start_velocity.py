# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Blending from joints that move, and stamps, against SciPy's splines and a shift in time."""
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from robots import one_joint
from scipy.interpolate import BPoly, CubicHermiteSpline

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.robot import from_receipt, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, StartState

ROBOT = Robot.from_urdf(one_joint('<limit lower="-9" upper="9"/>'))
ENDLESS = Robot.from_urdf(one_joint(kind='continuous'))
numbers = st.floats(-3, 3)
times = st.floats(0.1, 4)


def motion(times, *fields):
    """Return a trajectory of joint j with positions, velocities, accelerations."""
    return JointTrajectory(('j',), np.array(times, float),
                           *(np.array(field, float).reshape(-1, 1) for field in fields))


def sample(trajectory, times, position=0.0, velocity=0.0, robot=ROBOT):
    """Return (positions, velocities, accelerations), each (T,)."""
    out = sample_trajectory(trajectory, robot, np.atleast_1d(times),
                            StartState({'j': position}, {'j': velocity}))
    return out.positions[:, 0], out.velocities[:, 0], out.accelerations[:, 0]


@pytest.mark.parametrize('fields, off', [(([0], [0]), 0.133), (([0], [0], [0]), 0.178)])
def test_what_the_assumption_of_rest_was_off_by_on_the_real_controller(fields, off):
    """At 0.9 rad/s with the first point at 1 s: 0.133 rad when cubic, 0.178 when quintic."""
    at = np.linspace(0, 1, 1001)
    moving, _, _ = sample(motion([1.0], *fields), at, velocity=0.9)
    resting, _, _ = sample(motion([1.0], *fields), at)
    assert np.abs(moving - resting).max() == pytest.approx(off, abs=5e-4)


def test_a_goal_to_stay_is_overshot_as_the_real_controller_did():
    """At 0.2 rad/s, "stay at 0.5" in 3 s: the reference went to about 0.59."""
    at = np.linspace(0, 3, 3001)
    assert sample(motion([3.0], [0.5], [0]), at, 0.5, 0.2)[0].max() == pytest.approx(
        0.5 + 0.2 * 3 * 4 / 27, abs=1e-6)


@given(times, numbers, numbers, numbers, numbers)
def test_cubic_blend_is_scipys(first, p0, v0, p1, v1):
    at = np.linspace(0, first, 23)[:-1]
    spline = CubicHermiteSpline([0, first], [p0, p1], [v0, v1])
    for order, values in enumerate(sample(motion([first], [p1], [v1]), at, p0, v0)):
        np.testing.assert_allclose(values, spline(at, nu=order), atol=1e-7, rtol=1e-9)


@given(times, numbers, numbers, numbers, numbers, numbers)
def test_quintic_blend_is_scipys(first, p0, v0, p1, v1, a1):
    at = np.linspace(0, first, 23)[:-1]
    spline = BPoly.from_derivatives([0, first], [[p0, v0, 0.0], [p1, v1, a1]])
    got = sample(motion([first], [p1], [v1], [a1]), at, p0, v0)
    for order, values in enumerate(got):
        np.testing.assert_allclose(values, spline(at, nu=order), atol=1e-7, rtol=1e-7)


@given(times, st.floats(-20, 20), numbers, numbers, st.sampled_from([2, 3]))
def test_nothing_jumps_where_it_starts(first, p0, v0, p1, fields):
    """Position and velocity begin as measured; a continuous joint at the same angle."""
    trajectory = motion([first, first + 1], *([p1, 0], [0, 0], [0, 0])[:fields])
    for robot in (ROBOT, ENDLESS):
        position, velocity, _ = sample(trajectory, 0.0, p0, v0, robot)
        turns = (position[0] - p0) / (2 * np.pi) if robot is ENDLESS else position[0] - p0
        assert turns == pytest.approx(round(turns) if robot is ENDLESS else 0.0, abs=1e-9)
        assert velocity[0] == pytest.approx(v0)


@pytest.mark.parametrize('trajectory', [motion([1.0], [1]), motion([0.0, 1.0], [1, 2], [0, 0])])
def test_where_the_controller_takes_no_velocity_none_is_needed(trajectory):
    """Without velocities it is linear; with a first point at 0 there is nothing to blend."""
    at = np.linspace(0, 1, 9)
    for velocity in (0.7, np.nan):
        np.testing.assert_array_equal(sample(trajectory, at, velocity=velocity),
                                      sample(trajectory, at))


@pytest.mark.parametrize('fields', [([1], [0]), ([1], [0], [0])])
def test_an_unknown_velocity_is_refused_where_it_matters(fields):
    with pytest.raises(TrajectoryError, match='how fast j is at the start is not known'):
        sample(motion([1.0], *fields), 0.5, velocity=np.nan)


def test_a_start_state_is_a_mapping_of_positions():
    start = StartState({'a': np.float32(1), 'b': 2}, {'a': np.nan})
    assert dict(start) == {'a': 1.0, 'b': 2.0} and StartState.of(start) is start
    assert start.of_unknown_velocity == ('a',)
    assert start.resting_where_unknown == StartState({'a': 1.0, 'b': 2.0})
    assert StartState.of({'a': 1}) == StartState({'a': 1.0}, {})


# ---------------------------------------------------------------- header.stamp

KNOTS = ([0.5, 1.0, 1.8], [0.2, -0.4, 0.3], [0.5, -0.1, 0], [0.3, -0.2, 0])


@given(st.sampled_from([1, 2, 3]), st.floats(0.5, 1.79), numbers, numbers)
def test_a_late_trajectory_is_entered_in_the_middle(fields, late, position, velocity):
    """Whatever the joints do: from then on it is what it would be without delay."""
    # second differences of what is left of a segment of microseconds are mostly rounding
    assume(not 0 < KNOTS[0][1] - late < 1e-3)
    trajectory = motion(KNOTS[0], *KNOTS[1:fields + 1])
    entered = from_receipt(trajectory, ROBOT, late)
    assert entered.times[0] == 0.0
    at = np.linspace(0, 1.8 - late, 40)[:-1]
    np.testing.assert_allclose(sample(entered, at, position, velocity),
                               sample(trajectory, at + late), atol=1e-9)
    assert sample(entered, 5.0)[0] == sample(trajectory, 5.0)[0]


@given(st.sampled_from([1, 2, 3]), st.floats(-2, 0.49), numbers, numbers)
def test_before_the_first_point_it_is_blended_for_as_long_as_is_left(fields, late, p0, v0):
    """A stamp ahead does not make the controller wait: it blends until then."""
    trajectory = motion(KNOTS[0], *KNOTS[1:fields + 1])
    got = from_receipt(trajectory, ROBOT, late)
    left = 0.5 - late
    first = [[p0, v0, 0.0][:fields], [column[0] for column in KNOTS[1:fields + 1]]]
    at = np.linspace(0, left, 20)[:-1]
    np.testing.assert_allclose(sample(got, at, p0, v0)[0],
                               BPoly.from_derivatives([0, left], first)(at), atol=1e-8)
    np.testing.assert_allclose(sample(got, left + 0.7)[0], sample(trajectory, 1.2)[0], atol=1e-9)


def test_what_was_over_before_it_came_is_refused():
    trajectory = motion(*KNOTS)
    assert from_receipt(trajectory, ROBOT, 0.0) is trajectory
    assert len(from_receipt(trajectory, ROBOT, 1.8).times) == 1
    with pytest.raises(TrajectoryError, match='was over 0.20 s before it came'):
        from_receipt(trajectory, ROBOT, 2.0)
