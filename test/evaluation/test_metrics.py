# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image and depth metrics against hand numbers and scikit-image."""
from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kinema4d_ros.evaluation.metrics import changed_region, depth_abs_rel, psnr, ssim

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
