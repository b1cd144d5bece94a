# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a second camera adds, and cameras against each other, on the bundled episode of two."""
import dataclasses

import numpy as np
import pytest
from graph import ROOT
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera.scene_agreement import scene_agreement
from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.camera_outcomes import camera_outcomes_markdown, judge_by_cameras
from kinema4d_ros.evaluation.degraded_camera import degrade, Degradation, with_ball
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.evaluation.several_cameras import (
    AS_RECORDED, camera_sets, several_cameras_markdown, SeveralCameras, SeveralCamerasRow, share_of,
    swept_shares, SweptShare)
from kinema4d_ros.types import Severity, Status

EPISODE = ROOT / 'data' / 'episodes' / 'libero_object_6_0_success_wrist.mcap'
CALIBRATED = 0.005 * 2 ** 0.5, np.radians(0.5) * 2 ** 0.5      # what the calibrations may be off


@pytest.fixture(scope='module')
def judge():
    return EpisodePrechecker()


@pytest.fixture(scope='module')
def episode():
    return Episode.open(EPISODE)


@pytest.fixture(scope='module')
def observation(episode):
    return episode.observation()


@pytest.fixture(scope='module')
def checker(judge, episode):
    return judge.simulator(episode).checker()


def misplaced(view, seed, shift=0.010, degrees=1.0):
    """Return a view whose camera is said to be elsewhere, in a direction that is drawn."""
    random = np.random.default_rng(seed)
    way, axis = (drawn / np.linalg.norm(drawn) for drawn in random.normal(size=(2, 3)))
    error = np.eye(4)
    error[:3, 3] = shift * way
    error[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
    return dataclasses.replace(view, T_base_camera=view.T_base_camera @ error)


def test_cameras_that_are_calibrated_agree_and_nothing_is_said(checker, observation):
    checker.forget()
    look = checker.look(observation)
    pair, = look.pairs
    assert pair.agrees is not False and pair.found.offset < 0.003 and not look.left_out
    assert [f for f in look.findings if f.severity > Severity.INFO] == []


@pytest.mark.parametrize('seed', range(4))
def test_a_camera_that_is_10_mm_and_1_degree_off_is_measured_by_the_other(
        checker, observation, seed):
    """Where nothing but the static scene is compared; the truth is what was put in."""
    checker.forget()
    front, wrist = checker.look(observation).scene.views
    off = misplaced(wrist.seen, seed)
    found = scene_agreement(front.seen, front.measured_depth, off, wrist.measured_depth,
                            calibration=CALIBRATED)
    assert found.points > 100 and found.share > 0.9
    moved = off.T_base_camera @ np.linalg.inv(wrist.seen.T_base_camera)
    true = moved[:3, :3] @ found.middle_base + moved[:3, 3] - found.middle_base
    np.testing.assert_allclose(found.shift, true, atol=0.002)
    assert found.offset > 0.004


@pytest.mark.parametrize('name', ['camera', 'wrist'])
@pytest.mark.parametrize('seed', range(2))
def test_the_robot_says_which_camera_it_is(checker, observation, name, seed):
    """It is laid onto the robot, and agrees with the other then, or is left out by name."""
    number = [view.name for view in observation.views].index(name)
    views = list(observation.views)
    views[number] = misplaced(views[number], seed)
    checker.forget()
    look = checker.look(dataclasses.replace(observation, views=tuple(views)))
    other = look.views[1 - number]
    assert look.views[number].agreement.offset > 0.008
    assert other.agreement.offset < 0.003 and other.name not in look.left_out
    if name in look.left_out:
        assert 'mm' in look.left_out[name]
    else:
        pair, = look.pairs
        assert pair.agrees is not False and pair.found.offset < 0.004


def test_an_error_of_its_own_for_each_camera(observation):
    wrong = degrade(observation, Degradation(shift=0.005, turn=0.01), seed=3)
    errors = [np.linalg.inv(view.T_base_camera) @ off.T_base_camera
              for view, off in zip(observation.views, wrong.views)]
    for error in errors:
        assert np.linalg.norm(error[:3, 3]) == pytest.approx(0.005)
    assert not np.allclose(errors[0], errors[1], atol=1e-4)
    same = degrade(observation, Degradation(), seed=3)
    np.testing.assert_array_equal(same.views[1].depth, observation.views[1].depth)


def test_a_ball_is_where_it_is_in_every_view(observation):
    place = np.array([0.55, 0.0, 0.12])
    blocked, pixels = with_ball(observation, place, 0.03)
    assert pixels > 20
    for view, before in zip(blocked.views, observation.views):
        ball = view.depth < before.depth
        assert ball.sum() > 20
        points = (view.camera.rays()[ball] * view.depth[ball][:, None]) \
            @ view.T_base_camera[:3, :3].T + view.T_base_camera[:3, 3]
        np.testing.assert_allclose(np.linalg.norm(points - place, axis=1), 0.03, atol=1e-5)


def test_what_nobody_has_seen_shrinks_with_each_camera(judge, episode, observation):
    simulator = judge.simulator(episode)
    one, both = (swept_shares(simulator, each, episode.trajectory) for each in (
        observation.of('camera'), observation))
    assert [share.link for share in one] == [share.link for share in both]
    assert one[0].link == '' and one[0].swept > 0.01
    for alone, together in zip(one, both):
        assert together.swept == alone.swept
        assert together.unseen <= alone.unseen <= alone.swept + 1e-12
    forearm = next(share for share in one if share.link == 'panda_link4')
    hand = next(share for share in one if share.link == 'panda_hand')
    assert hand.unseen / hand.swept < 0.1 < forearm.unseen / forearm.swept


def test_rows_of_an_episode():
    rows = SeveralCameras([AS_RECORDED], hide=False)(EPISODE)
    assert {(row.cameras, row.condition, row.kind) for row in rows} == {
        (names, AS_RECORDED.name, kind) for names in (('camera',), ('camera', 'wrist'))
        for kind in ('', 'ball')}
    assert not any(row.passed for row in rows if row.kind == 'ball')
    as_it_was = [row for row in rows if (row.condition, row.kind) == (AS_RECORDED.name, '')]
    assert all(row.passed and row.shares and row.seconds > 0 for row in as_it_was)
    text = several_cameras_markdown(rows)
    assert '| | camera | camera, wrist |' in text and 'panda_link4' in text


def test_by_which_cameras_an_episode_is_judged():
    assert camera_sets(('a', 'b', 'c')) == [('a',), ('a', 'b'), ('a', 'c'), ('a', 'b', 'c')]
    assert camera_sets(('a', 'b')) == [('a',), ('a', 'b')] and camera_sets(('a',)) == [('a',)]


def test_the_table_counts_what_it_says():
    def row(cameras, dangerous, status, unseen):
        return SeveralCamerasRow('e', cameras, AS_RECORDED.name, '', dangerous, status, '',
                                 (SweptShare('', 100, unseen), SweptShare('arm', 50, unseen)))
    one, two = ('a',), ('a', 'b')
    rows = [row(one, False, Status.PASS, 40), row(one, False, Status.UNSURE, 20),
            row(two, False, Status.PASS, 10), row(two, True, Status.PASS, 0)]
    assert share_of(rows[:2]) == pytest.approx(0.3) and share_of(rows[2:], 'arm') == 0.1
    text = several_cameras_markdown(rows)
    assert '| swept volume that nobody has seen | 30.0% | 5.0% |' in text
    assert '1/2 (9.5 to 90.5 %) | 1/1' in text
    assert '0/0' in text and '| dangerous, PASS: as recorded | 0/0 (0.0 to 100.0 %) | 1/1' in text
    assert several_cameras_markdown(rows[:2]) == ''


def test_outcomes_are_judged_by_each_set_of_cameras():
    rows = judge_by_cameras(EPISODE)
    assert [row.cameras for row in rows] == [('camera',), ('camera', 'wrist')]
    assert all(row.status is Status.PASS and row.success and row.predicted for row in rows)
    wrong = [dataclasses.replace(row, labels=dataclasses.replace(row.labels, touched=True))
             for row in rows[1:]]
    text = camera_outcomes_markdown([*rows, *wrong])
    assert '| figure | camera | camera, wrist | goal |' in text
    assert '| episodes | 1 | 2 |' in text
    assert '| missed danger (PASS) | 0/0 (0.0 to 100.0 %) | 1/1 (20.7 to 100.0 %) | at most' in text
    assert camera_outcomes_markdown(rows[:1]) == ''
    assert '## Outcomes by cameras, by 8 simulations' in camera_outcomes_markdown(rows, 8)
