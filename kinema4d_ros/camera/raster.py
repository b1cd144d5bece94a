# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One mesh as a camera sees it: depth, face numbers, and colours interpolated over the faces."""
from __future__ import annotations

import numba
import numpy as np

from kinema4d_ros.camera.zbuffer import (draw, face_number, inverse_depth, move_and_project,
                                         NEAR, weights)
from kinema4d_ros.errors import CameraError, MeshError
from kinema4d_ros.types import PinholeCamera

_STAY = np.eye(4)[:3]


def rasterize(vertices: np.ndarray, faces: np.ndarray,
              camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw one mesh, both sides of its faces.

    :param vertices: (V, 3) float32 [m], camera frame.
    :param faces: (F, 3) int32 indices of vertices.
    :return: depth (H, W) float32 [m] at pixel centres, NaN where nothing is; number of the
        face that is seen (H, W) int32, -1 where nothing is.
    :raises MeshError: a face names a vertex that is not there.
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    check_faces(vertices, faces)
    size = (camera.height, camera.width)
    pixels = np.zeros(size, np.int64)
    points, screen = np.empty_like(vertices), np.empty_like(vertices)
    pinhole = pinhole_of(camera)
    move_and_project(vertices, 0, len(vertices), _STAY, pinhole, NEAR, points, screen)
    draw(faces, points, screen, pinhole, NEAR, pixels, empty_box(camera))
    depth, face_id = np.full(size, np.nan, np.float32), np.full(size, -1, np.int32)
    _take_apart(pixels, depth, face_id)
    return depth, face_id


def shade(face_id: np.ndarray, depth: np.ndarray, vertices: np.ndarray, faces: np.ndarray,
          vertex_colors: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """
    Return the picture (H, W, 3) uint8 of a rasterized mesh, black where nothing is seen.

    :param face_id: (H, W) int32 from `rasterize`; pixels may have been set to -1.
    :param depth: (H, W) float32 [m] from `rasterize`; NaN pixels stay black.
    :param vertex_colors: (V, 3) uint8, interpolated over faces as perspective demands.
    :raises CameraError: the pictures do not have the size of the camera.
    """
    size = (camera.height, camera.width)
    if face_id.shape != size or depth.shape != size:
        raise CameraError(f'face_id {face_id.shape} and depth {depth.shape} must have the size '
                          f'of the camera, {size}')
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    colors = np.ascontiguousarray(vertex_colors, np.uint8)
    check_faces(vertices, faces)
    if colors.shape != vertices.shape:
        raise MeshError(f'vertex_colors must have shape {vertices.shape}, got {colors.shape}')
    image = np.zeros((*size, 3), np.uint8)
    _shade(np.ascontiguousarray(face_id, np.int32), np.ascontiguousarray(depth, np.float32),
           vertices, faces, colors, pinhole_of(camera), image)
    return image


def check_faces(vertices: np.ndarray, faces: np.ndarray) -> None:
    """
    Check the shapes of a mesh, and that its faces name vertices that are there.

    :raises MeshError: otherwise.
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise MeshError(f'vertices must be (V, 3) and faces (F, 3), got {vertices.shape} and '
                        f'{faces.shape}')
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise MeshError(f'faces name vertices {faces.min()} to {faces.max()}, the mesh has '
                        f'0 to {len(vertices) - 1}')


def pinhole_of(camera: PinholeCamera) -> np.ndarray:
    """Return fx, fy, cx, cy as the kernels take them, (4,) float64 [px]."""
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)


def empty_box(camera: PinholeCamera) -> np.ndarray:
    """Return the bounds of nothing: top, bottom, left, right, (4,) int64 [px]."""
    return np.array([camera.height, -1, camera.width, -1], np.int64)


@numba.njit(cache=True, nogil=True)
def _take_apart(pixels: np.ndarray, depth: np.ndarray, face_id: np.ndarray) -> None:
    """Fill in depth [m] and face of the pixels (H, W) of a z-buffer that show something."""
    for v in range(pixels.shape[0]):
        for u in range(pixels.shape[1]):
            if pixels[v, u]:
                depth[v, u] = np.float32(1) / inverse_depth(pixels[v, u])
                face_id[v, u] = face_number(pixels[v, u])


@numba.njit(cache=True, nogil=True, error_model='numpy')
def _shade(face_id: np.ndarray, depth: np.ndarray, points: np.ndarray, faces: np.ndarray,
           colors: np.ndarray, pinhole: np.ndarray, image: np.ndarray) -> None:
    height, width = face_id.shape
    for v in range(height):
        y = (v - pinhole[3]) / pinhole[1]
        for u in range(width):
            face = face_id[v, u]
            if face < 0 or face >= len(faces) or depth[v, u] != depth[v, u]:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            wa, wb, wc = weights(points, a, b, c, (u - pinhole[2]) / pinhole[0], y)
            for k in range(3):
                image[v, u, k] = np.uint8(
                    wa * colors[a, k] + wb * colors[b, k] + wc * colors[c, k] + 0.5)
