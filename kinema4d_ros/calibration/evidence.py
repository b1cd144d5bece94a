# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What one frame says of the camera, added up to normal equations over all frames.

Eight unknowns: shift and turn of the robot in the camera frame about a centre, the logarithm of the
focal length, and by how many pixels outlines are seen outside of where they are drawn, which lens,
filter and meshes do a little. Weights fade to nothing for what does not fit (Tukey's), so that
cables, held things and shadows have no say once the rest fits.
"""
from __future__ import annotations

import numba
import numpy as np

_NEAREST = 0.02        # [m] what is nearer to the camera's centre cannot be projected
_FLATTEST = 0.15       # cosine of ray and normal below which a depth says nothing
_STEP = 0.5            # [px] between samples across an outline
_WIDE = 3.0            # [px] on each side of an outline that are looked at
_CONTRAST = 0.5        # of what is certainly foreground, inside against outside


@numba.njit(cache=True, nogil=True, inline='always')
def _at(values: np.ndarray, u: float, v: float) -> float:
    """Return the value between pixels, bilinear, NaN outside."""
    height, width = values.shape
    if not (0.0 <= u < width - 1 and 0.0 <= v < height - 1):
        return np.nan
    i, j = int(v), int(u)
    a, b = v - i, u - j
    return ((1 - a) * ((1 - b) * values[i, j] + b * values[i, j + 1])
            + a * ((1 - b) * values[i + 1, j] + b * values[i + 1, j + 1]))


@numba.njit(cache=True, nogil=True)
def crossing(values: np.ndarray, u: float, v: float, du: float, dv: float, reach: float,
             threshold: float, profile: np.ndarray) -> float:
    """
    Return where, going outward, foreground ends [px] from (u, v); NaN where it does not.

    Of several places the one with the clearest step counts, near ones before far ones; there, it
    is where the value is halfway between inside and outside.

    :param values: (H, W) float32, how much each pixel differs from the background, NaN unknown.
    :param threshold: what differs by more is foreground.
    :param profile: memory for 2 (reach + _WIDE) / _STEP + 1 samples.
    """
    half = int(_WIDE / _STEP)
    steps = int(reach / _STEP)
    count = 2 * (steps + half) + 1
    for i in range(count):
        s = (i - steps - half) * _STEP
        profile[i] = _at(values, u + s * du, v + s * dv)
    best, best_score = -1, 0.0
    for i in range(half, count - half):
        inside, outside = 0.0, 0.0
        for k in range(1, half + 1):
            inside += min(profile[i - k] / (2 * threshold), 1.0)
            outside += min(profile[i + k] / (2 * threshold), 1.0)
        contrast = (inside - outside) / half
        if not contrast > _CONTRAST:       # NaN too
            continue
        s = (i - steps - half) * _STEP
        score = contrast - 0.5 * (s / max(reach, 1.0)) ** 2
        if score > best_score:
            best, best_score = i, score
    if best < 0:
        return np.nan
    inside, outside = 0.0, 0.0
    for k in range(half // 2, half + 1):
        inside += profile[best - k]
        outside += profile[best + k]
    level = (inside + outside) / 2 / (half // 2 + 2 if half % 2 else half // 2 + 1)
    found, nearest = np.nan, 1e9
    for i in range(best - half, best + half):
        if profile[i] >= level > profile[i + 1]:
            at = i + (profile[i] - level) / (profile[i] - profile[i + 1])
            if abs(at - best) < nearest:
                found, nearest = (at - steps - half) * _STEP, abs(at - best)
    return found


@numba.njit(cache=True, nogil=True)
def rendered_crossings(mask: np.ndarray, pixels: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Return where the outline of a rendered mask (H, W) float32 0/1 lies [px], (M,)."""
    out, profile = np.empty(len(pixels)), np.empty(64)
    for n in range(len(pixels)):
        out[n] = crossing(mask, float(pixels[n, 0]), float(pixels[n, 1]), away[n, 0], away[n, 1],
                          2.0, 0.5, profile)
    return out


@numba.njit(cache=True, nogil=True)
def add_outline(H: np.ndarray, g: np.ndarray, values: np.ndarray, threshold: float,
                pinhole: np.ndarray, points: np.ndarray, away: np.ndarray, expected: np.ndarray,
                T: np.ndarray, center: np.ndarray, wider: float, reach: float, limit: float,
                weight: float, errors: np.ndarray) -> None:
    """
    Add what the outline says.

    :param points: (M, 3) [m] and `away` (M, 2), the rendered outline; `expected` (M,) [px].
    :param T: (3, 4) motion of the rendered robot so far; :param center: (3,) moved with it.
    :param limit: [px] what is off by more has no say.
    :param weight: of one sample, 1 / variance [1/px2].
    :param errors: (M,) filled with what is off [px], NaN where nothing was found.
    """
    fx, fy, cx, cy = pinhole
    profile = np.empty(int(2 * (reach + _WIDE) / _STEP) + 8)
    J = np.zeros(8)
    for n in range(len(points)):
        errors[n] = np.nan
        p = points[n]
        x = T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3]
        y = T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3]
        z = T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3]
        if z <= _NEAREST or not expected[n] == expected[n]:
            continue
        u, v = fx * x / z + cx, fy * y / z + cy
        found = crossing(values, u, v, away[n, 0], away[n, 1], reach, threshold, profile)
        error = found - expected[n] - wider
        errors[n] = error
        if not abs(error) < limit:
            continue
        mx, my = away[n, 0] * fx / z, away[n, 1] * fy / z
        mz = -(mx * x + my * y) / z
        rx, ry, rz = x - center[0], y - center[1], z - center[2]
        J[0], J[1], J[2] = mx, my, mz
        J[3], J[4], J[5] = ry * mz - rz * my, rz * mx - rx * mz, rx * my - ry * mx
        J[6] = away[n, 0] * (u - cx) + away[n, 1] * (v - cy)
        J[7] = 1.0
        w = weight * (1 - (error / limit) ** 2) ** 2
        for i in range(8):
            g[i] += w * J[i] * error
            for j in range(8):
                H[i, j] += w * J[i] * J[j]


