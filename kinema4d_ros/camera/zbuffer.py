# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The z-buffer: triangles in the camera frame become inverse depth and face number per pixel.

Both are in one int64, the bits of the depth before those of the face, so that of two faces at a
pixel the nearer has the larger one, or, where they are as near, the one that comes first. Inverse
depth is what is affine over the image of a plane, so the interpolation is exact at pixel centres.
Both sides of a triangle are drawn, because meshes in the field are not oriented.
Nothing here checks indices; callers do.
"""
from __future__ import annotations

import numba
import numpy as np

NEAR = 0.005    # [m] nothing nearer to the camera's centre is drawn
_LAST = 0xffffffff      # the low bits of a pixel are this less the face's number


@numba.njit(cache=True, nogil=True, error_model='numpy')
def move_and_project(vertices: np.ndarray, first: int, last: int, T: np.ndarray,
                     pinhole: np.ndarray, near: float, points: np.ndarray,
                     screen: np.ndarray) -> None:
    """
    Move vertices first..last-1 by T (3, 4) into the camera and project them.

    :param pinhole: (4,) float64 fx, fy, cx, cy.
    :param points: (V, 3) float32 [m] camera frame, written.
    :param screen: (V, 3) float32 u, v [px], 1/z [1/m] (0 for what is behind the near plane),
        written.
    """
    fx, fy, cx, cy = pinhole[0], pinhole[1], pinhole[2], pinhole[3]
    for i in range(first, last):
        vx, vy, vz = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x = T[0, 0] * vx + T[0, 1] * vy + T[0, 2] * vz + T[0, 3]
        y = T[1, 0] * vx + T[1, 1] * vy + T[1, 2] * vz + T[1, 3]
        z = T[2, 0] * vx + T[2, 1] * vy + T[2, 2] * vz + T[2, 3]
        points[i, 0], points[i, 1], points[i, 2] = x, y, z
        if z >= near:
            inverse = 1.0 / z
            screen[i, 0] = fx * x * inverse + cx
            screen[i, 1] = fy * y * inverse + cy
            screen[i, 2] = inverse
        else:
            screen[i, 2] = 0.0


@numba.njit(cache=True, nogil=True, inline='always', error_model='numpy')
def _pixels(low_x: float, high_x: float, low_y: float, high_y: float, width: int,
            height: int) -> tuple[int, int, int, int]:
    """Return the pixel centres within bounds: left, right, top, bottom; none if left > right."""
    # In this form a NaN is off-screen too.
    if not ((high_x >= 0.0) & (high_y >= 0.0) & (low_x <= width - 1) & (low_y <= height - 1)):
        return 0, -1, 0, -1
    return (int(np.ceil(max(low_x, 0.0))), int(np.floor(min(high_x, width - 1.0))),
            int(np.ceil(max(low_y, 0.0))), int(np.floor(min(high_y, height - 1.0))))


@numba.njit(cache=True, nogil=True, error_model='numpy')
def _draw_triangle(ax: float, ay: float, aw: float, bx: float, by: float, bw: float, cx: float,
                   cy: float, cw: float, face: int, left: int, right: int, top: int, bottom: int,
                   pixels: np.ndarray) -> None:
    """
    Draw one projected triangle, row by row, inside of bounds.

    Edges run from their upper to their lower end, so the two triangles that share one get the
    same numbers, and no hole is between them.
    """
    if by < ay:
        ax, ay, aw, bx, by, bw = bx, by, bw, ax, ay, aw
    if cy < ay:
        ax, ay, aw, cx, cy, cw = cx, cy, cw, ax, ay, aw
    if cy < by:
        bx, by, bw, cx, cy, cw = cx, cy, cw, bx, by, bw
    abx, aby, acx, acy, bcx, bcy = bx - ax, by - ay, cx - ax, cy - ay, cx - bx, cy - by
    area = abx * acy - aby * acx
    if not abs(area) > 1e-12:
        return
    share = 1.0 / area
    slope_x = ((bw - aw) * acy - (cw - aw) * aby) * share
    slope_y = ((cw - aw) * abx - (bw - aw) * acx) * share
    low_w, high_w = min(aw, bw, cw), max(aw, bw, cw)
    lean_ab = abx / aby if aby > 0.0 else 0.0
    lean_ac = acx / acy if acy > 0.0 else 0.0
    lean_bc = bcx / bcy if bcy > 0.0 else 0.0
    low_bits = _LAST - np.int64(face)
    for v in range(top, bottom + 1):
        from_a = v - ay
        one = ax + lean_ac * from_a
        other = ax + lean_ab * from_a if v < by else bx + lean_bc * (v - by)
        first = int(np.ceil(max(min(one, other), left)))
        last = int(np.floor(min(max(one, other), right)))
        w_row = aw + slope_y * from_a - slope_x * ax
        row = pixels[np.uint64(v)]
        for u in range(first, last + 1):
            # A sliver's plane is ill-conditioned; its depth is still that of its corners.
            w = np.float32(min(max(w_row + slope_x * u, low_w), high_w))
            # Stores in any case: which face is nearer cannot be foretold, and a wrong guess of
            # the processor costs more than a store.
            row[u] = max(row[u], (np.int64(w.view(np.int32)) << 32) | low_bits)


@numba.njit(cache=True, nogil=True, error_model='numpy')
def _draw_clipped(corners: np.ndarray, pinhole: np.ndarray, near: float, face: int,
                  pixels: np.ndarray, box: np.ndarray) -> None:
    """Cut a triangle (3, 3) [m] that crosses the near plane and draw what is in front of it."""
    kept = np.empty((4, 3))
    count = 0
    for i in range(3):
        j = (i + 1) % 3
        here, there = corners[i, 2], corners[j, 2]
        if here >= near:
            kept[count] = corners[i]
            count += 1
        if (here >= near) != (there >= near):
            share = (near - here) / (there - here)
            kept[count] = corners[i] + share * (corners[j] - corners[i])
            kept[count, 2] = near
            count += 1
    for i in range(count):
        kept[i, 0] = pinhole[0] * kept[i, 0] / kept[i, 2] + pinhole[2]
        kept[i, 1] = pinhole[1] * kept[i, 1] / kept[i, 2] + pinhole[3]
        kept[i, 2] = 1.0 / kept[i, 2]
    height, width = pixels.shape
    for i in range(1, count - 1):
        x, y, w = kept[0, 0], kept[0, 1], kept[0, 2]
        j = i + 1
        left, right, top, bottom = _pixels(
            min(x, kept[i, 0], kept[j, 0]), max(x, kept[i, 0], kept[j, 0]),
            min(y, kept[i, 1], kept[j, 1]), max(y, kept[i, 1], kept[j, 1]), width, height)
        if left <= right and top <= bottom:
            _draw_triangle(x, y, w, kept[i, 0], kept[i, 1], kept[i, 2],
                           kept[j, 0], kept[j, 1], kept[j, 2], face, left, right, top, bottom,
                           pixels)
            _grow(box, left, right, top, bottom)


@numba.njit(cache=True, nogil=True, inline='always')
def _grow(box: np.ndarray, left: int, right: int, top: int, bottom: int) -> None:
    """Grow a box (top, bottom, left, right) around another."""
    box[0], box[1] = min(box[0], top), max(box[1], bottom)
    box[2], box[3] = min(box[2], left), max(box[3], right)


@numba.njit(cache=True, nogil=True, inline='always', error_model='numpy')
def _is_hidden(inverse: np.float32, left: int, right: int, top: int, bottom: int,
               pixels: np.ndarray) -> bool:
    """Return whether all pixels within bounds show something nearer than an inverse depth."""
    bits, hidden = np.int64(np.float32(inverse).view(np.int32)), True
    for v in range(top, bottom + 1):
        row = pixels[np.uint64(v)]
        for u in range(left, right + 1):
            hidden &= (row[np.uint64(u)] >> 32) > bits
        if not hidden:
            break
    return hidden


@numba.njit(cache=True, nogil=True, error_model='numpy')
def draw(faces: np.ndarray, points: np.ndarray, screen: np.ndarray, pinhole: np.ndarray,
         near: float, pixels: np.ndarray, box: np.ndarray) -> None:
    """
    Draw all faces (F, 3) of projected vertices.

    :param pixels: (H, W) int64, 0 where nothing is; changed. See `inverse_depth`, `face_number`.
    :param box: (4,) int64 top, bottom, left, right of what was drawn, inclusive; changed.
    """
    height, width = pixels.shape
    corners = np.empty((3, 3))
    # Of a closed mesh with its faces outward, what shows its back is hidden. It is drawn last, so
    # that most of it need not be; the order changes nothing, for meshes that are not so neither.
    later, count = np.empty((len(faces), 5), np.int32), 0
    leftmost, rightmost, highest, lowest = width, -1, height, -1
    for face in range(len(faces)):
        # Unsigned, they need no look at whether they count from the end.
        a, b, c = np.uint64(faces[face, 0]), np.uint64(faces[face, 1]), np.uint64(faces[face, 2])
        aw, bw, cw = screen[a, 2], screen[b, 2], screen[c, 2]
        if (aw > 0) & (bw > 0) & (cw > 0):
            ax, bx, cx = screen[a, 0], screen[b, 0], screen[c, 0]
            ay, by, cy = screen[a, 1], screen[b, 1], screen[c, 1]
            left, right, top, bottom = _pixels(min(ax, bx, cx), max(ax, bx, cx),
                                               min(ay, by, cy), max(ay, by, cy), width, height)
            # Most triangles of a fine mesh lie between pixel centres.
            if (left <= right) & (top <= bottom):
                if (bx - ax) * (cy - ay) > (by - ay) * (cx - ax):
                    later[count, 0], later[count, 1], later[count, 2] = face, left, right
                    later[count, 3], later[count, 4] = top, bottom
                    count += 1
                    continue
                _draw_triangle(
                    np.float64(ax), np.float64(ay), np.float64(aw),
                    np.float64(bx), np.float64(by), np.float64(bw),
                    np.float64(cx), np.float64(cy), np.float64(cw),
                    face, left, right, top, bottom, pixels)
                leftmost, rightmost = min(leftmost, left), max(rightmost, right)
                highest, lowest = min(highest, top), max(lowest, bottom)
        elif aw > 0 or bw > 0 or cw > 0:
            for k in range(3):
                corners[0, k], corners[1, k], corners[2, k] = points[a, k], points[b, k], \
                    points[c, k]
            _draw_clipped(corners, pinhole, near, face, pixels, box)
    for n in range(count):
        face, left, right = later[n, 0], later[n, 1], later[n, 2]
        top, bottom = later[n, 3], later[n, 4]
        a, b, c = np.uint64(faces[face, 0]), np.uint64(faces[face, 1]), np.uint64(faces[face, 2])
        aw, bw, cw = screen[a, 2], screen[b, 2], screen[c, 2]
        if _is_hidden(max(aw, bw, cw), left, right, top, bottom, pixels):
            continue
        _draw_triangle(
            np.float64(screen[a, 0]), np.float64(screen[a, 1]), np.float64(aw),
            np.float64(screen[b, 0]), np.float64(screen[b, 1]), np.float64(bw),
            np.float64(screen[c, 0]), np.float64(screen[c, 1]), np.float64(cw),
            face, left, right, top, bottom, pixels)
        leftmost, rightmost = min(leftmost, left), max(rightmost, right)
        highest, lowest = min(highest, top), max(lowest, bottom)
    _grow(box, leftmost, rightmost, highest, lowest)


@numba.njit(cache=True, nogil=True, inline='always')
def inverse_depth(pixel: int) -> np.float32:
    """Return the inverse depth [1/m] of a pixel, 0 where nothing is."""
    return np.int32(pixel >> 32).view(np.float32)


@numba.njit(cache=True, nogil=True, inline='always')
def face_number(pixel: int) -> int:
    """Return the number of the face that a pixel shows; meaningless where nothing is."""
    return _LAST - (pixel & _LAST)


@numba.njit(cache=True, nogil=True, inline='always', error_model='numpy')
def weights(points: np.ndarray, a: int, b: int, c: int, x: float,
            y: float) -> tuple[float, float, float]:
    """
    Return the perspective-correct weights of corners a, b, c where the ray (x, y, 1) meets them.

    The weight of a corner is the volume that the ray spans with the other two, so this holds for
    triangles that reach behind the camera too.
    """
    ax, ay, az = np.float64(points[a, 0]), np.float64(points[a, 1]), np.float64(points[a, 2])
    bx, by, bz = np.float64(points[b, 0]), np.float64(points[b, 1]), np.float64(points[b, 2])
    cx, cy, cz = np.float64(points[c, 0]), np.float64(points[c, 1]), np.float64(points[c, 2])
    wa = x * (by * cz - bz * cy) + y * (bz * cx - bx * cz) + (bx * cy - by * cx)
    wb = x * (cy * az - cz * ay) + y * (cz * ax - cx * az) + (cx * ay - cy * ax)
    wc = x * (ay * bz - az * by) + y * (az * bx - ax * bz) + (ax * by - ay * bx)
    total = wa + wb + wc
    if abs(total) < 1e-30:
        return 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0
    of_a, of_b = min(max(wa / total, 0.0), 1.0), min(max(wb / total, 0.0), 1.0)
    return of_a, of_b, max(1.0 - of_a - of_b, 0.0)
