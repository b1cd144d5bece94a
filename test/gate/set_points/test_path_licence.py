# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set points along a trajectory that passed, where the scene alone gives no licence."""
import dataclasses

import numpy as np
import pytest
from gate_driver import READY, ROBOT, swing
from set_point_cell import BOXES, Cell, NS

from kinema4d_ros.gate import ShadowSimAnswer
from kinema4d_ros.gate.reach import reaches
from kinema4d_ros.gate.set_points import PathLicence, SetPointSettings
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import ClearanceSample, JointTrajectory, StartState, Status, Verdict

MOTION = swing(0.3)
POINT = np.zeros(3)


def answer(cell, clearance=0.1, **fields) -> ShadowSimAnswer:
    """Return a PASS on the swing, that holds for two seconds."""
    given = {'status': Status.PASS, 'summary': '', 'tiers_passed': (0, 1),
             'trajectory_hash': trajectory_hash(MOTION), 'robot_hash': ROBOT.description_hash,
             'start': StartState(READY), 'clearances': (
                 ClearanceSample(0.0, clearance, 0.0, 'hand', POINT, POINT),)}
    return ShadowSimAnswer(Verdict(**given | fields), round((cell.now + 2.0) * NS))


def licensed(cell, **fields):
    """Have the swing be a licence of the cell, in which nobody knows the scene."""
    cell.machine.add_path('the swing', PathLicence(MOTION, answer(cell, **fields), ROBOT,
                                                   reaches(ROBOT)))
    return cell


@pytest.fixture
def cell():
    return Cell(space=None)


def test_a_stream_along_the_path_is_relayed_to_its_end(cell):
    licensed(cell)
    rulings = [cell.turn(0.3 * 0.02) for _ in range(50)]
    assert all(ruling.relays for ruling in rulings), [r.reason for r in rulings if not r.relays]
    assert cell.joints['shoulder_pan_joint'] == pytest.approx(0.3)
    assert cell.turn(0.0, after=0.5).relays      # it stays at the end for a while
    assert 'was to be over' in cell.turn(0.0, after=3.0).reason


def test_off_the_path_it_is_held_and_back_on_it_let_go(cell):
    licensed(cell)
    assert all(cell.turn(0.006).relays for _ in range(10))
    on_it = cell.arm
    off = on_it + [0.006, 0.0, 0.04, 0.0, 0.03, 0.0]
    cell.settings = dataclasses.replace(cell.settings, path_tolerance=0.02)
    ruling = cell.send(off)
    assert 'not by the trajectory that passed last' in ruling.reason
    assert 'away from the checked trajectory' in ruling.reason
    assert cell.send(on_it + 0.006 * np.eye(6)[0]).relays


def test_the_tube_is_as_wide_as_the_clearance_that_was_judged(cell):
    aside = np.array([0.006, 0.03, 0.0, 0.0, 0.0, 0.0])      # [rad] about 2 cm at the hand
    licensed(cell, clearance=0.1)
    assert cell.turn(0.006).relays and cell.send(cell.arm + aside, after=0.1).relays
    narrow = licensed(Cell(space=None), clearance=0.005)
    assert narrow.turn(0.006).relays
    assert 'around it' in narrow.send(narrow.arm + aside, after=0.1).reason


def test_it_does_not_run_ahead_of_the_path(cell):
    licensed(cell)
    cell.settings = dataclasses.replace(cell.settings, path_tolerance=0.02)
    held = []
    for number in range(1, 9):
        held.append(cell.turn(0.03, after=0.02).reason)
        assert cell.joints['shoulder_pan_joint'] <= 0.3 * (0.02 * number + 0.3) + 0.02
    assert 'away from the checked trajectory' in ' '.join(filter(None, held))


@pytest.mark.parametrize('fields, words', [
    ({'status': Status.UNSURE}, 'its verdict is UNSURE'),
    ({'status': Status.FAIL}, 'its verdict is FAIL'),
    ({'tiers_passed': (0,)}, 'tier 1 has not passed')])
def test_anything_but_a_pass_of_all_tiers_is_no_licence(cell, fields, words):
    assert words in licensed(cell, **fields).turn(0.006).reason


def test_it_must_begin_while_the_verdict_holds(cell):
    licensed(cell)
    assert 'its verdict ended' in cell.turn(0.006, after=2.5).reason


def test_a_joint_that_it_does_not_move_must_stand_where_it_stood():
    motion = swing(0.3)
    arm = dataclasses.replace(motion, joint_names=motion.joint_names[:6],
                              positions=motion.positions[:, :6])
    cell = Cell(space=None)
    cell.machine.add_path('arm', PathLicence(arm, answer(cell), ROBOT, reaches(ROBOT)))
    assert cell.turn(0.006).relays
    cell.joints['finger_joint'] -= 0.03
    assert 'finger_joint is 0.030 away from where it was to stand' in cell.turn(0.006).reason


@pytest.mark.parametrize('kind', ['position', 'velocity'])
@pytest.mark.parametrize('speed', [np.inf, -np.inf, 1e200])
def test_a_speed_that_is_none_holds_it_and_no_more(kind, speed):
    cell = licensed(Cell(kind, space=None))
    assert cell.send(np.zeros(6) if kind == 'velocity' else cell.arm).relays
    cell.speeds['elbow_joint'] = speed
    ruling = cell.send(np.zeros(6) if kind == 'velocity' else cell.arm)
    assert ruling.reason == f'joint_states say that elbow_joint moves at {speed}'
    cell.speeds['elbow_joint'] = 0.0
    assert cell.send(np.zeros(6) if kind == 'velocity' else cell.arm).relays


