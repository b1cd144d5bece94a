# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shadow simulator on a bundled episode: plain Python, from URDF to predicted frames."""
from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import PredictionCancelled, RobotDescriptionError, WorldModelError
from kinema4d_ros.precheck import PrecheckSettings, Tier0Settings
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import FindingCode, JointLimit, Status
from kinema4d_ros.world_model import WorldModel

EPISODE = Path(__file__).parents[1] / 'data/episodes/libero_object_0_0_success.mcap'


@pytest.fixture(scope='module')
def episode():
    """Return a bundled episode."""
    return Episode.open(EPISODE)


@pytest.fixture(scope='module')
def robot(episode):
    """Return its robot."""
    return Robot.from_urdf(episode.robot_description)


def simulator(robot, **more):
    """Return a simulator with the baseline model."""
    return ShadowSimulator(robot, 'frozen', frames=4, **more)


def test_frames_come_in_order_and_in_the_size_of_the_camera(episode, robot):
    observation, stages = episode.observation(), []
    frames = list(simulator(robot).predict(observation, episode.trajectory,
                                           report=lambda *told: stages.append(told)))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames[-1].time == pytest.approx(episode.trajectory.duration)
    assert all(frame.image.shape == observation.view.image.shape for frame in frames)
    assert stages[0] == ('robot', 0, 1) and stages[-1] == ('predict', 3, 4)


def test_frame_0_is_the_observation(episode, robot):
    observation = episode.observation()
    frame = next(simulator(robot).predict(observation, episode.trajectory))
    difference = np.abs(frame.image.astype(int) - observation.view.image).max(-1)
    assert np.mean(difference > 40) < 0.01
    depth = frame.pointmap[..., 2]
    use = np.isfinite(depth) & np.isfinite(observation.view.depth)
    assert use.mean() > 0.95
    assert np.quantile(np.abs(depth - observation.view.depth)[use], 0.99) < 0.005


def test_what_depends_on_the_observation_is_computed_once(episode, robot, monkeypatch):
    shadow, observation, calls = simulator(robot), episode.observation(), []
    appearance = shadow._renderer.appearance
    monkeypatch.setattr(shadow._renderer, 'appearance',
                        lambda *given: calls.append(1) or appearance(*given))
    for _ in range(3):
        next(shadow.predict(observation, episode.trajectory))
    assert len(calls) == 1
    next(shadow.predict(episode.observation(), episode.trajectory))
    assert len(calls) == 2
    shadow.close()
    assert shadow._seen is None


def test_the_camera_follows_its_link(episode, robot):
    observation = episode.observation()
    still = simulator(robot).roll_out(observation, episode.trajectory)
    linked = simulator(robot, camera_poses=LinkPose(episode.camera_frame).poses).roll_out(
        observation, episode.trajectory)
    np.testing.assert_allclose(still.T_base_camera, linked.T_base_camera, atol=1e-9)
    hand = simulator(robot, camera_poses=LinkPose(still.gripper.palm_link).poses).roll_out(
        observation, episode.trajectory)
    palm = hand.link_names.index(hand.gripper.palm_link)
    np.testing.assert_allclose(hand.T_base_camera, hand.T_base_link[:, palm])


def test_the_fingers_shapes_are_known(episode, robot):
    gripper = simulator(robot).gripper
    assert len(gripper.finger_boxes) == len(gripper.finger_links) == 2
    low, high = np.array(gripper.finger_boxes[0])
    assert ((high - low) > 0.005).all() and ((high - low) < 0.1).all()


@pytest.mark.parametrize('calls', [1, 2])
def test_a_report_that_cancels_is_heard_before_and_while_the_robot_is_rendered(episode, robot,
                                                                               calls):
    told, shadow = [], ShadowSimulator(robot, 'frozen', frames=49)

    def report(stage, step, total):
        told.append((stage, step))
        if len(told) == calls:
            raise PredictionCancelled('newer request')
    with pytest.raises(PredictionCancelled, match='newer request'):
        next(shadow.predict(episode.observation(), episode.trajectory, report=report))
    assert told == [('robot', 0)] * calls      # not yet done
    assert next(shadow.predict(episode.observation(), episode.trajectory)).index == 0


def test_the_precheck_judges_by_tier_0(episode, robot):
    shadow, observation = simulator(robot), episode.observation()
    verdict = shadow.precheck(observation, episode.trajectory)
    assert verdict.scene_stamp_ns == observation.stamp_ns and verdict.world_model == 'frozen'
    assert verdict.robot_hash == robot.description_hash and verdict.trajectory_hash
    broken = dataclasses.replace(episode.trajectory,
                                 positions=episode.trajectory.positions * np.nan)
    assert shadow.precheck(observation, broken).status is Status.FAIL


