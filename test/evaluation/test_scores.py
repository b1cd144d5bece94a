# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world models against the recorded futures of the bundled episodes."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation import evaluate_episode, goal_met, score_frames, table
from kinema4d_ros.evaluation.scores import EpisodeScore
from kinema4d_ros.types import EventKind

#: those of a task; what is pushed or toppled is no goal of anything
EPISODES = [path for path in sorted((Path(__file__).parents[2] / 'data/episodes').glob('*.mcap'))
            if path.stem.split('_')[-1] not in ('push', 'topple')]
pytestmark = pytest.mark.timeout(400)      # fifteen episodes; a busy machine takes a while
CARRY = [EventKind.GRASP, EventKind.RELEASE, EventKind.REST]


@pytest.fixture(scope='module')
def scores():
    """Return (frozen, kinematic) scores per episode name; predicted once for all tests."""
    found = {}
    for path in EPISODES:
        episode = Episode.open(path)
        found[path.stem] = tuple(evaluate_episode(episode, model, frames=13)
                                 for model in ('frozen', 'kinematic'))
    print('\n' + table([score for pair in found.values() for score in pair]))
    return found


def carried(scores):
    """Return the pairs in which something was truly carried."""
    return {name: pair for name, pair in scores.items() if np.isfinite(pair[0].carry_center_error)}


def test_kinematic_beats_frozen_where_something_is_carried(scores):
    assert len(carried(scores)) >= 8
    for name, (frozen, kinematic) in carried(scores).items():
        assert kinematic.psnr_changed > frozen.psnr_changed, name
        assert kinematic.ssim_changed > frozen.ssim_changed, name
        assert kinematic.psnr_world >= frozen.psnr_world, name
        assert kinematic.depth_changed < frozen.depth_changed, name
        assert kinematic.carry_center_error < 0.2 * frozen.carry_center_error, name


def test_a_successful_carry_ends_within_3_cm_in_8_of_10_episodes(scores):
    final = [kinematic.final_center_error for _, kinematic in scores.values()
             if kinematic.kind == 'success']
    assert len(final) >= 10 and np.mean(np.array(final) < 0.03) >= 0.8


def test_the_outcome_is_foretold(scores):
    for name, (_, kinematic) in scores.items():
        assert kinematic.predicted_success in (None, kinematic.true_success), name
        kinds = [event.kind for event in kinematic.events]
        if kinematic.kind in ('success', 'missed_place', 'slip'):
            assert kinds[:3] == CARRY, name
        elif kinematic.kind == 'missed_grasp':
            assert kinds == [EventKind.CLOSED_ON_NOTHING], name


def test_the_recording_itself_scores_best():
    episode = Episode.open(EPISODES[0])
    times = episode.frames.times[episode.start_index:][::12]
    frames = episode.truth.future(times)
    images = [episode.calibration.rectify(frame.image) for frame in frames]
    nothing = [np.full((*image.shape[:2], 3), np.nan, np.float32) for image in images]
    metadata = episode.metadata
    centers = episode.truth.object_center(
        metadata.carried_object, metadata.objects[metadata.carried_object].center, times)
    score = score_frames(episode, times, images, nothing, centers)
    assert score.psnr_changed == score.psnr_still == 60.0
    assert score.final_center_error == 0.0 and np.isnan(score.depth_changed)
    assert score.predicted_success == metadata.success


def test_a_goal_is_a_box_around_the_centre():
    region = {'low': [0, 0, 0], 'high': [1, 1, 0.2], 'name': 'bin'}
    goal = {'inside': {'object': 'can', 'region': region}}
    assert goal_met(goal, np.array([0.5, 0.5, 0.1])) is True
    assert goal_met({'above': goal['inside']}, np.array([0.5, 1.5, 0.1])) is False
    assert goal_met(goal, None) is None and goal_met({}, np.zeros(3)) is None


def test_an_episode_without_a_label_is_in_the_table():
    score = EpisodeScore(*[0.5] * 7, true_success=None, predicted_success=True, name='unlabelled')
    assert '| ?, yes |' in table([score]).splitlines()[-1]
