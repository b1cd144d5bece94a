# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Holes that flicker are filled, and no others."""
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.camera.flicker import fill_flicker, has_holes
from kinema4d_ros.camera.pixels import to_metres


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


@given(st.integers(0, 2 ** 32 - 1), st.sampled_from([0.1, 0.3, 0.5, 0.8]))
def test_what_seldom_has_a_depth_stays_a_hole_whatever_it_has_else(seed, often):
    rng = np.random.default_rng(seed)
    stack = np.where(rng.random((5, 8, 8)) < often, 1.0, np.nan).astype(np.float32)
    stack[0] = np.nan
    filled = np.isfinite(fill_flicker(stack[0], list(stack[1:])))
    times = np.isfinite(stack).sum(0)
    near_black = cv2.dilate((times == 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not filled[times <= 2].any()
    assert filled[(times > 2) & ~near_black].all()


@given(st.integers(0, 2 ** 32 - 1), st.sampled_from([0.0, 0.1, 0.5]))
def test_images_as_they_were_sent_fill_the_same_holes(seed, share):
    rng = np.random.default_rng(seed)
    sent = rng.integers(1000, 1020, (5, 20, 20)).astype(np.uint16)
    sent[rng.random(sent.shape) < share] = 0
    sent[rng.random(sent.shape) < 0.1] = 65535
    metres = [to_metres(each) for each in sent]
    np.testing.assert_array_equal(fill_flicker(metres[0], list(sent[1:])),
                                  fill_flicker(metres[0], metres[1:]))


def test_the_rim_of_something_black_is_not_filled_with_what_is_behind_it():
    rng = np.random.default_rng(1)
    stack = np.full((5, 40, 40), 1.5, np.float32)
    for depth in stack:
        depth[10:20, 10:20] = np.nan                                        # black
        depth[9:21, 9:21][rng.random((12, 12)) < 0.4] = np.nan              # its rim, ragged
    stack[0, 9:21, 9:21] = np.nan
    stack[0, 30, 10:30] = np.nan                                            # an edge elsewhere
    filled = fill_flicker(stack[0], list(stack[1:]))
    assert np.isnan(filled[9:21, 9:21]).all() and not np.isnan(filled[30]).any()
