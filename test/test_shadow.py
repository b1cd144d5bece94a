# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shadow simulator on a bundled episode: plain Python, from URDF to predicted frames."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Status
from kinema4d_ros.world_model import create

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
    return ShadowSimulator(robot, create('frozen'), frames=4, **more)


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
    told, shadow = [], simulator(robot)

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
