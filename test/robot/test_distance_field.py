# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distances of points to links: sorting, passing over and threads change nothing."""
import os

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.robot import DistanceFields, LinkMesh, PointCubes

SEEDS = st.integers(0, 2**32 - 1)


def link(shape) -> LinkMesh:
    return LinkMesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32),
                    np.full(shape.vertices.shape, 200, np.uint8))


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    """Return the fields of a box and of a ball."""
    meshes = {'box': link(trimesh.creation.box((0.2, 0.1, 0.1))),
              'ball': link(trimesh.creation.icosphere(2, 0.08))}
    return DistanceFields(meshes, spacing=0.01, cache_dir=tmp_path_factory.mktemp('fields'))


def world(seed: int):
    """Return points (N, 3), poses (T, 2, 4, 4), and when each point is gone (N,)."""
    random = np.random.default_rng(seed)
    points = random.uniform(-0.4, 0.4, (random.integers(0, 300), 3)).astype(np.float32)
    poses = np.tile(np.eye(4), (random.integers(1, 7), 2, 1, 1))
    poses[..., :3, :3] = np.linalg.qr(random.normal(size=(*poses.shape[:2], 3, 3)))[0]
    poses[..., :3, :3] *= np.sign(np.linalg.det(poses[..., :3, :3]))[..., None, None]
    poses[..., :3, 3] = random.uniform(-0.3, 0.3, poses[..., :3, 3].shape)
    return points, poses, random.integers(0, len(poses) + 1, len(points))


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_closest_point_is_that_of_each_point_by_itself(fields, seed):
    points, poses, gone = world(seed)
    distance, nearest = fields.closest(points, poses, gone)
    again = fields.closest(PointCubes(points), poses, gone)
    np.testing.assert_array_equal(distance, again[0])
    np.testing.assert_array_equal(nearest, again[1])
    for t, (box, ball) in enumerate(poses):
        far = np.eye(4)
        far[0, 3] = 9.0
        for number, pair in enumerate(([box, far], [far, ball])):
            each = np.where(t < gone, fields.depth_of(points, np.array(pair)), np.inf)
            assert distance[t, number] == each.min(initial=np.inf)
            if np.isinf(distance[t, number]):
                assert nearest[t, number] == -1
            else:
                assert each[nearest[t, number]] == distance[t, number]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from((0.0, 10.0)), st.sampled_from((0.0005, 0.005, 0.05)))
def test_what_was_passed_over_is_looked_up_again_once_the_link_has_come_near(
        fields, seed, far_away, step):
    """Small steps, to and fro, near the base and 10 m from it; some points on borders of cubes."""
    random = np.random.default_rng(seed)
    points, poses, gone = world(seed)
    points[::3] = np.round(points[::3] / 0.02) * 0.02
    points += np.float32(far_away)
    times = np.abs(np.arange(40) % 26 - 13)
    move = np.eye(4)
    move[:3, 3] = random.normal(0, step, 3)
    move[:3, :3] = trimesh.transformations.rotation_matrix(
        random.normal(0, 4 * step), random.normal(size=3))[:3, :3]
    poses = np.array([poses[0] @ np.linalg.matrix_power(move, time) for time in times])
    poses[..., :3, 3] += far_away
    gone = random.integers(0, len(poses) + 20, len(points))
    distance, _ = fields.closest(points, poses, gone)
    for t, pair in enumerate(poses):
        each = np.where(t < gone, fields.depth_of(points, pair), np.inf)
        assert distance[t].min() == each.min(initial=np.inf)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_only_points_count_that_a_link_is_nearer_to_than_at_first(fields, seed):
    points, poses, gone = world(seed)
    distance, nearest = fields.nearing(points, poses, gone, 0.002)
    far = np.eye(4)
    far[0, 3] = 9.0

    def each_of(t, number):
        pair = [poses[t, 0], far] if number == 0 else [far, poses[t, 1]]
        return fields.depth_of(points, np.array(pair))

    for t in range(len(poses)):
        for number in range(2):
            each = each_of(t, number)
            nearer = each < each_of(0, number) - np.float32(0.002)
            each = np.where(nearer & (t < gone), each, np.inf)
            assert distance[t, number] == each.min(initial=np.inf)
            assert np.isinf(distance[t, number]) or each[nearest[t, number]] == distance[t, number]


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(0.0, 0.06))
def test_only_what_is_near_enough_is_reported(fields, seed, below):
    points, poses, _ = world(seed)
    whole = fields.depth_of(points, poses[0])
    told = np.where(whole < np.float32(below), whole, np.inf)
    np.testing.assert_array_equal(fields.depth_of(PointCubes(points), poses[0], below), told)
    np.testing.assert_array_equal(fields.depth_of(points, poses[0], below), told)


def test_threads_share_the_times(fields, monkeypatch):
    points, poses, gone = world(7)
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda _, cores=cores: set(range(cores)))
        found.append(fields.closest(points, poses, gone))
    assert np.isfinite(found[0][0]).any()
    for distance, nearest in found[1:]:
        np.testing.assert_array_equal(distance, found[0][0])
        np.testing.assert_array_equal(nearest, found[0][1])


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_cubes_hold_every_point_once_and_find_those_in_a_box(seed):
    points, poses, _ = world(seed)
    cubes = PointCubes(points)
    np.testing.assert_array_equal(np.sort(cubes.order), np.arange(len(points)))
    np.testing.assert_array_equal(cubes.points, points[cubes.order])
    for begin, end, center, radius in zip(cubes.starts, cubes.starts[1:], cubes.centers,
                                          cubes.radii):
        assert end > begin
        assert np.linalg.norm(cubes.points[begin:end] - center, axis=1).max() <= radius
    low = poses[0, 0, :3, 3]
    high = low + 0.2
    np.testing.assert_array_equal(cubes.within(low, high), np.flatnonzero(
        ((points >= low) & (points <= high)).all(axis=1)))


@pytest.mark.parametrize('damage', [
    lambda data: b'', lambda data: data[:len(data) // 2], lambda data: b'rubbish',
    lambda data: data[:300] + bytes(200) + data[500:]])
def test_a_damaged_cache_file_is_made_anew(tmp_path, damage):
    """Or no process would come up until somebody removes it."""
    meshes = {'box': link(trimesh.creation.box((0.05, 0.05, 0.05)))}
    DistanceFields(meshes, spacing=0.02, cache_dir=tmp_path)
    entry, = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    DistanceFields(meshes, spacing=0.02, cache_dir=tmp_path)
    assert len(entry.read_bytes()) == len(whole)


@pytest.mark.parametrize('unknown', [0, 7])
def test_a_point_that_is_nowhere_hides_no_other(fields, unknown):
    points = np.random.default_rng(1).uniform(-0.1, 0.1, (50, 3)).astype(np.float32)
    points[unknown] = np.nan
    assert len(PointCubes(points).within(np.full(3, -1.0), np.full(3, 1.0))) == 49
    distance, nearest = fields.closest(points, np.tile(np.eye(4), (1, 2, 1, 1)))
    assert (distance < 0).all() and unknown not in nearest
