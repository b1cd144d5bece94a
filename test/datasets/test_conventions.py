# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What numbers mean is told from the numbers, and what does not fit is refused or doubted."""
from dataclasses import replace

import made_sets as made
import numpy as np
import pytest
from made_sets import grip, joints, PANDA, ROWS, tips

from kinema4d_ros.datasets import MotionSettings, read_motion, RobotPreset, SourceEpisode
from kinema4d_ros.datasets.conventions import action_check, gripper_check, joint_unit
from kinema4d_ros.datasets.timing import decoded_check, frame_timing
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.types import Status

TIMES = np.arange(ROWS) / made.RATE


@pytest.fixture(scope='module')
def robot():
    return Robot.from_file(PANDA)


@pytest.fixture(scope='module')
def droid():
    """The preset of DROID, with the gripper of the Panda that is at hand."""
    preset = RobotPreset.load('panda_2f85')
    return replace(preset, gripper=replace(preset.gripper, joints={
        'panda_finger_joint1': (0.04, 0.0), 'panda_finger_joint2': (0.04, 0.0)}))


def episode(**columns) -> SourceEpisode:
    told = {'joints': 'observation.state.joint_position', 'grip':
            'observation.state.gripper_position', 'tip': 'observation.state.cartesian_position',
            'action': 'action.joint_position'}
    return SourceEpisode('made', TIMES, {told[key]: np.reshape(value, (ROWS, -1))
                                         for key, value in columns.items()}, {})


def verdicts(motion) -> dict[str, Status]:
    return {check.name: check.status for check in motion.checks}


def test_a_good_episode_passes_every_check(robot, droid):
    path = joints()
    motion = read_motion(episode(joints=path, grip=grip(), tip=tips(path),
                                 action=np.r_[path[2:], path[-2:]]), droid, robot)
    assert set(verdicts(motion).values()) == {Status.PASS} and motion.why_refused() is None
    assert set(verdicts(motion)) == {'rows', 'moves', 'unit', 'agrees with FK', 'gripper', 'speed',
                                     'action'}
    assert np.allclose(motion.positions[:, :7], path)
    assert np.allclose(motion.positions[:, 7], 0.04 * (1 - grip()))
    assert motion.moved[-2:] == ('panda_finger_joint1', 'panda_finger_joint2')


def test_joints_that_stop_while_the_tip_moves_on(robot, droid):
    path = joints()
    motion = read_motion(episode(joints=np.where(np.arange(ROWS)[:, None] < 1, path, path[1]),
                                 tip=tips(path)), droid, robot)
    assert 'constant in rows 1 to 23' in motion.why_refused()


def test_a_robot_that_stands_still(robot, droid):
    motion = read_motion(episode(joints=np.tile(made.HOME, (ROWS, 1))), droid, robot)
    assert 'nothing moves' in motion.why_refused()


def test_a_column_of_one_number_for_seven_joints(robot, droid):
    motion = read_motion(episode(joints=joints()[:, :1], tip=tips(joints())), droid, robot)
    assert 'has 1 values a row, the arm has 7' in motion.why_refused()


@pytest.mark.parametrize(('change', 'match'), [
    (lambda p: np.where(np.arange(ROWS)[:, None] == 3, np.nan, p), 'not finite in 1 rows'),
    (lambda p: p + np.where(np.arange(ROWS)[:, None] == 5, 0.9, 0.0), 'is fastest')])
def test_numbers_that_no_robot_gives(change, match, robot, droid):
    assert match in read_motion(episode(joints=change(joints())), droid, robot).why_refused()


def test_time_that_goes_back(robot, droid):
    made_up = episode(joints=joints())
    times = TIMES.copy()
    times[8] = times[7]
    motion = read_motion(replace(made_up, times=times), droid, robot)
    assert 'time does not go on after row 7' in motion.why_refused()


def test_the_tip_of_another_link_is_named(robot, droid):
    """DROID's tip is the flange; a preset that says otherwise is told of which link it is."""
    path = joints()
    hand = replace(droid, tip=replace(droid.tip, link='panda_hand_tcp'))
    check = next(check for check in read_motion(
        episode(joints=path, tip=tips(path)), hand, robot).checks if check.name == 'agrees with FK')
    assert check.status is Status.UNSURE and 'panda_link8' in check.message
    off = tips(path)
    off[:, :3] += tool_offsets(path)
    check = next(check for check in read_motion(
        episode(joints=path, tip=off), droid, robot).checks if check.name == 'agrees with FK')
    assert check.status is Status.UNSURE and 'fixed to' in check.message


