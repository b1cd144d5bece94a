# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All metrics of a future: the recording itself, and models against one another."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.comparison import (average, compare, Comparison, frames_to_compare,
                                                frames_with_truth, METRICS)
from kinema4d_ros.evaluation.report.depict import EpisodePredictor
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model import load_world_model

EPISODE = Path(__file__).parents[2] / 'data/episodes/libero_object_0_0_success.mcap'


@pytest.fixture(scope='module')
def predicted():
    """Return the episode, the exact robot, and the frames of two models."""
    episode = Episode.open(EPISODE)
    robot, frames = Robot.from_urdf(episode.robot_description), {}
    for model in ('frozen', 'kinematic'):
        simulator = ShadowSimulator(robot, load_world_model(model), frames=49)
        observation = episode.observation()
        rollout = simulator.roll_out(observation, episode.trajectory)
        made = list(simulator.world_model.predict(observation, rollout))
        frames[model] = [made[index] for index in frames_to_compare(episode, rollout.times)]
    return episode, rollout, frames


def test_kinematic_beats_the_baseline(predicted):
    episode, rollout, frames = predicted
    frozen, kinematic = (compare(episode, frames[model], rollout, model)
                         for model in ('frozen', 'kinematic'))
    assert kinematic.frames == 6 and kinematic.world_model == 'kinematic'
    for name in ('psnr_changed', 'psnr_world', 'ssim_changed', 'flip_changed', 'abs_rel',
                 'chamfer', 'f_5mm', 'f_10mm', 'f_20mm'):
        better = kinematic[name] > frozen[name]
        assert better == METRICS[name].more_is_better, (name, kinematic[name], frozen[name])
    for model in (frozen, kinematic):      # both paint the exact robot
        assert model['robot_residual'] < 1e-4 and model['robot_iou'] > 0.9
        assert model['robot_iou_true'] > 0.9
        assert 0 < model['flip_still'] < model['flip_changed'] < 1
        assert 0 <= model['f_5mm'] <= model['f_10mm'] <= model['f_20mm'] <= 1


def test_the_recording_itself_is_best(predicted):
    episode, rollout, frames = predicted
    recorded, rays = [], rollout.camera.rays()
    for frame in frames['frozen']:
        index = int(np.abs(episode.frames.times - frame.time).argmin())
        true = episode.frames[index]
        recorded.append(dataclasses.replace(
            frame, image=true.image, pointmap=rays * true.depth[..., None],
            robot_mask=episode.truth.robot_masks.get(index, frame.robot_mask)))
    found = compare(episode, recorded, rollout, 'recorded')
    assert found['psnr_changed'] == found['psnr_still'] == 60.0
    assert found['ssim_changed'] == found['ssim_still'] == pytest.approx(1.0)
    assert found['flip_changed'] == found['abs_rel'] == found['chamfer'] == 0.0
    assert found['delta'] == found['f_5mm'] == found['robot_iou_true'] == 1.0
    assert found['robot_residual'] < 0.003       # the simulator's robot against the URDF's


def test_frames_are_those_with_a_recorded_mask(predicted):
    episode, rollout, _ = predicted
    chosen = frames_to_compare(episode, rollout.times, 12)
    assert chosen == sorted(set(chosen)) and chosen[0] > 0 and chosen[-1] == 48
    near = [int(np.abs(episode.frames.times - rollout.times[index]).argmin()) for index in chosen]
    assert sum(index in episode.truth.robot_masks for index in near) >= 8
    assert len(frames_to_compare(episode, rollout.times, 3)) == 3
    assert frames_to_compare(episode, np.array([0.0, 5.0])) == [1]


class Sparse:
    """An episode with few images, the last of them before the end of the motion."""

    class frames:  # noqa: N801 - stands for an attribute
        times = np.array([-1.0, 0.0, 2.0, 4.0])

    class truth:  # noqa: N801
        robot_masks: dict = {}


def test_only_frames_that_were_recorded_too_are_compared():
    times = np.linspace(0, 6, 25)
    assert frames_with_truth(Sparse, times).tolist() == [0, 8, 16]
    assert frames_to_compare(Sparse, times) == [8, 16]
    Sparse.truth.robot_masks = {2: None}
    assert frames_to_compare(Sparse, times) == [8, 16]
    assert frames_to_compare(Sparse, np.array([0.0, 0.9])) == []


def test_what_is_remembered_helps(predicted):
    episode, rollout, frames = predicted
    predictor = EpisodePredictor('frozen')
    at_first = predictor(episode)[1]
    np.testing.assert_array_equal(at_first[24].image, predictor(episode)[1][24].image)
    predictor.remember(episode)
    robot, later = predictor(episode)
    np.testing.assert_array_equal(robot.link_id, rollout.link_id)
    unknown = [np.isnan(made[-1].pointmap[..., 2]).sum() for made in (at_first, later)]
    assert unknown[1] < 0.5 * unknown[0]


def test_what_is_unknown_does_not_count_in_a_mean():
    nan = float('nan')
    rows = [dict.fromkeys(METRICS, 1.0) | {'delta': nan}, dict.fromkeys(METRICS, 3.0)]
    means = average(rows)
    assert means['chamfer'] == 2.0 and means['delta'] == 3.0
    assert np.isnan(average([])['chamfer'])


def test_a_comparison_has_all_metrics():
    with pytest.raises(ValueError, match='the metrics are psnr_changed, .*; got chamfer'):
        Comparison('frozen', {'chamfer': 1.0}, 1)
