# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the hand of the gantry holds when a motion begins, in worlds that are known exactly."""
from __future__ import annotations

import dataclasses

import gantry
import numpy as np
import pytest
from scenes import BLUE, box, cast, hand, Path, RED, STEEL, World

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight.attached import declared
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (AttachedObject, AttachedShape, EventKind, FindingCode,
                                JointTrajectory, Observation, Severity, Status)
from kinema4d_ros.world_model import load_world_model

WIDE = 0.04                          # [m] of what is held, along the closing axis
SIZE = (0.05, WIDE, 0.1)
HANGS = -0.05                        # [m] its bottom against the finger tips
_HEAD, _FINGERS = gantry.URDF.split('<joint name="left_joint"')
#: the gantry with fingers that have ends: the gap goes from 0 to 8 cm
ROBOT = Robot.from_urdf(_HEAD + '<joint name="left_joint"' + _FINGERS.replace(
    'lower="-1" upper="1"', 'lower="0" upper="0.04"'))
NEIGHBOUR = (0.0, 0.25)


def simulator(model=None) -> ShadowSimulator:
    return ShadowSimulator(ROBOT, model, frames=9, gripper=gantry.GRIPPER)


def look(tip, gap, thing=None, seconds=0.0, world=None) -> Observation:
    """Return what is seen of the hand, with a thing whose bottom's middle is given."""
    world = world or World()
    extra = [(STEEL, hand(tip, gap))]
    if thing is not None:
        extra.append((RED, [box(SIZE, thing)]))
    image, depth, _ = world.render(extra)
    seen = world.observe(Path.through((0.0, *tip, gap), (1.0, *tip, gap)))
    joints = dict(zip(gantry.JOINTS, (*tip, gap / 2, gap / 2)))
    return dataclasses.replace(seen.with_view(image=image, depth=depth),
                               stamp_ns=int(seconds * 1e9), joint_positions=joints)


def holding(tip, seconds=0.0, world=None, thing=SIZE) -> Observation:
    """Return the look at a hand that holds the box."""
    return look(tip, WIDE, (tip[0], tip[1], tip[2] + HANGS), seconds, world)


def arm(*tips, seconds=2.0) -> JointTrajectory:
    """Return a motion of the arm's joints only."""
    return JointTrajectory(gantry.JOINTS[:3], np.linspace(0, seconds, len(tips)), np.array(tips))


def whole(*states, seconds=2.0) -> JointTrajectory:
    """Return a motion of all joints through (x, y, z, gap)."""
    states = np.array(states)
    return JointTrajectory(gantry.JOINTS, np.linspace(0, seconds, len(states)), np.column_stack(
        [states[:, :3], states[:, 3] / 2, states[:, 3] / 2]))


def attached(verdict):
    return [finding for finding in verdict.findings if finding.code is FindingCode.ATTACHED]


UP = (0.0, 0.0, 0.2)


@pytest.mark.parametrize('motion', [
    arm(UP, (0.1, -0.1, 0.25)),
    whole((*UP, WIDE), (0.05, -0.05, 0.22, 0.0), (0.1, -0.1, 0.25, 0.0)),
], ids=['arm only', 'fingers go on closing'])
def test_what_is_between_closed_fingers_is_held_and_no_obstacle_to_them(motion):
    verdict = simulator().precheck(holding(UP), motion)
    (found,) = attached(verdict)
    assert verdict.status is Status.PASS, verdict.summary
    assert found.severity is Severity.INFO and '(recognised)' in found.message
    np.testing.assert_allclose(found.point_base, (0, 0, 0.2), atol=0.03)   # its front is seen


@pytest.mark.parametrize('to', [
    (0.0, 0.0, -HANGS - 0.05), (0.0, 0.25, 0.13),
], ids=['5 cm into the table', '5 cm into a neighbour'])
def test_what_is_held_is_not_driven_into_the_scene(to):
    world = World().add(BLUE, box((0.06, 0.06, 0.12), (*NEIGHBOUR, 0)))
    start = (0.0, 0.0, to[2] if to[1] else 0.2)
    verdict = simulator().precheck(holding(start, world=world), arm(start, to))
    assert verdict.status is not Status.PASS
    assert any('carried' in finding.message and finding.severity > Severity.INFO
               for finding in verdict.findings)


@pytest.mark.parametrize('gap, thing', [(WIDE, None), (0.08, None), (0.08, (0.0, 0.0, 0.15)),
                                        (0.001, None)],
                         ids=['half closed', 'open', 'open around something', 'shut'])
