# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a predicted world does not claim: what a robot cannot follow, strikes, or is on an edge."""
import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from scenes import can, Path, pick_and_place, RED, World

from kinema4d_ros.episodes import Episode
from kinema4d_ros.foresight import Story
from kinema4d_ros.policy.closed_loop import PredictedWorld, run_task, RunEnd, RunLimits
from kinema4d_ros.policy.closed_loop.doubts import why_carried_may_strike, why_not_followed
from kinema4d_ros.policy.closed_loop.predicted_outcome import gap_at_closing
from kinema4d_ros.policy.closed_loop.recorded import RecordedPolicy
from kinema4d_ros.policy.closed_loop.starts import goal_of
from kinema4d_ros.precheck import Goal, PrecheckSettings, RobotChecker, Tier0Settings
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator, with_finger_boxes
from kinema4d_ros.types import FindingCode, JointLimit, JointTrajectory

WAY = pick_and_place((0.1, 0.15), (-0.05, -0.2), grip_height=0.07, release_height=0.09,
                     frames=76)
BETWEEN = np.array([0.025, -0.025])      # [m] half way between the two places
CUBE = np.stack(np.meshgrid(*[np.linspace(-0.01, 0.01, 5)] * 3), -1).reshape(-1, 3)


@pytest.fixture(scope='module')
def carry():
    """Return the points of a scene, a motion that carries a can through it, and its story."""
    meshes = load_meshes(ROBOT)
    checker = RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes))
    observation = observe(World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0))), WAY)
    scene = checker.scene_of(observation)
    robot = checker.rollout_of(observation, motion(WAY))
    return scene.points, robot, Story(scene.view, robot)


def with_cube(points, place):
    """Return the points with those of a cube of 2 cm."""
    added = (CUBE + place).astype(np.float32)
    return dataclasses.replace(
        points, points_base=np.concatenate([points.points_base, added]),
        pixels=np.concatenate([points.pixels, np.repeat(points.pixels[:1], len(added), axis=0)]),
        sigma=np.r_[points.sigma, np.full(len(added), points.sigma.min(), np.float32)],
        age=np.r_[points.age, np.zeros(len(added), np.float32)])


def lowest_between(robot, story):
    """Return how high the lowest point of what is carried is half way [m]."""
    (moving,) = story.bodies
    frame = min(range(len(robot.times)),
                key=lambda each: np.linalg.norm(moving.center(each)[:2] - BETWEEN))
    return float(moving.vertices(frame)[:, 2].min())


def test_what_is_put_down_strikes_nothing(carry):
    assert why_carried_may_strike(*carry) is None


def test_the_side_of_what_is_carried_may_strike_what_its_bottom_may_touch(carry):
    points, robot, story = carry
    low = lowest_between(robot, story)
    beside = with_cube(points, [*BETWEEN, low + 0.06])
    why = why_carried_may_strike(beside, robot, story)
    assert why is not None and 'may be stopped on its way' in why and '(0.0' in why
    under = with_cube(points, [*BETWEEN, low])       # 1 cm deep: tier 1 has a limit for it
    assert why_carried_may_strike(under, robot, story) is None


@pytest.fixture(scope='module')
def world():
    """Return a task in the predicted world whose recorded motion solves it, and its policy."""
    episode = Episode.open('libero_object_0_0_success')
    robot = Robot.from_urdf(episode.robot_description)
    with ShadowSimulator(robot, 'kinematic', frames=5) as simulator:
        yield (PredictedWorld(simulator, episode.observation(), goal=goal_of(episode)),
               RecordedPolicy(episode, robot, chunk=200))


def turned(world, seconds):
    """Return a motion that turns the first joint by 0.5 rad, at one speed."""
    names = world.robot.joint_names
    here = np.array([world.observation.joint_positions[name] for name in names])
    return JointTrajectory(names, np.array([0.0, seconds]),
                           np.stack([here, here + np.eye(len(names))[0] * 0.5]))


