# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling against numbers worked out by hand from joint_trajectory_controller's rules."""
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from robots import DEMO_ARM, one_joint

from kinema4d_ros.errors import TrajectoryError, UnknownJointError
from kinema4d_ros.robot import frame_times, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory

LIMITED = Robot.from_urdf(one_joint('<limit lower="-9" upper="9"/>'))
ENDLESS = Robot.from_urdf(one_joint(kind='continuous'))
numbers = st.floats(-3, 3)


def motion(times, positions, velocities=None, accelerations=None):
    """Return a trajectory of joint j."""
    def column(values):
        return None if values is None else np.array(values, float).reshape(-1, 1)

    return JointTrajectory(('j',), np.array(times, float), column(positions), column(velocities),
                           column(accelerations))


def sample(trajectory, *times, start=0.0, robot=LIMITED):
    """Return (position, velocity, acceleration) of joint j at each time."""
    out = sample_trajectory(trajectory, robot, np.array(times), {'j': start})
    return [(out.positions[i, 0], out.velocities[i, 0], out.accelerations[i, 0])
            for i in range(len(times))]


def test_positions_alone_are_linear():
    """From 1 at the start to 3 in 2 s, then to 0 in 1 s."""
    got = sample(motion([2, 3], [3, 0]), 0.0, 0.5, 2.0, 2.5, 3.0, start=1.0)
    np.testing.assert_allclose(got, [(1, 1, 0), (1.5, 1, 0), (3, -3, 0), (1.5, -3, 0), (0, 0, 0)])


def test_velocities_make_it_cubic():
    """From rest at 0 to rest at 1 in 1 s is 3 s^2 - 2 s^3."""
    got = sample(motion([1], [1], [0]), 0.0, 0.25, 0.5, 1.0)
    np.testing.assert_allclose(got, [(0, 0, 6), (0.15625, 1.125, 3), (0.5, 1.5, 0), (1, 0, 0)])


def test_cubic_with_speed_at_both_ends():
    """With p = s + s^2 - s^3 on 1 s: p(1) = 1, p'(0) = 1, p'(1) = 0."""
    got = sample(motion([0, 1], [0, 1], [1, 0]), 0.5)
    np.testing.assert_allclose(got, [(0.625, 1.25, -1)])


def test_cubic_over_two_seconds():
    """From rest at 0 to rest at 1 in 2 s: half the speed, a quarter of the acceleration."""
    np.testing.assert_allclose(sample(motion([2], [1], [0]), 0.5, 1.0),
                               [(0.15625, 0.5625, 0.75), (0.5, 0.75, 0)])


def test_accelerations_make_it_quintic():
    """From rest to rest in 1 s is 10 s^3 - 15 s^4 + 6 s^5."""
    got = sample(motion([1], [1], [0], [0]), 0.25, 0.5)
    want = [(10 / 64 - 15 / 256 + 6 / 1024, 30 / 16 - 60 / 64 + 30 / 256,
             60 / 4 - 180 / 16 + 120 / 64), (0.5, 1.875, 0)]
    np.testing.assert_allclose(got, want)


def test_quintic_with_everything_at_both_ends():
    """With p = 2 + s - s^2 + s^3 + 2 s^4 - s^5 on 2 s is found again from its ends."""
    p = np.polynomial.Polynomial([2, 1, -1, 1, 2, -1])
    v, a = p.deriv(), p.deriv(2)
    ends = np.array([0.0, 2.0])
    got = sample(motion(ends, p(ends), v(ends), a(ends)), 0.3, 1.1, 1.9)
    np.testing.assert_allclose(got, [(p(t), v(t), a(t)) for t in (0.3, 1.1, 1.9)])


def test_start_at_time_zero_is_jumped_to():
    """With a first point at 0 s the current state plays no part."""
    np.testing.assert_allclose(sample(motion([0, 1], [5, 6]), 0.0, 0.5, start=-7.0),
                               [(5, 1, 0), (5.5, 1, 0)])


