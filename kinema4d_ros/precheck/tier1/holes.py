# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pieces of hidden space in which something has room.

Real depth has holes at every edge, many of them connected, but hardly one in which a cube of 4 cm
has room twice.
"""
from __future__ import annotations

import math

import numba
import numpy as np

WIDTH = 0.04       # [m] of a cube; what is narrower hides in the holes that real depth has


def wide_pieces(hidden: np.ndarray, swept: np.ndarray, voxel: float, volume: float) -> np.ndarray:
    """
    Return the swept voxels of hidden space in which something has room, (X, Y, Z) bool.

    They are those within cubes of `WIDTH` that are wholly hidden, in connected pieces of which
    more than a volume is swept.

    :param hidden: (X, Y, Z) bool, what nobody vouches for.
    :param swept: (X, Y, Z) bool, what the robot goes through.
    :param voxel: [m].
    :param volume: [m^3].
    """
    least = int(min(volume / voxel ** 3 + 1e-6, hidden.size))
    places = np.argwhere(hidden & swept)
    found = np.zeros(hidden.shape, np.bool_)
    if len(places) > least:
        _roomy(hidden, places, max(1, math.ceil(WIDTH / voxel - 1e-6)), found)
        _larger(found, places, least)
    return found


@numba.njit(cache=True, nogil=True)
def _roomy(hidden: np.ndarray, places: np.ndarray, side: int, found: np.ndarray) -> None:
    """Mark the places (N, 3) that are in a cube of `side` voxels which is wholly hidden."""
    nx, ny, nz = hidden.shape
    for x, y, z in places:
        for i in range(max(x - side + 1, 0), min(x, nx - side) + 1):
            for j in range(max(y - side + 1, 0), min(y, ny - side) + 1):
                for k in range(max(z - side + 1, 0), min(z, nz - side) + 1):
                    whole = True
                    for n in range(side ** 3):
                        whole &= hidden[i + n // side ** 2, j + n // side % side, k + n % side]
                    if whole:
                        found[x, y, z] = True


@numba.njit(cache=True, nogil=True)
def _larger(found: np.ndarray, places: np.ndarray, least: int) -> None:
    """Take those marks off places (N, 3) that are in connected pieces of no more than `least`."""
    nx, ny, nz = found.shape
    left, piece = found.copy(), np.empty(places.shape, np.int64)
    for start in places:
        if not left[start[0], start[1], start[2]]:
            continue
        left[start[0], start[1], start[2]] = False
        piece[0] = start
        done, size = 0, 1
        while done < size:
            x, y, z = piece[done]
            done += 1
            for a in range(max(x - 1, 0), min(x + 2, nx)):
                for b in range(max(y - 1, 0), min(y + 2, ny)):
                    for c in range(max(z - 1, 0), min(z + 2, nz)):
                        if left[a, b, c]:
                            left[a, b, c] = False
                            piece[size, 0], piece[size, 1], piece[size, 2] = a, b, c
                            size += 1
        if size <= least:
            for x, y, z in piece[:size]:
                found[x, y, z] = False
