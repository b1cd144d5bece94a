# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points of a depth image, thinned, against numpy's own way of finding one per voxel."""
import numpy as np
import pytest

from kinema4d_ros.scene.points import ScenePoints
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(80, 60, 70.0, 70.0, 39.5, 29.5)
AGE = np.zeros((60, 80), np.float32)


def points_of(depth, voxel):
    return ScenePoints.of(depth, depth, AGE, CAMERA, np.eye(4), SceneSettings(voxel=voxel))


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
    cells = np.floor((every - every.min(0)) / np.float32(voxel)).astype(int)
    _, first = np.unique(cells, axis=0, return_index=True)
    assert sorted(map(tuple, thinned.pixels)) == sorted(map(tuple, pixels[first]))
    own = 0.001 + 0.0015 * depth[tuple(thinned.pixels.T)] ** 2
    assert thinned.sigma == pytest.approx(np.sqrt(own ** 2 + 0.005 ** 2 + 0.0006 ** 2), rel=1e-5)


def test_a_scene_of_hundreds_of_metres_is_thinned_by_larger_voxels():
    found = points_of(slanted(400.0), 1e-6)
    assert 0 < len(found) <= AGE.size and np.isfinite(found.points_base).all()