def test_an_empty_hand_holds_nothing_and_may_move(gap, thing):
    observation = look(UP, gap, thing)
    verdict = simulator().precheck(observation, arm(UP, (0.0, 0.0, 0.3)))
    assert not attached(verdict)
    assert thing is not None or verdict.status is Status.PASS


def test_a_gap_that_nobody_can_see_into_is_not_known():
    board = World().add(BLUE, box((0.01, 0.3, 0.34), (0.2, 0.02, 0.0)))
    verdict = simulator().precheck(holding(UP, world=board), arm(UP, (0.0, -0.05, 0.25)))
    (found,) = attached(verdict)
    assert verdict.status is not Status.PASS
    assert found.severity is Severity.UNSURE and 'does not see' in found.message


STANDS = (0.0, 0.0, 0.0)
GRIPS = (0.0, 0.0, -HANGS)


def grasped(fingers: bool = False) -> ShadowSimulator:
    """Return a simulator that has seen the hand come down around the box, and close on it."""
    shadow = simulator()
    approach = arm((0.0, 0.0, 0.25), GRIPS) if not fingers else whole(
        (0.0, 0.0, 0.25, 0.08), (*GRIPS, 0.08), (*GRIPS, 0.0))
    shadow.precheck(look((0.0, 0.0, 0.25), 0.08, STANDS), approach)
    return shadow


@pytest.mark.parametrize('fingers', [False, True], ids=['arm only', 'with fingers'])
@pytest.mark.parametrize('tip', [GRIPS, (0.0, 0.0, 0.2)], ids=['as it stands', 'already lifted'])
def test_the_shape_that_was_seen_before_the_grasp_is_remembered(fingers, tip):
    verdict = grasped(fingers).precheck(holding(tip, 2.0), arm(tip, (0.0, -0.05, 0.3)))
    (found,) = attached(verdict)
    assert verdict.status is Status.PASS, verdict.summary
    assert 'remembered 2.0 s ago' in found.message and found.value == pytest.approx(2.0)
    np.testing.assert_allclose(found.point_base, (0, 0, tip[2]), atol=0.015)


def test_it_is_forgotten_when_the_fingers_open_or_nothing_is_between_them():
    shadow = grasped()
    assert attached(shadow.precheck(holding(GRIPS, 2.0), arm(GRIPS, UP)))
    assert attached(shadow.precheck(holding(UP, 3.0), arm(UP, UP)))
    gone = shadow.precheck(look(UP, WIDE, None, 4.0), arm(UP, (0.0, 0.0, 0.3)))
    assert not attached(gone) and gone.status is Status.PASS
    shadow = grasped()
    assert attached(shadow.precheck(holding(GRIPS, 2.0), arm(GRIPS, UP)))
    assert not attached(shadow.precheck(look(GRIPS, WIDE + 0.006, STANDS, 3.0), arm(GRIPS, UP)))


def test_forgetting_leaves_what_is_seen_now():
    shadow = grasped()
    shadow.precheck(holding(GRIPS, 2.0), arm(GRIPS, UP))
    shadow.forget()
    (found,) = attached(shadow.precheck(holding(UP, 3.0), arm(UP, UP)))
    assert '(recognised)' in found.message


@pytest.mark.parametrize('before', [None, 'held'], ids=['nothing known', 'remembered'])
def test_a_look_by_a_camera_that_is_not_believed_changes_nothing_of_what_is_held(before):
    """It sees free space, or a wall, where it takes the fingers to be."""
    shadow = grasped() if before else simulator()
    if before:
        assert attached(shadow.precheck(holding(UP, 1.0), arm(UP, UP)))
    elsewhere = holding(UP, 2.0)
    T = elsewhere.view.T_base_camera.copy()
    T[:3, 3] += 0.0, 0.35, 0.0
    lost = shadow.precheck(elsewhere.with_view(T_base_camera=T), arm(UP, UP))
    assert FindingCode.CAMERA_POSE in {f.code for f in lost.findings} and not lost.passed
    (found,) = attached(shadow.precheck(holding(UP, 3.0), arm(UP, UP)))
    assert ('remembered' if before else 'recognised') in found.message


def test_what_is_held_falls_when_the_fingers_open():
    verdict = simulator().precheck(holding(UP), whole((*UP, WIDE), (*UP, WIDE), (*UP, 0.08)))
    assert [f.code for f in verdict.findings if f.code in (FindingCode.RELEASE, FindingCode.REST)
            ] == [FindingCode.RELEASE, FindingCode.REST]