def tool_offsets(path: np.ndarray) -> np.ndarray:
    """Return (rows, 3) [m] from the flange to a point 15 cm before it, in the base."""
    robot = Robot.from_file(PANDA)
    full = np.zeros((len(path), len(robot.joint_names)))
    full[:, :7] = path
    T = ForwardKinematics(robot)(full)[:, robot.link_names.index('panda_link8')]
    return 0.15 * T[:, :3, 2]


def test_a_tip_that_is_none_is_refused(robot, droid):
    other = tips(joints(phase=2.0))
    assert 'agrees with FK' in read_motion(episode(joints=joints(), tip=other), droid,
                                           robot).why_refused()
    assert read_motion(episode(joints=joints(), tip=other), droid, robot, MotionSettings(
        allow=frozenset({'agrees with FK'}))).why_refused(frozenset({'agrees with FK'})) is None


LOWER, UPPER = np.array([-2.0, -1.5, -3.0]), np.array([2.0, 1.5, 3.0])
WAVE = np.sin(np.linspace(0, 5, 50))[:, None] * np.array([1.8, 1.2, 2.5])


@pytest.mark.parametrize(('values', 'unit', 'status'), [
    (WAVE, 'rad', Status.PASS), (np.degrees(WAVE), 'deg', Status.PASS),
    (np.degrees(WAVE) / 3, 'deg', Status.UNSURE),          # or a part of a calibrated range
    (90 * WAVE / np.abs(WAVE).max(axis=0) + [0, 9, 0], 'normalized', Status.UNSURE),
    (WAVE * 2, 'rad', Status.FAIL), (np.degrees(WAVE) * 3, 'deg', Status.FAIL)])
def test_units_of_joints(values, unit, status):
    got, check = joint_unit(values, LOWER, UPPER, 'auto')
    assert (got, check.status) == (unit, status), check.message


def test_a_unit_that_is_told_is_checked():
    assert joint_unit(WAVE, LOWER, UPPER, 'rad')[1].status is Status.PASS
    got, check = joint_unit(np.degrees(WAVE), LOWER, UPPER, 'rad')
    assert got == 'rad' and check.status is Status.FAIL and 'deg would fit' in check.message


@pytest.mark.parametrize('unit', ['deg', 'normalized'])
def test_joints_become_radians(unit, robot, droid):
    path = joints()
    limits = [robot.limits[f'panda_joint{number}'] for number in range(1, 8)]
    low, high = (np.array([getattr(limit, end) for limit in limits]) for end in ('lower', 'upper'))
    values = np.degrees(path) if unit == 'deg' else (path - low) / (high - low) * 200 - 100
    motion = read_motion(episode(joints=values), droid, robot, MotionSettings(unit=unit))
    assert np.allclose(motion.positions[:, :7], path) and motion.why_refused() is None


def test_degrees_of_another_robot_are_no_calibrated_range_unremarked():
    got, check = joint_unit(np.degrees(WAVE) * [0.5, 1.4, 0.5], LOWER, UPPER, 'auto')
    assert got == 'normalized' and check.status is Status.UNSURE
    assert 'give --units' in check.message


@pytest.mark.parametrize('column', ['qpos', 'qpos[0:7]', 'qpos[7:14]'])
def test_one_arm_of_two_is_not_taken_unremarked(column, robot, droid):
    """The left one comes first; which the URDF is, nobody says."""
    preset = replace(droid, joints=replace(droid.joints, columns=(column,)))
    names = tuple(f'{side}_panda_joint{n}.pos' for side in ('left', 'right') for n in range(1, 8))
    both = SourceEpisode('made', TIMES, {'qpos': np.c_[joints(), joints(phase=1.0)]}, {},
                         {'qpos': names})
    assert read_motion(both, preset, robot).why_refused() is not None
    if '[' in column:
        assert 'arms: qpos has two arms' in read_motion(both, preset, robot).why_refused()
    if column == 'qpos[7:14]':
        motion = read_motion(both, preset, robot, MotionSettings(allow=frozenset({'arms'})))
        assert np.allclose(motion.positions[:, :7], joints(phase=1.0))


def test_a_name_with_a_side_is_found_where_it_is_the_only_one(robot, droid):
    preset = replace(droid, joints=replace(droid.joints, columns=('qpos[0:7]',)))
    names = tuple(f'left_panda_joint{n}.pos' for n in range(7, 0, -1))
    one = SourceEpisode('made', TIMES, {'qpos': joints()[:, ::-1]}, {}, {'qpos': names})
    assert np.allclose(read_motion(one, preset, robot).positions[:, :7], joints())


