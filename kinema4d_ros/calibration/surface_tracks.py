# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What points that are followed on the robot say of the camera.

A point that is followed lies on the link that is drawn where it is seen. Where exactly is not
known, but that it lies on the surface is, so that its images are of a known motion of a nearly
known point: PnP and bundle adjustment in one. The point itself is eliminated (Schur complement;
Triggs and others 2000): normal equations of the camera alone are left, beside those of the outline.
"""
from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from kinema4d_ros.calibration.point_tracks import PointTracks

_RIM = 4               # [px] from the rim of a drawn link, where what is seen may be behind it
_DEEP = 0.02           # [m] within these pixels
_FEWEST = 3            # images of a point
_MOVES = 0.01          # [m] a point that its joints move less says nothing
_NEAREST = 0.02        # [m] what is nearer to the camera's centre cannot be projected
_SURFACE_SIGMA = 0.003     # [m] of the meshes
_ANYWHERE = 0.1        # [m] along the surface, so that each point can be solved for
_PIXEL_SIGMA = 0.7     # [px] of a point in one image
_SLIDE_SIGMA = 0.2     # [px] an image away from where it was found on the robot
_SAME = 1.0            # images of one point that err together count as one


@dataclass(frozen=True, eq=False)
class SurfaceTracks:
    """Points on the robot as it is drawn in one image, and all images of them."""

    point: np.ndarray      # (K, 3) [m] and
    normal: np.ndarray     # (K, 3), in the frame of its link
    start: np.ndarray      # (K + 1,) int64, rows of each point below
    pixel: np.ndarray      # (M, 2) where it is seen
    T_camera_link: np.ndarray    # (M, 3, 4) where its link is then, in the camera as drawn
    sigma: np.ndarray      # (M,) [px]
    errors: np.ndarray     # (K,) [px] root mean square, filled by `add_tracks`

    def __len__(self) -> int:
        """Count the points."""
        return len(self.point)


def rows_at(tracks: PointTracks, frames: np.ndarray) -> list[np.ndarray]:
    """
    Return the rows of tracks that are looked at in each of some frames.

    Each track is looked at once, in that frame that is nearest to its middle.

    :param frames: (F,) rising, of those that points are followed in.
    """
    begin = np.flatnonzero(np.r_[True, tracks.track[1:] != tracks.track[:-1]])
    count = np.diff(np.r_[begin, len(tracks.track)])
    middle = tracks.frame[begin] + (count - 1) / 2
    nearest = np.abs(middle[:, None] - frames).argmin(axis=1)
    row = begin + frames[nearest] - tracks.frame[begin]
    good = (count >= _FEWEST) & (row >= begin) & (row < begin + count)
    return [row[good & (nearest == k)] for k in range(len(frames))]


def on_surface(rows: np.ndarray, tracks: PointTracks, pointmap: np.ndarray, link_id: np.ndarray,
               T_camera_link: np.ndarray) -> SurfaceTracks:
    """
    Lay points on the robot that is drawn where they are seen.

    :param rows: (R,) of tracks, all of one frame, whose robot is drawn in `pointmap` (H, W, 3)
        and `link_id` (H, W).
    :param T_camera_link: (N, L, 4, 4) of all frames.
    """
    height, width = link_id.shape
    pixel = np.round(tracks.pixel[rows]).astype(int)
    inside = (pixel >= _RIM).all(axis=1) & (pixel[:, 0] < width - _RIM) \
        & (pixel[:, 1] < height - _RIM)
    points, normals, start, seen, where, sigma = [], [], [0], [], [], []
    for row, (u, v) in zip(rows[inside], pixel[inside]):
        around = link_id[v - _RIM:v + _RIM + 1, u - _RIM:u + _RIM + 1]
        link = int(around[_RIM, _RIM])
        if link < 0 or (around != link).any():
            continue
        patch = pointmap[v - 1:v + 2, u - 1:u + 2].astype(np.float64)
        normal = np.cross(patch[1, 2] - patch[1, 0], patch[2, 1] - patch[0, 1])
        size = float(np.linalg.norm(normal))
        if not size > 0 or np.ptp(patch[..., 2]) > _DEEP:
            continue
        track = tracks.track[row]
        first, last = np.searchsorted(tracks.track, (track, track + 1))
        frames = tracks.frame[first:last]
        T = T_camera_link[frames, link]
        here = T[row - first]
        ray = np.r_[tracks.pixel[row] - (u, v), 0.0]
        shift = ray[0] * (patch[1, 2] - patch[1, 0]) / 2 + ray[1] * (patch[2, 1] - patch[0, 1]) / 2
        point = here[:3, :3].T @ (patch[1, 1] + shift - here[:3, 3])
        way = T[:, :3, :3] @ point + T[:, :3, 3]
        if np.linalg.norm(way - way[row - first], axis=1).max() < _MOVES:
            continue
        points.append(point)
        normals.append(here[:3, :3].T @ normal / size)
        start.append(start[-1] + len(frames))
        seen.append(tracks.pixel[first:last])
        where.append(T[:, :3])
        sigma.append(np.hypot(_PIXEL_SIGMA, _SLIDE_SIGMA * (frames - tracks.frame[row])))
    if not points:
        return SurfaceTracks(np.empty((0, 3)), np.empty((0, 3)), np.zeros(1, np.int64),
                             np.empty((0, 2)), np.empty((0, 3, 4)), np.empty(0), np.empty(0))
    return SurfaceTracks(np.array(points), np.array(normals), np.array(start),
                         np.concatenate(seen), np.ascontiguousarray(np.concatenate(where)),
                         np.concatenate(sigma), np.full(len(points), np.nan))


@numba.njit(cache=True, nogil=True)
def _observe(T: np.ndarray, X: np.ndarray, motion: np.ndarray, center: np.ndarray,
             pinhole: np.ndarray, seen: np.ndarray, J: np.ndarray, K: np.ndarray,
             e: np.ndarray) -> bool:
    """
    Fill derivatives by the camera J (2, 8) and by the point K (2, 3), and the error e (2,) [px].

    :return: whether it can be projected.
    """
    fx, fy, cx, cy = pinhole
    R, p = np.zeros((3, 3)), np.zeros(3)
    for i in range(3):
        p[i] = motion[i, 3]
        for k in range(3):
            p[i] += motion[i, k] * T[k, 3]
            for j in range(3):
                R[i, j] += motion[i, k] * T[k, j]
        for j in range(3):
            p[i] += R[i, j] * X[j]
    if p[2] <= _NEAREST:
        return False
    u, v = fx * p[0] / p[2] + cx, fy * p[1] / p[2] + cy
    e[0], e[1] = seen[0] - u, seen[1] - v
    r = p - center
    for i in range(2):
        m = np.zeros(3)
        m[i] = (fx if i == 0 else fy) / p[2]
        m[2] = -m[i] * p[i] / p[2]
        J[i, 0], J[i, 1], J[i, 2] = m[0], m[1], m[2]
        J[i, 3] = r[1] * m[2] - r[2] * m[1]
        J[i, 4] = r[2] * m[0] - r[0] * m[2]
        J[i, 5] = r[0] * m[1] - r[1] * m[0]
        J[i, 6] = u - cx if i == 0 else v - cy
        J[i, 7] = 0.0
        for j in range(3):
            K[i, j] = m[0] * R[0, j] + m[1] * R[1, j] + m[2] * R[2, j]
    return True


@numba.njit(cache=True, nogil=True)
def add_tracks(H: np.ndarray, g: np.ndarray, points: np.ndarray, normals: np.ndarray,
               start: np.ndarray, pixels: np.ndarray, T_camera_link: np.ndarray,
               sigmas: np.ndarray, pinhole: np.ndarray, motion: np.ndarray, center: np.ndarray,
               limit: float, errors: np.ndarray) -> None:
    """
    Add what points that are followed say.

    :param motion: (3, 4) of the rendered robot so far; :param center: (3,) moved with it.
    :param limit: [px] a point that is off by more, where it fits best, has no say.
    :param errors: (K,) filled with how far it is off [px], root mean square of its images.
    """
    J, K, e = np.zeros((2, 8)), np.zeros((2, 3)), np.zeros(2)
    for n in range(len(points)):
        H_own, g_own = np.zeros((8, 8)), np.zeros(8)
        A, B, b = np.zeros((3, 3)), np.zeros((3, 8)), np.zeros(3)
        for i in range(3):
            A[i, i] = 1 / _ANYWHERE ** 2
            for j in range(3):
                A[i, j] += normals[n, i] * normals[n, j] / _SURFACE_SIGMA ** 2
        errors[n] = np.nan
        square, weights, whole = 0.0, 0.0, True
        for m in range(start[n], start[n + 1]):
            if not _observe(T_camera_link[m], points[n], motion, center, pinhole, pixels[m], J, K,
                            e):
                whole = False
                break
            w = 1 / sigmas[m] ** 2
            A += w * (K.T @ K)
            B += w * (K.T @ J)
            b += w * (K.T @ e)
            H_own += w * (J.T @ J)
            g_own += w * (J.T @ e)
            square += w * (e @ e)
            weights += w
        if not whole:
            continue
        shift = np.linalg.solve(A, b)
        left = square - float(b @ shift)
        errors[n] = np.sqrt(max(left, 0.0) / weights)
        if errors[n] >= limit:
            continue
        w = (1 - (errors[n] / limit) ** 2) ** 2 / _SAME
        S = np.linalg.solve(A, B)
        H[:, :] += w * (H_own - B.T @ S)
        g[:] += w * (g_own - B.T @ shift)
