# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Holes that flicker are filled, and no others."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.camera.flicker import fill_flicker, has_holes


def images(*rows):
    """Return depth images (1, N) [m]."""
    return [np.array([row], np.float32) for row in rows]


@pytest.mark.parametrize('hole', [0.0, np.nan, np.inf])
def test_a_hole_that_most_images_do_not_have_is_filled_with_the_median(hole):
    first, *others = images([hole, 1.0], [1.001, 1.1], [hole, 1.1], [1.003, 1.1], [1.002, 1.1])
    filled = fill_flicker(first, others)
    np.testing.assert_allclose(filled, [[1.002, 1.0]])      # what is measured stays
    assert first[0, 0] != filled[0, 0] and has_holes(first) and not has_holes(filled)


@pytest.mark.parametrize('values', [
    (1.0, 1.0, 0.0, 0.0),         # two of five are no majority
    (1.0, 1.0, 1.04, 0.0),        # an edge, or something that moves
    (0.0, 0.0, 0.0, 0.0)])        # something black
def test_any_other_hole_stays(values):
    first, *others = images([0.0], *([value] for value in values))
    assert fill_flicker(first, others)[0, 0] == 0.0


def test_two_images_are_no_majority_and_another_size_is_another_camera():
    first, other = images([0.0], [1.0])
    assert fill_flicker(first, [other])[0, 0] == 0.0
    with pytest.raises(ValueError, match='not of one camera'):
        fill_flicker(first, [other, np.ones((2, 2), np.float32)])


@given(st.integers(0, 2 ** 32 - 1), st.sampled_from([0.1, 0.3, 0.5]))
def test_what_seldom_has_a_depth_stays_a_hole_whatever_it_has_else(seed, often):
    rng = np.random.default_rng(seed)
    stack = np.where(rng.random((5, 8, 8)) < often, 1.0, np.nan).astype(np.float32)
    stack[0] = np.nan
    filled = fill_flicker(stack[0], list(stack[1:]))
    assert (np.isfinite(filled) == (np.isfinite(stack).sum(0) > 2)).all()
