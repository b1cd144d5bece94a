# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A task in the predicted world: chunks, pictures, outcomes, and what makes a run UNSURE."""
import math
import pickle

import numpy as np
import pytest

from kinema4d_ros.camera.points import pointmap_from_depth
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import PolicyError, TrajectoryError, WorldModelError
from kinema4d_ros.policy import ActionFormat
from kinema4d_ros.policy.closed_loop import PredictedWorld, run_task, RunEnd, RunLimits
from kinema4d_ros.policy.closed_loop.recorded import RecordedPolicy, StillPolicy
from kinema4d_ros.policy.closed_loop.starts import goal_of, task_of
from kinema4d_ros.policy.closed_loop.views import resized_with_pad
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.precheck.dynamics_rules import DynamicsRules
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, PredictedFrame
from kinema4d_ros.world_model import load_world_model, WorldModel
from kinema4d_ros.world_model.frozen import Frozen

GOOD, MISSED, SEEN = ('libero_object_0_0_success', 'libero_object_0_0_missed_grasp',
                      'libero_object_6_0_success_wrist')


class Kept:
    """Episodes and simulators that several tests share; meshes are loaded once."""

    def __init__(self):
        self.episodes, self.simulators, self.meshes = {}, {}, None

    def episode(self, name):
        return self.episodes.setdefault(name, Episode.open(name))

    def simulator(self, name, model):
        if (name, model) not in self.simulators:
            robot = Robot.from_urdf(self.episode(name).robot_description)
            self.meshes = self.meshes or load_meshes(robot)
            loaded, rules = model, DynamicsRules()
            if model == 'physics':
                loaded = load_world_model(model, members=1)
                rules = DynamicsRules(outcome=True, members=2)
            self.simulators[name, model] = ShadowSimulator(
                robot, loaded, meshes=self.meshes,
                settings=PrecheckSettings(physics=rules), frames=5)
        return self.simulators[name, model]

    def world(self, name, model='kinematic', **options):
        episode = self.episode(name)
        return PredictedWorld(self.simulator(name, model), episode.observation(),
                              instruction=episode.metadata.task_text, goal=goal_of(episode),
                              **options)


@pytest.fixture(scope='module')
def kept():
    kept = Kept()
    yield kept
    for simulator in kept.simulators.values():
        simulator.close()


def recorded(kept, name, chunk=8):
    return RecordedPolicy(kept.episode(name), kept.world(name).robot, chunk=chunk)


class Looking:
    """A policy that does what another does, and looks at some views first."""

    def __init__(self, policy, *views):
        self.policy, self.views, self.seen = policy, views, []
        self.action_format = policy.action_format

    def reset(self, instruction, seed):
        self.policy.reset(instruction, seed)
        self.instruction = instruction

    def act(self, observation):
        self.seen.append({name: observation.images[name] for name in self.views})
        return self.policy.act(observation)


# ---------------------------------------------------------------------------- outcomes


def test_the_recorded_motion_solves_its_task(kept):
    run = run_task(recorded(kept, GOOD), kept.world(GOOD))
    assert run.ended is RunEnd.SOLVED and run.outcome.success is True
    assert run.outcome.grasped is True and run.outcome.gap_at_closing == 0.0
    assert 0.0 < run.outcome.min_clearance < 0.05
    assert run.duration <= kept.episode(GOOD).trajectory.duration
    assert run.actions == round(run.duration * 20) and run.chunks == math.ceil(run.actions / 8)
    assert run.unseen == {}      # it looked at nothing, so nothing was drawn


def test_a_near_miss_is_told_with_its_gap(kept):
    run = run_task(recorded(kept, MISSED), kept.world(MISSED))
    assert run.ended is RunEnd.FINISHED and run.outcome.success is False
    assert run.outcome.grasped is False and run.outcome.is_near_miss is True
    assert 0.0 < run.outcome.gap_at_closing < 0.02


