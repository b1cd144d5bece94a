# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras vouch for more, and one that is wrong is named and left out."""
import dataclasses

import cameras
import gantry
import numpy as np
import pytest
from cameras import arm, BACK, FRONT, joints, moved, NOW, observation, SIDE, UP, view
from scenes import BLUE, box, hand, RED, STEEL, World

from bench.render import looking_at
from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.precheck import Tier1Settings
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.precheck.tier1.camera_pose import CameraMemory
from kinema4d_ros.precheck.view_look import look_through
from kinema4d_ros.robot import load_meshes
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import FindingCode, Observation, Severity, Status, VoxelSource

BOARD = World().add(BLUE, box((0.02, 0.5, 0.2), (0.1, 0.0, 0.0)))   # before the hand
HIDDEN = [(RED, [box((0.04, 0.03, 0.1), (0, 0.07, 0))])]            # behind it, below the palm
DOWN = arm(UP, (0.0, 0.0, 0.02))
AWAY = arm(UP, (0.0, -0.15, 0.2))


@pytest.fixture(scope='module')
def shadow():
    return ShadowSimulator(cameras.ROBOT, None, gripper=gantry.GRIPPER)


def judge(shadow, seen, motion=DOWN, **more):
    shadow.forget()
    return shadow.precheck(seen, motion, **more)


def said(verdict, *codes):
    return [each for each in verdict.findings if each.code in codes]


def both(things=()):
    return (view(BOARD, 'front', FRONT, things=things), view(BOARD, 'side', SIDE, things=things))


# ------------------------------------------------------------------ knowing more

def test_what_one_camera_leaves_unknown_the_second_vouches_for(shadow):
    front, side = both()
    alone = judge(shadow, observation(front))
    (unseen,) = said(alone, FindingCode.UNSEEN_SPACE)
    assert alone.status is Status.UNSURE and 'behind what the camera sees' in unseen.message
    for views in ((front, side), (side, front)):
        assert judge(shadow, observation(*views)).status is Status.PASS


def test_a_hidden_box_that_the_second_camera_sees_is_hit(shadow):
    front, side = both(HIDDEN)
    assert judge(shadow, observation(front)).status is Status.UNSURE
    for views in ((front, side), (side, front)):
        verdict = judge(shadow, observation(*views))
        assert verdict.status is Status.FAIL
        assert any(each.link == 'palm' for each in said(verdict, FindingCode.CONTACT))
        assert said(verdict, FindingCode.SWEPT)


def test_a_camera_without_depth_changes_nothing_of_that(shadow):
    front, side = both()
    blind = dataclasses.replace(side, depth=None)
    assert judge(shadow, observation(front, blind)).status is Status.UNSURE
    for views in ((front, side, dataclasses.replace(blind, name='wrist')),
                  (dataclasses.replace(blind, name='wrist'), front, side)):
        assert judge(shadow, observation(*views)).status is Status.PASS


def test_what_a_late_camera_saw_is_memory_for_a_while(shadow):
    front, side = both()
    for late, status in ((20.0, Status.PASS), (70.0, Status.UNSURE)):
        now = NOW + round(late * 1e9)
        verdict = judge(shadow, Observation(
            now, (dataclasses.replace(front, stamp_ns=now), side), joints(UP)))
        assert verdict.status is status, verdict.summary
        (told,) = said(verdict, FindingCode.UNSEEN_SPACE)
        assert ('from memory' in told.message) == (status is Status.PASS)
        assert ("'side' saw before it stopped" in told.message) == (status is Status.PASS)


def test_what_a_camera_that_stopped_saw_is_not_enough_alone(shadow):
    """Nothing stood there when it stopped; there may be something now."""
    front = view(World().add(BLUE, box((0.1, 0.1, 0.1), (0, 0.07, 0.15))), 'front', FRONT)
    old = view(World(), 'side', SIDE, stamp_ns=NOW - 49_000_000_000, joint_positions=joints(UP))
    dead = dataclasses.replace(front, depth=np.full_like(front.depth, np.nan))
    down = arm(UP, (0.0, 0.0, 0.1))
    assert judge(shadow, observation(front, old), down).status is Status.FAIL
    for seen, why in ((moved(front, (0.15, 0, 0)), "'front' is left out"),
                      (dead, 'is the depth camera working?'),
                      (dataclasses.replace(front, depth=None), "'front' measures no depth")):
        verdict = judge(shadow, observation(seen, old), down)
        assert verdict.status is Status.UNSURE, verdict.summary
        (missing,) = said(verdict, FindingCode.MISSING_INPUT)
        assert "'side' has stopped 49.0 s ago" in missing.message and why in missing.message


