# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a z-buffer to the pictures of one frame: pointmap, link per pixel, colours."""
from __future__ import annotations

import numba
import numpy as np

from kinema4d_ros.camera.zbuffer import face_number, inverse_depth, weights

_AMBIENT = 0.35
# A point counts as the one that was observed when their depths agree so far.
_SAME_DEPTH, _SAME_SHARE = 0.002, 0.002     # [m], share of the depth


@numba.njit(cache=True, nogil=True, error_model='numpy')
def paint(pixels: np.ndarray, box: np.ndarray, points: np.ndarray, vertices: np.ndarray,
          faces: np.ndarray, face_link: np.ndarray, colors: np.ndarray,
          normals: np.ndarray, light: np.ndarray, pinhole: np.ndarray, textured: bool,
          seen_image: np.ndarray, seen_link: np.ndarray, seen_inverse: np.ndarray,
          seen_pinhole: np.ndarray, T_seen_link: np.ndarray, tint: np.ndarray, pointmap: np.ndarray,
          link_id: np.ndarray, image: np.ndarray) -> None:
    """
    Write the pictures of one frame and clear the z-buffer inside `box` for the next.

    :param points: (V, 3) float32 [m] vertices in the camera; `vertices` the same in the links.
    :param face_link: (F,) int16; `colors` (V, 3) uint8; `normals` (F, 3, 3) float32 link frame.
    :param light: (L, 3) float64 unit direction to the light, in each link's frame.
    :param textured: whether the arguments from `seen_image` to `tint` (see Appearance) count.
    :param pointmap: (H, W, 3) float32, written everywhere; `link_id` (H, W) int16 too.
    :param image: (H, W, 3) uint8, written everywhere, black where no robot.
    """
    every = pointmap.reshape(-1)
    for i in range(len(every)):
        every[i] = np.nan
    link_id[:] = -1
    image[:] = 0
    texture = np.empty(3)
    for v in range(box[0], box[1] + 1):
        y = (v - pinhole[3]) / pinhole[1]
        for u in range(box[2], box[3] + 1):
            pixel = pixels[v, u]
            if pixel == 0:
                continue
            pixels[v, u] = 0
            x = (u - pinhole[2]) / pinhole[0]
            z = 1.0 / np.float64(inverse_depth(pixel))
            pointmap[v, u, 0], pointmap[v, u, 1], pointmap[v, u, 2] = x * z, y * z, z
            face = np.uint64(face_number(pixel))
            link = np.uint64(face_link[face])
            link_id[v, u] = link
            a, b, c = np.uint64(faces[face, 0]), np.uint64(faces[face, 1]), \
                np.uint64(faces[face, 2])
            wa, wb, wc = weights(points, a, b, c, x, y)
            if textured and _observed(
                    wa, wb, wc, a, b, c, link, vertices, T_seen_link, seen_image, seen_link,
                    seen_inverse, seen_pinhole, texture):
                for k in range(3):
                    image[v, u, k] = np.uint8(texture[k] + 0.5)
                continue
            toward, length = 0.0, 0.0
            for k in range(3):
                n = wa * normals[face, 0, k] + wb * normals[face, 1, k] + wc * normals[face, 2, k]
                toward += n * light[link, k]
                length += n * n
            bright = _AMBIENT
            if length > 0:      # either side may be lit, as either side is drawn
                bright += (1.0 - _AMBIENT) * abs(toward) / np.sqrt(length)
            for k in range(3):
                value = (wa * colors[a, k] + wb * colors[b, k] + wc * colors[c, k]) * bright
                if textured:
                    value *= tint[link, k]
                image[v, u, k] = np.uint8(min(value + 0.5, 255.0))


@numba.njit(cache=True, nogil=True, error_model='numpy')
def paint_shape(pixels: np.ndarray, box: np.ndarray, face_link: np.ndarray, pinhole: np.ndarray,
                pointmap: np.ndarray, link_id: np.ndarray, depth: np.ndarray) -> None:
    """
    Write what `paint` writes but for the image, of what is inside `box`; clear the z-buffer there.

    :param pointmap: (H, W, 3) float32, NaN; `link_id` (H, W) int16, -1.
    :param depth: (H, W) float32 [m], NaN.
    """
    for v in range(box[0], box[1] + 1):
        y = (v - pinhole[3]) / pinhole[1]
        for u in range(box[2], box[3] + 1):
            pixel = pixels[v, u]
            if pixel == 0:
                continue
            pixels[v, u] = 0
            x = (u - pinhole[2]) / pinhole[0]
            z = 1.0 / np.float64(inverse_depth(pixel))
            pointmap[v, u, 0], pointmap[v, u, 1], pointmap[v, u, 2] = x * z, y * z, z
            depth[v, u] = z
            link_id[v, u] = face_link[np.uint64(face_number(pixel))]


@numba.njit(cache=True, nogil=True)
def clear_shape(box: np.ndarray, pointmap: np.ndarray, link_id: np.ndarray) -> None:
    """Write inside of `box` that no robot is there."""
    for v in range(box[0], box[1] + 1):
        for u in range(box[2], box[3] + 1):
            link_id[v, u] = -1
            for k in range(3):
                pointmap[v, u, k] = np.nan


@numba.njit(cache=True, nogil=True, inline='always', error_model='numpy')
def _observed(wa: float, wb: float, wc: float, a: int, b: int, c: int, link: int,
              vertices: np.ndarray, T_seen_link: np.ndarray, seen_image: np.ndarray,
              seen_link: np.ndarray, seen_inverse: np.ndarray, seen_pinhole: np.ndarray,
              texture: np.ndarray) -> bool:
    """Write the observed colour of a point of a link; return whether it was visible then."""
    px = wa * vertices[a, 0] + wb * vertices[b, 0] + wc * vertices[c, 0]
    py = wa * vertices[a, 1] + wb * vertices[b, 1] + wc * vertices[c, 1]
    pz = wa * vertices[a, 2] + wb * vertices[b, 2] + wc * vertices[c, 2]
    T = T_seen_link[link]
    z = T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz + T[2, 3]
    if not z > 1e-3:
        return False
    u = seen_pinhole[0] * (T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz + T[0, 3]) / z \
        + seen_pinhole[2]
    v = seen_pinhole[1] * (T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz + T[1, 3]) / z \
        + seen_pinhole[3]
    height, width = seen_link.shape
    if not (u > -0.5 and v > -0.5 and u < width - 0.5 and v < height - 0.5):
        return False
    u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
    left, top = min(int(u), max(width - 2, 0)), min(int(v), max(height - 2, 0))
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    if seen_link[top, left] != link or seen_link[top, right] != link \
            or seen_link[bottom, left] != link or seen_link[bottom, right] != link:
        return False
    du, dv = u - left, v - top
    nw, ne = (1 - du) * (1 - dv), du * (1 - dv)
    sw, se = (1 - du) * dv, du * dv
    # Inverse depth is affine over a flat face, so slanted faces agree with themselves.
    inverse = nw * seen_inverse[top, left] + ne * seen_inverse[top, right] \
        + sw * seen_inverse[bottom, left] + se * seen_inverse[bottom, right]
    if not abs(1.0 / inverse - z) <= _SAME_DEPTH + _SAME_SHARE * z:
        return False
    for k in range(3):
        texture[k] = nw * seen_image[top, left, k] + ne * seen_image[top, right, k] \
            + sw * seen_image[bottom, left, k] + se * seen_image[bottom, right, k]
    return True
