# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of the viewer that need no browser."""
import dataclasses
import sys

import numpy as np
import pytest
from clearances import clearances
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck.tier1 import clearance_band
from kinema4d_ros.types import Observation, PinholeCamera, Severity, Status, Verdict
from kinema4d_ros.viewer import (ClearanceCurve, ExecutionMatcher, Future, FutureFrame, History,
                                 MotionStep, Playback, position_colors, join_images,
                                 SnapshotBuffer, thin, Viewer)
from kinema4d_ros.viewer.camera_colors import by_camera, color_of, framed, legend
from kinema4d_ros.viewer.pictures import stack_images

TIMES = np.linspace(0.0, 4.0, 9)


def frame(index, position=0.0, count=len(TIMES)):
    """Return a frame of one joint and two points, the second of them the robot's."""
    return FutureFrame.thinned(
        100, points=np.array([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]], np.float32),
        colors=np.zeros((1, 2, 3), np.uint8), robot_mask=np.array([[False, True]]), index=index,
        count=count, time=float(TIMES[index]), stamp_ns=0, image=np.zeros((2, 2, 3), np.uint8),
        T_base_cloud=np.eye(4), T_base_camera=np.eye(4), joint_positions={'a': position})


def motion():
    """Return a motion that waits half a second and then turns a joint by 0.5 rad a second."""
    return [frame(index, max(0.0, 0.5 * (time - 0.5))) for index, time in enumerate(TIMES)]


# ---------------------------------------------------------------------------- playback

def test_playback_without_frames_stays_at_the_start():
    playback = Playback()
    playback.toggle()
    playback.advance(1.0)
    playback.seek(3.0)
    assert (playback.time, playback.index, playback.duration) == (0.0, -1, 0.0)


def test_playback_goes_round_or_stops_at_the_end_and_plays_again():
    playback = Playback()
    playback.restart(TIMES)
    playback.toggle()
    playback.speed = 2.0
    playback.advance(1.0)
    assert (playback.time, playback.index) == (2.0, 4)
    playback.advance(1.5)
    assert playback.time == 0.0 and playback.playing
    playback.loop = False
    playback.advance(9.0)
    assert playback.time == 4.0 and not playback.playing
    playback.toggle()
    assert playback.time == 0.0 and playback.playing


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-10.0, 10.0), max_size=20))
def test_playback_never_leaves_the_frames(steps):
    playback = Playback()
    playback.restart(TIMES)
    playback.playing = True
    for step in steps:
        if step < 0:
            playback.seek(-step)
        else:
            playback.advance(step)
        assert 0.0 <= playback.time <= 4.0
        assert abs(TIMES[playback.index] - playback.time) <= 0.25 + 1e-9


# ---------------------------------------------------------------------------- points

@settings(deadline=None, max_examples=50)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 200), st.integers(0, 9))
def test_thin_keeps_known_points_with_their_attributes(height, width, budget, seed):
    points = np.arange(height * width * 3, dtype=np.float32).reshape(height, width, 3)
    mark = points[..., 0].copy()
    points[np.random.default_rng(seed).random(points.shape) < 0.2] = np.nan
    kept, marks = thin(points, budget, mark)
    known = np.isfinite(points).all(axis=2)
    assert len(kept) == len(marks) == min(budget, known.sum())
    np.testing.assert_array_equal(kept[:, 0], marks)
    assert (np.diff(marks) > 0).all()


def test_position_colors_are_x_y_z():
    points = np.array([[0, 0, 0], [1, 2, 4], [9, 9, 9], [0.5, 1, 2]], np.float16)
    colors = position_colors(points, np.zeros(3), np.array([1.0, 2.0, 4.0]))
    assert colors.tolist() == [[0, 0, 0], [255] * 3, [255] * 3, [127] * 3]


def test_only_the_robot_is_coloured_as_a_pointmap():
    future = Future(1, '')
    future.frames[0] = frame(0)
    colors = future.pointmap_colors(future.frames[0])
    assert colors[0].tolist() == [0, 0, 0] and colors[1].min() > 200
    assert not future.frames[0].colors.any()


def test_pictures_of_different_size_stand_beside_one_another():
    wide, tall = np.zeros((10, 20, 3), np.uint8), np.full((40, 20, 3), 255, np.uint8)
    assert join_images([wide, tall]).shape == (10, 20 + 6 + 5, 3)


def test_rows_of_pictures_stand_below_one_another():
    rows = [np.zeros((10, 30, 3), np.uint8), np.full((20, 12, 3), 7, np.uint8)]
    stacked = stack_images(rows)
    assert stacked.shape == (10 + 6 + 20, 30, 3)
    assert (stacked[16:, :12] == 7).all() and (stacked[16:, 12:] == 255).all()