class Closable(WorldModel):
    """Predicts nothing, and knows when it is closed."""

    name, closed = 'closable', False

    def predict(self, observation, robot, *, seed=0, report=None):
        return iter(())

    def close(self):
        self.closed = True


def test_the_end_of_the_block_closes_the_world_model_whatever_happens_in_it(robot):
    model = Closable()
    with pytest.raises(ZeroDivisionError), ShadowSimulator(robot, model) as shadow:
        assert shadow.world_model is model and not model.closed
        raise ZeroDivisionError
    assert model.closed


def test_a_world_model_of_an_unknown_name_is_reported(robot):
    with pytest.raises(WorldModelError, match=r"'magic'; available: .*kinematic"):
        ShadowSimulator(robot, 'magic')


def test_without_a_world_model_it_judges_and_predicts_nothing(episode, robot):
    observation, trajectory = episode.observation(), episode.trajectory
    with ShadowSimulator(robot, None) as shadow:
        verdict = shadow.precheck(observation, trajectory)
        assert verdict.passed and verdict.world_model == ''
        assert len(shadow.roll_out(observation, trajectory).times) == shadow.frames
        with pytest.raises(WorldModelError, match='no world model to predict with'):
            next(shadow.predict(observation, trajectory))
        # What was asked for and cannot be had is no PASS.
        without = shadow.precheck(observation, trajectory, tiers=(0, 1, 2))
        assert without.status is Status.UNSURE and 'no world model' in without.summary
        assert without.tiers_passed == (0, 1)
    with ShadowSimulator(robot, 'frozen') as shadow:
        same = shadow.precheck(observation, trajectory)
    assert dataclasses.replace(same, latencies={}, world_model='') == dataclasses.replace(
        verdict, latencies={})


@pytest.mark.parametrize('tiers', [(), (0, 1, 7)])
def test_tiers_that_do_not_exist_or_none_are_no_pass(tiers, episode, robot):
    verdict = simulator(robot).precheck(episode.observation(), episode.trajectory, tiers=tiers)
    assert verdict.status is Status.UNSURE


def test_settings_of_one_call_are_gone_at_the_next(episode, robot):
    strict = PrecheckSettings(Tier0Settings(
        limits={name: JointLimit(velocity=0.001) for name in robot.joint_names}))
    observation, trajectory = episode.observation(), episode.trajectory
    shadow = simulator(robot)
    assert shadow.precheck(observation, trajectory).passed
    assert shadow.precheck(observation, trajectory, settings=strict).status is Status.FAIL
    assert shadow.precheck(observation, trajectory).passed
    always_strict = simulator(robot, settings=strict)
    assert always_strict.precheck(observation, trajectory).status is Status.FAIL
    assert always_strict.precheck(observation, trajectory, settings=PrecheckSettings()).passed


def test_what_checks_the_robot_is_kept_while_the_settings_are_equal(robot):
    shadow = simulator(robot)
    checker = shadow.checker()
    assert shadow.checker(PrecheckSettings()) is checker
    other = PrecheckSettings(Tier0Settings(velocity_scale=0.5))
    assert shadow.checker(other).settings is other is not checker.settings


def test_candidates_come_back_with_their_index_best_first(episode, robot):
    observation, trajectory = episode.observation(), episode.trajectory
    broken = dataclasses.replace(trajectory, positions=trajectory.positions * np.nan)
    ranked = simulator(robot).precheck_all(observation, [broken, trajectory], tiers=(0,))
    assert [(index, verdict.passed) for index, verdict in ranked] == [(1, True), (0, False)]
    assert ranked[1][1].findings[0].code is FindingCode.NOT_FINITE


def test_a_robot_is_read_from_a_file(tmp_path):
    path = tmp_path / 'arm.urdf'
    path.write_text((EPISODE.parents[2] / 'urdf/demo_arm.urdf').read_text())
    assert Robot.from_file(path).description_hash == Robot.from_urdf(
        path.read_text()).description_hash
    with pytest.raises(RobotDescriptionError, match=r'none\.urdf cannot be read'):
        Robot.from_file(str(tmp_path / 'none.urdf'))


def test_the_first_predicted_frame_waits_for_one_picture(monkeypatch, episode, robot):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0})      # no thread helps
    begun = []
    plain = Drawing.__init__
    monkeypatch.setattr(Drawing, '__init__', lambda self, *given: (
        begun.append(self), plain(self, *given))[1])
    with ShadowSimulator(robot, 'kinematic', frames=6) as shadow:
        frames = shadow.predict(episode.observation(), episode.trajectory)
        first = next(frames)
        assert first.index == 0 and begun[-1].drawn == 1
        assert [frame.index for frame in frames] == list(range(1, 6)) and begun[-1].drawn == 6
