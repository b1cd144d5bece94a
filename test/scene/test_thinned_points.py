# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points of a depth image, thinned, against numpy's own way of finding one per voxel."""
import numpy as np
import pytest

from kinema4d_ros.scene.near_points import DepthTiles
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(80, 60, 70.0, 70.0, 39.5, 29.5)
AGE = np.zeros((60, 80), np.float32)


def tiles_of(depth, voxel):
    return DepthTiles(depth, depth, AGE, CAMERA, np.eye(4), SceneSettings(voxel=voxel))


def points_of(depth, voxel):
    return tiles_of(depth, voxel).everywhere()


def slanted(scale):
    rows, columns = np.mgrid[:60, :80]
    return (scale * (1.0 + 0.002 * rows + 0.001 * columns)).astype(np.float32)


@pytest.mark.parametrize('voxel', [0.003, 0.02, 0.1])
def test_one_point_of_each_voxel_is_kept_the_first_in_the_image(voxel):
    depth = slanted(1.0)
    everything, thinned = points_of(depth, 1e-4), points_of(depth, voxel)
    order = np.lexsort(everything.pixels.T[::-1])
    every, pixels = everything.points_base[order], everything.pixels[order]
    assert len(every) == depth.size
    cells = np.floor(every / np.float32(voxel)).astype(int)
    _, first = np.unique(cells, axis=0, return_index=True)
    assert sorted(map(tuple, thinned.pixels)) == sorted(map(tuple, pixels[first]))
    own = 0.001 + 0.0015 * depth[tuple(thinned.pixels.T)] ** 2
    assert thinned.sigma == pytest.approx(np.sqrt(own ** 2 + 0.005 ** 2 + 0.0006 ** 2), rel=1e-5)


def test_a_scene_of_hundreds_of_metres_is_thinned_by_larger_voxels():
    found = points_of(slanted(400.0), 1e-6)
    assert 0 < len(found) <= AGE.size and np.isfinite(found.points_base).all()


@pytest.mark.parametrize('voxel', [0.003, 0.02])
def test_points_in_boxes_are_those_of_all_that_are_there(voxel):
    depth = slanted(1.0)
    depth[20:30, 30:60] -= 0.3
    depth[:, 70:] = np.nan
    tiles = tiles_of(depth, voxel)
    everything = tiles.everywhere()
    boxes = np.array([[[-0.2, -0.1, 0.7], [0.1, 0.2, 1.05]], [[0.0, -0.3, 0.5], [0.3, 0.0, 0.8]],
                      [[5.0] * 3, [6.0] * 3]])
    inside = np.zeros(len(everything), bool)
    for low, high in boxes:
        inside |= np.all((everything.points_base >= low) & (everything.points_base <= high), axis=1)
    near = tiles.near(boxes)
    assert 10 < len(near) < len(everything) / 2
    for name in ('points_base', 'pixels', 'sigma', 'age'):
        assert np.array_equal(getattr(near, name), getattr(everything, name)[inside])
    assert len(tiles.near(boxes[2:])) == 0 and not tiles.is_empty
    assert tiles_of(np.full_like(depth, np.nan), voxel).is_empty


def noisy(depth, seed=0, of_all=1.0):
    drawn = np.random.default_rng(seed).normal(size=depth.shape)
    return (depth + of_all * (0.001 + 0.0015 * depth ** 2) * drawn).astype(np.float32)


def error_of(points, depth):
    """Return how much farther each point is than the depth at its pixel says [m]."""
    return points.points_base[:, 2] - depth[tuple(points.pixels.T)]


def test_the_nearest_point_of_a_noisy_surface_is_not_much_nearer_than_the_surface():
    depth = slanted(1.0)
    points = points_of(noisy(depth), 1e-4)
    inner = np.all((points.pixels >= 2) & (points.pixels < (58, 78)), axis=1)
    wrong, own = error_of(points, depth)[inner], 0.001 + 0.0015 * depth[tuple(
        points.pixels[inner].T)] ** 2
    assert wrong.std() < 0.35 * own.mean() and abs(wrong.mean()) < 0.1 * own.mean()
    left = np.sqrt(points.sigma[inner] ** 2 - 0.005 ** 2 - 0.0006 ** 2)
    assert np.all(left > 0.49 * own) and np.median(left / own) < 0.6


def test_what_a_camera_without_noise_measures_stays_as_it_is():
    depth = slanted(1.0)
    depth[20:22, 30:50] -= 0.004          # a rim no higher than two deviations of what is stated
    points = points_of(depth, 1e-4)
    assert np.array_equal(points.points_base[:, 2], depth[tuple(points.pixels.T)])


def test_noise_that_neighbours_share_counts_as_before():
    rough = np.random.default_rng(1).normal(size=(12, 16))
    shared = np.kron(rough, np.ones((5, 5))) * 0.0025
    depth = (slanted(1.0) + shared).astype(np.float32)
    points = points_of(depth, 1e-4)
    own = 0.001 + 0.0015 * depth[tuple(points.pixels.T)] ** 2
    assert points.sigma == pytest.approx(np.sqrt(own ** 2 + 0.005 ** 2 + 0.0006 ** 2), rel=1e-4)


@pytest.mark.parametrize('high', [0.015, 0.03])
def test_an_edge_and_a_thin_bar_are_not_smoothed_away(high):
    depth = slanted(1.0)
    depth[30:, :] -= 0.2                  # nearer by an edge
    depth[10:12, 10:70] -= high           # two pixels wide
    points = points_of(noisy(depth, of_all=0.9), 1e-4)
    row = points.pixels[:, 0]
    column = (points.pixels[:, 1] > 12) & (points.pixels[:, 1] < 68)
    for rows, most in (((29, 30, 31), 0.004), ((10, 11), 0.006)):
        some = np.isin(row, rows) & column
        assert np.abs(np.median(error_of(points, depth)[some])) < 0.0015
        assert np.percentile(error_of(points, depth)[some], 90) < most