# ---------------------------------------------------------------- declared

BOX = AttachedObject('palm', (AttachedShape('box', (0.05, 0.04, 0.1), (0, 0, -0.06, 0, 0, 0, 1)),),
                     'a carton')


def test_what_is_declared_is_held_until_it_is_not():
    shadow, empty = simulator(), look(UP, WIDE)
    down = arm(UP, (0.0, 0.0, 0.04))
    verdict = shadow.precheck(empty, down, attached=[BOX])
    (found,) = attached(verdict)
    assert "'a carton'" in found.message and '(declared)' in found.message
    assert verdict.status is Status.UNSURE or verdict.status is Status.FAIL
    assert shadow.precheck(empty, arm(UP, (0.0, 0.0, 0.25)), attached=[BOX]).passed
    assert not attached(shadow.precheck(empty, down))


def test_a_fixture_that_is_declared_at_the_base_hides_no_obstacle():
    """MoveIt attaches tables to the base; what is measured within it is not carried away."""
    table = AttachedObject('base', (AttachedShape('box', (2.0, 2.0, 0.6)),), 'table')
    near = 0.0, NEIGHBOUR[1] - 0.15, 0.2
    seen = look(near, 0.0, (*NEIGHBOUR, 0.1), world=World())
    into = arm(near, (*NEIGHBOUR, 0.14))
    assert simulator().precheck(seen, into).status is Status.FAIL
    assert simulator().precheck(seen, into, attached=[table]).status is Status.FAIL
    up = arm(near, (*near[:2], 0.3))
    assert simulator().precheck(seen, up, attached=[table]).passed


def test_what_is_held_is_not_driven_into_the_robot():
    below = AttachedObject('beam', (AttachedShape('sphere', (0.03,), (0, 0, 0.15, 0, 0, 0, 1)),))
    verdict = simulator().precheck(look(UP, WIDE), arm(UP, (0.0, 0.0, 0.1)), attached=[below])
    found = [f for f in verdict.findings if f.code is FindingCode.SELF_COLLISION]
    assert (Severity.FAIL, 'palm') in {(f.severity, f.other) for f in found}
    free = dataclasses.replace(below, touch_links=('palm', 'left', 'right'))
    told = simulator().precheck(look(UP, WIDE), arm(UP, (0.0, 0.0, 0.1)), attached=[free])
    assert not [f for f in told.findings if f.code is FindingCode.SELF_COLLISION]


#: fixed fingers: a flange with a tool that no gripper is found in
_TOOL = gantry.URDF
for _old, _new in (('left_joint', 'one'), ('right_joint', 'two'), ('"left"', '"a"'),
                   ('"right"', '"b"'), ('type="prismatic"><parent link="palm"',
                                        'type="fixed"><parent link="palm"')):
    _TOOL = _TOOL.replace(_old, _new)
ROD = AttachedObject('palm', (AttachedShape('box', (0.03, 0.03, 0.2),
                                            (0, 0, -0.16, 0, 0, 0, 1)),), 'a rod')


@pytest.mark.parametrize('to, passes', [((0.0, 0.0, 0.18), False), ((0.0, 0.1, 0.3), True)],
                         ids=['into the table', 'up'])
def test_what_a_robot_without_a_gripper_holds_is_judged_too(to, passes):
    shadow = ShadowSimulator(Robot.from_urdf(_TOOL), None)
    assert shadow.gripper is None
    seen = dataclasses.replace(look((0.0, 0.0, 0.3), 0.0),
                               joint_positions={'x': 0.0, 'y': 0.0, 'z': 0.3})
    verdict = shadow.precheck(seen, arm((0.0, 0.0, 0.3), to), attached=[ROD])
    assert verdict.passed is passes, verdict.summary
    assert shadow.precheck(seen, arm((0.0, 0.0, 0.3), to)).passed


def test_what_is_held_does_not_go_where_nothing_was_measured():
    """The rod below the hand goes through a box that the depth image has no values for."""
    start, to = (0.0, -0.2, 0.3), (0.0, 0.15, 0.3)
    seen = look(start, WIDE)
    assert simulator().precheck(seen, arm(start, to), attached=[ROD]).passed
    black, _ = cast([box((0.12, 0.12, 0.22), (0.0, 0.1, 0.0))])
    depth = np.where(np.isfinite(black) & (black < seen.view.depth), np.nan, seen.view.depth)
    hidden = seen.with_view(depth=depth.astype(np.float32))
    assert simulator().precheck(hidden, arm(start, to)).passed      # the hand alone is above
    verdict = simulator().precheck(hidden, arm(start, to), attached=[ROD])
    (found,) = [f for f in verdict.findings if f.severity is Severity.UNSURE]
    assert found.code is FindingCode.UNSEEN_SPACE and "what 'palm' holds" in found.message


