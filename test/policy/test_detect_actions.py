# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Conventions of actions are told from chunks, and what cannot be told is said to be unknown."""
import numpy as np
import pytest
from bench.action_conventions import bundled, droid
from bench.made_chunks import Convention, records_in
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared_data

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import (ActionReader, ChunkRecord, detect_actions, PolicyPreset,
                                 records_of, why_implausible)
from kinema4d_ros.policy.detect import ends_of
from kinema4d_ros.robot import ForwardKinematics, Robot

MOTION = next(bundled(('libero_spatial_2_0_success',)))      # nothing was tuned on it
ROBOT = MOTION.robot
FLIPPED = (0, 2, 1, 3, 4, 6, 5)


def found(told, **more):
    return detect_actions(ROBOT, records_in(MOTION, told, **more), MOTION.rate)


def values(detection, *names):
    return tuple(detection.findings[name].value for name in names)


def check_motion(detection, told, accept=()):
    """The oracle: read with the format that was found, new chunks give the recorded motion."""
    reader = ActionReader(ROBOT, detection.action_format(accept))
    for record in records_in(MOTION, told, seed=99, chunks=3):
        start = dict(zip(ROBOT.joint_names, record.state))
        got = reader.trajectory(record.actions, start)
        columns = [ROBOT.joint_names.index(name) for name in got.joint_names]
        full = np.repeat(record.state[None], len(got.positions), axis=0)
        full[:, columns] = got.positions
        fk = ForwardKinematics(ROBOT)
        hand = ROBOT.link_names.index('panda_hand')
        want, mine = fk(record.after)[:, hand, :3, 3], fk(full[1:])[:, hand, :3, 3]
        assert np.abs(want - mine).max() < 0.004       # [m]


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(('absolute', 'start', 'previous', 'velocity')),
       st.sampled_from(('rad', 'deg', 'normalized')), st.sampled_from(('0..1', '-1..1', '0..100')),
       st.booleans(), st.integers(0, 20))
def test_joints(reference, unit, gripper, opens_up, seed):
    order = FLIPPED if reference == 'absolute' and opens_up else ()
    told = Convention('joint', reference, unit, gripper=gripper, opens_up=opens_up, order=order)
    got = found(told, seed=seed)
    assert values(got, 'space', 'reference', 'unit', 'gripper 7 range') == (
        'joint', reference, unit, gripper)
    assert all(got.findings[name].known for name in ('space', 'reference', 'unit'))
    assert got.findings['order'].value == 'as the robot' if not order else \
        'column 2 is panda_joint2, column 1 is panda_joint3' in got.findings['order'].value
    check_motion(got, told, tuple(got.findings))


@settings(max_examples=4, deadline=None)
@given(st.sampled_from(('absolute', 'start', 'previous')),
       st.sampled_from(('rotvec', 'rpy', 'quaternion')), st.sampled_from(('base', 'tip')),
       st.integers(0, 20))
def test_places_of_the_tip(reference, rotation, frame, seed):
    told = Convention('tip', reference, 'SI', rotation, frame)
    got = found(told, seed=seed)
    assert values(got, 'space', 'reference') == ('tip', reference)
    if reference != 'absolute':
        assert got.findings['frame'].value == frame
    check_motion(got, told, tuple(got.findings))


def test_controllers_of_robosuite():
    got = found(Convention('tip', 'previous', 'OSC', gripper='-1..1'))
    assert values(got, 'space', 'reference', 'unit', 'frame') == ('tip', 'previous', 'OSC', 'base')
    assert got.why_not(PolicyPreset.load('libero').action_format(ROBOT)) is None


@pytest.mark.parametrize('opens_up', [False, True])
def test_which_way_a_gripper_opens(opens_up):
    got = found(Convention(opens_up=opens_up), chunks=12)
    assert got.findings['gripper 7 open'].known
    assert got.findings['gripper 7 open'].value == ('high' if opens_up else 'low')
    form = got.action_format(('order',))
    assert form.grippers[0].joints == {'panda_finger_joint1': (0.04, 0.0),
                                       'panda_finger_joint2': (0.04, 0.0)}


@pytest.mark.parametrize('reference', ['start', 'previous', 'velocity'])
def test_the_order_of_changes_shows_in_what_was_driven(reference):
    got = found(Convention(reference=reference, order=FLIPPED), chunks=16)
    assert got.findings['order'].known
    assert got.action_format(tuple(got.findings)).joints == tuple(
        ROBOT.joint_names[column] for column in FLIPPED)


def test_a_joint_that_turns_the_other_way():
    records = [ChunkRecord(record.actions * np.r_[1, 1, 1, -1, 1, 1, 1, 1], record.state,
                           record.after) for record in records_in(MOTION, Convention())]
    got = detect_actions(ROBOT, records, MOTION.rate)
    assert '-column 3 is panda_joint4' in got.findings['order'].value
    assert got.action_format(('order', 'gripper 7 open', 'gripper 7 range')).scale[3] == -1.0


def test_what_cannot_be_told_is_unknown():
    """Changes without what was driven tell neither order nor frame."""
    joints = found(Convention(reference='start'), after=False)
    assert 'order' in joints.unknown and 'order is unknown' in joints.why_unsure()
    with pytest.raises(PolicyError, match='order is unknown: changes without .* accept them'):
        joints.action_format()
    tips = found(Convention('tip', 'start'), after=False)
    assert 'frame' in tips.unknown and 'unknown (' in str(tips)


