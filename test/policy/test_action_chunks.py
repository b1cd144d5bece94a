# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of actions of every convention, made from a known motion, give that motion back."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import ROOT
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import (ConfigurationError, KinematicsError, TrajectoryError,
                                 UnknownJointError)
from kinema4d_ros.policy import ActionFormat, ActionReader, Reference
from kinema4d_ros.robot import ForwardKinematics, Robot

ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
TIP = 'tool_point'
ARM = tuple(name for name in ROBOT.joint_names if 'finger' not in name)
FINGERS = tuple(name for name in ROBOT.joint_names if 'finger' in name)
READY = dict(zip(ROBOT.joint_names, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.02, 0.02)))
RATE = 10.0


def motion(seed=0, count=5):
    """Return (count + 1, J) positions that begin at READY."""
    steps = np.random.default_rng(seed).uniform(-0.03, 0.03, (count, len(ROBOT.joint_names)))
    steps[:, len(ARM):] *= 0.1
    start = np.array([READY[name] for name in ROBOT.joint_names])
    return start + np.concatenate([np.zeros((1, len(start))), np.cumsum(steps, axis=0)])


def places(positions):
    return ForwardKinematics(ROBOT)(positions)[:, ROBOT.link_names.index(TIP)]


def as_actions(poses, reference, in_tip, quaternion):
    """Return the poses after the first as (N, 6 or 7), by the definition of the convention."""
    out = []
    for k in range(1, len(poses)):
        base = {Reference.ABSOLUTE: np.eye(4), Reference.START: poses[0],
                Reference.PREVIOUS: poses[k - 1]}[reference]
        step = np.linalg.inv(base) @ poses[k]
        if not in_tip and reference is not Reference.ABSOLUTE:
            step[:3, :3] = poses[k][:3, :3] @ base[:3, :3].T
            step[:3, 3] = poses[k][:3, 3] - base[:3, 3]
        turn = Rotation.from_matrix(step[:3, :3])
        out.append(np.r_[step[:3, 3], turn.as_quat() if quaternion else turn.as_rotvec()])
    return np.array(out)


@pytest.mark.parametrize('reference', Reference)
@pytest.mark.parametrize('in_tip', [False, True])
@pytest.mark.parametrize('quaternion', [False, True])
def test_places_of_the_tip(reference, in_tip, quaternion):
    wanted = motion()
    form = ActionFormat(RATE, FINGERS, reference, FINGERS, tip_link=TIP, in_tip_frame=in_tip)
    actions = np.hstack([as_actions(places(wanted), reference, in_tip, quaternion),
                         wanted[1:, len(ARM):]])
    got = ActionReader(ROBOT, form).trajectory(actions, READY)
    assert got.joint_names == ARM + FINGERS
    assert got.times == pytest.approx(np.arange(6) / RATE)
    np.testing.assert_allclose(places(got.positions), places(wanted), atol=2e-4)
    np.testing.assert_allclose(got.positions, wanted, atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(Reference), st.integers(0, 100))
def test_positions_of_joints(reference, seed):
    wanted = motion(seed)
    base = {Reference.ABSOLUTE: 0 * wanted[1:], Reference.START: wanted[:1],
            Reference.PREVIOUS: wanted[:-1]}[reference]
    actions = wanted[1:] - base
    actions[:, len(ARM):] = wanted[1:, len(ARM):]
    got = ActionReader(ROBOT, ActionFormat(RATE, ROBOT.joint_names, reference, FINGERS)
                       ).trajectory(actions, READY)
    np.testing.assert_allclose(got.positions, wanted, atol=1e-12)


def test_a_chunk_continues_where_another_ends():
    reader = ActionReader(ROBOT, ActionFormat(RATE, ARM, Reference.PREVIOUS))
    actions = np.full((4, len(ARM)), 0.01)
    whole = reader.trajectory(actions, READY)
    first = reader.trajectory(actions[:2], READY)
    end = READY | dict(zip(first.joint_names, first.positions[-1]))
    second = reader.trajectory(actions[2:], end)
    np.testing.assert_allclose(np.vstack([first.positions, second.positions[1:]]),
                               whole.positions, atol=1e-12)


