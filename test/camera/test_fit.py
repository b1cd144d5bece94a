# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resizing and cropping: the camera follows exactly, and the way back is the way back."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.camera import ImageFit, project
from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

sizes = st.integers(24, 90)
modes = st.sampled_from(['stretch', 'crop', 'pad'])


def camera(width, height):
    return PinholeCamera(width, height, 80.0, 85.0, width / 2 - 1.7, height / 2 + 0.9)


def pixels(of):
    """Return an image (H, W, 2) float32 whose value is its own pixel (u, v)."""
    u, v = np.meshgrid(np.arange(of.width), np.arange(of.height))
    return np.stack([u, v], -1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(w=sizes, h=sizes, to_w=sizes, to_h=sizes, mode=modes)
def test_a_ray_keeps_its_pixel(w, h, to_w, to_h, mode):
    source = camera(w, h)
    fit = ImageFit(source, to_w, to_h, mode)
    assert (fit.camera.width, fit.camera.height) == (to_w, to_h)
    values = fit.apply(pixels(source), nearest=True, fill=np.nan)
    # The ray of each fitted pixel meets the source within the pixel its value came from.
    expected = project(fit.camera.rays(), source)
    known = np.isfinite(values)
    assert known.any() and (mode == 'pad' or known.all())
    assert np.abs(values - expected)[known].max() <= 0.5 + 1e-3


@settings(max_examples=60, deadline=None)
@given(w=sizes, h=sizes, to_w=sizes, to_h=sizes, mode=modes, nearest=st.booleans())
def test_there_and_back(w, h, to_w, to_h, mode, nearest):
    source = camera(w, h)
    fit = ImageFit(source, to_w, to_h, mode)
    image = pixels(source)
    back = fit.undo(fit.apply(image, nearest), nearest, fill=np.nan)
    assert back.shape == image.shape
    known = np.isfinite(back)
    assert known.any() and (mode == 'crop' or known.all())
    scale = max(1.0, fit.source.fx / fit.camera.fx, fit.source.fy / fit.camera.fy)
    assert np.abs(back - image)[known].max() <= 1.01 * scale + 1.0


@given(w=sizes, h=sizes, mode=modes)
def test_the_same_size_is_the_same_image(w, h, mode):
    source = camera(w, h)
    fit = ImageFit(source, w, h, mode)
    assert fit.camera == source
    assert np.array_equal(fit.apply(pixels(source)), pixels(source))


def test_padding_and_what_was_cut_off_are_filled():
    source = camera(80, 40)
    pad = ImageFit(source, 40, 40, 'pad')
    assert (pad.apply(np.full((40, 80), 9, np.uint8))[:, 0] == [0] * 10 + [9] * 20 + [0] * 10).all()
    crop = ImageFit(source, 20, 20, 'crop')
    back = crop.undo(np.full((20, 20, 3), 1, np.float32), nearest=True, fill=np.nan)
    assert np.isnan(back[:, :20]).all() and (back[:, 20:60] == 1).all()


def test_nearest_never_blends():
    source = camera(64, 48)
    mask = np.random.default_rng(0).random((48, 64)) < 0.5
    for mode in ('stretch', 'crop', 'pad'):
        out = ImageFit(source, 37, 50, mode).apply(mask.astype(np.uint8) * 255, nearest=True)
        assert set(np.unique(out)) <= {0, 255}


def test_bad_fits_are_refused():
    source = camera(64, 48)
    with pytest.raises(CameraError, match="unknown way 'squash'.*stretch, crop, pad"):
        ImageFit(source, 10, 10, 'squash')
    with pytest.raises(CameraError, match='cannot fit an image to 0 x 10'):
        ImageFit(source, 0, 10, 'crop')
    fit = ImageFit(source, 10, 10, 'crop')
    with pytest.raises(CameraError, match='has 10 x 10 pixels, expected 64 x 48'):
        fit.apply(np.zeros((10, 10)))
    with pytest.raises(CameraError, match='has 64 x 48 pixels, expected 10 x 10'):
        fit.undo(np.zeros((48, 64)))
