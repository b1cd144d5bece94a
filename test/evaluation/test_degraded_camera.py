# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a real camera makes of a clean observation, and the table that comes of it."""
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.degraded_camera import (at_edges, degrade, Degradation, REALISTIC,
                                                     with_ball)
from kinema4d_ros.evaluation.real_camera import (camera_figures, camera_markdown, CameraRow,
                                                 Condition, CONDITIONS, GOAL, missed_camera_goals,
                                                 RealCamera)
from kinema4d_ros.evaluation.report.rates import camera_sections
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.types import Observation, PinholeCamera, Status

EPISODE = (Path(__file__).resolve().parents[2] / 'data' / 'episodes'
           / 'libero_spatial_0_0_success.mcap')
CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)


@pytest.fixture
def step():
    """Return a view of a board at 1 m before a wall at 2 m."""
    depth = np.full((120, 160), 2.0, np.float32)
    depth[30:90, 40:120] = 1.0
    image = np.full((120, 160, 3), 200, np.uint8)
    return Observation.from_rgbd(image, depth, CAMERA, np.eye(4), {'a': 0.5}, stamp_ns=3)


def test_nothing_wrong_changes_nothing(step):
    same = degrade(step, Degradation(), 1)
    np.testing.assert_array_equal(same.view.depth, step.view.depth)
    np.testing.assert_array_equal(same.view.T_base_camera, step.view.T_base_camera)
    assert dict(same.joint_positions) == {'a': 0.5} and same.stamp_ns == 3