@pytest.mark.filterwarnings('ignore:overflow')
def test_a_place_that_is_none_holds_it_and_no_more(cell):
    licensed(cell)
    assert cell.turn(0.006).relays
    there, cell.joints['elbow_joint'] = cell.arm, -1e308
    ruling = cell.send(there)
    assert not ruling.relays and ruling.own is None


def test_a_robot_that_is_not_on_the_path_is_held(cell):
    licensed(cell)
    assert cell.turn(0.006).relays
    cell.joints['elbow_joint'] += 0.1
    target = np.array([READY[name] for name in list(READY)[:6]])
    cell.settings = dataclasses.replace(cell.settings, max_step=1.0)
    assert 'elbow_joint is 0.100 away' in cell.send(target + [0.012, 0, 0, 0, 0, 0],
                                                    after=0.05).reason


def test_evidence_that_comes_late_takes_the_licence_back(cell):
    licensed(cell)
    assert cell.turn(0.006).relays
    cell.machine.add_path('the swing', None)
    assert 'there is no licence' in cell.turn(0.006).reason


def test_the_same_trajectory_again_does_not_hold_a_robot_on_its_way(cell):
    licensed(cell)
    for _ in range(20):
        assert cell.turn(0.006).relays
        licensed(cell)
    cell.machine.add_path('the swing', None)
    assert 'there is no licence' in cell.turn(0.006).reason


def test_no_more_than_a_few_trajectories_are_kept(cell):
    for number in range(20):
        cell.machine.add_path(str(number), PathLicence(MOTION, answer(cell), ROBOT, {}))
    assert list(cell.machine.paths) == [str(number) for number in range(12, 20)]


def corner(leg=0.5, seconds=1.0):
    """Return a motion of the shoulder's two joints, one after the other."""
    places = np.array(list(READY.values())) + leg * np.array(
        [[0.0, 0.0], [1.0, 0.0], [1.0, -1.0]]) @ np.eye(2, len(READY))
    return JointTrajectory(tuple(READY), [0.0, seconds, 2 * seconds], places)


def test_the_way_to_a_posture_on_the_path_must_be_in_the_tube_too(cell):
    """A robot that lags behind its set points goes straight, and cuts the corner."""
    motion = corner()
    cell.settings = SetPointSettings(max_lead=1.0, max_step=1.0)
    cell.machine.add_path('the corner', PathLicence(motion, answer(
        cell, trajectory_hash=trajectory_hash(motion)), ROBOT, reaches(ROBOT)))
    begin, held = cell.arm, []

    def at(time):
        step = np.interp(time, [0, 1, 2], [0, .5, .5]), np.interp(time, [1, 2], [0, -.5])
        return begin + [*step, 0, 0, 0, 0]

    for number in range(1, 100):        # as the path goes; the robot stays 0.9 s behind
        held.append(cell.send(at(number / 50), obeys=False).reason)
        cell.joints.update(zip(READY, at(number / 50 - 0.9)))
    assert not any(held[:45])           # along the straight part it may lag
    assert 'away from the checked trajectory' in ' '.join(filter(None, held[50:80]))


@pytest.mark.parametrize('at, asked, moves, words', [
    (0.10, 0.3, 0.3, None), (0.28, 0.05, 0.05, None),
    (0.28, 0.3, 0.0, 'away from the checked trajectory'),
    (0.28, 0.0, 0.5, 'away from the checked trajectory')])
def test_velocities_must_be_able_to_stop_within_the_tube(at, asked, moves, words):
    """Until the source is taken for silent, and then braked, the robot goes far beyond."""
    cell = licensed(Cell('velocity', space=None))
    for number in range(1, round(at / 0.3 * 50) + 1):
        cell.joints['shoulder_pan_joint'] = 0.3 * 0.02 * number
        assert cell.send(0.03 * np.eye(6)[0]).relays
    cell.speeds['shoulder_pan_joint'] = moves
    reason = cell.send(asked * np.eye(6)[0]).reason
    assert reason is None if words is None else words in reason


NEAR = {'space': 0.003, 'reason': 'a person'}


@pytest.mark.parametrize('judged, near, words', [
    (0.1, NEAR, "'forearm_link' has 3 mm of space where 90 mm were judged"),
    (0.003, NEAR, None),                                  # so near it was to be
    (0.1, NEAR | {'touch': 0.0}, None),                   # what may touch
    (0.1, NEAR | {'reason': 'space that nobody has seen'}, None)])
def test_a_look_that_shows_less_space_than_was_judged_is_not_overruled(judged, near, words):
    cell = licensed(Cell(space=0.003), clearance=judged)
    everywhere = {link.link: {'touch': 0.0, 'touch_speed': 1.0}
                  for link in cell.machine.scene.clearance.links}
    cell.look(0.003, **everywhere | {'forearm_link': near})
    reasons = []
    for _ in range(3):
        reasons.append(cell.turn(0.006).reason)
        cell.look(0.003, **everywhere | {'forearm_link': near})
    if words is None:
        assert not any(reasons)
    else:
        assert words in reasons[-1]
        cell.look(0.3)
        assert cell.turn(0.006).relays


def test_without_looks_it_holds_no_longer_than_its_verdict(cell):
    motion = swing(0.3, seconds=5.0)
    cell.machine.add_path('slow', PathLicence(motion, answer(
        cell, trajectory_hash=trajectory_hash(motion)), ROBOT, reaches(ROBOT)))
    rulings = [cell.turn(0.3 * 0.02 / 5) for _ in range(110)]
    assert all(ruling.relays for ruling in rulings[:99])
    assert 'nobody looks whether it still holds' in rulings[-1].reason
    cell.look(0.003, **{name: NEAR | {'touch': 0.0} for name in
                        (box.link for box in BOXES)})
    assert cell.turn(0.3 * 0.02 / 5).relays
