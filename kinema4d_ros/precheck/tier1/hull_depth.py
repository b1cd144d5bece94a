# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How deep the points of a scene come into a convex hull that moves."""
from __future__ import annotations

import numba
import numpy as np

from kinema4d_ros.foresight.hull import depth_in, GRID
from kinema4d_ros.scene import ScenePoints


def deepest_points(scene: ScenePoints, planes: np.ndarray, ball: tuple[np.ndarray, float],
                   poses: np.ndarray, before: np.ndarray, gone: np.ndarray,
                   frames: np.ndarray, least_height: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return how deep the deepest point is at each of M poses, (M,) [m], and which it is, (M,) int.

    Of points that are inside at first only counts how much deeper they go; negative is inside.

    :param planes: (F, 4) of the hull as it was made; `ball`: middle and radius of a ball around it.
    :param poses: (M, 4, 4) how it has moved since, and `before` (4, 4) at first.
    :param gone: (N,) frame from which each point of the scene is no longer there.
    :param frames: (M,) of the poses.
    :param least_height: (M,) [m] below which points do not count.
    :return: inf and -1 where no point is in the ball.
    """
    middle, radius = ball
    points = scene.points_base
    middles = np.concatenate([before[None], poses]) @ np.r_[middle, 1.0]
    near = scene.cubes.within(middles[:, :3].min(0) - radius, middles[:, :3].max(0) + radius)
    close = points[near].astype(np.float64)
    at_first = np.zeros(len(near))
    around = np.linalg.norm(close - middles[0, :3], axis=1) <= radius
    depth = depth_in(close[around], planes, before)
    at_first[around] = np.where(depth <= GRID, np.minimum(depth, -GRID), 0.0)
    distance, index = _deepest(close, at_first, gone[near], planes, middles[1:], radius, poses,
                               frames, least_height)
    found = index >= 0
    index[found] = near[index[found]]
    return distance, index


@numba.njit(cache=True, nogil=True)
def _deepest(points: np.ndarray, at_first: np.ndarray, gone: np.ndarray, planes: np.ndarray,
             middles: np.ndarray, radius: float, poses: np.ndarray, frames: np.ndarray,
             least_height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance, index = np.full(len(poses), np.inf), np.full(len(poses), -1)
    for m in range(len(poses)):
        T, middle = poses[m], middles[m]
        for n in range(len(points)):
            dx, dy, dz = (points[n, 0] - middle[0], points[n, 1] - middle[1],
                          points[n, 2] - middle[2])
            if dx * dx + dy * dy + dz * dz > radius * radius or frames[m] >= gone[n] \
                    or points[n, 2] <= least_height[m]:
                continue
            x, y, z = (points[n, 0] - T[0, 3], points[n, 1] - T[1, 3], points[n, 2] - T[2, 3])
            a = x * T[0, 0] + y * T[1, 0] + z * T[2, 0]
            b = x * T[0, 1] + y * T[1, 1] + z * T[2, 1]
            c = x * T[0, 2] + y * T[1, 2] + z * T[2, 2]
            depth = -np.inf
            for plane in planes:
                depth = max(depth, a * plane[0] + b * plane[1] + c * plane[2] + plane[3])
                if depth - at_first[n] >= distance[m]:
                    break
            if depth - at_first[n] < distance[m]:
                distance[m], index[m] = depth - at_first[n], n
    return distance, index
