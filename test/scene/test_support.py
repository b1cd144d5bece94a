# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where something that is let go comes to rest, on heights made by hand."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.scene.support import HeightMap


def ground(height, keep=lambda x, y: np.ones_like(x, bool)):
    """Return points of a surface, 2 mm apart; `height` and `keep` are functions of x and y."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.arange(-0.2, 0.2, 0.002)] * 2))
    points = np.column_stack([x, y, np.broadcast_to(height(x, y), x.shape)])
    return points[keep(x, y)]


def disc(x, y, radius=0.03):
    """Return a footprint."""
    a, b = (axis.ravel() for axis in np.meshgrid(*[np.arange(-radius, radius, 0.004)] * 2))
    inside = np.hypot(a, b) <= radius
    return np.column_stack([x + a[inside], y + b[inside]])


def rest(points, footprint):
    """Return the height at which the footprint comes to rest."""
    return HeightMap(points, footprint.mean(0), 0.2).rest_height(footprint)


@given(st.floats(-0.3, 0.8), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_on_a_table_it_rests_on_the_table(height, x, y):
    assert rest(ground(lambda a, b: height), disc(x, y)) == pytest.approx(height, abs=1e-4)


@pytest.mark.parametrize('x, expected', [(-0.05, 0.1), (-0.01, 0.1), (0.02, 0.0), (0.06, 0.0)])
def test_over_an_edge_it_stays_as_long_as_its_middle_is_carried(x, expected):
    step = ground(lambda a, b: np.where(a < 0, 0.1, 0.0))
    assert rest(step, disc(x, 0)) == pytest.approx(expected, abs=1e-4)


def test_it_lies_across_a_gap_between_two_blocks():
    blocks = ground(lambda a, b: np.where(np.abs(a) > 0.015, 0.1, 0.0))
    assert rest(blocks, disc(0, 0)) == pytest.approx(0.1, abs=1e-4)


def test_touching_a_wall_of_a_bin_it_sinks_to_the_bottom():
    walls = ground(lambda a, b: np.where(np.maximum(np.abs(a), np.abs(b)) > 0.08, 0.12, 0.01))
    assert rest(walls, disc(0.062, 0.0)) == pytest.approx(0.01, abs=1e-4)


def test_the_unseen_bottom_of_a_bin_lies_on_the_ground_around_it():
    outer = ground(
        lambda a, b: np.where(np.maximum(np.abs(a), np.abs(b)) > 0.1, 0.0,
                              0.12 - np.maximum(a + 0.06, 0) * 0.4),
        lambda a, b: np.maximum(np.abs(a), np.abs(b)) > 0.07)
    assert rest(outer, disc(0, 0)) == pytest.approx(0.01, abs=2e-3)


def test_the_table_goes_on_where_it_was_hidden():
    table = ground(lambda a, b: 0.4, lambda a, b: np.hypot(a, b) > 0.06)
    assert rest(table, disc(0, 0)) == pytest.approx(0.4, abs=1e-4)


def test_where_nothing_is_known_the_height_is_unknown():
    assert np.isnan(rest(np.full((4, 3), np.nan), disc(0, 0)))