@pytest.mark.parametrize('model', ['frozen', 'kinematic', 'physics'])
def test_who_stands_still_solves_nothing(kept, model):
    world = kept.world(GOOD, model)
    run = run_task(StillPolicy(world.robot), world, limits=RunLimits(horizon=1.0))
    assert run.ended is RunEnd.HORIZON and run.duration == pytest.approx(1.2)
    assert run.outcome.success is False and run.outcome.is_near_miss is False
    assert math.isinf(run.outcome.gap_at_closing)


def test_in_a_world_that_stays_the_right_motion_solves_nothing(kept):
    run = run_task(recorded(kept, GOOD), kept.world(GOOD, 'frozen'))
    assert run.ended is RunEnd.FINISHED
    assert run.outcome.success is False and run.outcome.grasped is False


def test_a_task_without_a_goal_is_not_judged(kept):
    episode = kept.episode(GOOD)
    world = PredictedWorld(kept.simulator(GOOD, 'kinematic'), episode.observation())
    run = run_task(StillPolicy(world.robot), world, limits=RunLimits(horizon=0.4))
    assert run.outcome.success is None and 'no goal' in run.outcome.reason


def test_the_object_that_is_meant_is_where_the_recording_began(kept):
    goal = goal_of(kept.episode(GOOD))
    low, high = np.array(goal.starts_in.low), np.array(goal.starts_in.high)
    _, poses = kept.episode(GOOD).truth.object_poses['alphabet_soup_1']
    assert np.all(low < poses[0][:3, 3]) and np.all(poses[0][:3, 3] < high)
    assert (high - low).max() < 0.2
    assert task_of(kept.episode(GOOD)) == 'libero_object/0'


# ------------------------------------------------------------ chunks change nothing


@pytest.mark.parametrize('model', ['kinematic', 'physics'])
def test_chunks_change_nothing_of_what_is_predicted(kept, model):
    """However the motion is cut, the same comes of it, and the last picture is the same."""
    ends = []
    for chunk in (200, 23):
        world = kept.world(GOOD, model)
        observation = world.reset()
        policy = recorded(kept, GOOD, chunk)
        whole = policy.act(observation)
        done = 0
        while len(whole):
            motion = JointTrajectory(
                world.robot.joint_names, np.arange(len(whole) + 1) / 20.0, np.vstack(
                    [[observation.joint_positions[name] for name in world.robot.joint_names],
                     whole]))
            observation = world.execute(motion)
            done += len(whole)
            whole = policy.act(observation)
        ends.append((world.outcome(), observation.images['exterior'], world.executed))
    (one, first, whole), (other, second, cut) = ends
    assert one == other
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(whole.times, cut.times)
    np.testing.assert_array_equal(whole.positions, cut.positions)


def test_a_world_that_is_begun_anew_is_as_new(kept):
    world = kept.world(GOOD)
    runs = [run_task(recorded(kept, GOOD), world, limits=RunLimits(horizon=2.4))
            for _ in range(2)]
    assert runs[0].outcome == runs[1].outcome and runs[0].chunks == runs[1].chunks


def test_a_motion_that_begins_elsewhere_is_refused(kept):
    world = kept.world(GOOD)
    here = world.reset().joint_positions
    start = np.array([here[name] for name in world.robot.joint_names])
    with pytest.raises(TrajectoryError, match='begins with panda_joint'):
        world.execute(JointTrajectory(world.robot.joint_names, np.array([0.0, 0.1]),
                                      np.stack([start + 0.1, start])))


# ---------------------------------------------------------------------------- pictures


def test_the_first_pictures_are_those_of_the_cameras(kept):
    observation = kept.world(SEEN).reset()
    views = kept.episode(SEEN).observation().views
    assert list(observation.images) == ['exterior', 'wrist']
    for name, view in zip(observation.images, views):
        np.testing.assert_array_equal(observation.images[name],
                                      resized_with_pad(view.image, 224, 224))
        assert observation.unseen_shares[name] == 0.0
        assert observation.depths[name].shape == (224, 224)
    known = np.isfinite(observation.depths['exterior'])
    assert 0.6 < known.mean() < 0.67      # two thirds are the picture, the rest is padding


