# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Grasps that hold and grasps that do not, and landings that nobody saw, on ray-cast things."""
from __future__ import annotations

import dataclasses

import gantry
import numpy as np
import pytest
from scenes import bowl, box, can, Path, pick_and_place, RED, STEEL, World

from kinema4d_ros.foresight import Hold, Story
from kinema4d_ros.foresight.fingers import GapMotion
from kinema4d_ros.foresight.graspability import judge_grip
from kinema4d_ros.precheck import Goal, MovedObject, Outcome, RobotChecker
from kinema4d_ros.precheck.sequence import judge_goal
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.scene.support import HeightMap
from kinema4d_ros.simulator import ShadowSimulator, with_finger_boxes
from kinema4d_ros.types import (EventKind, Finding, FindingCode, JointTrajectory, Severity, Status)
from kinema4d_ros.world_model import load_world_model

AT, TO = (0.1, 0.15), (-0.05, -0.2)
GOAL = Goal.of({'above': {'region': {'low': [-0.2, -0.35, 0.0], 'high': [0.1, -0.05, 0.25]}}})


def judged(thing, aside=(0.0, 0.0), height=0.03):
    """Return the verdict on a hand that grasps beside a thing's middle and puts it down at TO."""
    world = World().add(RED, thing)
    path = pick_and_place((AT[0] + aside[0], AT[1] + aside[1]), TO, height, height + 0.02)
    joints = np.column_stack([path.positions, path.gaps / 2, path.gaps / 2])
    observation = dataclasses.replace(
        world.observe(path), joint_positions=dict(zip(gantry.JOINTS, joints[0])))
    simulator = ShadowSimulator(Robot.from_urdf(gantry.URDF), None, gripper=gantry.GRIPPER)
    return simulator.precheck(observation, JointTrajectory(gantry.JOINTS, path.times, joints),
                              goal=GOAL)


def doubts(verdict):
    return [f for f in verdict.findings if f.severity is Severity.UNSURE and f.code in (
        FindingCode.CLOSED_ON_NOTHING, FindingCode.UNDECIDED)]


@pytest.mark.parametrize('thing, aside, height', [
    (can(0.03, 0.08, (*AT, 0)), (0, 0), 0.03),
    (can(0.03, 0.08, (*AT, 0)), (0, 0.006), 0.03),             # pushed to the middle
    (box((0.05, 0.04, 0.03), (*AT, 0)), (0.01, 0), 0.01),
    (bowl(0.065, 0.06, (*AT, 0)), (0, 0.06), 0.025),           # by its rim
])
def test_what_is_well_between_the_fingers_is_held(thing, aside, height):
    verdict = judged(thing, aside, height)
    assert not doubts(verdict), verdict.summary
    assert verdict.success is not None and verdict.success > 0.8, verdict.summary


@pytest.mark.parametrize('thing, aside, height, words', [
    (can(0.046, 0.08, (*AT, 0)), (0, 0), 0.05, 'on both sides: it is wider than the 8.0 cm'),
    (box((0.05, 0.05, 0.06), (*AT, 0)), (0, 0.03), 0.03, 'with one finger')])
def test_what_is_not_held_is_foreseen_to_stay(thing, aside, height, words):
    verdict = judged(thing, aside, height)
    (doubt,) = doubts(verdict)
    assert doubt.code is FindingCode.CLOSED_ON_NOTHING and words in doubt.message
    assert verdict.status is not Status.PASS and verdict.success < 0.05
    assert not any(f.code is FindingCode.GRASP for f in verdict.findings)


def test_what_may_be_held_has_no_probability():
    verdict = judged(can(0.03, 0.08, (*AT, 0)), (0.031, 0))        # at the end of its width
    (doubt,) = doubts(verdict)
    assert doubt.code is FindingCode.UNDECIDED and 'beside its middle' in doubt.message
    assert verdict.success is None and verdict.status is not Status.PASS
    (goal,) = [f for f in verdict.findings if f.code is FindingCode.GOAL]
    assert goal.severity is Severity.UNSURE and 'is not known' in goal.message


def test_the_predicted_pictures_leave_what_is_not_held():
    world = World().add(RED, can(0.046, 0.08, (*AT, 0)))
    path = pick_and_place(AT, TO, 0.05)
    frames = list(load_world_model('kinematic').predict(world.observe(path), path.rollout()))
    events = [event for frame in frames for event in frame.events]
    assert [event.kind for event in events] == [EventKind.CLOSED_ON_NOTHING]
    assert 'wider' in events[0].message and frames[-1].carried_point_base is None


