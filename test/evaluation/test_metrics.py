# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The metrics against hand numbers, scikit-image and figures that FLIP's paper implies."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kinema4d_ros.evaluation.metrics import (changed_region, cloud_score, depth_abs_rel,
                                             depth_delta, flip_map, mask_iou, psnr, region_mean,
                                             robot_residual, ssim)

RNG = np.random.default_rng(7)
TRUE = RNG.integers(0, 255, (32, 40, 3), np.uint8)
NOISY = np.clip(TRUE.astype(int) + RNG.integers(-20, 20, TRUE.shape), 0, 255).astype(np.uint8)
ALL = np.ones((32, 40), bool)


def test_over_the_whole_image_the_metrics_are_those_of_scikit_image():
    assert psnr(NOISY, TRUE, ALL) == pytest.approx(peak_signal_noise_ratio(TRUE, NOISY), abs=1e-9)
    _, full = structural_similarity(NOISY, TRUE, channel_axis=-1, full=True)
    assert ssim(NOISY, TRUE, ALL) == pytest.approx(full.mean())


def test_only_the_region_counts():
    spoiled = TRUE.copy()
    spoiled[:, 20:] = 0
    left = np.zeros((32, 40), bool)
    left[:, :10] = True
    assert psnr(spoiled, TRUE, left) == 60.0 and ssim(spoiled, TRUE, left) == pytest.approx(1.0)
    assert psnr(spoiled, TRUE, ~left) < 20
    assert np.isnan(psnr(TRUE, TRUE, ~ALL)) and np.isnan(ssim(TRUE, TRUE, ~ALL))


def test_the_similarity_of_a_region_is_that_of_the_whole_image_there():
    _, full = structural_similarity(NOISY, TRUE, channel_axis=-1, full=True)
    for rows, columns in ((slice(0, 3), slice(38, 40)), (slice(12, 20), slice(15, 16))):
        region = np.zeros((32, 40), bool)
        region[rows, columns] = True
        assert ssim(NOISY, TRUE, region) == pytest.approx(full[region].mean())


def test_a_pixel_has_changed_when_one_channel_differs_by_more_than_noise():
    later = TRUE.copy()
    later[3, 4, 1] = (int(later[3, 4, 1]) + 128) % 256
    later[5, 6, 2] ^= 3
    np.testing.assert_array_equal(np.argwhere(changed_region(TRUE, later)), [[3, 4]])


def test_relative_depth_error_by_hand():
    true = np.array([[1.0, 2.0, np.nan, 4.0]], np.float32)
    predicted = np.array([[1.1, np.nan, 3.0, 3.0]], np.float32)
    region = np.ones((1, 4), bool)
    assert depth_abs_rel(predicted, true, region) == pytest.approx((0.1 + 0.25) / 2)
    assert np.isnan(depth_abs_rel(predicted, true, ~region))


def test_depth_within_a_factor_by_hand():
    true = np.array([[1.0, 1.0, 1.0, 1.0, np.nan]], np.float32)
    predicted = np.array([[1.24, 0.79, 1.26, np.nan, 1.0]], np.float32)   # 1 / 0.79 = 1.27
    region = np.ones((1, 5), bool)
    assert depth_delta(predicted, true, region) == 0.25          # unknown counts as wrong
    assert depth_delta(-true, true, region) == 0.0
    assert np.isnan(depth_delta(predicted, true, ~region))
    assert np.isnan(depth_delta(predicted, np.full_like(true, np.nan), region))


def flat(gray: float) -> np.ndarray:
    return np.full((24, 32, 3), round(255 * gray), np.uint8)


def test_flip_of_flat_images():
    # Nothing but colour differs. Black against white: CIELAB L* 100 apart in HyAB; the largest
    # difference is green against blue, (87.8 - 68.6 ...) after the Hunt effect; the paper maps
    # 0.4 of the largest (to the power 0.7) to 0.95 and the rest linearly up to 1.
    assert flip_map(flat(0.5), flat(0.5)).max() == 0.0
    worst = flip_map(flat(0), flat(1))
    assert worst.shape == (24, 32) and worst.dtype == np.float32
    hunt = hunt_lab(np.array([0.0, 1.0, 0.0])), hunt_lab(np.array([0.0, 0.0, 1.0]))
    largest, reach = hyab(*hunt) ** 0.7, hyab(hunt_lab(np.ones(3)), np.zeros(3)) ** 0.7
    expected = 0.95 + (reach - 0.4 * largest) / (0.6 * largest) * 0.05
    np.testing.assert_allclose(worst, expected, atol=1e-3)