def test_nothing_is_drawn_before_somebody_looks(kept):
    world = kept.world(SEEN)
    observation = world.reset()
    assert len(observation.unseen_shares) == 0
    _ = observation.images['wrist']
    assert set(observation.unseen_shares) == {'wrist'}
    with pytest.raises(KeyError, match='exterior, wrist'):
        _ = observation.images['left']
    copy = pickle.loads(pickle.dumps(observation))     # to another process go all pictures
    np.testing.assert_array_equal(copy.images['exterior'], observation.images['exterior'])


def test_pictures_are_what_the_cameras_saw_then(kept):
    """While the soup is carried: both views against the recorded ones, unseen share stated."""
    world, episode = kept.world(SEEN, size=None), kept.episode(SEEN)
    world.reset()
    policy = recorded(kept, SEEN, chunk=68)
    here = world.reset()
    actions = policy.act(here)
    joints = [here.joint_positions[name] for name in world.robot.joint_names]
    observation = world.execute(JointTrajectory(
        world.robot.joint_names, np.arange(69) / 20.0, np.vstack([joints, actions])))
    for name, camera in zip(observation.images, episode.cameras):
        frame = camera.frames[int(np.abs(camera.frames.times - observation.time).argmin())]
        depth = observation.depths[name]
        error = np.abs(depth - frame.depth)[np.isfinite(depth)]
        assert np.median(error) < 0.006
        still = camera.frames[episode.start_index]
        assert np.abs(observation.images[name].astype(int) - frame.image).mean() \
            < 0.75 * np.abs(still.image.astype(int) - frame.image).mean()
        assert observation.unseen_shares[name] == pytest.approx(np.isnan(depth).mean())


def test_a_wrist_that_nobody_saw_is_drawn_from_what_others_measured(kept):
    from kinema4d_ros.policy.closed_loop.views import wrist_view

    world = kept.world(GOOD)
    views = (*world.views, wrist_view('libero', world.robot))
    observation = kept.world(GOOD, views=views, size=None).reset()
    assert observation.images['wrist'].shape == (256, 256, 3)
    assert 0.01 < observation.unseen_shares['wrist'] < 0.6


# ----------------------------------------------------------------------- what is UNSURE


def test_a_run_is_unsure_where_too_much_of_a_picture_was_never_seen(kept):
    policy = Looking(recorded(kept, SEEN), 'wrist')
    run = run_task(policy, kept.world(SEEN), limits=RunLimits(unseen=0.02))
    assert run.ended is RunEnd.UNSURE and run.outcome.success is None
    assert math.isnan(run.outcome.probability) and 'nobody ever saw' in run.outcome.reason
    assert run.unseen['wrist'] > 0.02 and run.chunks >= 2      # the first was a real picture
    assert policy.instruction == kept.episode(SEEN).metadata.task_text


def test_what_the_policy_does_not_look_at_makes_nothing_unsure(kept):
    run = run_task(recorded(kept, GOOD), kept.world(GOOD), limits=RunLimits(unseen=0.0))
    assert run.outcome.success is True


def test_a_run_is_unsure_when_the_last_real_picture_is_too_long_ago(kept):
    run = run_task(recorded(kept, GOOD), kept.world(GOOD), limits=RunLimits(drift=1.0))
    assert run.ended is RunEnd.UNSURE and 'last real picture' in run.outcome.reason
    assert run.drift == pytest.approx(1.2) and run.outcome.success is None
    assert not math.isnan(run.outcome.min_clearance)      # what was measured until then stays


class Answers:
    """A policy that answers the same, whatever it is."""

    def __init__(self, robot, answer):
        self.action_format, self.answer = ActionFormat(20.0, robot.joint_names), answer

    def reset(self, instruction, seed):
        pass

    def act(self, observation):
        return self.answer


@pytest.mark.parametrize('answer', [np.full((4, 9), np.nan), np.zeros((4, 3)), np.zeros(9)])
def test_a_chunk_that_cannot_be_read_is_a_failure_of_the_policy(kept, answer):
    world = kept.world(GOOD)
    run = run_task(Answers(world.robot, answer), world)
    assert run.ended is RunEnd.REFUSED and run.outcome.success is False
    assert run.outcome.probability == 0.0 and 'cannot be executed' in run.outcome.reason


