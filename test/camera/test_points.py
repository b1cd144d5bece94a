# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points of pixels, and cameras on links."""
import numpy as np
import pytest

from kinema4d_ros.camera import LinkPose, pointmap_from_depth, project
from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 150.0, 155.0, 79.0, 60.0)
SIZE = (120, 160)


def at(x, y, z):
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def test_projecting_a_pointmap_gives_its_pixels_back():
    depth = np.random.default_rng(1).uniform(0.2, 3, SIZE).astype(np.float32)
    depth[3, 4] = np.nan
    points = pointmap_from_depth(depth, CAMERA)
    assert points.dtype == np.float32 and np.isnan(points[3, 4]).all()
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    pixels = project(points, CAMERA)
    known = np.isfinite(depth)
    assert np.abs(pixels - np.stack([u, v], -1))[known].max() < 1e-4
    assert np.isnan(project(np.array([[0, 0, -1.0], [0, 0, 0]]), CAMERA)).all()
    assert project([0.3, -0.31, 1.5], CAMERA) == pytest.approx([109, 27.9667], abs=1e-3)


def test_depth_of_another_size_is_refused():
    with pytest.raises(CameraError, match='depth .* does not have the size of the camera'):
        pointmap_from_depth(np.zeros((3, 4), np.float32), CAMERA)


def test_a_camera_on_a_link_moves_with_it():
    T = np.tile(np.eye(4), (3, 2, 1, 1))
    T[:, 1, 0, 3] = 0, 1, 2
    poses = LinkPose('camera_optical').poses(('base', 'camera_optical'), T)
    assert poses.shape == (3, 4, 4) and poses[:, 0, 3].tolist() == [0, 1, 2]
    offset = LinkPose('camera_optical', at(0, 0, 5)).poses(('base', 'camera_optical'), T)
    assert offset[:, 2, 3].tolist() == [5, 5, 5]
    poses[:] = 0
    assert T[0, 1, 3, 3] == 1, 'the link poses are not changed by who changes the camera poses'


def test_camera_poses_that_cannot_be_are_refused():
    with pytest.raises(CameraError, match='T_link_camera must be a .* rotation'):
        LinkPose('link', 2 * np.eye(4))
    with pytest.raises(CameraError, match='T_link_camera must be a .* rotation'):
        LinkPose('link', np.diag([1.0, 1, -1, 1]))
    with pytest.raises(CameraError, match="no link 'eye'.* optical frames wrist_optical; name"):
        LinkPose('eye').poses(('base', 'wrist_optical'), np.zeros((1, 2, 4, 4)))
    with pytest.raises(CameraError, match='no optical frame; its links are base, hand; name'):
        LinkPose('eye').poses(('base', 'hand'), np.zeros((1, 2, 4, 4)))