def hunt_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of linear RGB, the colours a* and b* less strong where it is dark."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722],
                       [0.0193, 0.1192, 0.9505]])
    ratio = matrix @ rgb / (matrix @ np.ones(3))
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    light = 116 * f[1] - 16
    return np.array([light, 0.01 * light * 500 * (f[0] - f[1]),
                     0.01 * light * 200 * (f[1] - f[2])])


def hyab(a: np.ndarray, b: np.ndarray) -> float:
    return abs(a[0] - b[0]) + np.hypot(*(a - b)[1:])


def test_flip_sees_a_spot_where_it_is():
    spoiled = TRUE.copy()
    spoiled[10:14, 8:12] ^= 255
    error = flip_map(spoiled, TRUE)
    spot = np.zeros((32, 40), bool)
    spot[10:14, 8:12] = True
    assert region_mean(error, spot) > 10 * region_mean(error, ~spot) > 0
    np.testing.assert_allclose(error, flip_map(TRUE, spoiled), atol=2e-3)   # symmetric


def test_the_mean_of_a_region():
    values = np.array([[1.0, 3.0], [np.nan, 8.0]])
    assert region_mean(values, np.array([[True, True], [True, False]])) == 2.0
    assert np.isnan(region_mean(values, np.array([[False, False], [True, False]])))


def line(*z: float) -> np.ndarray:
    """Return a pointmap of one row whose points lie on the optical axis at these depths [m]."""
    out = np.zeros((1, len(z), 3), np.float32)
    out[0, :, 2] = z
    out[0, np.isnan(out[0, :, 2])] = np.nan
    return out


def test_clouds_by_hand():
    region = np.ones((1, 3), bool)
    predicted, true = line(1.0, 1.008, np.nan), line(1.0, 1.1, 1.106)
    score = cloud_score(predicted, true, region, (0.005, 0.010, 0.095))
    # predicted to true: 0, 8 mm; true to predicted: 0, 92, 98 mm
    assert score.chamfer == pytest.approx((0.004 + 0.19 / 3) / 2, abs=1e-6)
    # precision 1/2, 1, 1; recall 1/3, 1/3, 2/3
    assert score.f_scores == pytest.approx((0.4, 0.5, 0.8))


def test_points_of_the_region_are_sought_everywhere():
    right = np.array([[False, False, True]])
    assert cloud_score(line(1, 2, 3), line(3, 2, 1), right).chamfer == 0.0


def test_clouds_that_are_not_there():
    region, nothing = np.ones((1, 2), bool), line(np.nan, np.nan)
    lost = cloud_score(nothing, line(1, 2), region)
    assert np.isnan(lost.chamfer) and lost.f_scores == (0.0, 0.0, 0.0)
    for score in (cloud_score(line(1, 2), nothing, region),
                  cloud_score(line(1, 2), line(1, 2), ~region)):
        assert np.isnan(score.chamfer) and np.isnan(score.f_scores).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.03))
def test_properties_of_clouds(seed, shift):
    random = np.random.default_rng(seed)
    a, b = random.uniform(0, 1, (2, 4, 5, 3)).astype(np.float32)
    region = np.ones((4, 5), bool)
    forth, back = cloud_score(a, b, region), cloud_score(b, a, region)
    assert forth.chamfer == pytest.approx(back.chamfer) and forth.f_scores == back.f_scores
    assert list(forth.f_scores) == sorted(forth.f_scores)
    assert all(0 <= score <= 1 for score in forth.f_scores)
    same = cloud_score(a, a, region)
    assert same.chamfer == 0.0 and same.f_scores == (1.0, 1.0, 1.0)
    moved = cloud_score(a + np.float32([shift, 0, 0]), a, region)
    assert moved.chamfer <= shift + 1e-6


def test_masks_by_hand():
    a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert mask_iou(a, b) == mask_iou(b, a) == pytest.approx(1 / 3)
    assert mask_iou(a, a) == 1.0 and mask_iou(a, ~a) == 0.0
    assert np.isnan(mask_iou(a & ~a, a & ~a))


def test_robot_residual_by_hand():
    mask = np.array([[True, True, True, False]])
    exact, predicted = line(1, 1, np.nan, 1), line(1.01, 1.03, 1.0, 9.0)
    assert robot_residual(predicted, exact, mask) == pytest.approx(0.02, abs=1e-6)
    assert robot_residual(exact, exact, mask) == 0.0
    assert np.isnan(robot_residual(predicted, exact, ~mask & False))