def test_what_the_robot_cannot_follow_has_no_outcome(world):
    """0.5 rad in 0.5 s is well below the 2.175 rad/s of the joint, in 0.2 s above it."""
    predicted, _ = world
    for seconds, success in (0.5, False), (0.2, None):
        predicted.reset()
        predicted.execute(turned(predicted, seconds))
        outcome = predicted.outcome()
        assert outcome.success is success
    assert 'cannot follow' in outcome.reason and 'panda_joint1' in outcome.reason
    assert outcome.grasped is None and math.isnan(outcome.probability)
    assert outcome.min_clearance > 0.0      # what was measured stays


def test_how_fast_it_speeds_up_between_chunks_is_not_judged(world):
    """The lines between its points stop within no time, which no controller does."""
    predicted, _ = world
    limits = Tier0Settings(limits={'panda_joint1': JointLimit(acceleration=5.0)})
    checker = RobotChecker(predicted.robot, {}, None, PrecheckSettings(tier0=limits))
    motion = turned(predicted, 0.5)
    found = checker.tier0(motion, predicted.observation.start)
    assert FindingCode.ACCELERATION_LIMIT in {finding.code for finding in found}
    assert why_not_followed(checker, predicted.observation, motion) is None


def test_what_is_never_let_go_is_not_put_down(world):
    """Over the basket, as the horizon ends; a goal of lifting it is met all the same."""
    predicted, policy = world
    run = run_task(policy, predicted, executed=8, limits=RunLimits(horizon=4.4))
    assert run.ended is RunEnd.HORIZON and run.outcome.success is False
    assert 'still in the hand' in run.outcome.reason and run.outcome.grasped is True
    lifting = PredictedWorld(predicted.simulator, predicted.observation,
                             goal=Goal.of({'lifted': {'height': 0.05}}))
    lifting.reset()
    lifting.execute(predicted.executed)
    assert lifting.outcome().success is True


@pytest.mark.parametrize('inward, success', [(0.003, None), (-0.003, None), (-0.03, False),
                                             (0.03, True)])
def test_what_ends_on_the_edge_of_its_region_is_neither(world, inward, success):
    solved, policy = world
    run = run_task(policy, solved)
    assert run.outcome.success is True
    end = solved.simulator.checker().tier1(
        solved.observation, solved.executed).outcome.moved[0].end
    region = {'low': [end[0] - inward, end[1] - 0.2, end[2] - 0.2], 'high': (end + 0.2).tolist()}
    edged = PredictedWorld(solved.simulator, solved.observation,
                           goal=Goal.of({'inside': {'region': region}}))
    edged.reset()
    edged.execute(solved.executed)
    outcome = edged.outcome()
    assert outcome.success is success
    assert ('cannot be foreseen' in outcome.reason) is (success is None)


def test_fingers_of_a_hand_that_is_stopped_close_where_it_is(carry):
    """At the grip something is between them; up at 0.25 m, 18 cm above it, there is nothing."""
    points, robot, story = carry
    scene, box = SimpleNamespace(points=points), Region((0.05, 0.1, 0.0), (0.15, 0.2, 0.15))
    assert gap_at_closing(scene, robot, story, box) == 0.0
    assert 0.08 < gap_at_closing(scene, robot, story, box, stopped=1.0) < 0.18
    still = dataclasses.replace(robot, **{name: getattr(robot, name)[:2] for name in (
        'times', 'positions', 'T_base_link')})
    assert gap_at_closing(scene, still, story, box) == math.inf
    assert math.isnan(gap_at_closing(scene, robot, story, Region((2, 2, 0), (3, 3, 1))))


def test_a_thing_between_fingers_that_stop_on_either_side_of_it_is_as_far_as_they_are():
    """A can of 4 cm between fingers that close to 7 cm; half a millimetre of it is not seen."""
    at, low = (0.1, 0.15), 0.07
    way = Path.through((0.0, *at, 0.25, 0.08), (1.0, *at, low, 0.08), (1.4, *at, low, 0.07),
                       (2.0, *at, low, 0.07), frames=41)
    meshes = load_meshes(ROBOT)
    checker = RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes))
    observation = observe(World().add(RED, can(0.02, 0.12, (*at, 0))), way)
    scene, robot = checker.scene_of(observation), checker.rollout_of(observation, motion(way))
    gap = gap_at_closing(scene, robot, Story(scene.view, robot), Region(
        (0.05, 0.1, 0.0), (0.15, 0.2, 0.15)))
    assert gap == pytest.approx(0.015, abs=0.002)
