# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A hand that pulls, pushes and misses the handle of something that slides, ray-cast."""
from __future__ import annotations

import dataclasses

import gantry
import numpy as np
import pytest
from scenes import box, Path, RED, World
from scipy.spatial.transform import Rotation

from kinema4d_ros.foresight import FixturePart
from kinema4d_ros.foresight.fingers import Fingers
from kinema4d_ros.foresight.part_moves import PartMover
from kinema4d_ros.precheck import Goal
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import EventKind, FindingCode, Severity, Status

# A chest with a sliding lid, whose handle stands up in the middle: the fingers close along y.
HANDLE = (0.05, 0.1)
LID = {'low': [-0.05, 0.0, 0.105], 'high': [0.15, 0.2, 0.19]}
TOP = 0.1


def goal(distance, direction=(-1, 0, 0)):
    return Goal.of({'slides_by': {'distance': distance, 'direction': list(direction)},
                    'starts_in': LID})


@pytest.fixture(scope='module')
def chest():
    """Return what judges a path over the chest, for a goal."""
    world = World().add(RED, box((0.3, 0.3, TOP), (*HANDLE, 0))).add(
        RED, box((0.03, 0.02, 0.085), (*HANDLE, TOP))).add(
        RED, box((0.03, 0.1, 0.08), (-0.17, HANDLE[1], TOP)))     # in the way farther on
    simulator = ShadowSimulator(Robot.from_urdf(gantry.URDF), None, gripper=gantry.GRIPPER)

    def judged(rows, wanted):
        path = Path.through(*rows, frames=61)
        return simulator.precheck(gantry.observe(world, path), gantry.motion(path), goal=wanted)
    return judged


def pull(way, aside=0.0):
    """Return a path that closes around the handle, pulls it along x, and lets go."""
    x, y = HANDLE[0], HANDLE[1] + aside
    return [(0.0, 0.0, -0.1, 0.3, 0.08), (1.0, x, y, 0.3, 0.08), (2.0, x, y, 0.13, 0.08),
            (2.4, x, y, 0.13, 0.0), (4.0, x + way, y, 0.13, 0.0), (4.4, x + way, y, 0.13, 0.08),
            (5.4, x + way, y, 0.3, 0.08)]


def push(way, y=HANDLE[1]):
    """Return a path that comes down beyond the handle with closed fingers, and pushes along -x."""
    x = HANDLE[0] + 0.07
    return [(0.0, 0.0, -0.1, 0.3, 0.0), (1.0, x, y, 0.3, 0.0), (2.0, x, y, 0.13, 0.0),
            (4.0, x + way, y, 0.13, 0.0), (4.5, x + way + 0.03, y, 0.13, 0.0),
            (5.5, x + way + 0.03, y, 0.3, 0.0)]


def said(verdict, code):
    return [f.message for f in verdict.findings if f.code is code]


def test_a_handle_that_is_grasped_goes_where_the_hand_goes(chest):
    verdict = chest(pull(-0.12), goal(0.10))
    assert verdict.success > 0.95 and verdict.status is Status.PASS, verdict.summary
    assert 'moves 12 cm' in said(verdict, FindingCode.DRAGGED)[0]
    assert not said(verdict, FindingCode.CLOSED_ON_NOTHING)
    assert chest(pull(-0.12), goal(0.14)).success < 0.05       # not far enough
    assert chest(pull(0.12), goal(0.10)).success < 0.05        # the wrong way
    assert chest(pull(-0.12), goal(0.10, (0, 1, 0))).success < 0.05     # its joint does not let it


def test_a_handle_beside_the_fingers_stays(chest):
    verdict = chest(pull(-0.12, aside=-0.09), goal(0.10))
    assert verdict.success < 0.05 and not said(verdict, FindingCode.DRAGGED)


def test_what_is_pushed_goes_from_the_contact_on(chest):
    """The fingers are 1 cm before their middle, and 7 cm - 1.5 - 1 from the handle: 14.5 - 4.5."""
    verdict = chest(push(-0.145), goal(0.08))
    assert verdict.success > 0.95, verdict.summary
    assert verdict.status is Status.PASS, verdict.summary
    assert any('push' in text and 'moves 10 cm' in text
               for text in said(verdict, FindingCode.PUSHED)), verdict.findings
    assert chest(push(-0.145), goal(0.12)).success < 0.05


def test_without_a_goal_that_says_so_nothing_slides(chest):
    """To a camera the handle is a wall: the fingers are pressed into it."""
    verdict = chest(push(-0.145), None)
    assert verdict.status is Status.FAIL
    assert not said(verdict, FindingCode.PUSHED)


def test_where_it_stands_afterwards_it_is_an_obstacle(chest):
    """The lid is pulled out, and then the palm comes down where its handle is now."""
    x, y = HANDLE[0] - 0.12, HANDLE[1]
    after = [*pull(-0.12), (6.4, x, y + 0.06, 0.3, 0.0), (7.4, x, y + 0.06, 0.108, 0.0)]
    found = [f for f in chest(after, goal(0.10)).findings if f.other == 'moved part']
    assert [f.link for f in found] == ['palm'] and found[0].severity > Severity.INFO, found
    beside = [*pull(-0.12), (6.4, HANDLE[0], y + 0.06, 0.3, 0.0),
              (7.4, HANDLE[0], y + 0.06, 0.108, 0.0)]      # where it was there is nothing now
    assert not [f for f in chest(beside, goal(0.10)).findings if f.severity > Severity.INFO
                and f.link == 'palm']


