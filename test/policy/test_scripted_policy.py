# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted policies on bundled episodes: where they grip, what errors do, and cloned ones."""
import dataclasses

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.cloned import ACTIONS, CHUNK, ClonedPolicy, FEATURES, HandView
from kinema4d_ros.policy.pick_and_place import GRIP
from kinema4d_ros.policy.scripted import CLOSED, OPEN, SCRIPTED, ScriptedErrors, ScriptedPolicy
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot import Robot

CAN, BOWL = 'libero_object_0_0_success', 'libero_spatial_0_0_success'


@pytest.fixture(scope='module')
def starts():
    return {name: TaskStart.of(Episode.open(name)) for name in (CAN, BOWL)}


def actions(start, errors=ScriptedErrors(), seed=0):
    """Return all that a script answers, (N, 9), when nothing is in its way."""
    policy = ScriptedPolicy(start, errors)
    policy.reset(start.instruction, seed)
    observation = PolicyObservation(start.instruction, {}, start.joint_positions)
    chunks = []
    while len(chunk := policy.act(observation)):
        chunks.append(chunk)
    assert len(policy.act(observation)) == 0, 'it stays at its end'
    return np.concatenate(chunks)


def grips(rows):
    """Return places (N, 3) of the grip point and openings (N,)."""
    from scipy.spatial.transform import Rotation
    return rows[:, :3] + GRIP * Rotation.from_quat(rows[:, 3:7]).as_matrix()[:, :, 2], rows[:, 7]


def at_closing(rows):
    """Return where the grip point is when the fingers have closed, (3,)."""
    places, openings = grips(rows)
    return places[int(np.argmax(openings <= openings.min() + 1e-9))]


def test_the_expert_closes_inside_the_can_and_lets_go_over_the_goal(starts):
    start = starts[CAN]
    places, openings = grips(actions(start))
    low, high = start.corners.min(0), start.corners.max(0)
    closed = at_closing(actions(start))
    assert (closed > low).all() and (closed < high).all()
    last = places[np.flatnonzero(openings < 1e-6)[-1]]
    assert (last[:2] > start.region_low[:2]).all() and (last[:2] < start.region_high[:2]).all()
    assert places[:, 2].max() > start.rim


def test_what_is_wider_than_the_hand_is_taken_by_its_wall(starts):
    start = starts[BOWL]
    middle = 0.5 * (start.corners.min(0) + start.corners.max(0))
    half = 0.5 * np.ptp(start.corners, axis=0)[:2].max()
    closed = at_closing(actions(start))
    assert 0.7 * half < np.linalg.norm((closed - middle)[:2]) < half
    assert closed[2] < start.corners[:, 2].max()


def test_the_robot_can_follow_within_its_limits(starts):
    """At full reach it may have to go faster than the arm can: that is the script's fault."""
    start = starts[CAN]
    robot = Robot.from_urdf(start.robot_description)
    motion = ActionReader(robot, ScriptedPolicy.action_format).trajectory(
        actions(start), start.joint_positions)
    speeds = np.abs(np.gradient(motion.positions, motion.times, axis=0))
    for column, joint in enumerate(motion.joint_names):
        assert speeds[:, column].max() < robot.limits[joint].velocity, joint


def test_the_same_seed_draws_the_same_errors_and_another_one_others(starts):
    aim = ScriptedErrors(aim=0.02)
    first = actions(starts[CAN], aim, 1)
    np.testing.assert_array_equal(first, actions(starts[CAN], aim, 1))
    assert not np.array_equal(at_closing(first), at_closing(actions(starts[CAN], aim, 2)))


def test_aim_errors_are_as_large_as_they_are_said_to_be(starts):
    exact = at_closing(actions(starts[CAN]))
    off = np.array([at_closing(actions(starts[CAN], ScriptedErrors(aim=0.02), seed)) - exact
                    for seed in range(60)])
    assert np.abs(off[:, 2]).max() < 1e-9
    assert off[:, :2].std() == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize(('errors', 'what'), [
    (ScriptedErrors(early_closing=1.0), lambda rows, exact: 0.019 < (
        at_closing(rows) - at_closing(exact))[2] < 0.081),
    (ScriptedErrors(grip=0.04), lambda rows, exact: CLOSED < grips(rows)[1].min() < OPEN),
    (ScriptedErrors(speed=2.0), lambda rows, exact: len(rows) < 0.8 * len(exact)),
    (ScriptedErrors(early_release=1.0), lambda rows, exact: np.linalg.norm(
        grips(rows)[0][np.flatnonzero(grips(rows)[1] < 1e-6)[-1]][:2]
        - grips(exact)[0][np.flatnonzero(grips(exact)[1] < 1e-6)[-1]][:2]) > 0.02)])