class Hand:
    """Fingers 8 cm apart along y, then shut, 2 cm wide and thick, 4 cm long, tips at z = 0."""

    gap, lower, upper = np.array([0.08, 0.0]), np.array([-0.04, 0.0]), np.array([0.04, 0.0])
    lower_thickness = upper_thickness = np.array([0.02, 0.02])

    def in_hand(self, points, frame):
        return points[:, [1, 2, 0]] * [1, -1, 1]

    def size(self, frame):
        return 0.04, 0.02


def block(width, middle=0.0, deep=0.03, aside=0.0, length=0.06):
    """Return points of a block between the fingers, 3 mm apart, and 5 cm below their tips."""
    x, y, z = np.meshgrid(np.arange(aside - length / 2, aside + length / 2, 0.003),
                          np.arange(middle - width / 2, middle + width / 2 + 1e-9, 0.003),
                          np.arange(-0.05, deep + 1e-9, 0.003))
    return np.column_stack([x.ravel(), y.ravel(), z.ravel()])


@pytest.mark.parametrize('points, hold', [
    (block(0.06), Hold.HOLDS), (block(0.04, 0.019), Hold.HOLDS),
    (block(0.09), Hold.FAILS), (block(0.05, 0.03), Hold.FAILS),
    (block(0.06, 0.014), Hold.UNKNOWN),                       # 4 mm under one finger
    (block(0.006, 0.047), Hold.FAILS),                        # all of it under one finger
    (np.r_[block(0.006, 0.01), block(0.006, 0.05)], Hold.UNKNOWN),     # hollow: two walls
    (block(0.06, deep=0.002), Hold.FAILS), (block(0.06, deep=0.005), Hold.UNKNOWN),
    (block(0.04, aside=0.03, length=0.05), Hold.UNKNOWN),
    (block(0.04, aside=0.02, length=0.05), Hold.HOLDS), (block(0.06)[:0], Hold.FAILS)])
def test_a_grip_by_hand(points, hold):
    whole = points if len(points) else block(0.06)
    assert judge_grip(Hand(), GapMotion(0, 1, True), points, whole).hold is hold


RIM = np.array([(0.06 * np.sin(a), 0.06 * np.cos(a), z) for a in np.linspace(0, 2 * np.pi, 120)
                for z in np.arange(-0.03, 0.0101, 0.005)])      # of a bowl that is 12 cm wide


@pytest.mark.parametrize('points, hold', [
    (RIM + [0.0, 0.06, 0.0], Hold.HOLDS), (RIM + [0.02, 0.057, 0.0], Hold.HOLDS),
    (RIM + [0.034, 0.05, 0.0], Hold.UNKNOWN),      # 5.7 cm of its half width of 6 beside it
    (np.r_[block(0.06), block(0.03, 0.027, aside=0.012, length=0.002)], Hold.UNKNOWN)])
def test_a_rim_beside_its_middle_and_an_edge_beside_a_finger_may_slip(points, hold):
    """The last is a corner: 2 mm under a finger, where it is 2 mm beside the finger's middle."""
    assert judge_grip(Hand(), GapMotion(0, 1, True), points, points).hold is hold


class HalfShutHand(Hand):
    """The same, which stops 5 cm apart."""

    gap = np.array([0.08, 0.05, 0.05])
    lower, upper = np.array([-0.04, -0.025, -0.025]), np.array([0.04, 0.025, 0.025])


@pytest.mark.parametrize('width, hold', [
    (0.06, Hold.HOLDS), (0.04, Hold.FAILS), (0.0481, Hold.UNKNOWN)])
def test_fingers_that_stop_before_they_touch_it_do_not_hold_it(width, hold):
    points = block(width)
    assert judge_grip(HalfShutHand(), GapMotion(0, 1, True), points, points).hold is hold


def test_fingers_that_still_close_where_a_chunk_ends_may_hold_it():
    hand, points = HalfShutHand(), block(0.04)
    hand.gap = hand.gap[:2]
    assert judge_grip(hand, GapMotion(0, 1, True), points, points).hold is Hold.HOLDS


def test_ground_that_nobody_saw():
    near = np.stack(np.meshgrid(np.arange(-0.2, 0.0, 0.002), np.arange(-0.2, 0.2, 0.002), [0.0]),
                    -1).reshape(-1, 3)
    ground = HeightMap(near, np.zeros(2), 0.25)
    grid = np.stack(np.meshgrid(np.arange(-0.02, 0.02, 0.004), np.arange(-0.02, 0.02, 0.004)),
                    -1).reshape(-1, 2)
    assert ground.seen_share(grid - [0.1, 0.0]) == 1.0
    assert ground.seen_share(grid + [0.1, 0.0]) == 0.0
    assert 0.5 <= ground.seen_share(grid) < 0.9      # gaps of two cells are seen
    assert ground.seen_share(grid + [5.0, 0.0]) == 0.0