def test_what_slides_has_moved_and_is_no_object_that_is_put_somewhere(chest):
    put = Goal.of({'above': {'region': {'low': [-0.3, 0, 0], 'high': [0, 0.2, 0.3]}},
                   'all_of': [{'slides_by': {'distance': 0.1}, 'starts_in': LID}]})
    assert chest(pull(-0.12), put).success < 0.05
    assert chest(pull(-0.12), goal(0.12)).success is None     # on the edge


def pressed(along=None, box=None):
    """Return what is foreseen of closed fingers that press 2 cm into the chest, 60 mm beside it."""
    path = [(0.0, 0.0, -0.1, 0.3, 0.0), (1.0, 0.1, 0.2, 0.3, 0.0), (3.0, 0.1, 0.2, 0.08, 0.0),
            (4.0, 0.1, 0.2, 0.08, 0.0)]
    rule = {'distance': 0.01} | ({} if along is None else {'direction': along})
    return path, Goal.of({'slides_by': rule, 'starts_in': box or {
        'low': [-0.1, -0.05, 0.05], 'high': [0.2, 0.25, 0.19]}})


def test_no_box_makes_a_chest_give_way_to_a_hand_that_comes_down_on_it(chest):
    """Such a goal must not turn what geometry says into a PASS."""
    everything = {'low': [-2, -2, -0.5], 'high': [2, 2, 1]}
    for path, wanted in (pressed(), pressed(along=[1, 0, 0]), pressed(box=everything),
                         pressed(along=[0, 0, -1], box=everything)):
        verdict = chest(path, wanted)
        assert verdict.status is not Status.PASS, verdict.summary
        assert {f.link for f in verdict.findings if f.code is FindingCode.CONTACT
                and f.severity > Severity.INFO} == {'left', 'right'}
    assert 'a third of all' in said(verdict, FindingCode.UNDECIDED)[0]


def test_what_its_joint_does_not_let_move_is_pressed_against(chest):
    verdict = chest(push(-0.145), goal(0.08, (0, 1, 0)))
    assert verdict.status is Status.FAIL and not said(verdict, FindingCode.PUSHED)


def test_a_push_comes_against_a_part_no_faster_than_any_touch(chest):
    x, y = HANDLE[0] + 0.07, HANDLE[1]
    fast = [(0.0, 0.0, -0.1, 0.3, 0.0), (1.0, x, y, 0.3, 0.0), (2.0, x, y, 0.13, 0.0),
            (2.15, x - 0.145, y, 0.13, 0.0), (3.0, x - 0.12, y, 0.13, 0.0)]
    verdict = chest(fast, goal(0.08))
    assert verdict.status is Status.FAIL and any(
        'would come against what the hand moves' in text
        for text in said(verdict, FindingCode.CONTACT)), verdict.summary


def test_fingers_that_come_down_on_what_they_have_opened_are_found(chest):
    x, y = HANDLE[0] - 0.12, HANDLE[1]
    after = [*pull(-0.12), (6.4, x, y, 0.3, 0.0), (7.4, x, y, 0.15, 0.0), (8.4, x, y, 0.15, 0.0)]
    found = [f for f in chest(after, goal(0.10)).findings if f.other == 'moved part']
    assert {f.link for f in found} == {'left', 'right'}, found
    assert all(f.severity is Severity.FAIL for f in found), found


def test_what_is_called_a_part_is_not_dragged_through_other_things(chest):
    """Whatever a box is put around moves along; but not into what stands there."""
    verdict = chest(pull(-0.22), goal(0.10))
    assert any('be moved into the scene' in text
               for text in said(verdict, FindingCode.CONTACT)), verdict.findings
    assert not [f for f in chest(pull(-0.12), goal(0.10)).findings if f.severity > Severity.INFO]


KNOB = {'low': (0.05, 0.05, 0.1), 'high': (0.15, 0.15, 0.13)}      # its bar lies along x


def turned_beside(aside):
    """Return how a knob moves along with a hand that takes its bar so far beside its middle."""
    middle, steps = np.array([0.1, 0.1, 0.115]), 41
    at = middle + [aside, 0.0, 0.0]
    robot = Path.through((0.0, *at[:2], 0.115, 0.08), (1.0, *at[:2], 0.115, 0.02),
                         (3.0, *at[:2], 0.115, 0.02), frames=steps).rollout()
    angles = np.clip(robot.times - 1.2, 0.0, 1.1)
    T = robot.T_base_link.copy()
    for frame, angle in enumerate(angles):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix()
        turn[:3, 3] = at - turn[:3, :3] @ at
        T[frame] = turn @ T[frame]
    robot = dataclasses.replace(robot, T_base_link=T)
    bar = np.mgrid[0.06:0.14:0.004, 0.092:0.109:0.004, 0.1:0.13:0.004].reshape(3, -1).T
    seen = np.concatenate([bar, np.full((4 * len(bar), 3), 2.0)])
    mover = PartMover(robot, Fingers(robot), seen, [FixturePart(
        KNOB['low'], KNOB['high'], axis=(0.0, 0.0, 1.0))], 4)
    (closing,) = [each for each in Fingers(robot).motions() if each.closing]
    return mover.grasp(closing, np.full((1, 3), np.nan))


def test_a_hand_that_turns_a_knob_beside_its_middle_would_have_to_push_it_aside():
    """Beside it by 2 cm along the bar, the middle goes 2 cm x sin(1.1) across the fingers."""
    right, beside = turned_beside(0.0), turned_beside(0.02)
    assert right.kind is beside.kind is EventKind.DRAGGED
    assert right.doubt is None
    assert '20 mm beside the middle' in beside.doubt and '18 mm between the' in beside.doubt
