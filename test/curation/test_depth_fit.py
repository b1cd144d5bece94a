# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scale and shift of a network's depth are found on the robot, whatever a part of it says."""
import numpy as np
import pytest

from kinema4d_ros.curation.depth_fit import (DEPTH, FARTHEST, fit_depth, INVERSE_DEPTH,
                                             RobotDepthFit, RobotSamples, sample_robot)
from kinema4d_ros.curation.settings import CurationSettings

SCALE, SHIFT = {DEPTH: 0.7, INVERSE_DEPTH: 2.5}, {DEPTH: -0.2, INVERSE_DEPTH: -0.3}


def frames(quantity, count=12, noise=0.0, wrong=0.0, drift=0.0):
    """Return samples whose depth is 0.6 to 1.2 m; `wrong` is the share of a gripper elsewhere."""
    random = np.random.default_rng(1)
    found = []
    for number in range(count):
        exact = random.uniform(0.6, 1.2, 300)
        seen = exact + random.normal(0.0, noise, 300)
        seen[:int(wrong * 300)] += random.uniform(0.1, 0.5, int(wrong * 300))
        value = seen if quantity == DEPTH else 1.0 / seen
        gain = 1.0 + drift * (-1) ** number * (number // 2 % 2 - 0.5)
        found.append(RobotSamples(exact, (value - SHIFT[quantity]) / SCALE[quantity] * gain))
    return found


@pytest.mark.parametrize('quantity', [DEPTH, INVERSE_DEPTH])
def test_scale_and_shift_come_back_though_a_third_of_the_robot_is_elsewhere(quantity):
    fit = fit_depth(frames(quantity, noise=0.003, wrong=0.33), quantity)
    assert fit.scale == pytest.approx(SCALE[quantity], rel=0.01)
    assert fit.shift == pytest.approx(SHIFT[quantity], abs=0.02)
    assert fit.residual < 0.006 and 0.6 < fit.inliers < 0.75 and fit.residual_90 > 0.1
    assert fit.scale_sigma < 0.02 and (fit.frames, fit.tested) == (6, 6)
    assert 0.6 < fit.nearest < 0.65 and 1.15 < fit.farthest < 1.2
    # the scene, farther away than any of the robot
    value = 2.0 if quantity == DEPTH else 0.5
    answer = (value - SHIFT[quantity]) / SCALE[quantity]
    assert fit.apply(np.array([answer])) == pytest.approx(2.0, abs=0.06)


def test_least_squares_alone_would_be_led_astray():
    samples = frames(DEPTH, wrong=0.33)
    exact = np.concatenate([one.exact for one in samples])
    predicted = np.concatenate([one.predicted for one in samples])
    scale, shift = np.polyfit(predicted, exact, 1)
    assert np.median(np.abs(scale * predicted + shift - exact)) > 0.05
    assert fit_depth(samples, DEPTH).residual < 0.001


def test_the_residual_is_of_frames_that_were_not_fitted():
    """Frames of one parity are fitted well by what is wrong for the others."""
    samples = [RobotSamples(one.exact, one.predicted * (1.0 if number % 2 else 1.3))
               for number, one in enumerate(frames(DEPTH))]
    fit = fit_depth(samples, DEPTH)
    assert fit.residual > 0.15 and fit.relative > 0.15


@pytest.mark.parametrize(('answers', 'said', 'other'), [
    (INVERSE_DEPTH, DEPTH, 'inverse_depth'), (DEPTH, INVERSE_DEPTH, 'depth')])
def test_the_wrong_quantity_is_told(answers, said, other):
    why = fit_depth(frames(answers), said)
    assert f'--depth-quantity {other}' in why


def test_what_cannot_be_fitted_is_told():
    assert 'in 4 frames only; 6 are needed' in fit_depth(frames(DEPTH, count=4), DEPTH)
    same = [RobotSamples(one.exact, np.ones_like(one.exact)) for one in frames(DEPTH)]
    assert 'answers the same for every pixel' in fit_depth(same, DEPTH)


def test_noise_on_a_robot_of_little_depth_tells_no_scale():
    """Any flat depth is near enough to it, which the residual alone would take for good."""
    random = np.random.default_rng(3)
    noise = [RobotSamples(exact, random.uniform(0.0, 1.0, 300) + 0.01 * exact)
             for exact in (random.uniform(0.80, 0.84, 300) for _ in range(12))]
    fit = fit_depth(noise, DEPTH)
    assert fit.residual < 0.02 and fit.scale_sigma > 2 * CurationSettings().scale_sigma
    true = [RobotSamples(one.exact, 3.0 * one.exact + random.normal(0.0, 0.005, 300))
            for one in noise]
    fit = fit_depth(true, DEPTH)
    assert fit.scale == pytest.approx(1 / 3, rel=0.03)
    assert fit.scale_sigma < CurationSettings().scale_sigma


def test_pixels_at_edges_are_not_taken():
    """What a network blends with the background, or with another part, is not asked."""
    pointmap = np.full((96, 128, 3), np.nan, np.float32)
    pointmap[20:80, 30:100] = 1.0
    pointmap[40:60, 50:80, 2] = 0.7       # fingers before the forearm
    blended = np.full((96, 128), 5.0, np.float32)
    blended[21:79, 31:99] = 1.0
    blended[39:61, 49:81] = 5.0
    blended[41:59, 51:79] = 0.7
    found = sample_robot(blended, pointmap)
    assert len(found.exact) > 300 and np.array_equal(found.exact, found.predicted)
    assert {0.7, 1.0} == set(np.round(found.exact, 3))
    few = np.where(np.arange(128)[None, :, None] < 33, pointmap, np.nan)
    assert sample_robot(blended, few) is None


def test_what_is_no_plausible_depth_is_unknown():
    fit = RobotDepthFit(INVERSE_DEPTH, 1.0, 0.0, 3, 3, 100, 0.0, 0.0, 0.0, 1.0, 0.5, 1.0, 0.0)
    depth = fit.apply(np.array([[1.0, 0.0, -1.0, 0.5 / FARTHEST, 100.0, np.nan]], np.float32))
    assert depth.dtype == np.float32 and depth[0, 0] == 1.0 and np.isnan(depth[0, 1:]).all()
