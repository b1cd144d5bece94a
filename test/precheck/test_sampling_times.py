# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the motion is sampled; and that more scene never makes carrying safer."""
import dataclasses

import numpy as np
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import can, Path, pick_and_place, RED, World

from kinema4d_ros.foresight import Story
from kinema4d_ros.precheck import RobotChecker, PrecheckSettings, Tier0Settings, Tier1Settings
from kinema4d_ros.precheck import sampling_times as module
from kinema4d_ros.precheck.sampling_times import sampling_times
from kinema4d_ros.precheck.tier1.carried import check_carried
from kinema4d_ros.robot import box_corners, load_meshes, Robot
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import FindingCode, JointTrajectory, Severity

GOOD = pick_and_place((0.1, 0.15), (-0.05, -0.2), grip_height=0.07, release_height=0.09,
                      frames=76)


def test_samples_by_hand():
    # 0.3 m in 3 s; at most 1 cm between samples: 30 steps, and never fewer than 33.
    path = Path.through((0, 0, 0, 0.3, 0.08), (3, 0.3, 0, 0.3, 0.08), frames=4)
    start = dict(zip(ROBOT.joint_names, motion(path).positions[0]))
    times, found = sampling_times(motion(path), ROBOT, start, 0.02, {})
    assert (len(times), found) == (33, ())
    times, found = sampling_times(motion(path), ROBOT, start, 0.004, {})
    assert len(times) == 76 and times[0] == 0.0 and times[-1] == 3.0 and not found
    stays = JointTrajectory(('x',), np.zeros(1), np.zeros((1, 1)))
    np.testing.assert_array_equal(sampling_times(stays, ROBOT, start, 0.02, {})[0], [0.0])


def test_the_way_to_where_the_trajectory_begins_is_looked_at_however_short_its_time():
    start = dict.fromkeys(ROBOT.joint_names, 0.0)
    jump = JointTrajectory(('x',), np.array([1e-9, 2.0]), np.full((2, 1), 0.3))
    times, (finding,) = sampling_times(jump, ROBOT, start, 0.02, {})
    assert (finding.code, finding.severity) == (FindingCode.NOT_CHECKED, Severity.UNSURE)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 7.0), st.integers(2, 130))
def test_the_same_way_takes_as_many_samples_at_any_speed(slowness, points):
    ways = np.linspace(0, 1, points)
    steady = JointTrajectory(('x',), 3 * ways * slowness, 0.3 * ways[:, None])
    start = dict.fromkeys(ROBOT.joint_names, 0.0)
    assert len(sampling_times(steady, ROBOT, start, 0.0041, {})[0]) == 75


def test_a_motion_too_long_to_look_at_does_not_pass(monkeypatch):
    monkeypatch.setattr(module, '_MOST', 400)
    path = Path.through((0, 0, 0, 0.3, 0.08), (3, 0.3, 0, 0.3, 0.08), frames=4)
    start = dict(zip(ROBOT.joint_names, motion(path).positions[0]))
    times, (finding,) = sampling_times(motion(path), ROBOT, start, 0.0005, {})
    assert len(times) == 400
    assert (finding.code, finding.severity) == (FindingCode.NOT_CHECKED, Severity.UNSURE)
    assert '601 looks' in finding.message and 'tier1.travel' in finding.message
    short = PrecheckSettings(tier0=Tier0Settings(travel=0.0005),
                             tier1=Tier1Settings(travel=0.0005))
    checker = RobotChecker(ROBOT, load_meshes(ROBOT), GRIPPER, short)
    observation = observe(World(), path)
    for told in (checker.tier0(motion(path), start),
                 checker.tier1(observation, motion(path)).findings):
        assert any('601 looks' in f.message and f.severity == Severity.UNSURE for f in told)


def test_a_link_that_turns_moves_as_far_as_its_end():
    robot = Robot.from_urdf('''<robot name="pole"><link name="base"/><link name="pole"><visual>
        <origin xyz="0.45 0 0"/><geometry><box size="0.9 0.02 0.02"/></geometry></visual></link>
        <joint name="turn" type="continuous"><parent link="base"/><child link="pole"/>
        <axis xyz="0 0 1"/><limit effort="1" velocity="9"/></joint></robot>''')
    boxes = {name: box_corners(mesh.vertices) for name, mesh in load_meshes(robot).items()}
    turn = JointTrajectory(('turn',), np.array([0.0, 2.0]), np.array([[0.0], [1.5]]))
    times, _ = sampling_times(turn, robot, {'turn': 0.0}, 0.02, boxes)
    assert 0.9 * 1.5 / (len(times) - 1) <= 0.02 < 0.9 * 1.5 / (len(times) - 3)
    assert len(sampling_times(turn, robot, {'turn': 0.0}, 0.02, {})[0]) == 33    # the origin rests


