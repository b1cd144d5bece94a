# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a model says that things end against where they ended, and the figures about it."""
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode, EpisodeTruth, ObjectBox
from kinema4d_ros.episodes.displacement import Happened
from kinema4d_ros.evaluation.full_frame import full_frame
from kinema4d_ros.evaluation.moved_things import score_things
from kinema4d_ros.evaluation.thing_figures import (DEMANDS, thing_figures, things_markdown,
                                                   worse_than)
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import PinholeCamera, PredictedFrame, PredictedThing

TIMES = np.arange(0.0, 2.01, 0.05)
PLACES = {'can': np.array([0.5, 0.0, 0.05]), 'box': np.array([0.6, 0.2, 0.05])}
HALF = 0.05
SHARE = np.linspace(0.0, 1.0, len(TIMES))


def motion(shift=(0.0, 0.0, 0.0), about=None, tilt=0.0):
    """Return a motion in the base frame: a tilt [deg] about a place, then a shift."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('x', tilt, degrees=True).as_matrix()
    T[:3, 3] = np.asarray(shift) + (0 if about is None else about - T[:3, :3] @ about)
    return T


def episode(can_shift=(0.0, 0.0, 0.0), can_tilt=0.0, name='suite_0_0_push'):
    """Return what is asked of an episode: a can that moves and a box that stays."""
    can = np.tile(np.eye(4), (len(TIMES), 1, 1))
    can[:, :3, 3] = PLACES['can'] + SHARE[:, None] * can_shift
    can[:, :3, :3] = Rotation.from_euler('x', can_tilt * SHARE[:, None], degrees=True).as_matrix()
    box = np.tile(np.eye(4), (len(TIMES), 1, 1))
    box[:, :3, 3] = PLACES['box']
    boxes = {thing: ObjectBox((-HALF,) * 3, (HALF,) * 3) for thing in PLACES}
    truth = EpisodeTruth('can', {'can': (TIMES, can), 'box': (TIMES, box)}, {}, None)
    return SimpleNamespace(path=f'{name}.mcap', truth=truth,
                           metadata=SimpleNamespace(objects=boxes, kind='push'))


def frames(*things, members=None):
    """Return three frames; a thing is (where it was seen, its motion at the end, runs or None)."""
    image, points = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6, 3), np.float32)
    out = []
    for index, share in enumerate((0.0, 0.5, 1.0)):
        placed = []
        for center, T, runs in things:
            now = T.copy()
            now[:3, 3] *= share
            placed.append(PredictedThing(center, now, runs))
        out.append(PredictedFrame(index, 3, 2.0 * share, image, points, np.zeros((4, 6), bool),
                                  things=tuple(placed) if index else (), members=members))
    return out


def of(scores, thing):
    return next(score for score in scores if score.thing == thing)


def test_a_motion_is_applied_to_the_true_middle():
    """A middle that is seen 1.5 cm off costs nothing; a motion that is 1 cm short costs 1 cm."""
    scores = score_things(episode((0.1, 0.0, 0.0)), frames(
        (PLACES['can'] + [0.0, 0.015, 0.0], motion((0.09, 0.0, 0.0)), None)), 'model')
    can = of(scores, 'can')
    assert can.happened is Happened.PUSH and can.distance == pytest.approx(0.1)
    assert can.final_error == pytest.approx(0.01)
    assert can.path_error == pytest.approx(0.005)      # none, half, all of it
    assert can.is_covered is None
    assert of(scores, 'box').final_error == 0.0 and not of(scores, 'box').is_said_to_move


def test_a_thing_that_the_model_leaves_is_off_by_all_its_way():
    can = of(score_things(episode((0.1, 0.0, 0.0)), frames(), 'model'), 'can')
    assert can.final_error == pytest.approx(0.1) and not can.is_said_to_move


def test_a_motion_where_no_thing_was_counts_against_precision():
    scores = score_things(episode((0.1, 0.0, 0.0)), frames(
        (PLACES['can'], motion((0.1, 0.0, 0.0)), None),
        (np.array([0.3, -0.3, 0.0]), motion((0.05, 0.0, 0.0)), None)), 'model')
    figures = thing_figures(scores)
    assert (figures['moved_precision'].hits, figures['moved_precision'].tries) == (1, 2)
    assert figures['moved_recall'].value == 1.0
    assert (figures['strayed'].hits, figures['strayed'].tries) == (0, 1)


def test_two_pieces_of_one_thing_are_one_thing():
    scores = score_things(episode((0.1, 0.0, 0.0)), frames(
        (PLACES['can'] + [0.0, 0.0, 0.03], motion((0.5, 0.0, 0.0)), None),
        (PLACES['can'], motion((0.1, 0.0, 0.0)), None)), 'model')
    assert len(scores) == 2
    assert of(scores, 'can').final_error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(('ends', 'is_covered'), [
    ([0.099, 0.101, 0.095, 0.105], True),     # within two sigma
    ([0.05, 0.0501, 0.0499, 0.05], False),    # too certain of something else
    ([0.0, 0.001, 0.05, 0.05], True),         # some stay, some slide: sliding is named
])
def test_spread_of_runs_covers_the_truth(ends, is_covered):
    runs = np.array([motion((end, 0.0, 0.0)) for end in ends])
    can = of(score_things(episode((0.1, 0.0, 0.0)), frames(
        (PLACES['can'], motion((float(np.median(ends)), 0.0, 0.0)), runs)), 'model'), 'can')
    assert can.is_covered is is_covered


def test_toppling_is_found_by_any_run_and_said_by_most():
    """One of four runs topples: found, but not said."""
    about = PLACES['can'] - [0.0, 0.0, HALF]
    runs = np.array([motion(about=about, tilt=90.0 if run == 0 else 5.0) for run in range(4)])
    scores = score_things(episode((0.0, 0.05, 0.0), 90.0), frames(
        (PLACES['can'], runs[1], runs)), 'model')
    assert of(scores, 'can').happened is Happened.TOPPLE
    figures = thing_figures(scores, [(4, 1), None])
    assert (figures['toppled_recall'].hits, figures['toppled_recall'].tries) == (1, 1)
    assert figures['toppled_precision'].tries == 0
    assert (figures['discarded'].hits, figures['discarded'].tries) == (1, 5)


def test_table_marks_demands():
    scores = score_things(episode((0.1, 0.0, 0.0)), frames(
        (PLACES['can'], motion((0.095, 0.0, 0.0)), None)), 'model')
    table = things_markdown('Things', {'model': thing_figures(scores)}, DEMANDS)
    rows = {line.split(' | ')[0]: line for line in table.splitlines()}
    assert rows['| pushed, median at most 1.0 cm'].endswith('n=1), held |')
    assert rows['| two sigma or the right mode, at least 90 %'].endswith('100.0 %) |')


def test_a_carry_that_is_much_worse_than_with_another_is_told():
    def scored(end, name):
        lift = 0.1 * np.minimum(1, 4 * np.minimum(SHARE, 1 - SHARE) + SHARE)
        recorded = episode((0.1, 0.0, 0.0))
        recorded.truth.object_poses['can'][1][:, 2, 3] += lift
        return score_things(recorded, frames((PLACES['can'], motion(end), None)), name)

    true = (0.1, 0.0, 0.1)
    assert worse_than(scored((0.13, 0.0, 0.1), 'a'), scored(true, 'b')) == [
        'suite_0_0_push, can: 3.0 cm against 0.0 cm']
    assert not worse_than(scored((0.115, 0.0, 0.1), 'a'), scored(true, 'b'))


def test_full_frame_measures_what_was_recorded_at_the_same_moment():
    """Identical frames reach the ceiling; a frame without a recorded one near is left out."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (3, 24, 32, 3), dtype=np.uint8)
    depth = np.full((24, 32), 1.0, np.float32)

    class Frames:
        times = np.array([0.0, 0.5, 1.0])

        def __getitem__(self, index):
            return SimpleNamespace(image=pictures[index], depth=depth)

    camera = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
    recorded = SimpleNamespace(frames=Frames(), calibration=SimpleNamespace(
        rectify=lambda image: image, rectify_depth=lambda depth: depth))
    points = (camera.rays() * depth[..., None]).astype(np.float32)
    said = [PredictedFrame(index, 4, time, pictures[min(index, 2)], points, depth < 0)
            for index, time in enumerate((0.0, 0.5, 1.0, 1.3))]
    result = full_frame(recorded, said, camera)
    assert result.frames == 2
    assert (result.psnr, result.ssim, result.f_5mm) == (60.0, pytest.approx(1.0), 1.0)
    assert result.chamfer == pytest.approx(0.0, abs=1e-6)
    assert result.flip == pytest.approx(0.0, abs=1e-6)


def test_kinematic_says_where_it_carries_what_truly_is_carried():
    """The bundled carry: within 2 cm all in all, and nothing else is said to move."""
    recorded = Episode.open('libero_object_0_0_success')
    simulator = ShadowSimulator(Robot.from_urdf(recorded.robot_description), 'kinematic',
                                frames=9, camera_poses=LinkPose(recorded.camera_frame).poses)
    with simulator:
        said = list(simulator.predict(recorded.observation(), recorded.trajectory))
    assert not said[0].things and said[-1].members is None
    scores = score_things(recorded, said, 'kinematic')
    moved = [score for score in scores if score.is_said_to_move]
    assert [score.thing for score in moved] == [recorded.metadata.carried_object]
    assert moved[0].final_error < 0.02 < 0.1 < moved[0].distance
