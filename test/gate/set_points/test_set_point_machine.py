# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which set points are relayed, why others are not, and what becomes of a robot that is held."""
import math

import numpy as np
import pytest
from gate_driver import READY
from set_point_cell import BOUND, Cell, JOINTS, SELF

from kinema4d_ros.gate.set_points import Posture, SetPointSettings, StepRules


def test_small_steps_in_free_space_are_relayed():
    cell = Cell()
    for _ in range(10):
        assert cell.turn(0.01).relays
        cell.look()
    assert (cell.machine.relayed, cell.machine.held_back) == (10, 0)


@pytest.mark.parametrize('change, words', [
    (lambda q: q[:5], 'has 5 values for the 6 joints'),
    (lambda q: [*q, 0.0], 'a controller is deactivated by that'),
    (lambda q: [*q[:5], math.nan], 'wrist_roll_joint is to be nan'),
    (lambda q: [math.inf, *q[1:]], 'shoulder_pan_joint is to be inf'),
    (lambda q: [q[0] + 0.06, *q[1:]], 'is to jump by 0.060 rad'),
    (lambda q: [q[0] + 0.3, *q[1:]], 'from where it is (max_lead 0.2)'),
    (lambda q: [q[0], 9.0, *q[2:]], 'its limits are'),
    (lambda q: 'it cannot be read: oh', 'it cannot be read: oh')])
def test_what_is_no_set_point_is_held_back_and_named(change, words):
    cell = Cell()
    assert cell.turn(0.01).relays
    ruling = cell.send(change(cell.arm.tolist()))
    assert not ruling.relays and words in ruling.reason and ruling.own is None
    assert cell.machine.is_held and cell.turn(0.01).relays and not cell.machine.is_held


def test_a_stream_that_is_faster_than_the_joint_may_be_is_held_back():
    """A burst of late messages is not: they may come together for a short time."""
    cell = Cell(velocity_scale=0.1, space=10.0)
    limit = cell.machine.rules.velocity_limits(cell.settings)[0]
    assert cell.turn(0.0).relays
    assert all(cell.turn(limit * 0.01, after=0.01).relays for _ in range(30))
    assert cell.turn(limit * 0.02, after=0.0001).relays and cell.turn(0.0, after=0.02).relays
    rulings = [cell.turn(limit * 0.02, after=0.01) for _ in range(20)]
    assert not all(ruling.relays for ruling in rulings)
    assert 'would be faster than' in next(r.reason for r in rulings if not r.relays)


@pytest.mark.parametrize('spoil, words', [
    (lambda cell: cell.joints.pop('elbow_joint'), 'not told where elbow_joint is'),
    (lambda cell: setattr(cell, 'joint_age', 0.3), 'are 0.30 s old, limit 0.1 s'),
    (lambda cell: cell.speeds.update(elbow_joint=math.nan), 'how fast elbow_joint moves'),
    (lambda cell: setattr(cell, 'problem', 'the controller is inactive'), 'is inactive'),
    (lambda cell: setattr(cell.machine, 'scene', None), 'there is no licence'),
    (lambda cell: cell.look(problem='no depth'), 'is not known: no depth'),
    (lambda cell: setattr(cell, 'now', cell.now + 5.0), 'was measured 5.0'),
    (lambda cell: setattr(cell, 'ros_step', -5.0), 'was measured -4.'),
    (lambda cell: cell.look(forearm_link={'touch_speed': math.nan}), 'that is no speed'),
    (lambda cell: cell.look(math.nan), 'a space that is no number')])
def test_what_is_not_known_holds_the_robot_until_it_is(spoil, words):
    cell = Cell()
    assert cell.turn(0.01).relays
    before = cell.arm + 0.01 * np.eye(6)[0]
    spoil(cell)
    ruling = cell.send(before)
    assert not ruling.relays and words in ruling.reason
    cell.joints, cell.problem, cell.joint_age = {**READY, **cell.joints}, None, 0.0
    cell.speeds = dict.fromkeys(READY, 0.0)
    cell.look()
    assert cell.send(before).relays


def test_an_obstacle_ahead_holds_the_robot_where_it_is_still_free():
    """Each look tells less space; it stops before that is used up, and goes back by itself."""
    cell, start = Cell(), READY['shoulder_pan_joint']
    wall = start + 0.3          # [rad] where the gripper would touch
    reach = 0.9                 # [m], more than the arm has
    for _ in range(60):
        cell.look(max(wall - cell.joints['shoulder_pan_joint'], 0.0) * 0.4)
        if not (ruling := cell.turn(0.01)).relays:
            break
    assert 'could be displaced by' in ruling.reason and '(the scene)' in ruling.reason
    assert start + 0.1 < cell.joints['shoulder_pan_joint'] < wall
    assert (wall - cell.joints['shoulder_pan_joint']) * reach > 0
    cell.look(0.05)
    assert cell.turn(-0.01).relays