def test_a_camera_that_is_stamped_ahead_does_not_see_the_scene_now(shadow):
    """One of the clocks is wrong, and nobody knows which."""
    front, side = both()
    ahead = dataclasses.replace(side, stamp_ns=NOW + 30_000_000_000)
    dead = dataclasses.replace(front, depth=None)
    assert judge(shadow, observation(front, side)).status is Status.PASS
    verdict = judge(shadow, observation(dead, ahead))
    assert verdict.status is Status.UNSURE
    assert any("'side' is stamped 30.0 s ahead of the observation" in each.message
               for each in verdict.findings)


def test_an_agreement_is_as_old_as_the_image_that_showed_it():
    """Looking again at what a camera that stopped saw last does not renew it."""
    robot, memory = cameras.ROBOT, CameraMemory()
    renderer = RobotRenderer(load_meshes(robot), robot.link_names)
    poses = kinematics_of(robot)(robot.configuration(joints(UP), strict=False)[None])[0]
    side = view(World(), 'side', SIDE)
    for late in (0, 30_000_000_000):
        look = look_through(Observation(NOW + late, (side,), joints(UP)), side, poses, renderer,
                            Tier1Settings(), memory)
        assert look.by_robot
    assert memory.age(side, poses, NOW + 30_000_000_000) == pytest.approx(30.0)


# ------------------------------------------------------------------ cameras that are wrong

def test_a_camera_that_does_not_see_the_robot_in_its_place_is_left_out(shadow):
    front, side = both(HIDDEN)
    verdict = judge(shadow, observation(front, moved(side, (0.04, 0, 0))))
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert camera.other == 'side' and camera.severity is Severity.INFO
    assert "'side' is left out" in camera.message and ' 39 mm' in camera.message
    assert verdict.status is Status.UNSURE and said(verdict, FindingCode.UNSEEN_SPACE)
    none = judge(shadow, observation(moved(front, (0, 0.04, 0)), moved(side, (0.04, 0, 0))), AWAY)
    assert none.status is Status.UNSURE
    assert {f.other for f in said(none, FindingCode.CAMERA_POSE)} == {'front', 'side'}
    assert all(f.severity is Severity.UNSURE for f in said(none, FindingCode.CAMERA_POSE))


def test_a_camera_without_depth_is_judged_by_the_outline_of_the_robot(shadow):
    front = view(World(), 'front', FRONT)
    wrist = dataclasses.replace(view(World(), 'wrist', looking_at((0, -0.45, 0.45), (0, 0, 0.25))),
                                depth=None)
    for seen, said_of in ((wrist, 'is where it should be'),
                          (moved(wrist, (0.035, 0, 0)), ' px off')):
        verdict = judge(shadow, observation(front, seen), AWAY)
        (camera,) = said(verdict, FindingCode.CAMERA_POSE)
        assert verdict.status is Status.PASS and camera.severity is Severity.INFO
        assert camera.other == 'wrist' and said_of in camera.message


def test_a_depth_camera_that_measures_nothing_is_left_out(shadow):
    front, side = both()
    dead = dataclasses.replace(side, depth=np.full_like(side.depth, np.nan))
    verdict = judge(shadow, observation(front, dead), AWAY)
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert verdict.status is Status.PASS
    assert camera.other == 'side' and 'is the depth camera working?' in camera.message


def test_the_robot_is_looked_for_where_it_was_at_the_stamp_of_each_view(shadow):
    """The hand moves while the second camera is 0.1 s behind: 4 cm."""
    before = (0.04, 0.0, 0.25)
    world = World()
    front = view(world, 'front', FRONT)
    side = view(world, 'side', SIDE, tip=before, stamp_ns=NOW - 100_000_000)
    plain = judge(shadow, observation(front, side), AWAY)
    assert [f.other for f in said(plain, FindingCode.CAMERA_POSE)] == ['side']
    own = dataclasses.replace(side, joint_positions=joints(before))
    verdict = judge(shadow, observation(front, own), AWAY)
    assert verdict.status is Status.PASS and not said(verdict, FindingCode.CAMERA_POSE)


