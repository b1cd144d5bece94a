# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metres <-> model range, and the fit to the exact robot; needs no torch."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.pointmap_codec import (fixed, following_error, Normalisation,
                                                              per_clip, per_frame, QUANTISATION,
                                                              RobotFit)
from kinema4d_ros.world_model.kinema4d.frames import plan_windows


def robot_points(frames=4, seed=0):
    """Return (T, 20, 30, 3) points of a robot in some pixels, NaN elsewhere."""
    random = np.random.default_rng(seed)
    points = random.uniform((-0.4, -0.3, 0.8), (0.4, 0.3, 1.6), (frames, 20, 30, 3))
    points[random.random((frames, 20, 30)) > 0.3] = np.nan
    return points.astype(np.float32)


@pytest.mark.parametrize('normaliser', [per_clip, per_frame, fixed((0, 0, 1.2), 1.0)])
def test_round_trip_in_metres(normaliser):
    robot = robot_points()
    scene = np.random.default_rng(1).uniform((-1, -1, 0.5), (1, 1, 2.5), (500, 3))
    how = normaliser(scene, robot)
    values = how.encode(robot, np.arange(4), -1.0)
    assert values.dtype == np.float32 and np.abs(values).max() <= 1
    assert (values[np.isnan(robot)] == -1).all()
    seen = ~np.isnan(robot[..., 0])
    inside = seen & (np.abs(values) < 1).all(-1)
    assert inside.sum() > 0.9 * seen.sum()
    assert np.allclose(how.decode(values, slice(0, 4))[inside], robot[inside], atol=1e-5)


def test_per_clip_holds_all_of_the_robot_even_outside_the_scene():
    robot = robot_points()
    robot[0, 0, 0] = (3.0, 0, 1)
    how = per_clip(np.zeros((100, 3)) + [0, 0, 2.0], robot)
    assert np.abs(how.encode(robot, np.arange(4), 0.0)).max() <= 1.0
    x = how.encode(robot, np.arange(4), 0.0)[0, 0, 0, 0]
    assert x == pytest.approx(1.0)          # not clipped below: the widest axis just fits
    assert (how.centre == how.centre[0]).all()


def test_per_frame_follows_the_recipe():
    scene, robot = np.zeros((0, 3)), robot_points()
    how = per_frame(scene, robot)
    halves = []
    for frame, centre in zip(robot, how.centre):
        points = frame[~np.isnan(frame[..., 0])]
        low, high = np.percentile(points, (2, 98), axis=0)
        assert np.allclose(centre, (low + high) / 2)
        halves.append((high - low).max() / 2)
    assert how.scale == pytest.approx(max(halves))


def test_a_useless_range_is_reported():
    with pytest.raises(WorldModelError, match='pointmap scale is 0 m, which is no usable range'):
        fixed((0, 0, 1), 0.0)(np.zeros((0, 3)), robot_points())


@settings(max_examples=25, deadline=None)
@given(st.floats(0.6, 1.8), st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
       st.integers(0, 1000))
def test_fit_recovers_scale_and_shift_among_outliers(scale, shift, seed):
    random = np.random.default_rng(seed)
    fit = RobotFit()
    for exact in robot_points(3, seed):
        generated = (exact - np.array(shift)) / scale + random.normal(0, 1e-3, exact.shape)
        wrong = random.random(exact.shape[:2]) < 0.2
        generated[wrong] += random.uniform(0.3, 1.0, (wrong.sum(), 3))
        fit.update(generated, exact)
    assert fit.scale == pytest.approx(scale, rel=0.02)
    assert np.allclose(fit.shift, shift, atol=0.03)
    corrected = fit.apply(np.nan_to_num(generated))
    assert following_error(corrected, exact) < 0.01
    assert fit.sigma < 0.01


def test_following_error_is_what_the_robot_is_off():
    exact = robot_points(1)[0]
    assert following_error(exact + np.float32([0.03, 0, 0.04]), exact) == pytest.approx(
        0.05, abs=1e-5)
    assert following_error(exact, np.full_like(exact, np.nan)) is None


def test_a_robot_that_is_not_there_is_not_fitted_away():
    """A flat wall where the robot should be: no scale and shift may explain that as the robot."""
    exact = robot_points(1)[0]
    wall = np.zeros_like(exact) + np.float32([0, 0, 2.0])
    fit = RobotFit()
    fit.update(wall, exact)
    assert fit.scale == 1.0 and (fit.shift == 0).all()
    assert following_error(fit.apply(wall), exact) > 0.3
    assert fit.sigma > 0.1


def test_too_few_robot_pixels_are_not_fitted():
    exact = np.full((20, 30, 3), np.nan, np.float32)
    exact[0, :5] = np.random.default_rng(0).uniform(0.5, 1, (5, 3))
    fit = RobotFit()
    fit.update(exact * 1.2, exact)
    assert fit.scale == 1.0


def test_uncertainty_has_quantisation_as_its_floor_and_grows_with_distance():
    exact = robot_points(1)[0]
    how = Normalisation(np.zeros((1, 3)), 1.5)
    fit = RobotFit()
    fit.update(exact.copy(), exact)
    points = np.nan_to_num(exact)
    assert np.allclose(fit.uncertainty(points, how), QUANTISATION * 1.5, rtol=1e-3)
    noisy = RobotFit()
    noisy.update(exact + np.random.default_rng(0).normal(0, 0.02, exact.shape), exact)
    near, far = (np.zeros((1, 1, 3)) + [0, 0, z] for z in (1.2, 30.0))
    near, far = (float(noisy.uncertainty(x, how)[0, 0]) for x in (near, far))
    assert QUANTISATION * 1.5 < near < far
    assert near == pytest.approx(0.02, rel=0.3)


def test_a_frame_without_robot_keeps_the_fit():
    exact = robot_points(1)[0]
    fit = RobotFit()
    fit.update(exact / 1.1, exact)
    scale = fit.scale
    fit.update(exact, np.full_like(exact, np.nan))
    assert fit.scale == scale == pytest.approx(1.1)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(2, 60))
def test_windows_give_out_every_frame_once_and_share_one(count, frames):
    windows = plan_windows(count, frames)
    out = [int(window.indices[i]) for window in windows for i in window.emit]
    assert out == list(range(count))
    assert all(len(window.indices) == frames for window in windows)
    for before, after in itertools.pairwise(windows):
        assert before.indices[-1] == after.indices[0]
    last = windows[-1]
    assert (last.indices[last.emit.stop:] == count - 1).all()