def test_a_seed_says_it_all(step):
    one, again, other = (degrade(step, REALISTIC, seed).view.depth for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_noise_grows_with_the_distance_squared(step):
    error = degrade(step, Degradation(noise=0.001, noise_square=0.0015), 0).view.depth \
        - step.view.depth
    assert error[step.view.depth == 1.0].std() == pytest.approx(0.0025, rel=0.05)
    assert error[step.view.depth == 2.0].std() == pytest.approx(0.007, rel=0.05)


def test_holes_come_at_edges_and_where_it_is_dark(step):
    dark = step.view.image.copy()
    dark[:, :20] = 10
    depth = degrade(step.with_view(image=dark), Degradation(holes=0.2), 0).view.depth
    holes = np.isnan(depth)
    assert holes.mean() == pytest.approx(0.2, abs=0.01)
    edge = at_edges(step.view.depth)
    rest = ~edge
    rest[:, :20] = False
    assert holes[edge].mean() > 2 * holes[rest].mean() > 0
    assert holes[:, :20].mean() > 1.3 * holes[rest].mean()
    wholly = degrade(step.with_view(image=dark), Degradation(holes=0.2, dark_loss=5.0), 0)
    assert np.isnan(wholly.view.depth[:, :20]).mean() > 0.95


def test_flying_pixels_are_between_the_two_surfaces(step):
    depth = degrade(step, Degradation(flying=0.5), 0).view.depth
    flies = (depth > 1.01) & (depth < 1.99)
    assert flies.sum() > 100 and not (flies & ~at_edges(step.view.depth)).any()


def test_steps_and_gaps(step):
    slanted = step.with_view(depth=np.linspace(0.5, 2, 160)[None].repeat(120, 0))
    depth = degrade(slanted, Degradation(quantum=0.01), 0).view.depth
    disparity = 1 / depth.astype(float) / 0.01
    np.testing.assert_allclose(disparity, np.round(disparity), atol=1e-3)
    assert np.abs(depth - slanted.view.depth).max() <= 0.5 * 0.01 * 2 ** 2 * 1.02
    sparse = degrade(step, Degradation(sparse=2), 0).view.depth
    assert np.isfinite(sparse).sum() == 60 * 80 and np.isfinite(sparse[::2, ::2]).all()


def test_pose_and_joints_are_off_by_just_that(step):
    how = Degradation(shift=0.005, turn=np.radians(0.5), joint_errors={'a': -0.1, 'other': 1.0})
    wrong = degrade(step, how, 4)
    error = np.linalg.inv(step.view.T_base_camera) @ wrong.view.T_base_camera
    assert np.linalg.norm(error[:3, 3]) == pytest.approx(0.005)
    assert np.linalg.norm(Rotation.from_matrix(error[:3, :3]).as_rotvec()) == pytest.approx(
        np.radians(0.5))
    assert wrong.joint_positions['a'] == pytest.approx(0.4) and len(wrong.joint_positions) == 1


def test_without_depth_only_the_pose_is_off(step):
    wrong = degrade(step.with_view(depth=None), dataclasses.replace(REALISTIC, shift=0.01), 0)
    assert wrong.view.depth is None and wrong.view.T_base_camera[:3, 3].any()


def test_a_ball_is_seen_where_nothing_hides_it(step):
    seen, pixels = with_ball(step, np.array([0.0, 0.0, 0.6]), 0.05)
    assert pixels == pytest.approx(np.pi * (150 * 0.05 / 0.6) ** 2, rel=0.1)
    assert seen.view.depth.min() == pytest.approx(0.55, abs=0.001)
    assert with_ball(step, np.array([0.0, 0.0, 1.5]), 0.05)[1] == 0      # behind the board
    assert with_ball(step, np.array([0.0, 0.0, -0.6]), 0.05)[1] == 0     # behind the camera


# ------------------------------------------------------------------ the table

def rows(clean, dangerous, condition=GOAL):
    return [CameraRow('x', condition, is_bad, status, '')
            for is_bad, some in ((False, clean), (True, dangerous)) for status in some]


def test_figures_and_goals():
    good = camera_figures(rows([Status.PASS] * 8 + [Status.UNSURE] * 2, [Status.FAIL]))
    assert good[GOAL]['clean PASS'] == Rate(8, 10) and good[GOAL]['dangerous FAIL'] == Rate(1, 1)
    assert missed_camera_goals(good) == []
    bad = camera_figures(rows([Status.PASS, Status.FAIL], [Status.PASS]))
    assert len(missed_camera_goals(bad)) == 2
    table = camera_markdown(bad)
    assert f'| {GOAL} | 1/2 (9.5 to 90.5 %) | 0 | 1 | 1/1 (20.7 to 100.0 %) | 0 | 0 | 1 |' in table
    assert len(camera_sections(bad)[0].rates) == 2 and camera_sections({}) == []


def test_conditions_say_what_the_issue_asks():
    assert 'off by 5 mm and 0.5 deg' in GOAL
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS)
    goal = next(condition for condition in CONDITIONS if condition.name == GOAL)
    assert goal.how.holes == 0.2 and goal.how.noise == 0.001 and goal.how.noise_square == 0.0015
    assert goal.settings().tier1.calibration_sigma == 0.005
    assert goal.settings().tier1.calibration_turn_sigma == pytest.approx(np.radians(0.5))


def test_an_episode_through_real_cameras():
    """Clean and exact passes, a ball in the way does not, a camera far off is noticed."""
    judge = RealCamera((CONDITIONS[0], Condition('far off', Degradation(shift=0.1)),
                        Condition('late', lag=0.2)))
    found = {(row.condition, row.dangerous): row for row in judge(EPISODE)}
    assert found['as recorded', False].passed
    assert found['as recorded', True].status == Status.FAIL
    assert 'ball' in found['as recorded', True].name
    for condition in ('far off', 'late'):
        row = found[condition, False]
        assert (row.status, row.reason) == (Status.UNSURE, 'CAMERA_POSE'), row


def test_the_episode_is_read_as_it_is():
    before = Episode.open(EPISODE).observation().view.depth
    RealCamera(CONDITIONS[:1])(EPISODE)
    np.testing.assert_array_equal(before, Episode.open(EPISODE).observation().view.depth)