def test_the_last_point_is_held():
    """With what it says, which is how the controller reports it."""
    np.testing.assert_allclose(sample(motion([1], [4]), 1.0, 9.0), [(4, 0, 0), (4, 0, 0)])
    np.testing.assert_allclose(sample(motion([1], [4], [0.5]), 9.0), [(4, 0.5, 0)])


@pytest.mark.parametrize('start, first, begin', [
    (0.0, 1.0, 0.0), (0.1, 6.2, 0.1 + 2 * np.pi), (6.2, 0.1, 6.2 - 2 * np.pi),
    (-3.0, 3.0, -3.0 + 2 * np.pi), (20.0, 0.0, 20.0 - 6 * np.pi),
    (0.0, np.pi, 0.0), (np.pi, 0.0, np.pi), (0.0, 3 * np.pi, 2 * np.pi)])
def test_continuous_joints_start_the_shorter_way(start, first, begin):
    """Half a turn goes up where the target is larger and down where it is smaller."""
    trajectory = motion([1], [first])
    np.testing.assert_allclose(
        sample(trajectory, 0.0, 0.5, 1.0, start=start, robot=ENDLESS),
        [(begin, first - begin, 0), ((begin + first) / 2, first - begin, 0), (first, 0, 0)],
        atol=1e-9)
    assert sample(trajectory, 0.0, start=start)[0][0] == start    # a limited joint does not wrap


def test_points_of_continuous_joints_are_taken_as_they_are():
    """Between points there is no shorter way."""
    got = sample(motion([0, 1], [3.1, -3.1]), 0.5, robot=ENDLESS)
    np.testing.assert_allclose(got, [(0.0, -6.2, 0)], atol=1e-12)