def test_each_camera_has_a_colour_in_points_frames_and_legend():
    grey = np.full((4, 3), 128, np.uint8)
    colors = by_camera(grey, np.array([0, 1, 1, 2]))
    assert len(np.unique(colors, axis=0)) == 3 and (colors[1] == colors[2]).all()
    wanted = 0.35 * grey + 0.65 * np.array([color_of(number) for number in (0, 1, 1, 2)])
    np.testing.assert_allclose(colors, wanted, atol=1)
    image = np.zeros((48, 64, 3), np.uint8)
    picture = framed(image, 1)
    assert tuple(picture[0, 0]) == color_of(1) and not picture[24, 32].any() and not image.any()
    text = legend(['front', '<b>'])
    assert 'rgb({},{},{})'.format(*color_of(1)) in text and '&lt;b&gt;' in text


# ---------------------------------------------------------------------------- execution

@pytest.mark.parametrize('begin', [0.0, 7.3])
def test_observations_of_an_execution_belong_to_their_frames(begin):
    execution = ExecutionMatcher(motion())
    for time in np.arange(0.0, 4.2, 0.1):
        position = max(0.0, 0.5 * (min(time, 4.0) - 0.5))
        index = execution.match(begin + time, {'a': position, 'other': 1.0})
        assert index is not None, time
        assert abs(TIMES[index] - time) <= 0.26 or position < 0.02 and index == 0
    assert execution.match(begin + 6.0, {'a': 1.75}) is None
    assert execution.is_over


def test_another_motion_is_no_execution():
    execution = ExecutionMatcher(motion())
    assert execution.match(0.0, {'a': 0.0}) == 0
    assert execution.match(0.5, {'b': 0.0}) is None
    assert execution.match(1.0, {'a': -0.5}) is None
    assert not execution.is_over
    assert execution.match(2.0, {'a': 0.5}) is not None
    assert execution.match(3.0, {'a': 0.0}) is None      # went back in the middle
    assert execution.is_over


def test_pictures_are_kept_small_once_and_by_stamp():
    buffer = SnapshotBuffer()
    for stamp_ns, position in ((1, 0.0), (2, 0.1), (3, 0.1), (4, 0.2)):
        camera = PinholeCamera(960, 480, 500.0, 500.0, 479.5, 239.5)
        buffer.add(Observation.from_rgbd(
            np.zeros((480, 960, 3), np.uint8), None, camera, np.eye(4), {'a': position},
            stamp_ns=stamp_ns))
    assert [kept.stamp_ns for kept in buffer.since(2)] == [2, 4]       # stood still at 3
    (image,) = next(buffer.since(0)).images.values()
    assert image.shape == (240, 480, 3)


def test_pictures_of_all_cameras_together_take_no_more_than_their_share():
    camera = PinholeCamera(480, 270, 500.0, 500.0, 239.5, 134.5)
    noise = np.random.default_rng(0).integers(0, 256, (270, 480, 3), np.uint8)
    clear = np.full((270, 480, 3), (250, 20, 20), np.uint8)
    views = tuple(dataclasses.replace(
        Observation.from_rgbd(image, None, camera, np.eye(4)).view, name=name)
        for name, image in {'a': noise, 'b': clear}.items())
    buffer = SnapshotBuffer(600_000)
    for index in range(20):
        buffer.add(Observation(index, views, {'a': 0.1 * index}))
    kept = list(buffer.since(0))
    assert 1 < len(kept) < 20 and 0 < buffer.size <= 600_000
    assert kept[-1].stamp_ns == 19 and kept[-1].joint_positions == {'a': pytest.approx(1.9)}
    assert np.abs(kept[-1].images['b'].astype(int) - clear).max() < 10      # red stays red
    small = SnapshotBuffer(1)
    small.add(Observation(5, views))
    assert [one.stamp_ns for one in small.since(0)] == [5]        # the newest stays in any case


# ---------------------------------------------------------------------------- history

def test_history_drops_the_oldest_but_never_what_is_shown():
    history = History(2)
    first, is_new = history.take('a')
    history.shown_id = 'a'
    assert is_new and history.take('a') == (first, False)
    history.take('b')
    history.take('c')
    assert history.get('b') is None and history.shown is first
    assert [label.split()[0] for label in history.labels] == ['3.', '1.']
    assert history.find(first.label) == 'a' and history.find('?') is None
    history.clear()
    assert history.shown is None and history.labels == []


def test_a_future_says_what_it_is():
    future = Future(3, '12:00:00')
    assert future.label == '3. 12:00:00 predicting' and not future.is_complete
    future.frames[1], future.frames[0] = frame(1, count=2), frame(0, count=2)
    assert future.is_complete and [one.index for one in future.ordered] == [0, 1]
    assert future.what_happened(0) is None
    future.real[0] = 'a'
    assert future.what_happened(0) is None       # only stands at the start
    future.real[3] = 'd'
    assert [future.what_happened(index) for index in range(5)] == ['a', 'a', 'a', 'd', None]
    future.verdict = Verdict(Status.FAIL, 'x', world_model='kinematic')
    assert future.label == '3. 12:00:00 FAIL kinematic'