def test_each_error_shows(starts, errors, what):
    assert what(actions(starts[CAN], errors), actions(starts[CAN]))


def test_policies_share_the_draws_of_what_they_share(starts):
    """So that they are matched: 3 cm goes the same way as 1 cm, only farther."""
    exact = at_closing(actions(starts[CAN]))
    small, large = (at_closing(actions(starts[CAN], SCRIPTED[name])) - exact
                    for name in ('aim_1cm', 'aim_3cm'))
    np.testing.assert_allclose(large, small * 0.03 / 0.012, atol=1e-9)


def test_a_recording_without_a_goal_gives_no_start():
    with pytest.raises(PolicyError, match='does not say which object goes where'):
        TaskStart.of(Episode.open('libero_spatial_0_0_into_table'))


def test_a_robot_without_a_panda_hand_is_refused(starts):
    bare = dataclasses.replace(starts[CAN], robot_description='<robot name="r"><link name="a"/>'
                               '<link name="b"/><joint name="j" type="revolute"><parent link="a"/>'
                               '<child link="b"/><limit lower="-1" upper="1" velocity="1" '
                               'effort="1"/></joint></robot>')
    with pytest.raises(PolicyError, match='has no panda_hand'):
        ScriptedPolicy(bare)


def layers(bias):
    """Return a network that answers the same whatever it sees."""
    return [(np.zeros((FEATURES, CHUNK * ACTIONS)), np.tile(bias, CHUNK).astype(float))]


def test_a_cloned_policy_moves_the_grip_point_by_what_its_network_says(starts, tmp_path):
    from kinema4d_ros.policy.cloning import save
    start = starts[CAN]
    save(tmp_path / 'up.npz', layers([0, 0, 0.2, 0, 0.6]))
    policy = ClonedPolicy.load(tmp_path / 'up.npz', start)
    policy.reset('', 0)
    observation = PolicyObservation('', {}, start.joint_positions)
    places, openings = grips(policy.act(observation))
    view = HandView(start)
    names = list(start.joint_positions)
    here = view.grip(view.configurations(names, np.array([list(
        start.joint_positions.values())])))[0]
    np.testing.assert_allclose(places - here, np.tile([0, 0, 0.02], (CHUNK, 1)), atol=1e-6)
    np.testing.assert_allclose(openings, OPEN)      # nothing between open and closed


@pytest.mark.parametrize(('has_closed', 'answers'), [(True, [CHUNK, CHUNK, CHUNK, 0]),
                                                     (False, [CHUNK] * 4)])
def test_a_cloned_policy_that_stands_still_after_letting_go_is_done(starts, has_closed, answers):
    """Its network closes where it has not closed before, or never does."""
    weights = np.zeros((FEATURES, CHUNK * ACTIONS))
    if has_closed:
        weights[8, 4::ACTIONS] = 1.0      # the feature that says that it has closed
    bias = layers([0, 0, 0, 0, 0.0 if has_closed else 1.0])[0][1]
    policy = ClonedPolicy([(weights, bias)], starts[CAN])
    policy.reset('', 0)
    observation = PolicyObservation('', {}, starts[CAN].joint_positions)
    assert [len(policy.act(observation)) for _ in range(4)] == answers


@pytest.mark.parametrize('bad', ['nothing', 'pickle', 'other'])
def test_a_file_that_holds_no_network_is_refused(starts, tmp_path, bad):
    path = tmp_path / 'p.npz'
    if bad == 'pickle':
        np.savez(path, weights_0=np.array([{}], object), biases_0=np.zeros(1))
    if bad == 'other':
        np.savez(path, weights_0=np.zeros((3, 4)), biases_0=np.zeros(4))
    with pytest.raises(PolicyError, match='holds no trained policy|a layer has weights'):
        ClonedPolicy.load(path, starts[CAN])


