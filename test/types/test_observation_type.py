# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An observation of several cameras and other sources, and what it says of those left out."""
import dataclasses
import pickle

import numpy as np
import pytest

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.types import (CameraView, Observation, PinholeCamera, PointSource, Solid,
                                SolidSource, VoxelSource)

CAMERA = PinholeCamera(8, 6, 10.0, 10.0, 3.5, 2.5)


def view(name, **more):
    return CameraView(np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), np.float32), CAMERA, np.eye(4),
                      name=name, **more)


def full():
    return Observation(
        7, (view('front'), view('wrist', stamp_ns=5, joint_positions={'a': 2},
                                calibration_sigma=0.004)),
        {'a': 1.0}, {'a': 0.1}, others=(
            PointSource('lidar', np.ones((2, 3)), 6, joint_positions={'a': 3}),
            VoxelSource.from_centers('map', np.zeros((1, 3)), np.array([[0.1, 0, 0]]), 0.1),
            SolidSource('fixtures', (Solid('box', (1, 2, 3)),))),
        left_out={'side': 'is late'})


def same(one, other):
    assert type(one) is type(other)
    for item in dataclasses.fields(one):
        a, b = getattr(one, item.name), getattr(other, item.name)
        for left, right in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
            if dataclasses.is_dataclass(left):
                same(left, right)
            else:
                np.testing.assert_array_equal(left, right, err_msg=item.name)


def test_all_of_an_observation_reaches_another_process_and_stays_read_only():
    there = pickle.loads(pickle.dumps(full()))
    same(full(), there)
    assert dict(there.joints_of(there.views[1])) == {'a': 2.0}
    assert dict(there.joints_of(there.views[0])) == {'a': 1.0}
    assert not there.others[0].points.flags.writeable
    with pytest.raises(TypeError):
        there.views[1].joint_positions['a'] = 4.0


def test_a_camera_or_source_is_left_out_by_name_and_with_the_reason():
    left = full().without('wrist', 'is late: 0.8 s old').without('lidar', 'has stopped')
    assert [each.name for each in left.views] == ['front']
    assert [each.name for each in left.others] == ['map', 'fixtures']
    assert dict(left.left_out) == {'side': 'is late', 'wrist': 'is late: 0.8 s old',
                                   'lidar': 'has stopped'}
    with pytest.raises(ObservationError, match="'front' is the last camera"):
        left.without('front', 'is late')
    with pytest.raises(ObservationError, match="no camera 'back' in the observation, which is of"):
        left.without('back', 'is late')
    assert [each.name for each in full().of('wrist').views] == ['wrist']


def test_one_view_of_several_is_changed_by_name():
    changed = full().with_view('wrist', depth=None)
    assert [each.depth is None for each in changed.views] == [False, True] and changed.has_depth
    with pytest.raises(ObservationError, match='works with one camera'):
        full().with_view(depth=None)
    with pytest.raises(ObservationError, match='names of their own'):
        dataclasses.replace(full(), others=(SolidSource('wrist', ()),))
    with pytest.raises(ObservationError, match='calibration_sigma of the camera'):
        view('front', calibration_sigma=-1.0)


def test_voxels_are_looked_up_where_they_are_in_the_base_frame():
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [1.0, 0.0, 0.0]
    grid = VoxelSource.from_centers('map', np.array([[0.2, 0.0, 0.0]]),
                                    np.array([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]), 0.1, T)
    np.testing.assert_allclose(grid.centers(VoxelSource.OCCUPIED), [[1.0, 0.2, 0.0]], atol=1e-12)
    at = grid.at(np.array([[1.04, 0.0, 0.0], [1.0, 0.16, 0.04], [1.0, 0.1, 0.0], [5.0, 0, 0]]))
    assert list(at) == [VoxelSource.FREE, VoxelSource.OCCUPIED, VoxelSource.UNKNOWN,
                        VoxelSource.UNKNOWN]
    with pytest.raises(ObservationError, match='keep those within reach of the robot only'):
        VoxelSource.from_centers('map', np.zeros((1, 3)), np.full((1, 3), 100.0), 0.01)


@pytest.mark.parametrize('make, message', [
    (lambda: Solid('pyramid'), 'a solid is one of box, sphere'),
    (lambda: Solid('box', (1.0,)), 'dimensions of a box are x, y, z'),
    (lambda: Solid('mesh', vertices=np.zeros((3, 3))), 'four finite vertices or more, got 3'),
    (lambda: Solid('mesh', vertices=np.zeros((4, 3)), faces=np.array([[0, 1, 9]])),
     'name vertices 0..3, got 0..9'),
    (lambda: Solid('sphere', (1.0,), np.full((4, 4), np.nan)), 'pose of a sphere is not finite'),
    (lambda: PointSource('', np.zeros((1, 3))), 'needs a name'),
    (lambda: PointSource('a', np.zeros((1, 3)), sigma=np.nan), "sigma of the source 'a'"),
    (lambda: PointSource('a', np.zeros((1, 3)), spacing=0.0), 'spacing of the points'),
    (lambda: VoxelSource('a', np.zeros((1, 1, 1), np.uint8), 0.0, np.eye(4)), 'resolution'),
    (lambda: VoxelSource('a', np.zeros((1, 1, 1), np.uint8), 0.1, np.full((4, 4), np.nan)),
     'not finite'),
    (lambda: VoxelSource.from_centers('a', np.empty((0, 3)), np.empty((0, 3)), 0.1),
     'one or more, and a resolution above 0, got 0'),
])
def test_what_is_no_source_is_refused_with_what_would_be_one(make, message):
    with pytest.raises(ObservationError, match=message):
        make()


def test_points_without_a_place_are_left_out():
    assert len(PointSource('a', np.array([[0, 0, 0], [np.nan, 0, 0]])).points) == 1