@numba.njit(cache=True, nogil=True)
def add_surface(H: np.ndarray, g: np.ndarray, depth: np.ndarray, pinhole: np.ndarray,
                points: np.ndarray, normals: np.ndarray, T: np.ndarray, center: np.ndarray,
                noise: np.ndarray, limit: float, weight: float, errors: np.ndarray) -> None:
    """
    Add what the depth says, along the surface's normals.

    :param depth: (H, W) float32 [m], NaN unknown.
    :param points: (N, 3) [m] and `normals` (N, 3) of the rendered robot.
    :param noise: (3,) of `DepthNoise`: standard deviation at any distance [m], times the distance
        squared [1/m], and of the meshes [m].
    :param limit: [m] what is off by more has no say.
    :param weight: independent observations that each sample stands for.
    :param errors: (N,) filled with what is off [m], NaN where there is no depth.
    """
    fx, fy, cx, cy = pinhole
    height, width = depth.shape
    J = np.zeros(8)
    for n in range(len(points)):
        errors[n] = np.nan
        p, m = points[n], normals[n]
        x = T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3]
        y = T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3]
        z = T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3]
        if z <= _NEAREST:
            continue
        u, v = int(np.floor(fx * x / z + cx + 0.5)), int(np.floor(fy * y / z + cy + 0.5))
        if not (0 <= u < width and 0 <= v < height):
            continue
        measured = depth[v, u]
        if not 0.0 < measured < 100.0:
            continue
        mx = T[0, 0] * m[0] + T[0, 1] * m[1] + T[0, 2] * m[2]
        my = T[1, 0] * m[0] + T[1, 1] * m[1] + T[1, 2] * m[2]
        mz = T[2, 0] * m[0] + T[2, 1] * m[1] + T[2, 2] * m[2]
        ray_x, ray_y = (u - cx) / fx, (v - cy) / fy
        along = mx * ray_x + my * ray_y + mz
        if abs(along) < _FLATTEST:
            continue
        error = mx * (ray_x * measured - x) + my * (ray_y * measured - y) + mz * (measured - z)
        errors[n] = error
        if abs(error) >= limit:
            continue
        sigma = np.sqrt(((noise[0] + noise[1] * z * z) * along) ** 2 + noise[2] ** 2)
        rx, ry, rz = x - center[0], y - center[1], z - center[2]
        J[0], J[1], J[2] = mx, my, mz
        J[3], J[4], J[5] = ry * mz - rz * my, rz * mx - rx * mz, rx * my - ry * mx
        J[6] = measured * (mx * ray_x + my * ray_y)      # a longer lens makes the measured smaller
        w = weight / sigma ** 2 * (1 - (error / limit) ** 2) ** 2
        for i in range(8):
            g[i] += w * J[i] * error
            for j in range(8):
                H[i, j] += w * J[i] * J[j]