def test_examples_of_a_demonstration_say_what_the_expert_does_next(starts):
    from kinema4d_ros.policy.cloning import demonstration, examples
    motion = demonstration(starts[CAN])
    x, y = examples(starts[CAN], motion, np.random.default_rng(0))
    n = len(motion) - 1
    assert x.shape == (3 * n, FEATURES) and y.shape == (3 * n, CHUNK * ACTIONS)
    first = y[:n].reshape(n, CHUNK, ACTIONS)
    np.testing.assert_allclose(first[:, 0, 4], motion[1:, 7] / OPEN, atol=1e-9)
    assert np.abs(first[-1, :, :3]).max() < 0.05, 'at the end nothing is left to do'
    # moved aside it is told to come back: little at once, no joint has to jump, then all of it
    moved = x[n:2 * n, :3] - x[:n, :3]
    told = y[n:2 * n].reshape(n, CHUNK, ACTIONS)[..., :3] - first[..., :3]
    np.testing.assert_allclose(told[:, -1], -moved, atol=1e-9)
    assert np.abs(np.diff(told, axis=1)).max() < 0.3 * np.abs(moved).max()
    assert np.abs(told[:, 0]).max() < 0.1 * np.abs(moved).max()


def test_training_goes_on_from_one_length_to_the_next(starts):
    pytest.importorskip('torch')
    from kinema4d_ros.policy.cloning import train
    found = list(train([starts[CAN]], [5, 60]))
    assert [steps for steps, _, _ in found] == [5, 60]
    assert found[1][2] < 0.7 * found[0][2]
    ClonedPolicy(found[1][1], starts[CAN])


def test_a_policy_is_served_and_asked_over_the_wire(starts):
    """As its own answers, to the digits of what is sent."""
    pytest.importorskip('websockets')
    pytest.importorskip('msgpack')
    from kinema4d_ros.policy.wire import ObservationKeys, PolicyClient, serve_policy, StateKey
    start = starts[CAN]
    keys = ObservationKeys(states=(StateKey(('observation/joint_position',),
                                            tuple(start.joint_positions)),))
    with serve_policy(ScriptedPolicy(start), keys, port=0) as server, \
            PolicyClient(server.address, ScriptedPolicy.action_format, keys) as policy:
        policy.reset(start.instruction, 0)
        chunk = policy.act(PolicyObservation(start.instruction, {}, start.joint_positions))
    np.testing.assert_allclose(chunk, actions(start)[:len(chunk)], atol=1e-6)


def test_policies_that_see_states_have_addresses(starts, tmp_path):
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.policy.cloning import save
    from kinema4d_ros.policy.closed_loop.makers import make_policy, RunContext
    from kinema4d_ros.policy.state_policies import policy_address
    episode = Episode.open(CAN)
    context = RunContext(Robot.from_urdf(episode.robot_description), episode)
    place = 'python:kinema4d_ros.policy.state_policies'
    policy = make_policy(f'{place}:scripted?name=hasty', context)
    policy.reset('', 0)
    observation = PolicyObservation('', {}, starts[CAN].joint_positions)
    np.testing.assert_array_equal(
        policy.act(observation), actions(starts[CAN], SCRIPTED['hasty'])[:CHUNK])
    policy = make_policy(f'{policy_address("hasty")}&early_closing=1.0', context)
    policy.reset('', 0)
    np.testing.assert_array_equal(policy.act(observation), actions(
        starts[CAN], dataclasses.replace(SCRIPTED['hasty'], early_closing=1.0))[:CHUNK])
    with pytest.raises(ConfigurationError, match='takes aim, place'):
        make_policy(f'{place}:scripted?name=hasty&colour=red', context)
    save(tmp_path / 'p.npz', layers([0, 0, 0, 0, 1.0]))
    assert len(make_policy(f'{place}:cloned?file={tmp_path}/p.npz', context).act(observation))
    with pytest.raises(ConfigurationError, match='known: expert, fast'):
        make_policy(f'{place}:scripted?name=best', context)
