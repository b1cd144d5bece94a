# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The small rigid motion that lays the rendered robot onto the one that a depth camera measures.

Two kinds of evidence: at a pixel inside of the robot, how much farther the camera measures than
the robot is rendered, along the surface's normal; at a pixel of its outline, how many pixels beside
it the depth jumps. The first says little of motions along flat faces, the second just of those.
Both are weighted least squares of six numbers, with weights that fade to nothing for what does not
fit (Tukey's), so that what stands in front of the robot or behind it has no say, and with what is
known of the calibration beforehand as a further observation.
"""
from __future__ import annotations

import numba
import numpy as np

_ITERATIONS = 9
_FEWEST_ITERATIONS = 4
_SETTLED = 2e-5        # [m] and [rad] a step that changes less is the last
_NEAREST = 0.02        # [m] what is nearer to the camera's centre cannot be projected
_FARTHEST = 100.0      # [m] a depth beyond this is no measurement
_FLATTEST = 0.1        # cosine of ray and normal below which a depth says nothing
_GRAZING = 0.25        # cosine of ray and normal; flatter, a depth says little of the surface
_JUMP = 0.03           # [m] the background is at least this far behind an outline
_EDGE_SIGMA = 1.5      # [px] of where a depth camera sees an outline
_EDGE_REACH = 0.1      # of the image's width, how far an outline is looked for
_FADES = 4.0           # standard deviations, at the end, from which a pixel has no say
_STEP = 0.01           # [m] pixels of a link farther apart in depth are no one surface


@numba.njit(cache=True, nogil=True)
def surface_of(points: np.ndarray, link_id: np.ndarray, stride: int
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the points, normals and links of every `stride`-th row and column inside of the robot.

    Left out is what is less than two pixels from the edge of its link, where a depth camera mixes
    two surfaces, and what the camera sees at a grazing angle.

    :param points: (H, W, 3) float32 [m] camera frame, the rendered robot.
    :param link_id: (H, W) int16, -1 where the robot is not.
    :return: (N, 3), (N, 3) float64, (N,) int64.
    """
    height, width = link_id.shape
    most = (height // stride + 1) * (width // stride + 1)
    out, normals, links = np.empty((most, 3)), np.empty((most, 3)), np.empty(most, np.int64)
    count = 0
    for v in range(2, height - 2, stride):
        for u in range(2, width - 2, stride):
            link = link_id[v, u]
            if link < 0 or link_id[v - 2, u] != link or link_id[v + 2, u] != link \
                    or link_id[v, u - 2] != link or link_id[v, u + 2] != link:
                continue
            p = points[v, u]
            facing, x, y, z = _normal(points[v, u + 1] - points[v, u - 1],
                                      points[v + 1, u] - points[v - 1, u], p)
            if not facing:
                continue
            for k in range(3):
                out[count, k] = p[k]
            normals[count, 0], normals[count, 1], normals[count, 2] = x, y, z
            links[count] = link
            count += 1
    return out[:count], normals[:count], links[:count]


@numba.njit(cache=True, nogil=True)
def surface_of_depth(depth: np.ndarray, pinhole: np.ndarray,
                     stride: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the points and normals that `surface_of` finds in a depth image, as if of one link.

    :param depth: (H, W) float32 [m], NaN unknown.
    :return: (N, 3), (N, 3) float64 [m] camera frame.
    """
    height, width = depth.shape
    most = (height // stride + 1) * (width // stride + 1)
    out, normals = np.empty((most, 3)), np.empty((most, 3))
    here, before, after = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    right, down = np.empty(3, np.float32), np.empty(3, np.float32)
    count = 0
    for v in range(2, height - 2, stride):
        for u in range(2, width - 2, stride):
            if not (np.isfinite(depth[v, u]) and np.isfinite(depth[v - 2, u])
                    and np.isfinite(depth[v + 2, u]) and np.isfinite(depth[v, u - 2])
                    and np.isfinite(depth[v, u + 2])):
                continue
            _back_project(depth, v, u - 1, pinhole, before)
            _back_project(depth, v, u + 1, pinhole, after)
            right[:] = after - before
            _back_project(depth, v - 1, u, pinhole, before)
            _back_project(depth, v + 1, u, pinhole, after)
            down[:] = after - before
            _back_project(depth, v, u, pinhole, here)
            facing, x, y, z = _normal(right, down, here)
            if not facing:
                continue
            out[count] = here
            normals[count, 0], normals[count, 1], normals[count, 2] = x, y, z
            count += 1
    return out[:count], normals[:count]


@numba.njit(cache=True, nogil=True)
def _back_project(depth: np.ndarray, v: int, u: int, pinhole: np.ndarray,
                  out: np.ndarray) -> None:
    """Write the point (3,) [m] that a pixel shows."""
    z = depth[v, u]
    out[0] = (u - pinhole[2]) / pinhole[0] * z
    out[1] = (v - pinhole[3]) / pinhole[1] * z
    out[2] = z


@numba.njit(cache=True, nogil=True)
def _normal(right: np.ndarray, down: np.ndarray,
            p: np.ndarray) -> tuple[bool, float, float, float]:
    """Return whether a surface at p is one and faces the camera, and its normal."""
    if not (abs(right[2]) <= _STEP and abs(down[2]) <= _STEP):     # NaN too
        return False, 0.0, 0.0, 0.0
    x = down[1] * right[2] - down[2] * right[1]
    y = down[2] * right[0] - down[0] * right[2]
    z = down[0] * right[1] - down[1] * right[0]
    length = np.sqrt(x * x + y * y + z * z)
    far = np.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    if length == 0.0 or -(x * p[0] + y * p[1] + z * p[2]) < _GRAZING * length * far:
        return False, 0.0, 0.0, 0.0
    return True, x / length, y / length, z / length


@numba.njit(cache=True, nogil=True)
def outline_of(link_id: np.ndarray, stride: int,
               box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """
    Return every `stride`-th pixel of the robot's outline, and which way is out of it.

    :param link_id: (H, W) int16, -1 where the robot is not.
    :param box: that the robot is in: left, top, width, height [px].
    :return: (N, 2) int64 column and row, (N, 2) float64 unit vectors in the image (u, v).
    """
    height, width = link_id.shape
    left, top, wide, high = box
    most = wide * high // stride + 1
    pixels, away = np.empty((most, 2), np.int64), np.empty((most, 2))
    count, seen = 0, 0
    for v in range(max(top, 3), min(top + high, height - 3)):
        for u in range(max(left, 3), min(left + wide, width - 3)):
            if link_id[v, u] < 0 or (link_id[v - 1, u] >= 0 and link_id[v + 1, u] >= 0
                                     and link_id[v, u - 1] >= 0 and link_id[v, u + 1] >= 0):
                continue
            seen += 1
            if seen % stride:
                continue
            du, dv = 0.0, 0.0
            for i in range(-3, 4):
                for j in range(-3, 4):
                    if link_id[v + i, u + j] < 0:
                        du += j
                        dv += i
            length = np.sqrt(du * du + dv * dv)
            if length < 1.0:
                continue
            pixels[count, 0], pixels[count, 1] = u, v
            away[count, 0], away[count, 1] = du / length, dv / length
            count += 1
    return pixels[:count], away[:count]


@numba.njit(cache=True, nogil=True, error_model='numpy')
def fit_pose(live: np.ndarray, pinhole: np.ndarray, surface: np.ndarray, normals: np.ndarray,
             outline: np.ndarray, away: np.ndarray, start: np.ndarray, center: np.ndarray,
             noise: np.ndarray, prior: np.ndarray, widest: float,
             weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the motion of the robot that the live depth shows, and how well it is known.

    :param live: (H, W) float32 [m], NaN unknown.
    :param pinhole: fx, fy, cx, cy [px].
    :param surface: (N, 3) [m] and normals (N, 3), of `surface_of`.
    :param outline: (M, 3) [m] and `away` (M, 2), of `outline_of`.
    :param start: (3, 4) the motion to begin with, which is also the likeliest beforehand.
    :param center: (3,) [m] of the moved robot, about which it turns further.
    :param noise: (3,) standard deviation of a depth: at any distance [m], what times the distance
        squared is added [1/m], and that of the meshes [m].
    :param prior: (6,) standard deviation of shift [m] and turn [rad] beforehand.
    :param widest: [m] what is off by more has no say.
    :param weights: (2,) independent observations that each of `surface` and `outline` stands for.
    :return: (3, 4) T_seen_rendered in the camera frame, (6, 6) covariance of shift [m] and
        turn [rad] about the center, and what of its inverse comes of the surface, (6, 6).
    """
    width = live.shape[1]
    fx, fy, cx, cy = pinhole
    T = start.copy()
    total, J = np.zeros(6), np.empty(6)
    H, g, of_surface = np.zeros((6, 6)), np.zeros(6), np.zeros((6, 6))
    points, faces = surface.T.copy(), normals.T.copy()
    for step in range(_ITERATIONS):
        H[:], g[:] = 0.0, 0.0
        for k in range(6):
            H[k, k] = 1.0 / prior[k] ** 2
            g[k] = -total[k] / prior[k] ** 2
        limit_now = widest * 0.5 ** step
        at, turned, errors, strength = _compared(live, pinhole, T, points, faces, noise, limit_now,
                                                 weights[0])
        for n in range(len(surface)):
            if strength[n] > 0.0:
                _observe(H, g, J, at[0, n] - center[0], at[1, n] - center[1], at[2, n] - center[2],
                         turned[0, n], turned[1, n], turned[2, n], errors[n], strength[n])
        of_surface[:] = H
        for n in range(len(outline)):
            px, py, pz = _moved(T, outline[n])
            if pz <= _NEAREST:
                continue
            reach = min(max(limit_now * fx / pz, _FADES * _EDGE_SIGMA), _EDGE_REACH * width)
            near = max(limit_now, _FADES * (noise[0] + noise[1] * pz * pz) + 0.01)
            found = _edge(live, fx * px / pz + cx, fy * py / pz + cy, pz, away[n], int(reach), near)
            if not abs(found) < reach:
                continue
            weight = (1 - (found / reach) ** 2) ** 2 / _EDGE_SIGMA ** 2 * weights[1]
            mx, my = away[n, 0] * fx / pz, away[n, 1] * fy / pz
            _observe(H, g, J, px - center[0], py - center[1], pz - center[2], mx, my,
                     -(mx * px + my * py) / pz, found, weight)
        change = np.linalg.solve(H, g)
        turn = _rotation(change[3:])
        T[:, 3] += change[:3]
        for row in range(3):
            T[row, 3] -= center[row]
        T = np.ascontiguousarray(turn @ T)
        for row in range(3):
            T[row, 3] += center[row]
        total += change
        if step >= _FEWEST_ITERATIONS and np.abs(change).max() < _SETTLED:
            break
    for k in range(6):
        of_surface[k, k] -= 1.0 / prior[k] ** 2
    return T, np.linalg.inv(H), of_surface


@numba.njit(cache=True, nogil=True, error_model='numpy')
def _compared(live: np.ndarray, pinhole: np.ndarray, T: np.ndarray, points: np.ndarray,
              faces: np.ndarray, noise: np.ndarray, widest: float, share: float
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Compare moved points (3, N) with the depth, in loops that compute many of them at a time.

    :param faces: (3, N) their normals.
    :param share: independent observations that each stands for.
    :return: where they are and their normals there, each (3, N), how much farther the depth is
        along these (N,) [m], and its weight (N,).
    """
    height, width = live.shape
    fx, fy, cx, cy = pinhole
    count = points.shape[1]
    flat, place, seen = live.reshape(-1), np.empty(count, np.int32), np.empty(count)
    at, turned, rays = np.empty((3, count)), np.empty((3, count)), np.empty((2, count))
    errors, strength = np.empty(count), np.empty(count)
    for n in range(count):
        x, y, z = _moved(T, (points[0, n], points[1, n], points[2, n]))
        u, v = np.floor(fx * x / z + cx + 0.5), np.floor(fy * y / z + cy + 0.5)
        inside = (z > _NEAREST) & (0 <= u) & (u < width) & (0 <= v) & (v < height)
        place[n] = np.int32(v) * np.int32(width) + np.int32(u) if inside else -1
        at[0, n], at[1, n], at[2, n] = x, y, z
        rays[0, n], rays[1, n] = (u - cx) / fx, (v - cy) / fy
    for n in range(count):
        seen[n] = flat[place[n]] if place[n] >= 0 else 0.0
    for n in range(count):
        x, y, z, far = rays[0, n], rays[1, n], at[2, n], seen[n]
        mx, my, mz = _turned(T, (faces[0, n], faces[1, n], faces[2, n]))
        along, depth_sigma = mx * x + my * y + mz, noise[0] + noise[1] * z * z
        sigma = np.sqrt((depth_sigma * along) ** 2 + noise[2] ** 2)
        error = mx * (x * far - at[0, n]) + my * (y * far - at[1, n]) + mz * (far - z)
        limit = max(widest, _FADES * sigma)
        counts = (far > 0.0) & (far < _FARTHEST) & (abs(along) >= _FLATTEST) & (abs(error) < limit)
        weight = (1 - (error / limit) ** 2) ** 2 / sigma ** 2 * share
        turned[0, n], turned[1, n], turned[2, n], errors[n] = mx, my, mz, error
        strength[n] = weight if counts else 0.0
    return at, turned, errors, strength


@numba.njit(cache=True, nogil=True, inline='always')
def _moved(T: np.ndarray, p: np.ndarray) -> tuple[float, float, float]:
    return (T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3],
            T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3],
            T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3])


@numba.njit(cache=True, nogil=True, inline='always')
def _turned(T: np.ndarray, p: np.ndarray) -> tuple[float, float, float]:
    return (T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2],
            T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2],
            T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2])


@numba.njit(cache=True, nogil=True)
def _observe(H: np.ndarray, g: np.ndarray, J: np.ndarray, rx: float, ry: float, rz: float,
             mx: float, my: float, mz: float, error: float, weight: float) -> None:
    """Add to the normal equations that a point at r from the center is `error` along m away."""
    J[0], J[1], J[2] = mx, my, mz
    J[3], J[4], J[5] = ry * mz - rz * my, rz * mx - rx * mz, rx * my - ry * mx
    for i in range(6):
        g[i] += weight * J[i] * error
        for j in range(6):
            H[i, j] += weight * J[i] * J[j]


@numba.njit(cache=True, nogil=True)
def _edge(live: np.ndarray, u: float, v: float, z: float, away: np.ndarray, reach: int,
          near: float) -> float:
    """
    Return how far out of a rendered outline the measured one is [px], NaN where there is none.

    It is where going outward the depth is that of the robot, to `near`, for the last time before
    it jumps back; of several the one closest by. Holes between the two are the robot's to half.
    """
    best, last = np.nan, -1000
    for s in range(-reach - 1, reach + 2):
        column, row = int(np.round(u + s * away[0])), int(np.round(v + s * away[1]))
        if not (0 <= column < live.shape[1] and 0 <= row < live.shape[0]):
            continue
        measured = live[row, column]
        if not 0.0 < measured < _FARTHEST:
            continue
        if abs(measured - z) < near:
            last = s
        elif measured > z + near + _JUMP:
            if s - last <= 4:
                at = (s - 1 + last) / 2
                if not abs(at) >= abs(best):
                    best = at
            last = -1000
        elif measured < z - near:
            last = -1000
    return best


@numba.njit(cache=True, nogil=True)
def _rotation(w: np.ndarray) -> np.ndarray:
    """Return the rotation by a vector [rad], Rodrigues."""
    angle = np.sqrt((w * w).sum())
    K = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    if angle < 1e-9:
        return np.eye(3) + K
    return np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle ** 2 * (K @ K)


@numba.njit(cache=True, nogil=True)
def count_pixels(live: np.ndarray, pinhole: np.ndarray, surface: np.ndarray, links: np.ndarray,
                 T: np.ndarray, noise: np.ndarray, slack: float, link_count: int) -> np.ndarray:
    """
    Count for each link what the live depth shows where the robot should be, moved by T (3, 4).

    :param slack: [m] a depth that differs by less, beyond what the noise explains, agrees.
    :return: (L, 4) int64 pixels that agree, are nearer, are farther, have no depth.
    """
    height, width = live.shape
    fx, fy, cx, cy = pinhole
    counts = np.zeros((link_count, 4), np.int64)
    for n in range(len(surface)):
        px, py, pz = _moved(T, surface[n])
        if pz <= _NEAREST:
            continue
        u, v = int(np.floor(fx * px / pz + cx + 0.5)), int(np.floor(fy * py / pz + cy + 0.5))
        if not (0 <= u < width and 0 <= v < height):
            continue
        z = live[v, u]
        tolerance = slack + 3.0 * (noise[0] + noise[1] * pz * pz)
        what = 0
        if not 0.0 < z < _FARTHEST:
            what = 3
        elif z < pz - tolerance:
            what = 1
        elif z > pz + tolerance:
            what = 2
        counts[links[n], what] += 1
    return counts