def test_one_calibration_explains_what_another_does_not(shadow):
    """Each camera has the standard deviation that its own calibration has."""
    front, side = both()
    off = moved(side, (0.018, 0, 0))
    for sigma, left_out in ((0.01, 0), (0.001, 1)):
        seen = observation(front, dataclasses.replace(off, calibration_sigma=sigma,
                                                      calibration_turn_sigma=0.001))
        found = said(judge(shadow, seen, AWAY), FindingCode.CAMERA_POSE)
        assert sum('left out' in each.message for each in found) == left_out


# ------------------------------------------------------------------ cameras against each other

TABLE_ONLY = World().add(BLUE, box((0.1, 0.08, 0.06), (0.2, 0.3, 0))).add(
    RED, box((0.06, 0.1, 0.12), (0.32, 0.15, 0)))
NEAR = looking_at((0.3, 0.45, 0.5), (0.3, 0.25, 0.0))     # which does not see the robot


def test_a_camera_that_sees_no_robot_is_believed_if_it_agrees_with_one_that_does(shadow):
    front, near = view(TABLE_ONLY, 'front', FRONT), view(TABLE_ONLY, 'near', NEAR)
    verdict = judge(shadow, observation(front, near), AWAY)
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert verdict.status is Status.PASS
    assert "'near' is believed" in camera.message and "'front'" in camera.message
    verdict = judge(shadow, observation(front, moved(near, (0, 0, 0.04))), AWAY)
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert camera.other == 'near' and 'left out' in camera.message
    assert "'near' sees the scene 4" in camera.message and 'z +4' in camera.message     # mm
    (pair,) = shadow.checker().look(observation(front, near)).pairs
    assert pair.agrees and pair.found.offset < 0.003


def lifted(seen, by=0.06):
    """Return a view that measures what is not the robot nearer than it is [m]."""
    _, _, thing = BOARD.render([(STEEL, hand(UP, 0.08))], T_base_camera=seen.T_base_camera)
    return dataclasses.replace(seen, depth=np.where(thing == 2, seen.depth, seen.depth - by)
                               .astype(np.float32))


def test_where_two_contradict_each_other_what_one_alone_knows_is_not_known(shadow):
    front, side = both()
    verdict = judge(shadow, observation(front, lifted(side)))
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert "'side' sees the scene" in camera.message and "'front'" in camera.message
    assert ' mm' in camera.message and 'cannot be told' in camera.message
    (unseen,) = said(verdict, FindingCode.UNSEEN_SPACE)
    assert verdict.status is Status.UNSURE and 'contradicts another' in unseen.message


def test_the_one_that_contradicts_two_others_is_left_out(shadow):
    front, side = both()
    third = view(BOARD, 'back', BACK)
    verdict = judge(shadow, observation(front, lifted(side), third), AWAY)
    (camera,) = said(verdict, FindingCode.CAMERA_POSE)
    assert camera.other == 'side' and 'contradicts other cameras' in camera.message


def test_a_camera_that_did_not_come_is_named_in_the_verdict(shadow):
    front, side = both()
    seen = observation(front, side).without('side', 'is late: 0.8 s old')
    verdict = judge(shadow, seen)
    (missing,) = said(verdict, FindingCode.MISSING_INPUT)
    assert missing.other == 'side' and 'late: 0.8 s old' in missing.message
    assert verdict.status is Status.UNSURE


# ------------------------------------------------------------------ what the hand holds

LOW, GAP = (0.0, 0.0, 0.17), 0.04
HELD = [(RED, [box((0.05, GAP, 0.1), (0, 0, LOW[2] - 0.05))])]
SCREEN = World().add(BLUE, box((0.02, 0.4, 0.3), (0.12, 0.02, 0.0)))   # before the fingers


def holding(name, T, things=tuple(HELD)):
    return view(SCREEN, name, T, tip=LOW, gap=GAP, things=things)