def moved(**doubt) -> Outcome:
    return Outcome(moved=(MovedObject(np.array([*AT, 0.04]), np.array([*TO, 0.04]), 0.0, **doubt),))


@pytest.mark.parametrize('height, words', [(0.0, ''), (0.1, 'would rest 8 cm higher than it is')])
def test_what_is_let_go_below_where_it_would_rest_has_no_known_end(height, words):
    world = World().add(RED, can(0.03, 0.14, (*AT, 0)))
    if height:
        world = world.add(STEEL, box((0.2, 0.2, height), (*TO, 0)))
    path = pick_and_place(AT, TO, 0.13, 0.15)
    meshes = load_meshes(gantry.ROBOT)
    checker = RobotChecker(gantry.ROBOT, meshes, with_finger_boxes(gantry.GRIPPER, meshes))
    observation = gantry.observe(world, path)
    story = Story(checker.scene_of(observation).view,
                  checker.rollout_of(observation, gantry.motion(path)))
    assert list(story.landings) == [0] * bool(words) and words in ''.join(story.landings.values())


def put(at, to, height, begin):
    """Return the stops of a path that takes something and puts it down, within 4 s."""
    return [(begin + time, *place, z, gap) for time, place, z, gap in (
        (0.5, at, 0.3, 0.08), (1.0, at, 0.06, 0.08), (1.3, at, 0.06, 0.0), (1.8, at, 0.3, 0.0),
        (2.5, to, 0.3, 0.0), (3.0, to, height, 0.0), (3.3, to, height, 0.08), (4.0, to, 0.3, 0.08))]


@pytest.mark.parametrize('aside, height, words', [
    (0.045, 0.075, 'on the edge of what was put there before'), (0.08, 0.07, ''),
    (0.0, 0.145, '')])      # beside it; on its top
def test_what_comes_down_on_the_edge_of_what_was_put_there_has_no_known_end(aside, height, words):
    other = (0.1, -0.05)
    world = World().add(RED, can(0.03, 0.08, (*AT, 0))).add(RED, can(0.03, 0.08, (*other, 0)))
    path = Path.through((0.0, 0.0, -0.3, 0.3, 0.08), *put(AT, TO, 0.065, 0.0),
                        *put(other, (TO[0] + aside, TO[1]), height, 4.0), frames=97)
    meshes = load_meshes(gantry.ROBOT)
    checker = RobotChecker(gantry.ROBOT, meshes, with_finger_boxes(gantry.GRIPPER, meshes))
    observation = gantry.observe(world, path)
    story = Story(checker.scene_of(observation).view,
                  checker.rollout_of(observation, gantry.motion(path)))
    assert len(story.bodies) == 2
    assert list(story.landings) == [1] * bool(words), story.landings
    assert words in ''.join(story.landings.values())


@pytest.mark.parametrize('doubt', [{'grip_doubt': 'who knows'}, {'landing_doubt': 'who knows'}])
def test_what_nobody_knows_has_no_probability_but_where_it_makes_no_difference(doubt):
    assert GOAL.probability(moved()) > 0.9 and GOAL.why_unknown(moved()) is None
    assert GOAL.probability(moved(**doubt)) is None
    assert 'who knows' in GOAL.why_unknown(moved(**doubt))
    away = Goal.of({'inside': {'region': {'low': [0.3, 0.3, 0], 'high': [0.4, 0.4, 0.1]}}})
    assert away.probability(moved(**doubt)) < 0.05
    probability, finding = judge_goal(GOAL, moved(**doubt), ())
    assert probability is None and finding.severity is Severity.UNSURE


@pytest.mark.parametrize('value, severity, success', [
    (-0.008, Severity.UNSURE, None), (-0.003, Severity.UNSURE, 0.92),
    (-0.008, Severity.FAIL, 0.2), (-0.008, Severity.INFO, 0.92)])
def test_a_robot_that_may_be_stopped_may_not_arrive(value, severity, success):
    contact = Finding(FindingCode.CONTACT, severity, 'may be pressed', value=value, unit='m')
    found, _ = judge_goal(GOAL, moved(), [contact])
    assert found == (success if success is None else pytest.approx(success, abs=0.01))