def test_a_gripper_goes_as_fast_as_it_may():
    form = ActionFormat(RATE, FINGERS, absolute_joints=FINGERS, limited_joints=FINGERS[:1])
    fast = ROBOT.limits[FINGERS[0]].velocity / RATE
    actions = np.full((3, len(FINGERS)), 0.02 + 1.5 * fast)
    got = ActionReader(ROBOT, form).trajectory(actions, READY)
    assert got.positions[:, 0] == pytest.approx(
        [0.02, 0.02 + fast, 0.02 + 1.5 * fast, 0.02 + 1.5 * fast])
    assert got.positions[1:, 1:] == pytest.approx(0.02 + 1.5 * fast)


def test_an_arm_that_is_told_a_place_goes_as_fast_as_it_may():
    exact = ActionReader(ROBOT, ActionFormat(RATE, (), tip_link=TIP))
    limited = ActionReader(ROBOT, ActionFormat(RATE, (), limited_joints=ARM, tip_link=TIP))
    tip = exact.tip_poses(np.zeros((1, 6)), READY)[0]
    goal = np.r_[tip[:3, 3] + [0.0, 0.0, 0.25], Rotation.from_matrix(tip[:3, :3]).as_rotvec()]
    actions = np.tile(goal, (12, 1))
    asked, got = (reader.trajectory(actions, READY) for reader in (exact, limited))
    most = np.array([ROBOT.limits[name].velocity for name in got.joint_names])
    speeds = [np.abs(np.diff(each.positions, axis=0)) * RATE for each in (asked, got)]
    assert (speeds[0] > most).any()
    assert (speeds[1] <= most + 1e-9).all()
    np.testing.assert_allclose(got.positions[-1], asked.positions[-1], atol=1e-9)


@pytest.mark.parametrize('form, error, words', [
    ({'rate': 1.0, 'joints': (), 'tip_link': TIP, 'limited_joints': ('nose',)},
     ConfigurationError, 'limited_joints nose are not among the joints that are commanded'),
    ({'rate': 1.0, 'joints': ARM, 'limited_joints': ('nose',)}, ConfigurationError,
     'limited_joints nose are not'),
    ({'rate': 0.0, 'joints': ARM}, ConfigurationError, 'more than 0 Hz, got 0.0'),
    ({'rate': float('nan'), 'joints': ARM}, ConfigurationError, 'got nan'),
    ({'rate': 1.0, 'joints': (*ARM, ARM[0])}, ConfigurationError, 'named twice'),
    ({'rate': 1.0, 'joints': ARM, 'absolute_joints': ('nose',)}, ConfigurationError,
     'nose are not'),
    ({'rate': 1.0, 'joints': ('nose',)}, UnknownJointError, 'nose'),
    ({'rate': 1.0, 'joints': ARM[:1], 'tip_link': TIP}, ConfigurationError,
     f'{ARM[0]} moves {TIP}, so its place commands it'),
    ({'rate': 1.0, 'joints': (), 'tip_link': 'nose'}, KinematicsError, 'no link "nose"')])
def test_formats_that_cannot_be(form, error, words):
    with pytest.raises(error, match=words):
        ActionReader(ROBOT, ActionFormat(**form))


def test_a_joint_without_a_limit_cannot_be_limited():
    free = Robot.from_urdf('''<robot name="free"><link name="a"/><link name="b"/>
        <joint name="turn" type="continuous"><parent link="a"/><child link="b"/></joint>
        </robot>''')
    with pytest.raises(ConfigurationError, match='turn have no velocity limit'):
        ActionReader(free, ActionFormat(RATE, ('turn',), limited_joints=('turn',)))


@pytest.mark.parametrize('actions, start, error, words', [
    (np.zeros((2, 5)), READY, TrajectoryError, r'shape \(actions, 6 or 7\), got \(2, 5\)'),
    (np.zeros((0, 6)), READY, TrajectoryError, r'got \(0, 6\)'),
    (np.full((2, 6), np.nan), READY, TrajectoryError, 'column 0 of action 0 is nan'),
    (np.zeros((2, 7)), READY, TrajectoryError, 'quaternion of action 0 has length 0.000'),
    (np.zeros((2, 6)), {}, TrajectoryError, 'the start lacks shoulder_pan_joint'),
    (np.full((2, 6), 9.0), READY, KinematicsError, r'cannot reach pose 0 \(at 0.100 s\)')])
def test_chunks_that_cannot_be(actions, start, error, words):
    with pytest.raises(error, match=words):
        ActionReader(ROBOT, ActionFormat(RATE, (), tip_link=TIP)).trajectory(actions, start)