def test_a_robot_that_moves_needs_more_space():
    """It may be braking when the look is made: how far it goes on counts."""
    cell = Cell(space=0.08)
    assert cell.turn(0.02, obeys=False).relays
    cell.speeds['shoulder_pan_joint'] = 1.0
    assert 'could be displaced by' in cell.turn(0.02).reason
    cell.settings = SetPointSettings(deceleration=100.0, reaction=0.0)
    assert cell.turn(0.02, obeys=False).relays


def test_a_cubic_from_the_velocity_of_now_overshoots():
    """With a velocity at its end a trajectory of one point is no straight line."""
    cell, still = Cell(space=0.1, deceleration=100.0, reaction=0.0), np.zeros(6)
    assert cell.turn(0.0, lasts=1.0, beyond=still).relays
    cell.speeds['shoulder_pan_joint'] = 2.0
    assert cell.turn(0.0, lasts=1.0).relays              # linear, without one
    assert 'could be displaced' in cell.turn(0.0, lasts=1.0, beyond=still).reason


def test_links_that_may_touch_are_slow_where_they_may():
    cell = Cell()
    fingers = {name: {'space': 0.02, 'touch': 0.0, 'touch_speed': 0.05, 'reason': 'the scene'}
               for name in ('left_finger', 'right_finger', 'finger_left', 'finger_right')}
    cell.look(**fingers)
    names = {each.link for each in cell.machine.scene.clearance.links if each.touch == 0.0}
    assert names, [each.link for each in cell.machine.scene.clearance.links]
    assert cell.turn(0.0005).relays
    assert 'may touch something and would move at' in cell.turn(0.005).reason
    cell.look(**fingers)
    assert 'may touch something and would move at' in cell.turn(0.01, after=0.4).reason
    assert cell.turn(0.01, lasts=0.5).relays         # a trajectory takes its time
    first = Cell()
    first.look(**fingers)
    assert 'may touch something and would move at' in first.turn(0.01).reason


def test_the_robot_may_not_touch_itself():
    cell = Cell(space=10.0, max_step=1.0, max_lead=3.0, burst=1.0)
    folded = cell.arm
    words = []
    for _ in range(60):
        folded = folded + 0.05 * np.array([0.0, -0.3, 1.0, 0.0, 1.0, 0.0])
        ruling = cell.send(folded, after=0.2)
        cell.look(10.0)
        words.append(ruling.reason or '')
        if not ruling.relays:
            break
    assert 'would touch' in words[-1] or 'its limits are' in words[-1]


FOLD = np.array([0.0, -0.3, 1.0, 0.0, 1.0, 0.0])     # by 0.53 rad of it the fingers touch


@pytest.mark.parametrize('asked, moves', [(0.42, 0.0), (0.0, 0.42)])
def test_velocities_are_held_where_the_robot_could_not_stop_before_it_touches_itself(asked, moves):
    cell = Cell('velocity', space=10.0)
    cell.joints.update(zip(JOINTS, cell.arm + 0.4 * FOLD))
    cell.look(10.0)
    assert cell.send(0.1 * FOLD).relays
    cell.speeds.update(zip(JOINTS, moves * FOLD))
    assert 'would touch' in cell.send(asked * FOLD).reason


def test_a_position_stays_while_its_way_is_free_and_is_replaced_where_it_is_not():
    cell = Cell()
    assert cell.turn(0.04, obeys=False).relays       # the arm is still on its way
    assert cell.send(np.full(6, math.nan)).own is None
    assert cell.tick() is not None and cell.tick().own is None
    cell.look(0.001)
    cell.speeds['shoulder_pan_joint'] = 0.2
    ruling = cell.tick()
    assert ruling.own == pytest.approx(cell.arm)     # where it was measured
    assert cell.tick() is None                       # it was told
    cell.speeds['shoulder_pan_joint'] = 0.0
    cell.look()
    assert cell.turn(0.01).relays


@pytest.mark.parametrize('seldom', [False, True])
@pytest.mark.parametrize('wrong, looks', [(0.19, 1), (1.0, 1), (1.0, 9)])
def test_a_robot_is_not_told_to_stay_where_a_joint_was_measured_once_and_is_not(wrong, looks,
                                                                               seldom):
    cell = Cell(space=0.08, max_joint_age=2.0)
    assert cell.turn(0.04, obeys=False).relays and cell.turn(0.04, obeys=False).relays
    if seldom:      # another joint, whose driver tells it now and then
        cell.heard['wrist_roll_joint'] = cell.now
    cell.joints['elbow_joint'] -= wrong
    found = [cell.send(np.full(6, math.nan)), *(cell.tick() for _ in range(looks - 1))]
    assert not any(each.relays or each.own is not None for each in found)
    cell.joints['elbow_joint'] += wrong
    assert cell.tick().own is None
    cell.look(0.001)
    assert cell.tick().own == pytest.approx(cell.arm)     # where it is by several measurements


def test_a_source_that_falls_silent_is_named_and_the_last_position_stays():
    cell = Cell()
    assert cell.turn(0.01).relays and cell.tick() is None
    ruling = cell.tick(0.5)
    assert 'the source has been silent' in ruling.reason and ruling.own is None
    assert cell.tick() is None                       # it stands where it was told to be
    cell.look()
    assert cell.turn(0.01).relays


