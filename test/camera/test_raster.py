# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The z-buffer against hand numbers, analytic surfaces and Embree."""
import numpy as np
import open3d
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.camera import rasterize, shade
from kinema4d_ros.errors import CameraError, MeshError
from kinema4d_ros.types import PinholeCamera

NEAR = 0.005     # [m] as the rasterizer has it
CAMERA = PinholeCamera(120, 80, 100.0, 100.0, 59.5, 39.5)


def ray_cast(vertices, faces, camera):
    """Return depth (H, W) by Embree of what is beyond the near plane, NaN where nothing is."""
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(open3d.core.Tensor(vertices.astype(np.float32)),
                        open3d.core.Tensor(faces.astype(np.uint32)))
    rays = camera.rays()
    rays = np.concatenate([NEAR * rays, rays], -1)
    depth = scene.cast_rays(open3d.core.Tensor(rays))['t_hit'].numpy()
    return np.where(np.isfinite(depth), depth + NEAR, np.nan).astype(np.float32)


def arrays(mesh, at=(0.0, 0.0, 0.0)):
    return (mesh.vertices + at).astype(np.float32), mesh.faces.astype(np.int32)


def test_a_triangle_covers_the_pixel_centres_inside_of_it():
    # In pixels: (10, 10), (20, 10), (10, 20) at 1 m; 10.0 is the centre of pixel 10.
    corners = np.array([[10, 10], [20, 10], [10, 20]], float)
    vertices = np.concatenate([(corners - [59.5, 39.5]) / 100.0, np.ones((3, 1))], -1)
    depth, face_id = rasterize(vertices, np.array([[0, 1, 2]]), CAMERA)
    v, u = np.mgrid[0:80, 0:120]
    inside = (u > 10) & (v > 10) & (u + v < 30)
    outside = (u < 10) | (v < 10) | (u + v > 30)
    assert (face_id[inside] == 0).all() and (face_id[outside] == -1).all()
    assert np.abs(depth[inside] - 1).max() < 1e-6 and np.isnan(depth[outside]).all()


def test_depth_of_a_slanted_plane_is_exact_at_pixel_centres():
    # The plane 0.5 x + 0.3 y + z = 2, cut out by two large triangles.
    xy = np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]], float) * 0.7
    vertices = np.concatenate([xy, 2 - xy @ np.array([[0.5], [0.3]])], -1)
    depth, face_id = rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3]]), CAMERA)
    rays = CAMERA.rays().astype(np.float64)
    truth = 2 / (0.5 * rays[..., 0] + 0.3 * rays[..., 1] + 1)
    assert (face_id >= 0).all(), 'two triangles leave no hole along their shared edge'
    assert np.abs(depth - truth).max() < 1e-5


def test_depth_of_a_sphere_is_that_of_the_equation():
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=0.3)
    depth, _ = rasterize(*arrays(mesh, (0.1, -0.05, 1.2)), CAMERA)
    rays = CAMERA.rays().astype(np.float64)
    center = np.array([0.1, -0.05, 1.2])
    a, b = (rays ** 2).sum(-1), rays @ center
    under = b ** 2 - a * (center @ center - 0.09)
    safe = under > 0.01
    truth = (b - np.sqrt(np.maximum(under, 0))) / a
    assert safe.sum() > 1000
    assert np.abs(depth - truth)[safe].max() < 1e-3
    assert np.isnan(depth[under < -1e-3]).all()


@pytest.mark.parametrize('at', [
    (0.0, 0.0, 1.0), (0.4, 0.2, 0.8),   # in view, and reaching out of the picture
    (0.05, 0.02, 0.1),                  # the camera is inside of it
    (0.0, 0.15, 0.1)])                  # beside the camera, from behind it into the picture
def test_meshes_around_the_camera_look_as_embree_sees_them(at):
    mesh = trimesh.creation.box((0.3, 0.24, 0.5), transform=trimesh.transformations.
                                rotation_matrix(0.4, (1, 2, 0.5)))
    vertices, faces = arrays(mesh, at)
    depth, _ = rasterize(vertices, faces, CAMERA)
    truth = ray_cast(vertices, faces, CAMERA)
    both = np.isfinite(depth) & np.isfinite(truth)
    assert both.any()
    assert (np.isfinite(depth) == np.isfinite(truth)).mean() > 0.999
    assert np.percentile(np.abs(depth - truth)[both], 99) < 1e-4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2 ** 31))
