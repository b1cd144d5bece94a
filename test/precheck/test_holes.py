# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of hidden space in which a cube of 4 cm has room: by hand, and by another way."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import ndimage

from kinema4d_ros.precheck.tier1.holes import WIDTH, wide_pieces

VOXEL, CUBE = 0.02, 0.000064
ALL = np.ones((12, 12, 12), bool)


def hidden(*parts):
    """Return 12 x 12 x 12 voxels of which some slices are hidden."""
    found = np.zeros(ALL.shape, bool)
    for part in parts:
        found[part] = True
    return found


@pytest.mark.parametrize('parts, count', [
    ([np.s_[2:4, 2:4, 2:4]], 0),                          # one cube, which is allowed
    ([np.s_[2:4, 2:4, 2:5]], 12),
    ([np.s_[2:11, 2:11, 2:3]], 0),                        # a sheet
    ([np.s_[2:4, 2:4, 2:4], np.s_[6:8, 6:8, 6:8]], 0),    # two places
    ([np.s_[2:4, 2:4, 2:4], np.s_[4:6, 4:6, 4:6]], 16),   # that touch
    ([np.s_[2:4, 2:4, 2:5], np.s_[8, 8, :]], 12)])
def test_by_hand(parts, count):
    assert np.count_nonzero(wide_pieces(hidden(*parts), ALL, VOXEL, CUBE)) == count


def test_only_what_is_swept_counts_but_the_cube_need_not_be():
    part = hidden(np.s_[2:4, 2:4, 2:11])
    assert np.count_nonzero(wide_pieces(part, hidden(np.s_[2, 2, :]), VOXEL, CUBE)) == 9
    assert not wide_pieces(part, hidden(np.s_[2, 2, :8]), VOXEL, CUBE).any()


def test_whatever_size_a_voxel_has_narrower_than_the_width_is_narrow():
    wall = hidden(np.s_[2:4, :, :])
    assert all(wide_pieces(wall, ALL, voxel, CUBE).sum() == 288 for voxel in (WIDTH / 2, 0.025))
    assert not wide_pieces(wall, ALL, WIDTH / 3, CUBE).any()
    assert wide_pieces(hidden(np.s_[2, :, :]), ALL, WIDTH, CUBE).any()


def test_nothing_and_no_limit():
    assert not wide_pieces(~ALL, ALL, VOXEL, 0.0).any() and wide_pieces(ALL, ALL, VOXEL, 0.0).all()
    assert not wide_pieces(ALL, ALL, VOXEL, 1e9).any()


@hypothesis_settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10 ** 6), share=st.floats(0.4, 0.95), most=st.integers(0, 30))
def test_random_space_against_an_oracle(seed, share, most):
    rng = np.random.default_rng(seed)
    space, swept = rng.random((9, 8, 10)) < share, rng.random((9, 8, 10)) < 0.8
    roomy = ndimage.binary_opening(space, np.ones((2, 2, 2))) & swept
    pieces, _ = ndimage.label(roomy, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    found = wide_pieces(space, swept, VOXEL, most * VOXEL ** 3)
    np.testing.assert_array_equal(found, (sizes > most)[pieces])
