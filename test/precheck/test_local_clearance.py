# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The free space around each link: whatever stays within it, tier 1 would let pass."""
import dataclasses

import numpy as np
import pytest
from hand_over_table import CAMERA, GRIPPER, over_table, ROBOT, SETTINGS, table, way
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.precheck import check_tier1, PrecheckSettings, RobotChecker
from kinema4d_ros.precheck.tier1.local_clearance import AROUND, measure_local_clearance
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import (DistanceFields, ForwardKinematics, hand_links_of, load_meshes,
                                Robot)
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import HeldObject, HeldSource, Observation, PinholeCamera, Severity

MESHES = load_meshes(ROBOT)
SURFACES = {name: mesh.vertices for name, mesh in MESHES.items()}
HAND = hand_links_of(ROBOT, GRIPPER)


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    """Return the distance fields of the links."""
    return DistanceFields(MESHES, cache_dir=tmp_path_factory.mktemp('fields'))


def scene_of(observation, settings=SETTINGS):
    """Return the scene without any mask: nothing of the robot is in these pictures."""
    return Scene(observation, [np.zeros(view.image.shape[:2], bool)
                               for view in observation.views], settings.scene)


def spaces(fields, place, observation=None, settings=SETTINGS, held=(), trail=None):
    """Return the space of each link, and of what is held, where the hand is at a place."""
    scene = scene_of(observation or table(), settings)
    robot = dataclasses.replace(way(place, place, frames=1), held=held)
    found = measure_local_clearance(scene, robot, fields, SURFACES, settings, hand_links=HAND,
                                    held=held, trail=trail)
    return {each.held or each.link: each for each in found}


def worst_of(fields, start, end, observation, settings=SETTINGS, trail=None):
    """Return the worst that tier 1 says of the straight motion between two places of the hand."""
    findings, _ = check_tier1(scene_of(observation, settings), way(start, end), fields, SURFACES,
                              settings, hand_links=HAND, trail=lambda: trail)
    return max((finding.severity for finding in findings), default=Severity.INFO)


def test_high_over_the_table_the_space_is_what_is_looked_at(fields):
    found = spaces(fields, (0.0, 0.0, 0.5))
    assert found['hand'].space == pytest.approx(AROUND, abs=0.1)
    assert found['hand'].low == pytest.approx((-0.05, -0.05, -0.05))


def test_near_the_table_the_space_is_the_distance_less_the_margins(fields):
    found = spaces(fields, (0.0, 0.0, 0.14))       # the finger ends 11 cm below the hand's middle
    finger = found['finger']
    assert finger.touch == pytest.approx(0.05 - 2 * 0.001, abs=0.006)
    assert finger.space == pytest.approx(finger.touch + 0.01) and finger.touch_speed == 0.3
    assert finger.reason == 'the scene' and found['hand'].touch == np.inf


def test_beside_a_hole_in_the_depth_there_is_less_space(fields):
    depth = table().view.depth.copy()
    depth[45:75, 95:125] = 0.0
    hole = dataclasses.replace(table().view, depth=depth)
    observation = Observation(views=(hole,), joint_positions={}, stamp_ns=table().stamp_ns)
    found, free = spaces(fields, (0.0, 0.0, 0.4), observation), spaces(fields, (0.0, 0.0, 0.4))
    assert found['hand'].space < free['hand'].space
    assert found['hand'].reason == 'space that nobody has seen'


@pytest.mark.parametrize('has_wall', [True, False])
def test_one_camera_knows_space_where_it_measures_what_is_behind_the_arm(has_wall):
    robot = Robot.from_urdf((share_dir() / 'urdf' / 'demo_arm.urdf').read_text())
    meshes, size = load_meshes(robot), 192
    camera = PinholeCamera(size, size, 160.0, 160.0, 95.5, 95.5)
    T_base_camera = np.array([[0, 0, -1.0, 1.6], [1, 0, 0, 0], [0, -1, 0, 0.5], [0, 0, 0, 1]])
    joints = dict(zip(robot.joint_names, robot.configuration({}).tolist()))
    renderer = RobotRenderer(meshes, robot.link_names)
    poses = ForwardKinematics(robot)(robot.configuration(joints)[None])[0]
    wall = np.linspace(3.0, 3.2, size) + np.random.default_rng(0).normal(0, 0.002, (size, size))
    if not has_wall:
        wall[:150] = np.nan       # the floor alone
    with renderer.shape(poses, camera, T_base_camera) as shape:
        depth = np.where(shape.link_id >= 0, shape.depth, wall)
    observation = Observation.from_rgbd(np.zeros((size, size, 3), np.uint8), depth, camera,
                                        T_base_camera, joints, stamp_ns=1)
    found = RobotChecker(robot, meshes, None, PrecheckSettings(), renderer=renderer
                         ).local_clearance(observation)
    assert not found.problem
    least = min(found.links, key=lambda each: each.space)
    assert least.space > 0.04 if has_wall else least.space < 0.01
    assert has_wall or least.reason == 'space that nobody has seen'


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(['table', 'box', 'hole']))
@example(238, 'hole')       # a small thing could be hidden there
def test_what_stays_within_the_space_passes_tier_1(fields, seed, kind):
    """All links of the gantry's hand and arm are displaced alike: by the way of the hand."""
    rng = np.random.default_rng(seed)
    observation = over_table(kind)
    start = rng.uniform((-0.2, -0.15, 0.13), (0.25, 0.15, 0.45))
    space = min(each.space for each in spaces(fields, start, observation).values())
    if space <= 0.0:
        return
    way_there = rng.normal(size=3)
    end = start + space * way_there / np.linalg.norm(way_there)
    assert worst_of(fields, start, end, observation) is Severity.INFO