def test_what_more_cameras_would_see_may_come_before_the_frame_or_after():
    future = Future(1, '')
    for index, (first, second) in enumerate((('add', 'add_view'), ('add_view', 'add'))):
        what = {'add': (frame(index, count=2),), 'add_view': (index, 'wrist', f'picture {index}')}
        for name in (first, second):
            getattr(future, name)(*what[name])
        assert future.frames[index].others == {'wrist': f'picture {index}'}


def test_a_future_shows_its_motion_until_all_frames_are_there():
    future = Future(1, '')
    assert future.steps == ()
    future.frames[0] = frame(0, count=2)
    assert [step.frame.index for step in future.steps] == [0]
    future.motion = tuple(MotionStep(time, {'a': time}) for time in (0.0, 1.0, 2.0))
    assert future.steps == future.motion
    future.frames[1] = frame(1, count=2)
    assert [step.frame.index for step in future.steps] == [0, 1]


def test_alternatives_are_of_the_same_motion_and_one_for_each_model():
    history = History(9)
    for key, source, model, motion in (
            ('a', 'left', 'kinematic', 'x'), ('b', 'right', 'frozen', 'x'),
            ('c', 'right', 'frozen', 'x'), ('d', 'right', 'frozen', 'y'), ('e', 'left', '', '')):
        history.take(key, source)[0].verdict = Verdict(
            Status.PASS, '', world_model=model, trajectory_hash=motion)
    assert history.alternatives() == {}
    history.shown_id = 'a'
    assert history.alternatives() == {'kinematic (left)': 'a', 'frozen (right)': 'c'}
    history.shown_id = 'b'
    assert history.alternatives() == {'kinematic (left)': 'a', 'frozen (right)': 'b'}
    history.shown_id = 'e'
    assert history.alternatives() == {}


# ---------------------------------------------------------------------------- clearance

def test_the_clearance_at_a_time_is_the_nearest_that_was_measured():
    timeline = ClearanceCurve(Verdict(
        Status.PASS, '', clearances=clearances(
            (0.0, 1.0, 2.0), (0.2, np.inf, 0.004), (0.001, np.nan, 0.003), ('a', '', 'b'),
            ((0, 0, 0), (np.nan,) * 3, (0, 0, 0)),
            ((0, 0, 0.2), (np.nan,) * 3, (np.nan,) * 3))))
    assert [timeline.at(time).link for time in (0.0, 0.9, 1.1, 3.0)] == ['a', 'a', 'b', 'b']
    assert timeline.at(9.0) is None
    assert timeline.at(0.0).band is None and timeline.at(0.0).text == '200 \u00b1 1 mm'
    np.testing.assert_array_equal(timeline.at(0.0).arrow, [(0, 0, 0.2), (0, 0, 0)])
    assert timeline.smallest.link == 'b' and timeline.smallest.arrow is None
    assert timeline.smallest.band is Severity.UNSURE
    assert ClearanceCurve(None).at(0.0) is None and ClearanceCurve(None).smallest is None


def test_in_a_gap_nothing_was_within_reach():
    timeline = ClearanceCurve(Verdict(Status.PASS, '', clearances=clearances(
        (1.0, 1.1, 1.2, 4.0, 4.1), (0.1,) * 5, (0.0,) * 5)))
    assert timeline.gap == pytest.approx(0.25)
    assert [timeline.at(time) is not None for time in (0.5, 0.8, 1.4, 2.5, 3.9, 4.2)] == [
        False, True, True, False, True, True]


@pytest.mark.parametrize('distance, sigma, band', [
    (-0.01, 0.001, Severity.FAIL), (-0.001, 0.001, Severity.UNSURE),
    (0.001, 0.001, Severity.UNSURE), (0.005, 0.001, Severity.INFO), (0.02, 0.001, None),
    (0.02, 0.02, Severity.UNSURE), (0.02, np.nan, None), (-0.001, np.nan, Severity.FAIL)])
def test_bands_are_those_of_tier_1(distance, sigma, band):
    assert clearance_band(distance, sigma) is band


# ---------------------------------------------------------------------------- errors

def test_without_viser_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'viser', None)
    with pytest.raises(ConfigurationError, match=r'pip install viser==\d'):
        Viewer()


def test_an_address_that_is_not_ours_is_named():
    pytest.importorskip('viser', reason='viser is not installed')
    with pytest.raises(ConfigurationError, match='cannot listen on 203.0.113.7'):
        Viewer(host='203.0.113.7', token='0123456789abcdef')
