# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene cloud, and the memory of the scene."""
import numpy as np
import pytest

from kinema4d_ros.errors import CameraError, ObservationError
from kinema4d_ros.scene import scene_cloud, SceneMemory
from kinema4d_ros.types import Observation, PinholeCamera

CAMERA = PinholeCamera(160, 120, 150.0, 155.0, 79.0, 60.0)
SIZE = (120, 160)


def observe(value=0, depth=1.0, T=None, camera=CAMERA, stamp_ns=0):
    size = (camera.height, camera.width)
    depth = None if depth is None else np.full(size, depth, np.float32)
    return Observation.from_rgbd(np.full((*size, 3), value, np.uint8), depth, camera,
                                 np.eye(4) if T is None else T, stamp_ns=stamp_ns)


def at(x, y, z):
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def robot(left, right):
    mask = np.zeros(SIZE, bool)
    mask[:, left:right] = True
    return mask


def test_the_scene_cloud_is_in_base_without_robot_and_lone_points():
    observation = observe(77, 1.0, at(0, 0, 2.0))
    depth = observation.view.depth.copy()
    depth[20, 120] = 0.5      # between two surfaces
    depth[50] = np.nan
    observation = Observation.from_rgbd(observation.view.image, depth, CAMERA, at(0, 0, 2.0))
    points, colors = scene_cloud(observation, robot(40, 60), voxel=0.01)
    assert len(points) == len(colors) > 1000 and colors.dtype == np.uint8
    assert np.abs(points[:, 2] - 3.0).max() < 1e-6 and (colors == 77).all()
    x = (np.array([36, 64]) - CAMERA.cx) / CAMERA.fx
    assert not ((points[:, 0] > x[0] + 0.02) & (points[:, 0] < x[1] - 0.02)).any()
    cells = np.unique(np.floor(points / 0.01 - 1e-9), axis=0)
    assert len(points) <= 1.5 * len(cells)


def test_a_cloud_of_nothing_is_empty():
    points, colors = scene_cloud(observe(), np.ones(SIZE, bool))
    assert points.shape == (0, 3) and colors.shape == (0, 3)


def test_a_cloud_needs_depth_a_mask_of_its_size_and_a_voxel():
    with pytest.raises(ObservationError, match='needs a depth image'):
        scene_cloud(observe(depth=None), robot(0, 1))
    with pytest.raises(CameraError, match='robot_mask .* does not have the size'):
        scene_cloud(observe(), np.zeros((3, 4), bool))
    with pytest.raises(CameraError, match='voxel must be a positive size'):
        scene_cloud(observe(), robot(0, 1), voxel=0)


def test_the_memory_keeps_what_the_robot_hides_later():
    memory = SceneMemory()
    assert memory.background is None
    memory.update(observe(10, 1.0), robot(40, 80))
    first = memory.background
    assert first.known[60, 10] and not first.known[60, 60] and np.isnan(first.depth[60, 60])
    assert not first.known[60, 38], 'a rim around the robot is left out'
    memory.update(observe(20, 2.0), robot(100, 140))
    second = memory.background
    assert second.known.all()
    assert second.image[60, 120, 0] == 10 and second.depth[60, 120] == 1.0
    assert second.image[60, 60, 0] == 20, 'the newest value wins'
    assert first.image[60, 10, 0] == 10 and not first.known[60, 60], 'a copy stays what it was'
    assert memory.background is second


def test_the_memory_keeps_depth_where_the_newer_has_none():
    memory = SceneMemory()
    memory.update(observe(1, 1.5), robot(0, 0))
    memory.update(observe(2, np.nan), robot(0, 0))
    memory.update(observe(3, None), robot(0, 0))
    assert (memory.background.depth == 1.5).all() and (memory.background.image == 3).all()


@pytest.mark.parametrize('other', [
    observe(9, 1.0, at(0.01, 0, 0)), observe(9, 1.0, camera=PinholeCamera(80, 60, 75, 77, 39, 30))],
    ids=['moved', 'resized'])
def test_the_memory_starts_again_when_the_camera_is_another(other):
    memory = SceneMemory()
    memory.update(observe(1), robot(0, 0))
    mask = np.zeros(other.view.depth.shape, bool)
    mask[20:30, 20:30] = True
    memory.update(other, mask)
    assert not memory.background.known[25, 25]
    memory.clear()
    assert memory.background is None


def test_the_memory_does_not_mind_a_trembling_camera_and_refuses_a_bad_mask():
    memory = SceneMemory()
    memory.update(observe(1), robot(0, 20))
    memory.update(observe(2, T=at(0.0005, 0, 0)), robot(100, 140))
    assert memory.background.known.all()
    with pytest.raises(CameraError, match='robot_mask .* does not have the size'):
        memory.update(observe(3), np.zeros((3, 4), bool))


def test_the_memory_knows_when_each_pixel_was_seen():
    memory = SceneMemory()
    memory.update(observe(10, 1.0, stamp_ns=1_000), robot(40, 80))
    memory.update(observe(20, 2.0, stamp_ns=3_000), robot(100, 140))
    stamps = memory.background.stamp_ns
    assert stamps.dtype == np.int64 and not stamps.flags.writeable
    assert (stamps[60, 120], stamps[60, 60], stamps[60, 10]) == (1_000, 3_000, 3_000)
    memory.update(observe(30, np.nan, stamp_ns=5_000), robot(0, 20))
    memory.update(observe(40, None, stamp_ns=6_000), robot(0, 20))
    assert (memory.background.stamp_ns[60, 60], stamps[60, 60]) == (3_000, 3_000), \
        'a depth is as old as its measurement, however new its colour'
    memory.clear()
    memory.update(observe(50, None, stamp_ns=7_000), robot(0, 20))
    assert memory.background.stamp_ns[60, 60] == 7_000, 'without any depth the colour counts'