EDGE = 1.1 * CAMERA.cx / CAMERA.fx          # of the view, at the height of the hand
STRICT = dataclasses.replace(SETTINGS, unseen_outside=0.05)


def been(fields, *stops):
    """Return where the links have been on a way that ended a second ago."""
    motion = way(*stops)
    index = [motion.link_names.index(name) for name in fields.link_names]
    return motion.T_base_link[:, index], np.linspace(10.0, 1.0, len(motion.times))


def test_where_the_robot_has_been_is_space_where_no_camera_sees(fields):
    here = (EDGE + 0.05, 0.0, 0.4)
    around = been(fields, *((here[0] + dx, dy, 0.4 + dz) for dz in (-0.1, -0.05, 0.0, 0.05, 0.1)
                            for dy in (-0.15, 0.15) for dx in (-0.15, 0.15)))
    first, again = (spaces(fields, here, settings=STRICT, trail=trail)
                    for trail in (None, around))
    assert again['hand'].space > first['hand'].space + 0.03
    along = been(fields, (here[0] - 0.1, 0.0, 0.4), here)       # one line is no space to all sides
    assert spaces(fields, here, settings=STRICT, trail=along)['hand'].space \
        < again['hand'].space - 0.02
    depth = table().view.depth.copy()
    depth[45:75, 95:125] = 0.0                                  # the trail says nothing of a hole
    hole, over = table(depth), (0.0, 0.0, 0.4)
    there = been(fields, over, (0.3, 0.0, 0.4))
    assert spaces(fields, over, hole, trail=there)['hand'].space == \
        spaces(fields, over, hole)['hand'].space


@hypothesis_settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_stays_within_the_space_of_a_trail_passes_tier_1_with_it(fields, seed):
    rng = np.random.default_rng(seed)
    start = np.array([EDGE, 0.0, 0.4]) + rng.uniform(-0.05, 0.1, 3)
    trail = been(fields, *(start + rng.uniform(-0.2, 0.2, (5, 3))))
    space = min(each.space for each in spaces(fields, start, settings=STRICT,
                                              trail=trail).values())
    way_there = rng.normal(size=3)
    end = start + space * way_there / np.linalg.norm(way_there)
    assert space <= 0.0 or worst_of(fields, start, end, table(), STRICT,
                                    trail) is Severity.INFO


def test_there_is_no_space_in_a_hand_that_touches(fields):
    assert spaces(fields, (0.0, 0.0, 0.051))['hand'].space < 0.0


def test_what_is_held_has_a_space_of_its_own(fields):
    box = np.array([[x, y, z] for x in (-.02, .02) for y in (-.02, .02) for z in (-.3, -.05)])
    held = HeldObject('hand', box, np.zeros((0, 3)), np.zeros((8, 3)), HeldSource.DECLARED,
                      name='a rod')
    found = spaces(fields, (0.0, 0.0, 0.4), held=(held,))
    assert found['a rod'].link == 'hand' and found['a rod'].low == pytest.approx((-.02, -.02, -.3))
    assert found['a rod'].touch == pytest.approx(0.1 - 2 * 0.0051, abs=0.01)
    assert found['a rod'].space == pytest.approx(found['a rod'].touch + 0.01)
    assert found['hand'].space > found['a rod'].space
    free = spaces(fields, (0.0, 0.0, 0.4), held=(dataclasses.replace(held, in_fingers=False),))
    assert free['a rod'].touch == np.inf


def test_what_forbids_every_pass_is_a_problem():
    checker = RobotChecker(ROBOT, MESHES, GRIPPER, PrecheckSettings(tier1=SETTINGS))
    joints = dict.fromkeys(ROBOT.joint_names, 0.0)
    view = table()
    blind = Observation.from_rgbd(view.view.image, None, view.view.camera,
                                  view.view.T_base_camera, joints, stamp_ns=5)
    found = checker.local_clearance(blind)
    assert 'without a depth image' in found.problem and found.links == ()
    assert (found.stamp_ns, found.robot_hash) == (5, ROBOT.description_hash)
    seen = dataclasses.replace(blind, views=(dataclasses.replace(
        view.view, T_base_camera=view.view.T_base_camera),))
    # This camera has never seen the robot in its place, so it is not believed.
    assert checker.local_clearance(seen).problem