def test_what_the_second_camera_sees_between_the_fingers_is_held(shadow):
    front, side = holding('front', FRONT), holding('side', looking_at((-0.8, -0.2, 0.5), LOW))
    lift = arm(LOW, (0.0, 0.0, 0.3))
    alone = judge(shadow, observation(front, tip=LOW, gap=GAP), lift)
    (unknown,) = said(alone, FindingCode.ATTACHED)
    assert unknown.severity is Severity.UNSURE and 'does not see' in unknown.message
    verdict = judge(shadow, observation(front, side, tip=LOW, gap=GAP), lift)
    (held,) = said(verdict, FindingCode.ATTACHED)
    assert held.severity is Severity.INFO and '(recognised)' in held.message
    assert not said(verdict, FindingCode.CONTACT)
    masks = shadow.checker().robot_masks(observation(front, side, tip=LOW, gap=GAP))
    red = (side.image[..., 0] > 150) & (side.image[..., 1] < 90)
    assert set(masks) == {'front', 'side'} and masks['side'][red].mean() > 0.9


def test_what_is_held_is_not_known_where_only_a_camera_that_stopped_saw_the_hand(shadow):
    """The other one is live, and does not measure; a map vouches for the space."""
    blind = dataclasses.replace(view(World(), 'front', FRONT), depth=None)
    old = view(World(), 'side', SIDE, stamp_ns=NOW - 1_500_000_000, joint_positions=joints(UP))
    states = np.full((60, 60, 60), VoxelSource.FREE)
    states[0, 0, 0] = VoxelSource.OCCUPIED
    place = np.eye(4)
    place[:3, 3] = -0.6
    octomap = VoxelSource('map', states, 0.02, place, NOW)
    verdict = judge(shadow, observation(blind, old, others=(octomap,)), AWAY)
    assert verdict.status is Status.UNSURE, verdict.summary
    (held,) = said(verdict, FindingCode.ATTACHED)
    assert 'no camera with depth sees the hand now' in held.message


def test_what_is_grasped_is_gone_from_what_all_cameras_see(shadow):
    """The first sees nothing of it; the others see its front and its back."""
    thing = [(RED, [box((0.05, 0.04, 0.06), (0, 0, 0))])]
    wall = World().add(BLUE, box((0.02, 0.6, 0.22), (0.12, 0.0, 0.0)))
    views = [view(wall, name, T, things=thing)
             for name, T in (('front', FRONT), ('side', SIDE), ('back', BACK))]
    pick = cameras.whole((*UP, 0.08), (0, 0, 0.01, 0.08), (0, 0, 0.01, 0.0), (0, 0, 0.2, 0.0),
                         seconds=6)
    alone = judge(shadow, observation(views[0]), pick)
    assert not said(alone, FindingCode.GRASP) and alone.status is Status.UNSURE
    for seen in (views, views[:2], views[::-1]):
        verdict = judge(shadow, observation(*seen), pick)
        assert len(said(verdict, FindingCode.GRASP)) == 1
        assert verdict.status is Status.PASS, verdict.summary


def test_what_one_camera_sees_under_a_finger_the_other_cannot(shadow):
    """The edge of what is grasped is behind a screen for the front camera, which sees the rest."""
    screen = World().add(BLUE, box((0.01, 0.11, 0.12), (0.12, 0.087, 0.0)))
    thing = [(RED, [box((0.05, 0.04, 0.06), (0, 0, 0)), box((0.03, 0.02, 0.03), (0, 0.028, 0))])]
    down = cameras.whole((*UP, 0.06), (0, 0, 0.005, 0.06), (0, 0, 0.005, 0.06),
                         (0, 0, 0.005, 0.0), (*UP, 0.0))
    front, back = (view(screen, name, place, gap=0.06, things=thing)
                   for name, place in (('front', FRONT), ('back', BACK)))
    codes = FindingCode.GRASP, FindingCode.UNDECIDED, FindingCode.CLOSED_ON_NOTHING
    (alone,) = said(judge(shadow, observation(front, gap=0.06), down), *codes)
    assert alone.code is FindingCode.GRASP
    verdict = judge(shadow, observation(front, back, gap=0.06), down)
    (together,) = said(verdict, *codes)
    assert together.code is FindingCode.CLOSED_ON_NOTHING and verdict.status is not Status.PASS
    assert 'with one finger' in together.message
