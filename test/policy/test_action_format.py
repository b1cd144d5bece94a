# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Grippers as policies mean them, velocities as robots follow them, units, and what is refused."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import ROOT

from kinema4d_ros.errors import ConfigurationError, UnknownJointError
from kinema4d_ros.policy import ActionFormat, ActionReader, GripperColumn, VelocityResponse
from kinema4d_ros.robot import Robot

ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
ARM = tuple(name for name in ROBOT.joint_names if 'finger' not in name)
FINGERS = tuple(name for name in ROBOT.joint_names if 'finger' in name)
READY = dict(zip(ROBOT.joint_names, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.02, 0.02)))
HERE = np.array([READY[name] for name in ARM])
ENDS = dict.fromkeys(FINGERS, (0.04, 0.0))


def read(form, actions, **more):
    return ActionReader(ROBOT, form).trajectory(np.asarray(actions, float), READY, **more)


@pytest.mark.parametrize('column', [0, 3, -1])
def test_a_gripper_stands_anywhere(column):
    """As ALOHA has it: the columns of joints keep their order without it."""
    form = ActionFormat(10.0, ARM, grippers=(GripperColumn(column, 1.0, 0.0, ENDS),))
    chunk = np.insert(np.vstack([HERE, HERE + 0.01]), column if column >= 0 else len(ARM),
                      (1.0, 0.25), axis=1)
    got = read(form, chunk)
    assert got.joint_names == ARM + FINGERS
    np.testing.assert_allclose(got.positions[1:, :len(ARM)], [HERE, HERE + 0.01])
    np.testing.assert_allclose(got.positions[1:, len(ARM):],
                               np.repeat([[0.04], [0.01]], len(FINGERS), axis=1))


@pytest.mark.parametrize(('ends', 'threshold', 'number', 'opening'), [
    ((0.0, 1.0), None, 0.25, 0.03),       # 0 open, 1 closed
    ((-1.0, 1.0), 0.0, 0.2, 0.0),         # LIBERO: only the sign counts
    ((-1.0, 1.0), 0.0, -0.2, 0.04),
    ((0.0, 1.0), 0.5, 0.5, 0.04),         # DROID: closes above 0.5
    ((0.0, 1.0), 0.5, 0.51, 0.0),
    ((1.0, 0.0), 0.5, 0.51, 0.04),        # Bridge: 1 open
    ((0.0, 1.0), None, 1.7, 0.0)])        # no farther than its ends
def test_what_a_gripper_is_told(ends, threshold, number, opening):
    told = GripperColumn(-1, *ends, ENDS, threshold).positions(np.array([number]))
    assert told == {name: pytest.approx([opening]) for name in FINGERS}


def test_a_gripper_of_a_policy_goes_as_fast_as_it_may():
    form = ActionFormat(10.0, (), limited_joints=FINGERS,
                        grippers=(GripperColumn(-1, -1.0, 1.0, ENDS, 0.0),))
    most = ROBOT.limits[FINGERS[0]].velocity / 10.0
    got = read(form, [[1.0]])
    assert got.positions[1] == pytest.approx([max(0.02 - most, 0.0)] * len(FINGERS))


def test_clip_then_scale_then_offset():
    form = ActionFormat(10.0, ARM[:2], clip=(-1.0, 1.0), scale=(0.5, -2.0), offset=(0.1, 0.2))
    got = read(form, [[0.4, 3.0]])
    assert got.positions[1] == pytest.approx([0.3, -1.8])


def test_degrees():
    got = read(ActionFormat(10.0, ARM[:1], scale=(np.pi / 180,)), [[90.0]])
    assert got.positions[1, 0] == pytest.approx(np.pi / 2)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 1.5), st.floats(0.0, 0.5), st.integers(0, 3), st.integers(0, 50))
def test_velocities_against_fine_integration(gain, delay, earlier, seed):
    """The oracle adds up what is driven in steps of a millisecond."""
    told = np.random.default_rng(seed).uniform(-1, 1, (earlier + 5, 1))
    form = ActionFormat(10.0, ARM[:1], velocity=VelocityResponse(gain, delay))
    got = read(form, told[earlier:], before=told[:earlier])
    fine = (np.arange(500) + 0.5) / 1000
    row = np.floor((fine - delay) * 10.0 + 1e-9).astype(int) + earlier
    speed = np.where(row < 0, 0.0, told[np.clip(row, 0, None), 0])
    want = HERE[0] + gain * np.cumsum(speed)[99::100] / 1000
    np.testing.assert_allclose(got.positions[1:, 0], want, atol=2e-3)


def test_a_tip_with_a_velocity_is_moved_by_it():
    form = ActionFormat(10.0, (), tip_link='tool_point', rpy=True, velocity=VelocityResponse())
    still = read(form, np.zeros((2, 6)))
    np.testing.assert_allclose(still.positions[-1], HERE, atol=1e-3)
    with pytest.raises(Exception, match=r'\(actions, 6\)'):
        read(form, np.zeros((2, 7)))


@pytest.mark.parametrize(('more', 'words'), [
    ({'grippers': (GripperColumn(9, 0.0, 1.0, ENDS),)}, 'column 9 of actions of 7 columns'),
    ({'grippers': (GripperColumn(-1, 0.0, 1.0, {ARM[0]: (0.0, 1.0)}),)}, 'one of a gripper'),
    ({'velocity': VelocityResponse(), 'reference': 'start'}, 'reference start says otherwise'),
    ({'clip': (1.0, -1.0)}, 'from low to high'),
    ({'scale': (0.0,)}, 'must be finite, and not 0'),
    ({'offset': (float('nan'),)}, 'must be finite'),
    ({'scale': (1.0, 2.0)}, 'scale has 2 values; it must have one, or one for each of 6 columns')])
def test_formats_that_mean_nothing(more, words):
    with pytest.raises(ConfigurationError, match=words):
        ActionFormat(10.0, ARM, **more)


@pytest.mark.parametrize(('make', 'words'), [
    (lambda: GripperColumn(0, 1.0, 1.0), 'open at 1.0 and closed at 1.0'),
    (lambda: GripperColumn(0, 0.0, 1.0, {}, 1.0), 'between 0.0 and 1.0'),
    (lambda: VelocityResponse(gain=0.0), 'gain must be more than 0'),
    (lambda: VelocityResponse(delay=-0.1), 'delay must be at least 0 s')])
def test_parts_that_mean_nothing(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_a_gripper_of_another_robot():
    form = ActionFormat(10.0, ARM, grippers=(GripperColumn(-1, 0.0, 1.0, {'nose': (0, 1)}),))
    with pytest.raises(UnknownJointError, match='nose'):
        ActionReader(ROBOT, form)


def test_a_scale_of_each_column_says_how_many_there_are():
    """A rotation vector is scaled; a chunk of quaternions is none of this format."""
    form = ActionFormat(20.0, (), tip_link='hand', scale=(0.05,) * 3 + (0.5,) * 3)
    assert form.widths == (6,)
    assert ActionFormat(20.0, (), tip_link='hand', scale=(0.05,)).widths == (6, 7)
    with pytest.raises(ConfigurationError, match='scale has 6 values and offset 7'):
        ActionFormat(20.0, (), tip_link='hand', scale=(0.05,) * 6, offset=(0.0,) * 7)