def test_a_gripper_that_never_moves():
    at_rest = MOTION.positions.copy()
    at_rest[:, 7:] = 0.02
    records = [ChunkRecord(np.hstack([record.actions[:, :7], np.full((10, 1), 0.3)]),
                           np.r_[record.state[:7], 0.02, 0.02])
               for record in records_in(MOTION, Convention())]
    got = detect_actions(ROBOT, records, MOTION.rate)
    assert got.findings['gripper 7 open'].value == ''
    assert 'neither fingers nor numbers move' in got.findings['gripper 7 open'].reason
    with pytest.raises(PolicyError, match='gripper 7'):
        got.action_format(tuple(got.findings))


def test_fingers_by_kinematics():
    assert ends_of(ROBOT)['panda_finger_joint1'] == (0.04, 0.0)
    robot = Robot.from_file(shared_data('urdfs') / 'rerun_droid/franka_description/panda.urdf')
    opened, closed = ends_of(robot)['finger_joint']
    assert opened == 0.0 and closed > 0.7


@pytest.mark.parametrize(('told', 'form', 'words'), [
    (Convention(reference='start'), 'droid', 'actions are start, and not velocity'),
    (Convention('tip', 'previous', 'OSC'), 'droid', 'of the tip, and not of the joint'),
    (Convention('tip', 'previous', 'SI'), 'libero', 'a number of 1 is 1 rad or m, and not 0.05'),
    (Convention(reference='velocity', opens_up=True), 'droid', 'opens the other way')])
def test_a_format_that_chunks_contradict(told, form, words):
    preset = PolicyPreset.load(form).action_format(ROBOT)
    assert words in found(told, chunks=12).why_not(preset)


@pytest.mark.parametrize(('told', 'read_as', 'words'), [
    (Convention(unit='deg'), {}, 'rad or m from where panda_joint'),
    (Convention(reference='start'), {}, 'rad or m from where panda_joint'),
    (Convention(), {'reference': 'start'}, 'rad or m from where panda_joint'),
    (Convention('tip', 'start'), {'tip_link': 'panda_hand'}, 'sends panda_hand'),
    (Convention('tip'), {'tip_link': 'panda_hand', 'reference': 'previous'}, 'sends panda_hand')])
def test_a_wrong_guess_is_noticed(told, read_as, words):
    right = found(told).action_format(tuple(found(told).findings))
    wrong = type(right)(right.rate, () if 'tip_link' in read_as else right.joints,
                        grippers=right.grippers, **read_as)
    for record in records_in(MOTION, told, chunks=4):
        start = dict(zip(ROBOT.joint_names, record.state))
        assert why_implausible(ActionReader(ROBOT, right), record.actions, start) is None
        why = why_implausible(ActionReader(ROBOT, wrong), record.actions, start)
        assert words in why and 'is the format right?' in why


def test_steps_that_no_arm_makes():
    right = found(Convention()).action_format(('order', 'gripper 7 open', 'gripper 7 range'))
    record = records_in(MOTION, Convention())[0]
    start = dict(zip(ROBOT.joint_names, record.state))
    jump = record.actions.copy()
    jump[5, 2] += 1.0
    assert 'action 5 moves panda_joint3 at' in why_implausible(ActionReader(ROBOT, right), jump,
                                                               start)


def test_real_actions_of_droid():
    """Commands of a teleoperated robot, which are ahead of it by 0.3 s, on unseen recordings."""
    data = shared_data('ctrl_world_droid').parent
    for motion, columns in droid(data, 2, 4):
        for key, space, reference in (('joint_position', 'joint', 'absolute'),
                                      ('cartesian_position', 'tip', 'absolute'),
                                      ('joint_velocity', 'joint', 'velocity')):
            got = detect_actions(motion.robot, records_of(
                np.hstack([columns[f'action.{key}'], columns['action.gripper_position']]),
                motion.positions, every=20), 15.0)
            assert values(got, 'space', 'reference') == (space, reference)
            assert got.findings['reference'].known
        if got.track is not None:
            assert 0.6 < got.track.gain <= 1.0
        form = PolicyPreset.load('droid').action_format(motion.robot)
        assert got.why_not(form) is None


@pytest.mark.parametrize(('records', 'more', 'words'), [
    ([], {}, 'no chunk was given'),
    ([ChunkRecord(np.zeros((4, 3)), np.zeros(9))], {}, '3 columns are too few or too many'),
    ([ChunkRecord(np.zeros((4, 8)), np.zeros(5))], {}, 'a state has 5 joints, the robot 9'),
    ([ChunkRecord(np.zeros((4, 8)), np.zeros(9)), ChunkRecord(np.zeros((4, 7)), np.zeros(9))], {},
     'different numbers of columns'),
    ([ChunkRecord(np.zeros((4, 8)), np.zeros(9))], {'arm': ('nose',)}, 'nose are no joints'),
    ([ChunkRecord(np.zeros((4, 8)), np.zeros(9))], {'tip_links': ('nose',)}, 'nose are no links'),
    ([ChunkRecord(np.zeros((4, 8)), np.zeros(9))], {'rate': 0.0}, 'more than 0 Hz')])
def test_chunks_that_tell_nothing(records, more, words):
    with pytest.raises(PolicyError, match=words):
        detect_actions(ROBOT, records, **({'rate': 20.0} | more))


@pytest.mark.parametrize(('make', 'words'), [
    (lambda: ChunkRecord(np.zeros(4), np.zeros(9)), 'actions of a chunk must be 2-dimensional'),
    (lambda: ChunkRecord(np.full((4, 8), np.nan), np.zeros(9)), 'finite'),
    (lambda: ChunkRecord(np.zeros((4, 8)), np.zeros(9), np.zeros((4, 8))), '9 joints, and the'),
    (lambda: records_of(np.zeros((4, 8)), np.zeros((5, 9))), 'do not belong together')])
def test_records_that_cannot_be(make, words):
    with pytest.raises(PolicyError, match=words):
        make()


