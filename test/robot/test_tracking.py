# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a robot follows commands: against SciPy's simulation, and found again from recordings."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import one_joint
from scipy.signal import lsim, TransferFunction

from kinema4d_ros.errors import ConfigurationError, TrajectoryError
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.robot.tracking import follow, JointTracking, TrackingModel
from kinema4d_ros.robot.tracking_fit import fit_tracking, TrackingRecord, Windows
from kinema4d_ros.types import JointTrajectory, StartState

TIMES = np.linspace(0, 4, 401)
ROBOT = Robot.from_urdf(one_joint('<limit lower="-9" upper="9"/>'))


def wander(times, seed=0):
    """Return a smooth command (N,) that goes everywhere."""
    rng = np.random.default_rng(seed)
    return sum(a * (1 - np.cos(w * times)) for a, w in zip(rng.uniform(-0.5, 0.5, 4),
                                                         rng.uniform(0.3, 3.0, 4)))


@settings(deadline=None)
@given(st.floats(0.02, 1.0), st.integers(0, 9))
def test_a_lag_is_scipys(lag, seed):
    command = wander(TIMES, seed)
    _, want, _ = lsim(TransferFunction([1], [lag, 1]), command, TIMES)
    np.testing.assert_allclose(follow(TIMES, command, 0.0, 0.0, JointTracking(lag=lag)), want,
                               atol=1e-8)


@pytest.mark.parametrize('joint', [JointTracking(), JointTracking(0.9, 0.2, 0.0),
                                   JointTracking(0.8, 0.13, 0.3)])
def test_a_delay_and_a_gain(joint):
    """From a rest at 2: nothing for the delay, then what the lag makes of it, and less far."""
    command = 2 + wander(TIMES)
    got = follow(TIMES, command, 2.0, 0.0, joint)
    assert (got[joint.delay > TIMES] == 2.0).all()
    lag = follow(TIMES, command, 2.0, 0.0, JointTracking(lag=joint.lag)) - 2
    np.testing.assert_allclose(got - 2, joint.gain * np.interp(TIMES - joint.delay, TIMES, lag),
                               atol=2e-3)


@pytest.mark.parametrize('joint', [JointTracking(1.0, 0.2, 0.3), JointTracking(0.8, 0.1, 0.2),
                                   JointTracking(1.0, 0.3, 0.0)])
def test_a_joint_that_moves_goes_on_until_the_first_command_reaches_it(joint):
    got = follow(TIMES, np.zeros(len(TIMES)), 0.0, 0.5, joint)
    before = joint.delay - 0.02 > TIMES
    np.testing.assert_allclose(got[before], 0.5 * TIMES[before], atol=1e-9)
    assert abs(got[-1]) < 1e-3


def test_a_robot_settles_where_it_was_sent():
    model = TrackingModel({'j': JointTracking(1.0, 0.1, 0.2), 'other': JointTracking()})
    trajectory = JointTrajectory(('j',), np.array([1.0]), np.array([[0.5]]), np.zeros((1, 1)))
    times = np.linspace(0, 1 + model.settling_time, 200)
    start = StartState({'j': 0.1}, {'j': 0.3})
    told = sample_trajectory(trajectory, ROBOT, times, start)
    likely = model.executed(told, start)
    assert likely.positions[0, 0] == 0.1 and likely.positions[-1, 0] == pytest.approx(0.5, abs=0.01)
    assert likely.velocities[0, 0] == pytest.approx(0.3, abs=0.01)
    assert np.abs(likely.positions - told.positions).max() > 0.03
    np.testing.assert_array_equal(TrackingModel().executed(told, start).positions, told.positions)


@pytest.mark.parametrize('true', [JointTracking(1.0, 0.1, 0.2), JointTracking(1.0, 0.0, 0.1),
                                  JointTracking(1.0, 0.26, 0.0)])
def test_a_fit_finds_what_a_recording_was_made_with(true):
    times = np.linspace(0, 40, 2001)
    command = np.stack([wander(times, 1), wander(times, 2), np.zeros(len(times))], axis=1)
    did = np.stack([follow(times, command[:, j], 0.0, 0.0, true) for j in range(3)], axis=1)
    record = TrackingRecord(('a', 'b', 'still'), times, command, did)
    model = fit_tracking([record], source='made up')
    assert model.source == 'made up' and model.joints['still'] == JointTracking()
    for name in 'ab':
        found = model.joints[name]
        assert found.delay + found.lag == pytest.approx(true.delay + true.lag, abs=0.03)
        assert found.gain == pytest.approx(true.gain, abs=0.08)
        assert found.sigma < 0.01
    other = TrackingRecord(('a',), times, wander(times, 5)[:, None], follow(
        times, wander(times, 5), 0.0, 0.0, true)[:, None])
    windows = Windows.of([other])
    assert np.abs(windows.foreseen(model) - windows.measured).max() < 0.05 * np.abs(
        windows.commanded - windows.measured).max() + 0.01


@pytest.mark.parametrize('change, message', [
    ({'times': np.zeros(3)}, 'must increase'), ({'times': np.arange(4.0)}, 'shape'),
    ({'commanded': np.full((3, 1), np.nan)}, 'commanded of a tracking record must be finite'),
    ({'measured': np.zeros((3, 2))}, 'measured')])
def test_records_that_cannot_be_compared(change, message):
    good = {'joint_names': ('a',), 'times': np.arange(3.0), 'commanded': np.zeros((3, 1)),
            'measured': np.zeros((3, 1))}
    TrackingRecord(**good)
    with pytest.raises(TrajectoryError, match=message):
        TrackingRecord(**good | change)


def test_too_little_to_fit():
    record = TrackingRecord(('a',), np.arange(3.0), np.zeros((3, 1)), np.zeros((3, 1)))
    with pytest.raises(TrajectoryError, match=r'hold 1 motions of 2 s, and a fit takes 5'):
        fit_tracking([record])
    with pytest.raises(TrajectoryError, match='no joints that every recording'):
        fit_tracking([record, dataclasses.replace(record, joint_names=('b',))])


def test_a_model_survives_its_file(tmp_path):
    model = TrackingModel({'a': JointTracking(0.9, 0.1, 0.2, 0.01)}, 'three recordings')
    model.save(tmp_path / 'arm.yaml')
    assert TrackingModel.load(tmp_path / 'arm.yaml') == model


@pytest.mark.parametrize('text, message', [
    ('joints: {a: {gain: 0.0}}', 'gain must be above 0'),
    ('joints: {a: {lag: -1.0}}', 'at least 0'), ('joints: {a: {delay: .nan}}', 'delay'),
    ('joints: {a: {speed: 1.0}}', 'unknown field speed'), ('[', 'not one that'), ('3', 'object')])
def test_files_that_hold_no_model(tmp_path, text, message):
    (tmp_path / 'bad.yaml').write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        TrackingModel.load(tmp_path / 'bad.yaml')
    with pytest.raises(ConfigurationError, match='fit-tracking'):
        TrackingModel.load(tmp_path / 'none.yaml')