def test_which_way_a_gripper_opens():
    assert gripper_check(grip(), 0.0, 1.0).status is Status.PASS
    flipped = gripper_check(1.0 - grip(), 0.0, 1.0)
    assert flipped.status is Status.UNSURE and '--flip-gripper' in flipped.message
    assert gripper_check(1.0 - grip(), 1.0, 0.0).status is Status.PASS
    still = gripper_check(np.zeros(ROWS), 0.0, 1.0)
    assert still.status is Status.UNSURE and 'does not move' in still.message
    assert gripper_check(grip() * 100, 0.0, 1.0).status is Status.FAIL
    against = gripper_check(grip(), 0.0, 1.0, command=1.0 - grip())
    assert against.status is Status.UNSURE and 'opposite ways' in against.message


def test_a_flipped_gripper_is_turned(robot, droid):
    motion = read_motion(episode(joints=joints(), grip=1.0 - grip()), droid, robot,
                         MotionSettings(flip_gripper=True))
    assert np.allclose(motion.positions[:, 7], 0.04 * (1 - grip()))


LONG = np.cumsum(np.random.default_rng(1).normal(size=(200, 3)), axis=0) * 0.01
CLOCK = np.arange(200) / 15.0


@pytest.mark.parametrize(('action', 'kind'), [
    (np.r_[LONG[4:], LONG[-4:]], 'absolute'), (np.diff(LONG, axis=0, append=LONG[-1:]), 'delta'),
    (np.gradient(LONG, CLOCK, axis=0), 'velocity'), (LONG - LONG[0], 'relative')])
def test_kinds_of_actions(action, kind):
    check = action_check(action, LONG + np.array([0.5, 0.0, 0.3]) if kind != 'absolute' else LONG,
                         CLOCK)
    assert check.status is Status.PASS and kind in check.message, check.message
    if kind == 'absolute':
        assert '0.27 s ahead' in check.message


def test_actions_that_explain_nothing():
    noise = np.random.default_rng(2).normal(size=LONG.shape)
    assert action_check(noise, LONG, CLOCK).status is Status.UNSURE


def test_joints_by_inverse_kinematics(robot, droid):
    path = joints()
    pose = replace(droid, tip=replace(droid.tip, rotation_after=(0, 0, 1, 0, 1, 0, -1, 0, 0)),
                   joints=replace(droid.joints, home=tuple(made.HOME)))
    turned = tips(path)
    from scipy.spatial.transform import Rotation
    R0 = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    turned[:, 3:] = (Rotation.from_euler('xyz', turned[:, 3:]) * Rotation.from_matrix(
        R0.T)).as_euler('xyz')
    motion = read_motion(episode(tip=turned, grip=grip()), pose, robot)
    assert motion.by_ik and motion.why_refused() is None
    check = next(check for check in motion.checks if check.name == 'IK residual')
    assert check.value < 1e-4 and check.status is Status.UNSURE and 'elbow' in check.message
    got = ForwardKinematics(robot)(motion.positions)[:, robot.link_names.index('panda_link8')]
    assert np.allclose(got[:, :3, 3], tips(path)[:, :3], atol=1e-4)


def test_a_tip_out_of_reach_is_refused_with_what_is_missing(robot, droid):
    tip = tips(joints())
    tip[:, 0] += 0.6
    motion = read_motion(episode(tip=tip), droid, robot)
    assert 'missed by' in motion.why_refused()


def test_a_robot_that_is_not_that_of_the_preset(robot):
    with pytest.raises(DatasetError, match='waist'):
        read_motion(episode(joints=joints()), RobotPreset.load('wx250s'), robot)


def test_columns_that_no_preset_names(robot, droid):
    strange = SourceEpisode('made', TIMES, {'qpos': joints()}, {})
    with pytest.raises(DatasetError, match=r'qpos \(7\).*write a preset'):
        read_motion(strange, droid, robot)


class Stream:
    is_depth = False

    def __init__(self, count, rate=None, times=None):
        self.count, self.rate, self.times = count, rate, times


@pytest.mark.parametrize(('stream', 'status', 'frames'), [
    (Stream(300, 15.0), Status.PASS, 300), (Stream(301, 15.0), Status.PASS, 300),
    (Stream(100, 5.0), Status.PASS, 100), (Stream(300, 30.0), Status.UNSURE, 300),
    (Stream(100, None), Status.UNSURE, 100), (Stream(250, 15.0), Status.UNSURE, 250),
    (Stream(40, 15.0), Status.FAIL, 0), (Stream(None), Status.UNSURE, 300),
    (Stream(3, None, np.array([0.0, 1.0, 2.0])), Status.PASS, 3),
    (Stream(3, None, np.array([50.0, 60.0, 70.0])), Status.FAIL, 0)])
def test_frames_and_rows(stream, status, frames):
    timing = frame_timing(np.arange(300) / 15.0, stream)
    assert (timing.check.status, len(timing.times)) == (status, frames), timing.check.message


def test_frames_that_are_not_in_the_file():
    assert [decoded_check(count, 10).status for count in (10, 7, 3)] == [
        Status.PASS, Status.UNSURE, Status.FAIL]