@pytest.mark.parametrize('stops', [True, False])
def test_a_robot_that_something_else_has_moved_begins_where_it_is(stops):
    """Another controller turned it by a radian; what the gate relayed before is long past."""
    cell = Cell()
    assert cell.turn(0.01).relays
    if stops:
        assert cell.tick(0.5) is not None and cell.tick() is None
    cell.joints['shoulder_pan_joint'] += 1.0
    cell.now += 2.0
    cell.look()
    assert cell.turn(0.01).relays
    assert 'is to jump' in cell.turn(0.06).reason


def test_velocities_are_braked_when_the_source_falls_silent():
    cell = Cell('velocity', deceleration=2.0)
    assert cell.send([0.2, 0, 0, 0, 0, 0.1]).relays and cell.tick() is None
    told = []
    cell.now += 0.25
    while (ruling := cell.tick()) is not None:
        told.append(ruling.own)
    told = np.array(told)
    assert (np.diff(told[:, 0]) < 0).all() and np.allclose(told[-1], 0.0)
    assert np.allclose(told[:, 5] * 2, told[:, 0])   # all joints alike: it stays on its way
    assert len(told) >= 8 and 'silent' in cell.machine.reason
    cell.look()
    assert cell.send([0.1, 0, 0, 0, 0, 0]).relays


@pytest.mark.parametrize('values, words', [
    ([9.0, 0, 0, 0, 0, 0], 'is to move at 9.000 rad/s'),
    ([0.8, 0, 0, 0, 0, 0], 'is to jump by 0.750 rad/s'),
    ([math.nan] * 6, 'is to be nan'), ([0.1] * 7, 'has 7 values')])
def test_velocities_that_are_held_back(values, words):
    cell = Cell('velocity')
    assert cell.send(np.full(6, 0.05)).relays
    ruling = cell.send(values)
    assert words in ruling.reason and (ruling.own < 0.05).all() and ruling.share < 1.0


def test_a_velocity_may_be_taken_back_at_once_but_not_be_reversed():
    cell = Cell('velocity', space=10.0)
    one = np.eye(6)[0]
    assert cell.send(0.4 * one).relays and cell.send(0.8 * one).relays
    assert 'is to jump by 1.600' in cell.send(-0.8 * one).reason
    assert cell.send(0.0 * one).relays


def test_a_velocity_towards_a_limit_or_an_obstacle_is_held_back_and_away_from_it_is_not():
    cell = Cell('velocity', space=10.0)
    limit = cell.machine.rules.robot.limits['shoulder_pan_joint'].upper
    cell.joints['shoulder_pan_joint'] = limit - 0.02
    cell.look(10.0)
    up = np.eye(6)[0]
    assert 'could not stop within its limits' in cell.send(0.3 * up).reason
    assert cell.send(-0.1 * up).relays
    cell.look(0.02)
    assert 'could be displaced' in cell.send(-0.3 * up).reason


def test_without_tier_1_the_scene_plays_no_part():
    cell = Cell(space=None, required_tiers=(0,))
    assert cell.turn(0.01).relays and 'is to jump' in cell.turn(0.06).reason


def test_joints_that_nobody_commands_count_too():
    """Another controller moves the gripper: its way is in the bound."""
    cell = Cell()
    cell.look(**{name: {'space': 0.006, 'reason': 'a cup'} for name in
                 [each.link for each in cell.machine.scene.clearance.links]
                 if 'finger' in name})
    assert cell.turn(0.0).relays
    cell.speeds['finger_joint'] = 0.3
    assert '(a cup)' in cell.turn(0.0).reason


def test_a_robot_that_is_forgotten_has_no_licence_any_more():
    cell = Cell()
    assert cell.turn(0.01).relays
    cell.machine.set_robot(None)
    assert cell.turn(0.01).reason == 'the robot is not known yet' and cell.machine.scene is None
    assert JOINTS[0] == 'shoulder_pan_joint'


@pytest.mark.parametrize('seed', range(4))
def test_what_is_remembered_of_the_links_changes_no_ruling(seed):
    """A walk at random, judged by rules that looked before and by ones that never did."""
    rng = np.random.default_rng(seed)
    kept, settings = Cell().machine.rules, SetPointSettings()
    place = np.array([READY[name] for name in kept.robot.joint_names])
    place[1:3] += rng.uniform(-0.5, 0.5, 2)
    seen = set()
    for _ in range(60):
        end = place + rng.normal(0.0, 0.03, len(place)) + [0, -.02, .03, 0, .03, 0, 0]
        posture = Posture(place, np.zeros(len(place)))
        new = StepRules(kept.robot, JOINTS, BOUND, SELF).why_self_contact(posture, [end], settings)
        old = kept.why_self_contact(posture, [end], settings)
        assert (old is None) == (new is None)
        seen.add(old is None)
        place = end
    assert True in seen
