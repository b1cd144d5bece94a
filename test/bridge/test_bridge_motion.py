# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectories and joint states between messages and the core."""
import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from kinema4d_ros.bridge import motion
from kinema4d_ros.errors import ObservationError, TrajectoryError
from kinema4d_ros.types import JointTrajectory

NAN = float('nan')


def point(time, **fields):
    """Build one point at `time` [s]."""
    return JointTrajectoryPoint(time_from_start=motion.duration_message(time), **fields)


def test_trajectory_with_positions_only():
    message = JointTrajectoryMessage(joint_names=['a', 'b'], points=[
        point(0.5, positions=[1.0, 2.0]), point(1.25, positions=[3.0, float('nan')])])
    out = motion.trajectory_from_message(message)
    assert out.joint_names == ('a', 'b') and out.times.tolist() == [0.5, 1.25]
    assert out.velocities is None and out.accelerations is None
    np.testing.assert_array_equal(out.positions, [[1, 2], [3, np.nan]])


@given(st.integers(0, 5), st.integers(1, 4), st.booleans(), st.booleans())
def test_round_trip(points, joints, velocities, accelerations):
    rng = np.random.default_rng(points * 7 + joints)
    times = np.cumsum(rng.integers(1, 10**9, points)) * 1e-9
    draw = lambda wanted: rng.normal(size=(points, joints)) if wanted else None  # noqa: E731
    there = JointTrajectory(tuple(f'j{i}' for i in range(joints)), times, draw(True),
                            draw(velocities and points), draw(accelerations and points))
    back = motion.trajectory_from_message(motion.trajectory_message(there, Header()))
    assert back.joint_names == there.joint_names
    np.testing.assert_allclose(back.times, there.times, atol=1e-9)
    for key in ('positions', 'velocities', 'accelerations'):
        expected, got = getattr(there, key), getattr(back, key)
        assert (expected is None) == (got is None)
        if expected is not None:
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize('fields, words', [
    ({'positions': [1.0]}, 'point 1 of 2 .* has 1 positions for 2 joints'),
    ({}, 'point 1 of 2 .* has 0 positions'),
    ({'positions': [1.0, 2.0], 'velocities': [1.0, 1.0, 1.0]}, 'point 0 of 2 .* 0 velocities'),
    ({'positions': [1.0, 2.0], 'accelerations': [1.0]}, 'in every point or in none')])
def test_mixed_lengths_name_the_point(fields, words):
    message = JointTrajectoryMessage(joint_names=['a', 'b'], points=[
        point(0.0, positions=[1.0, 2.0]), point(1.0, **fields)])
    with pytest.raises(TrajectoryError, match=words):
        motion.trajectory_from_message(message)


@given(st.integers(-10**15, 10**15))
def test_durations_are_exact_to_the_nanosecond(nanoseconds):
    out = motion.duration_message(nanoseconds * 1e-9)
    assert 0 <= out.nanosec < 10**9
    assert abs(out.sec * 10**9 + out.nanosec - nanoseconds) <= 128   # float64 has 53 bits
    assert motion.duration_seconds(out) == pytest.approx(nanoseconds * 1e-9, abs=1e-6)


def test_negative_duration_and_a_time_that_is_none():
    assert motion.duration_message(-0.25) == Duration(sec=-1, nanosec=750_000_000)
    for none in np.inf, np.nan, 1e300, -3e9:
        with pytest.raises(TrajectoryError, match=r'must be finite, and below 2\*\*31 s, got'):
            motion.duration_message(none)


def test_joint_state_in_any_order_with_extra_joints():
    message = JointState(name=['gripper', 'b', 'a'], position=[0.04, 2.0, 1.0])
    assert motion.joint_positions(message) == {'a': 1.0, 'b': 2.0, 'gripper': 0.04}
    back = motion.joint_state_message({'a': np.float32(0.5)}, Header(frame_id='x'))
    assert back.name == ['a'] and back.position[0] == 0.5 and back.header.frame_id == 'x'


@pytest.mark.parametrize('names, positions, words', [
    (['a', 'b'], [1.0], '2 names but 1 positions'),
    ([], [1.0], '0 names but 1 positions')])
def test_bad_joint_states(names, positions, words):
    with pytest.raises(ObservationError, match=words):
        motion.joint_states(JointState(name=names, position=positions))


@pytest.mark.parametrize('fields', [{'velocity': [1.0, 2.0]}, {'effort': [3.0, 4.0]}, {}])
def test_a_message_without_positions_says_nothing_of_them(fields):
    message = JointState(name=['left_wheel', 'right_wheel'], **fields)
    assert motion.joint_states(message) == motion.JointStates({}, {}, {})


@pytest.mark.parametrize('names, positions, bad, words', [
    (['a', 'b'], [1.0, NAN], 'b', 'its position is nan'),
    (['b', 'a'], [-np.inf, 1.0], 'b', 'its position is -inf'),
    (['b', 'a', 'b'], [1.0, 1.0, 2.0], 'b', 'named twice, with positions 1.0 and 2.0'),
    (['b', 'a', 'b'], [NAN, 1.0, 2.0], 'b', 'its position is nan')])
def test_a_joint_without_a_position_is_left_out_alone(names, positions, bad, words):
    states = motion.joint_states(JointState(name=names, position=positions,
                                            velocity=[0.5] * len(names)))
    assert states.positions == {'a': 1.0} and states.velocities == {'a': 0.5}
    assert list(states.unusable) == [bad] and words in states.unusable[bad]


@pytest.mark.parametrize('velocities, expected', [
    ([0.5, -0.25], {'a': 0.5, 'b': -0.25}), ([], {}), ([0.5], {}), ([0.5, 0.0, 1.0], {}),
    ([NAN, -0.25], {'b': -0.25})])
def test_velocities_are_optional(velocities, expected):
    message = JointState(name=['a', 'b'], position=[1.0, 2.0], velocity=velocities)
    states = motion.joint_states(message)
    assert states == ({'a': 1.0, 'b': 2.0}, expected, {})
    assert states.of(['b', 'c']).positions == {'b': 2.0}


def test_a_joint_state_with_velocities_comes_back():
    message = motion.joint_state_message({'a': 1.0, 'b': 2.0}, Header(), {'b': 0.5, 'a': 0.25})
    assert motion.joint_states(message).velocities == {'a': 0.25, 'b': 0.5}