def test_fingers_that_nobody_reports_with_the_image_may_hold_something():
    seen = holding(UP)
    arm_only = dataclasses.replace(seen, joint_positions={
        name: seen.joint_positions[name] for name in gantry.JOINTS[:3]})
    live = dict(seen.joint_positions)
    verdict = simulator().precheck(arm_only, arm(UP, (0.0, 0.0, 0.3)), live_joints=live)
    assert [f.severity for f in attached(verdict)] == [Severity.UNSURE]
    assert 'left_joint' in attached(verdict)[0].message
    told = simulator().precheck(arm_only, arm(UP, (0.0, 0.0, 0.3)), live_joints=live,
                                attached=[BOX])
    assert [f.severity for f in attached(told)] == [Severity.INFO]


def test_an_attachment_at_no_link_of_the_robot_forbids_a_pass():
    verdict = simulator().precheck(look(UP, WIDE), arm(UP, UP),
                                   attached=[dataclasses.replace(BOX, link='tool')])
    assert verdict.status is Status.UNSURE and "'tool'" in verdict.summary


@pytest.mark.parametrize('kind, dimensions, size', [
    ('box', (0.1, 0.2, 0.3), (0.1, 0.2, 0.3)), ('sphere', (0.1,), (0.2, 0.2, 0.2)),
    ('cylinder', (0.3, 0.1), (0.2, 0.2, 0.3)), ('cone', (0.3, 0.1), (0.2, 0.2, 0.3))])
def test_a_declared_shape_has_its_size_and_pose(kind, dimensions, size):
    quarter = (1.0, 2.0, 3.0, np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))     # about x: y goes to z
    held = declared(AttachedObject('palm', (AttachedShape(kind, dimensions, quarter),)), None)
    x, y, z = np.ptp(held.vertices, axis=0)
    np.testing.assert_allclose((x, z, y), size, rtol=0.02)
    np.testing.assert_allclose(0.5 * (held.vertices.min(0) + held.vertices.max(0)), (1, 2, 3),
                               atol=0.01)


@pytest.mark.parametrize('make, said', [
    (lambda: AttachedShape('prism', (1.0,)), 'prism'),
    (lambda: AttachedShape('box', (0.1, 0.1)), 'x, y, z'),
    (lambda: AttachedShape('sphere', (-0.1,)), 'above 0'),
    (lambda: AttachedShape('sphere', (0.1,), (0, 0, 0, 0, 0, 0, 2)), 'quaternion'),
    (lambda: AttachedShape('mesh'), 'four vertices'),
    (lambda: AttachedShape('box', (50.0, 40.0, 100.0)), 'is it in millimetres'),
    (lambda: AttachedShape('mesh', vertices=((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50))),
     'is it in millimetres'),
    (lambda: AttachedObject('', (AttachedShape('sphere', (0.1,)),)), 'link'),
    (lambda: declared(AttachedObject('palm', (AttachedShape('mesh', vertices=(
        (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0))),)), None), 'no volume'),
])
def test_what_is_no_attachment_is_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()


# ---------------------------------------------------------------- the world model

def test_the_kinematic_model_carries_what_is_held():
    with simulator(load_world_model('kinematic')) as shadow:
        frames = list(shadow.predict(holding(UP), arm(UP, (0.0, -0.2, 0.2))))
    np.testing.assert_allclose(frames[0].carried_point_base, (0, 0, 0.2), atol=0.03)
    np.testing.assert_allclose(frames[-1].carried_point_base - frames[0].carried_point_base,
                               (0, -0.2, 0.0), atol=1e-6)
    red = [(frame.image == RED).all(-1) for frame in frames]
    assert not (red[-1] & red[0]).any() and red[-1].sum() > 50
    with simulator(load_world_model('kinematic')) as shadow:
        dropped = list(shadow.predict(holding(UP), whole((*UP, WIDE), (*UP, WIDE), (*UP, 0.08))))
    assert [event.kind for frame in dropped for event in frame.events] == [
        EventKind.RELEASE, EventKind.REST]
