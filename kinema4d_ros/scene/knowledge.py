# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera knows of a place: seen, remembered, or why it is not known."""
from __future__ import annotations

import enum

import numba
import numpy as np


class Knowledge(enum.IntEnum):
    """What is known of a place; what is above REMEMBERED is not known, for a reason."""

    SEEN = 0           # looked through, or the surface that was seen
    REMEMBERED = 1     # seen before the robot came in front of it, not too long ago
    OUTSIDE = 2        # not in the camera's view
    BEHIND_ROBOT = 3   # hidden by the robot, and never seen
    TOO_OLD = 4        # hidden by the robot, and seen too long ago
    BEHIND = 5         # hidden by something
    NOT_MEASURED = 6   # in view, and no distance was measured
    DISPUTED = 7       # known to one camera only, which contradicts another


def aged(found: np.ndarray, age: np.ndarray, late: float,
         memory_age: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what is known of what was seen this long ago.

    :param found: (N,) uint8 of `Knowledge`, and `age` (N,) [s], 0 where it was seen.
    :param late: [s] since.
    :param memory_age: [s] after which it is not known any more.
    """
    seen = found == Knowledge.SEEN
    now = Knowledge.REMEMBERED if late <= memory_age else Knowledge.TOO_OLD
    return (np.where(seen, np.uint8(now), found),
            np.where(seen, np.float32(late), age).astype(np.float32))


@numba.njit(cache=True, nogil=True)
def join(found: np.ndarray, age: np.ndarray, at: np.ndarray, other: np.ndarray,
         other_age: np.ndarray) -> None:
    """
    Add to what is known of points (N,), and how old that is [s], what another knows of some.

    What one of them knows is known. Otherwise the reason that speaks most of an obstacle stays.

    :param at: (M,) which points the other (M,) is about.
    """
    for m in range(len(at)):
        n = at[m]
        one, two = found[n], other[m]
        whole = min(one, two) if min(one, two) <= 1 else max(one, two)
        old, its = age[n], other_age[m]
        if one == two:
            age[n] = old if old < its or old != old else its      # NaN stays
        elif whole != one:
            age[n] = its
        found[n] = whole


@numba.njit(cache=True, nogil=True, error_model='numpy')
def places_of(points_base: np.ndarray, T_camera_base: np.ndarray, pinhole: np.ndarray, width: int,
              height: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return at which pixels a camera sees points (N, 3) float64 [m], and how far they are along z.

    :param pinhole: fx, fy, cx, cy [px].
    :return: (N,) int32 of the flat image, -1 outside of it; (N,) float64 [m].
    """
    places, distance = np.empty(len(points_base), np.int32), np.empty(len(points_base))
    T = T_camera_base
    fx, fy, cx, cy = pinhole
    xs, ys, zs = points_base.T.copy()      # each on its own: many are computed at a time
    for n in range(len(points_base)):
        x, y, z = xs[n], ys[n], zs[n]
        far = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
        u = (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]) / far * fx + cx
        v = (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]) / far * fy + cy
        inside = (far > 0.0) & (-0.5 <= u) & (u < width - 0.5) & (-0.5 <= v) & (v < height - 0.5)
        at = np.int32(np.floor(v + 0.5)) * np.int32(width) + np.int32(np.floor(u + 0.5))
        places[n], distance[n] = at if inside else -1, far
    return places, distance


@numba.njit(cache=True, nogil=True)
def knowledge(places: np.ndarray, distance: np.ndarray, seen_to: np.ndarray,
              remembered: np.ndarray, stale: np.ndarray, hidden: np.ndarray, age: np.ndarray,
              tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what one camera knows of points, as `places_of` has them: (N,) uint8, age (N,) float32.

    :param seen_to: (N,) float32 [m] to the surface that the camera sees now, the robot's too.
    :param remembered: (H, W) float32 [m] of the scene behind the robot, young enough to go by.
    :param stale: the same, too old.
    :param hidden: (H, W) bool, the robot.
    :param age: (H, W) float32 [s] of what is remembered.
    :param tolerance: [m] behind a surface that still counts as the surface.
    """
    found, old = np.zeros(len(places), np.uint8), np.zeros(len(places), np.float32)
    # Places in flat images, without a division to find row and column.
    young, before, robot, ages = (remembered.reshape(-1), stale.reshape(-1), hidden.reshape(-1),
                                  age.reshape(-1))
    for n in range(len(places)):
        at = places[n]
        if at < 0:
            found[n] = 2
            continue
        far, seen = distance[n], seen_to[n]
        # NaN compares false: what was not measured is not seen.
        if far <= seen + tolerance:
            continue
        if far <= young[at] + tolerance:
            found[n], old[n] = 1, ages[at]
        elif seen != seen:
            found[n] = 6
        elif not robot[at]:
            found[n] = 5
        elif far <= before[at] + tolerance:
            found[n], old[n] = 4, ages[at]
        elif young[at] == young[at] or before[at] == before[at]:
            found[n] = 5      # behind what was seen there before the robot came
        else:
            found[n] = 3
    return found, old