@pytest.mark.parametrize('depth', [np.nan, 0.0, np.inf])
def test_a_depth_camera_that_measures_nothing_leaves_the_scene_unknown(depth):
    observation, checker = observe(World(), GOOD), RobotChecker(ROBOT, load_meshes(ROBOT), GRIPPER)
    dead = np.full_like(observation.view.depth, depth)
    nearly = dead.copy()
    nearly[:, :len(dead[0]) // 50] = 1.0         # 2 % of it
    for image in (dead, nearly):
        found = checker.tier1(observation.with_view(depth=image), motion(GOOD))
        (finding,) = found.findings
        assert (finding.code, finding.severity) == (FindingCode.NO_DEPTH, Severity.UNSURE)
    fewer = PrecheckSettings(tier1=Tier1Settings(least_measured=0.0))
    found = RobotChecker(ROBOT, load_meshes(ROBOT), GRIPPER, fewer).tier1(
        observation.with_view(depth=dead), motion(GOOD))      # even so
    assert [f.code for f in found.findings] == [FindingCode.NO_DEPTH]


def test_a_robot_without_shapes_does_not_pass():
    checker = RobotChecker(ROBOT, {}, GRIPPER)
    observation = observe(World(), GOOD)
    for told in (checker.tier0(motion(GOOD), observation.joint_positions),
                 checker.tier1(observation, motion(GOOD)).findings):
        assert any(f.severity == Severity.UNSURE and 'has a shape' in f.message for f in told)


@pytest.fixture(scope='module')
def carry():
    """Return scene, motion and story of a good pick-and-place."""
    meshes = load_meshes(ROBOT)
    options = PrecheckSettings(tier1=Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0))
    checker = RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes), options)
    observation = observe(World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0))), GOOD)
    scene = checker.scene_of(observation)
    robot = checker.rollout_of(observation, motion(GOOD))
    story = Story(scene.view, robot)
    return scene.points, robot, story, options.tier1


def test_what_a_check_foresees_needs_no_picture():
    meshes = load_meshes(ROBOT)
    checker = RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes))
    observation = observe(World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0))), GOOD)
    outcome = checker.tier1(observation, motion(GOOD)).outcome
    view = checker.scene_of(observation).view
    assert outcome.moved and 'image' not in vars(view)       # which is painted when asked for
    story = Story(view, checker.rollout_of(observation, motion(GOOD)))
    assert [event.message for event in outcome.events] == [
        told.event.message for told in story.events]
    assert story.backdrops[-1].image.any() and story.bodies[0].body.colors.any()


@settings(max_examples=15, deadline=None)
@given(st.floats(0.0, 0.05), st.floats(0.0, 1.0), st.floats(0.0, 0.02))
def test_a_tighter_limit_of_carrying_never_helps(carry, depth, share, sigma):
    scene, robot, story, options = carry
    cube = np.stack(np.meshgrid(*[np.linspace(-0.01, 0.01, 5)] * 3), -1).reshape(-1, 3)
    added = (cube + [0.025, -0.025, 0.21]).astype(np.float32)      # on the way of what is carried
    more = dataclasses.replace(
        scene, points_base=np.concatenate([scene.points_base, added]),
        pixels=np.concatenate([scene.pixels, np.repeat(scene.pixels[:1], len(added), axis=0)]),
        sigma=np.r_[scene.sigma, np.full(len(added), 0.001, np.float32)],
        age=np.r_[scene.age, np.zeros(len(added), np.float32)])

    def worst(**changed):
        limits = dataclasses.replace(options, carried_sigma=sigma, **changed)
        return max((f.severity for f in check_carried(more, robot, story, limits)),
                   default=Severity.INFO)
    assert worst(carried_depth=share * depth) >= worst(carried_depth=depth)
    assert worst(carried_depth=0.0) > Severity.INFO


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.05, 0.1), st.floats(-0.2, 0.15), st.floats(0.1, 0.4))
def test_more_scene_never_makes_carrying_safer(carry, x, y, z):
    scene, robot, story, options = carry
    cube = np.stack(np.meshgrid(*[np.linspace(-0.03, 0.03, 9)] * 3), -1).reshape(-1, 3)
    added = (cube + [x, y, z]).astype(np.float32)
    # A pixel in which the story sees nothing that it takes away: the first of the table.
    pixels = np.repeat(scene.pixels[:1], len(added), axis=0)
    more = dataclasses.replace(
        scene, points_base=np.concatenate([scene.points_base, added]),
        pixels=np.concatenate([scene.pixels, pixels]),
        sigma=np.r_[scene.sigma, np.full(len(added), scene.sigma.min(), np.float32)],
        age=np.r_[scene.age, np.zeros(len(added), np.float32)])

    def worst(points):
        return max((f.severity for f in check_carried(points, robot, story, options)),
                   default=Severity.INFO)
    assert worst(scene) == Severity.INFO and worst(more) >= worst(scene)
    on_the_way = abs(x - 0.025) < 0.01 and abs(y + 0.025) < 0.01 and 0.2 < z < 0.25
    assert worst(more) == Severity.FAIL if on_the_way else True