def test_joints_are_matched_by_name_and_others_rest():
    """Two joints in reverse order, a mimic finger, and the rest of the arm."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    trajectory = JointTrajectory(
        ('right_finger_joint', 'elbow_joint', 'shoulder_pan_joint'), np.array([1.0]),
        np.array([[9.0, 1.0, 2.0]]))
    start = {'elbow_joint': 0.5, 'shoulder_pan_joint': 0.0, 'wrist_roll_joint': 0.3, 'wheel': 1.0}
    out = sample_trajectory(trajectory, robot, np.array([0.5]), start)
    assert out.joint_names == robot.joint_names
    np.testing.assert_allclose(out.positions, [[1.0, 0, 0.75, 0, 0, 0.3, 0]])
    np.testing.assert_allclose(out.velocities, [[2.0, 0, 0.5, 0, 0, 0, 0]])


def test_frame_times_reach_from_start_to_end():
    """49 frames of 2.4 s are 50 ms apart."""
    times = frame_times(motion([1.2, 2.4], [0, 1]), 49)
    np.testing.assert_allclose(np.diff(times), 0.05)
    assert (times[0], times[-1]) == (0.0, 2.4)
    assert frame_times(motion([1], [0]), 1).tolist() == [0.0]
    with pytest.raises(TrajectoryError, match='at least 1, got 0'):
        frame_times(motion([1], [0]), 0)


@pytest.mark.parametrize('trajectory, message', [
    (motion([], []), 'no points'),
    (motion([0, np.nan], [0, 1]), 'times of trajectory point 1 are not finite'),
    (motion([0, 1], [0, np.inf]), 'positions of trajectory point 1'),
    (motion([0, 1], [0, 0], [0, np.nan]), 'velocities of trajectory point 1'),
    (motion([-1, 1], [0, 0]), 'before the start'),
    (motion([0, 1, 1], [0, 0, 0]), 'point 2 is at 1.0 s and point 1 at 1.0 s'),
    (motion([0, 1], [0, 0], None, [0, 0]), 'accelerations but no velocities')])
def test_what_the_controller_refuses_is_refused(trajectory, message):
    """Each with the point that is wrong."""
    with pytest.raises(TrajectoryError, match=message):
        sample(trajectory, 0.0)


def test_names_and_start_values_are_needed():
    """An unknown joint, no start value, a start value that is not finite."""
    with pytest.raises(UnknownJointError, match=r'trajectory: unknown .* k; .* has: j'):
        sample_trajectory(JointTrajectory(('k',), np.array([1.0]), np.array([[0.0]])), LIMITED,
                          np.array([0.0]), {})
    with pytest.raises(TrajectoryError, match='current position, which is missing for j'):
        sample_trajectory(motion([1], [0]), LIMITED, np.array([0.0]), {})
    sample_trajectory(motion([0], [0]), LIMITED, np.array([0.0]), {})    # not needed
    with pytest.raises(TrajectoryError, match='start position of j is not finite'):
        sample(motion([1], [0]), 0.0, start=np.nan)


@pytest.mark.parametrize('times', [[-1.0], [np.nan], [[0.0]]])
def test_unusable_sample_times(times):
    """Times before the start, not finite, or of another shape."""
    with pytest.raises(TrajectoryError, match='sample times'):
        sample_trajectory(motion([1], [0]), LIMITED, np.array(times), {'j': 0.0})


@given(st.lists(st.tuples(st.floats(0.2, 2), numbers, numbers, numbers), min_size=1, max_size=5),
       st.sampled_from([1, 2, 3]), numbers)
def test_points_are_met_and_nothing_jumps(points, fields, start):
    """At each knot the sample is the point; just before it, too, up to the order of the spline."""
    gaps, *columns = np.array(points).T
    times = np.cumsum(gaps)
    columns = columns[:fields] + [None] * (3 - fields)
    trajectory = motion(times, *columns)
    at = np.array(sample(trajectory, *times, start=start))
    before = np.array(sample(trajectory, *(times - 1e-9), start=start))
    for order in range(fields):
        np.testing.assert_allclose(before[:, order], columns[order], atol=1e-3)
        if fields > 1 or order == 0:
            np.testing.assert_allclose(at[:, order], columns[order], atol=1e-9)
    first = sample(trajectory, 0.0, start=start)[0]
    assert first[0] == pytest.approx(start, abs=1e-12)


@given(st.lists(st.tuples(st.floats(0.1, 2), numbers, numbers, numbers), min_size=2, max_size=4),
       st.sampled_from([1, 2, 3]), st.floats(0.001, 0.999))
def test_velocity_and_acceleration_are_derivatives(points, fields, share):
    """Numeric derivatives of the positions inside one segment."""
    gaps, *columns = np.array(points).T
    times = np.cumsum(gaps) - gaps[0]
    trajectory = motion(times, *columns[:fields])
    t, h = share * times[-1], 1e-5
    assume(np.abs(times - t).min() > 2 * h)
    (p0, v0, _), (_, v1, a1), (p2, v2, _) = sample(trajectory, t - h, t, t + h)
    assert (p2 - p0) / (2 * h) == pytest.approx(v1, abs=1e-3, rel=1e-4)
    assert (v2 - v0) / (2 * h) == pytest.approx(a1, abs=1e-3, rel=1e-4)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_continuous_joints_turn_at_most_half(start, first):
    """The blend starts at the same angle as the joint, and covers at most half a turn."""
    begin, end = (row[0] for row in sample(motion([1], [first]), 0.0, 1.0, start=start,
                                           robot=ENDLESS))
    assert end == first
    assert abs(end - begin) <= np.pi + 1e-9
    assert np.cos(begin - start) == pytest.approx(1.0, abs=1e-9)


@given(st.permutations(range(4)))
def test_order_of_sample_times_is_free(order):
    """The controller samples forwards; we answer for any time."""
    trajectory, times = motion([1, 2], [1, -1], [0.5, 0]), np.array([0.0, 0.7, 1.0, 1.6])
    forward = np.array(sample(trajectory, *times))
    np.testing.assert_array_equal(np.array(sample(trajectory, *times[order])), forward[order])
