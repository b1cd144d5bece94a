# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What of a depth image is a measurement, by hand."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinema4d_ros.scene import Knowledge, Scene, SceneSettings
from kinema4d_ros.scene.measured import (farthest_measured, in_range, LookedThrough,
                                         with_small_gaps_filled)
from kinema4d_ros.types import Observation, PinholeCamera

NAN = np.float32(np.nan)
DEPTHS = arrays(np.float32, (9, 11), elements=st.one_of(
    st.just(np.nan), st.floats(0.5, 2.0, width=32)))


def row(*values):
    """Return a depth image of one row."""
    return np.array([values], np.float32)


@pytest.mark.parametrize('before, looked_through, surface', [
    ((1.0, NAN, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    ((1.0, NAN, NAN, 1.0), (1.0,) * 4, (1.0,) * 4),
    ((1.0, NAN, NAN, NAN, 1.0), (1.0, NAN, NAN, NAN, 1.0), (1.0, NAN, NAN, NAN, 1.0)),
    ((NAN, 1.0, NAN), (NAN, 1.0, NAN), (NAN, 1.0, NAN)),            # the border is no other side
    ((1.0, NAN, 2.0), (1.0, 1.0, 2.0), (1.0, NAN, 2.0)),            # an edge
    ((2.0, NAN, NAN, 1.01), (2.0, 1.01, 1.01, 1.01), (2.0, NAN, NAN, 1.01)),
    ((1.0, NAN, 1.01), (1.0, 1.0, 1.01), (1.0, 1.0, 1.01))])
def test_gaps_of_two_pixels_are_no_holes(before, looked_through, surface):
    for turned in (lambda image: image, lambda image: np.ascontiguousarray(image.T)):
        image = turned(row(*before))
        np.testing.assert_array_equal(
            with_small_gaps_filled(image, False), turned(row(*looked_through)))
        np.testing.assert_array_equal(
            with_small_gaps_filled(image, True), turned(row(*surface)))


@given(DEPTHS, st.booleans())
def test_filling_changes_no_measurement_and_makes_nothing_farther(depth, is_surface):
    filled = with_small_gaps_filled(depth, is_surface)
    known = np.isfinite(depth)
    np.testing.assert_array_equal(filled[known], depth[known])
    new = np.isfinite(filled) & ~known
    for v, u in np.argwhere(new):
        around = depth[max(0, v - 2):v + 3, max(0, u - 2):u + 3]
        assert filled[v, u] in around[np.isfinite(around)]
    assert not new.any() or filled[new].max() <= depth[known].max()


@given(DEPTHS)
def test_what_fills_a_surface_fills_what_was_looked_through(depth):
    surface, looked = (with_small_gaps_filled(depth, kind) for kind in (True, False))
    assert (np.isfinite(looked) | ~np.isfinite(surface)).all()


def test_a_depth_outside_of_the_range_is_none():
    image = row(0.05, 0.1, 5.0, 9.99, 10.0, 65.535, np.inf, -np.inf, NAN, 0.0, -1.0, 1e30)
    measured, has_holes = in_range(image, np.float32(0.1), np.float32(10.0))
    assert np.isfinite(measured[0]).tolist() == [False, True, True, True] + [False] * 8
    assert has_holes and not in_range(row(1.0, 2.0), np.float32(0.1), np.float32(10.0))[1]


@pytest.mark.parametrize('background, clamp', [
    (6.0, True),                      # one number wherever nothing was measured
    (2.5, False),                     # a flat table, seen by a simulated camera straight from above
    (np.linspace(5.0, 7.0, 120 * 160).reshape(120, 160), False)],      # a real wall, aslant
    ids=['clamp', 'table', 'wall'])
def test_a_value_that_stands_for_nothing_is_recognised(background, clamp):
    depth = np.broadcast_to(np.float32(background), (120, 160)).copy()
    depth[:, :80] = 1.2
    assert (farthest_measured(depth, 0.1, 10.0) == 6.0) is clamp
    depth[:, 100] = 0.98 * depth.max()      # something was measured just before it
    assert (farthest_measured(depth, 0.1, 10.0) == 6.0) is clamp


def test_a_patch_without_measurement_stands_out_from_a_wall_that_ends_just_before():
    wall = np.linspace(3.0, 3.99, 120 * 160, dtype=np.float32).reshape(120, 160)
    wall = np.round(wall, 3)
    assert farthest_measured(wall, 0.1, 10.0) == 10.0
    wall[40:70, 50:80] = 4.0
    assert farthest_measured(wall, 0.1, 10.0) == pytest.approx(4.0)
    step = np.repeat(np.linspace(3.0, 3.99, 120, dtype=np.float32)[:, None], 160, axis=1)
    assert farthest_measured(step, 0.1, 10.0) == 10.0      # each row sees one depth


@pytest.mark.parametrize('noise, quantum, clamp', [
    (0.001, 0.0, True), (0.002, 0.001, True),       # cameras as they are
    (0.0, 0.0, False), (0.0, 0.001, False), (0.0, 0.003, False)])      # simulated ones
def test_a_saturated_patch_nearby_is_told_from_a_table_by_the_noise_elsewhere(noise, quantum,
                                                                              clamp):
    rows = np.linspace(0.7, 1.4, 120)[:, None] + np.linspace(0.0, 0.05, 160)
    depth = rows + np.random.default_rng(0).normal(0.0, 1.0, rows.shape) * noise
    depth[40:70, 50:80] = 1.8
    if quantum:
        depth = np.round(depth / quantum) * quantum
    found = farthest_measured(depth.astype(np.float32), 0.1, 10.0)
    assert found == pytest.approx(1.8 if clamp else 10.0, abs=0.002)


def test_a_noisy_wall_in_coarse_steps_is_no_saturated_patch():
    wall = 2.0 + np.random.default_rng(0).normal(0.0, 0.004, (120, 160))
    wall[:, :60] -= 0.9
    depth = (np.round(wall / 0.01) * 0.01).astype(np.float32)
    assert farthest_measured(depth, 0.1, 10.0) == 10.0


def looked_through(depth, measured, focal_length):
    places = np.arange(depth.size, dtype=np.int32)
    return LookedThrough(depth, measured, focal_length).at(places).reshape(depth.shape)


@pytest.mark.parametrize('sparse', [1, 2, 3], ids=['dense', 'every 2nd', 'every 3rd'])
@pytest.mark.parametrize('share', [0.02, 0.1])
def test_stray_values_do_not_vouch_for_a_hole(sparse, share):
    depth = np.full((120, 160), NAN)
    depth[::sparse, ::sparse] = 1.0
    closed = with_small_gaps_filled(depth, False)
    assert (looked_through(closed, depth, 300.0)[:118, :158] == 1.0).all()
    stray = np.random.default_rng(0).random((60, 60)) < share
    depth[30:90, 50:110] = np.where(stray, depth[30:90, 50:110], NAN)
    closed = with_small_gaps_filled(depth, False)
    filled = looked_through(closed, depth, 300.0)
    assert np.isfinite(filled[36:84, 56:104]).mean() < 0.05
    assert np.isfinite(filled[:26, :156]).all()


def test_speckles_are_no_holes():
    depth = np.full((120, 160), 1.0, np.float32)
    depth[np.random.default_rng(0).random(depth.shape) < 0.6] = NAN
    filled = looked_through(with_small_gaps_filled(depth, False), depth, 300.0)
    assert np.isfinite(filled).mean() > 0.99


CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)


def test_why_a_place_is_unknown():
    depth = np.full((120, 160), 1.0, np.float32)
    depth[:, :40] = np.nan
    mask = np.zeros((120, 160), bool)
    mask[:, 100:] = True
    observation = Observation.from_rgbd(np.zeros((120, 160, 3), np.uint8), depth, CAMERA,
                                        np.eye(4))
    scene = Scene(observation, (mask,), SceneSettings(mask_growth=0))

    def at(u, z):
        return ((u - CAMERA.cx) / CAMERA.fx * z, 0.0, z)
    places = np.array([at(70, 0.5), at(70, 1.005), at(70, 1.5), at(20, 0.5), at(130, 1.5),
                       at(-5, 1.0), (0.0, 0.0, -1.0)])
    found, age = scene.knowledge(places, 0.01)
    assert [Knowledge(value).name for value in found] == [
        'SEEN', 'SEEN', 'BEHIND', 'NOT_MEASURED', 'BEHIND_ROBOT', 'OUTSIDE', 'OUTSIDE']
    assert not age.any()
    np.testing.assert_array_equal(scene.unseen(places[:3], 0.01), [False, False, True])
    np.testing.assert_array_equal(scene.unseen(places[:6].reshape(2, 3, 3), 0.01),
                                  [[False, False, True], [True] * 3])