def test_random_triangles_look_as_embree_sees_them(seed):
    random = np.random.default_rng(seed)
    vertices = random.uniform((-1, -1, -0.5), (1, 1, 2), (30, 3)).astype(np.float32)
    faces = random.integers(0, 30, (12, 3)).astype(np.int32)     # degenerate ones among them
    depth, face_id = rasterize(vertices, faces, CAMERA)
    truth = ray_cast(vertices, faces, CAMERA)
    assert (np.isfinite(depth) == np.isfinite(truth)).mean() > 0.995
    both = np.isfinite(depth) & np.isfinite(truth)
    if both.any():
        assert np.median(np.abs(depth - truth)[both]) < 1e-5
    assert ((face_id >= 0) >= both).all() and face_id.max() < 12


def test_the_nearer_of_two_surfaces_is_seen_whatever_their_order():
    near, faces = arrays(trimesh.creation.box((0.2, 0.2, 0.1)), (0, 0, 0.8))
    far, _ = arrays(trimesh.creation.box((0.6, 0.4, 0.1)), (0, 0, 1.5))
    one = rasterize(np.concatenate([near, far]), np.concatenate([faces, faces + 8]), CAMERA)[0]
    two = rasterize(np.concatenate([far, near]), np.concatenate([faces, faces + 8]), CAMERA)[0]
    assert np.array_equal(one, two, equal_nan=True)
    assert one[40, 60] == pytest.approx(0.75, abs=1e-6)


def test_nothing_is_seen_of_what_is_behind_empty_or_not_finite():
    vertices, faces = arrays(trimesh.creation.box((0.3, 0.3, 0.3)), (0, 0, -1.0))
    empty = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    bad = np.full((3, 3), np.nan, np.float32), np.array([[0, 1, 2]], np.int32)
    for mesh in ((vertices, faces), empty, bad):
        depth, face_id = rasterize(*mesh, CAMERA)
        assert np.isnan(depth).all() and (face_id == -1).all()


def test_colors_are_interpolated_as_perspective_demands():
    # A wall that recedes to the right: half of its length is not half of its picture.
    vertices = np.array([[-0.5, -1, 1], [-0.5, 1, 1], [1.5, 1, 3], [1.5, -1, 3]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    colors = np.array([[0, 0, 0], [0, 0, 0], [200, 100, 50], [200, 100, 50]], np.uint8)
    depth, face_id = rasterize(vertices, faces, CAMERA)
    image = shade(face_id, depth, vertices, faces, colors, CAMERA)
    seen = face_id >= 0
    share = (depth[seen] - 1) / 2
    assert np.abs(image[seen] - share[:, None] * [200, 100, 50]).max() <= 1
    assert (image[~seen] == 0).all()


def test_shade_leaves_pixels_black_that_were_taken_out():
    vertices, faces = arrays(trimesh.creation.box((0.3, 0.3, 0.3)), (0, 0, 1))
    depth, face_id = rasterize(vertices, faces, CAMERA)
    face_id[:, :60] = -1
    image = shade(face_id, depth, vertices, faces, np.full(vertices.shape, 9, np.uint8), CAMERA)
    assert not image[:, :60].any() and image[40, 61].all()


def test_bad_meshes_and_pictures_are_refused():
    vertices = np.zeros((3, 3), np.float32)
    with pytest.raises(MeshError, match='faces name vertices 0 to 3, the mesh has 0 to 2'):
        rasterize(vertices, np.array([[0, 1, 3]]), CAMERA)
    with pytest.raises(MeshError, match='vertices must be'):
        rasterize(vertices[:, :2], np.array([[0, 1, 2]]), CAMERA)
    depth, face_id = rasterize(vertices, np.array([[0, 1, 2]]), CAMERA)
    with pytest.raises(CameraError, match='must have the size of the camera'):
        shade(face_id[1:], depth, vertices, np.array([[0, 1, 2]]), vertices, CAMERA)
    with pytest.raises(MeshError, match='vertex_colors must have shape'):
        shade(face_id, depth, vertices, np.array([[0, 1, 2]]), vertices[:2], CAMERA)