def test_an_answer_that_is_no_chunk_gives_no_result(kept):
    world = kept.world(GOOD)
    with pytest.raises(PolicyError, match='no chunk of numbers'):
        run_task(Answers(world.robot, [['left'], ['right']]), world)


def test_where_no_depth_is_measured_nothing_is_claimed(kept):
    import dataclasses

    episode = kept.episode(GOOD)
    observation = episode.observation()
    blind = dataclasses.replace(observation, views=tuple(
        dataclasses.replace(view, depth=None) for view in observation.views))
    world = PredictedWorld(kept.simulator(GOOD, 'kinematic'), blind, goal=goal_of(episode))
    run = run_task(recorded(kept, GOOD), world)
    assert run.outcome.success is None and 'depth' in run.outcome.reason


# -------------------------------------------- a model that only predicts pictures


class Painter(WorldModel):
    """Predicts the picture that it is shown, one grey level brighter each time."""

    name = 'painter'
    follows_actions = True
    fails_after = 99

    def __init__(self, **values):
        super().__init__(**values)
        self.shown = []

    def predict(self, observation, robot, *, seed=0, report=lambda *_: None):
        self.shown.append(observation)
        if len(self.shown) > self.fails_after:
            raise WorldModelError('an unknown grasp')
        view = observation.primary
        for index, time in enumerate(robot.times):
            yield PredictedFrame(
                index, len(robot.times), float(time), np.minimum(view.image, 250) + 1,
                pointmap_from_depth(view.depth, view.camera), robot.link_id[index] >= 0)


def painted(kept, **options):
    episode = kept.episode(GOOD)
    model = Painter()
    for name, value in options.items():
        setattr(model, name, value)
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description), model, frames=3,
                                meshes=kept.meshes)
    return model, PredictedWorld(simulator, episode.observation(), goal=goal_of(episode),
                                 size=None)


def test_a_model_of_pictures_goes_on_from_its_last_one(kept):
    kept.simulator(GOOD, 'kinematic')
    model, world = painted(kept)
    policy = Looking(recorded(kept, GOOD), 'exterior')
    run = run_task(policy, world, limits=RunLimits(horizon=1.2))
    assert run.ended is RunEnd.HORIZON and run.chunks == 3 and len(model.shown) == 3
    assert model.shown[0] is world.observation
    for number in (1, 2):
        shown = model.shown[number]
        np.testing.assert_array_equal(shown.primary.image, policy.seen[number]['exterior'])
        assert shown.stamp_ns - model.shown[number - 1].stamp_ns == pytest.approx(4e8, abs=1)
        joints = [shown.joint_positions[name] for name in world.robot.joint_names]
        at = int(np.abs(world.executed.times - 0.4 * number).argmin())
        np.testing.assert_allclose(joints, world.executed.positions[at])
    assert [time for time, _ in world.film(5.0)] == pytest.approx([0.0, 0.4, 0.8, 1.2])
    assert run.outcome.success is False      # by geometry: nothing was grasped yet


def test_a_model_that_refuses_to_predict_makes_the_run_unsure(kept):
    kept.simulator(GOOD, 'kinematic')
    _, world = painted(kept, fails_after=1)
    run = run_task(recorded(kept, GOOD), world)
    assert run.ended is RunEnd.REFUSED and run.outcome.success is None
    assert 'an unknown grasp' in run.outcome.reason and run.duration == pytest.approx(0.4)


def test_only_a_class_that_defines_both_tells_what_it_draws():
    class Otherwise(Frozen):
        def predict(self, observation, robot, *, seed=0, report=lambda *_: None):
            yield from ()

    assert all(load_world_model(name).tells for name in ('frozen', 'kinematic'))
    assert not Otherwise().tells and not Painter().tells
    with pytest.raises(WorldModelError, match='only predicts pictures'):
        Painter().told(None, None)


def test_a_world_needs_a_world_model(kept):
    simulator = kept.simulator(GOOD, 'kinematic')
    without = ShadowSimulator(simulator.robot, None, meshes=kept.meshes)
    with pytest.raises(WorldModelError, match='needs a world model'):
        PredictedWorld(without, kept.episode(GOOD).observation())
