# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What could be in the robot's shadow: things stand, hang, or reach out from beside it.

Nothing floats. A shadow falls obliquely from the robot, so much of it is high above the next place
that nobody sees: what stood there would show below the shadow, and what hung there above it. Where
that shows no depth, the camera has a hole there, which is unknown for another reason.
"""
from __future__ import annotations

import numba
import numpy as np

from kinema4d_ros.scene import Knowledge

#: what is unknown only since the robot hides it
SHADOW = (Knowledge.BEHIND_ROBOT, Knowledge.TOO_OLD)
BESIDE = 0.06      # [m] so far something may reach into the shadow that is not held there
_KNOWN, _HIDDEN, _OLD = (np.uint8(each) for each in (Knowledge.REMEMBERED, *SHADOW))


def could_hold_something(knowledge: np.ndarray, voxel: float, where: np.ndarray) -> np.ndarray:
    """
    Return in which of some voxels that the robot hides something could be, (X, Y, Z) bool.

    It could

    * stand, where unknown space leads down to what is unknown for another reason, or out of the
      grid, leaning by no more than 45 degrees;
    * hang, where unknown space leads there straight up;
    * reach out from what is unknown for another reason, within `BESIDE`.

    :param knowledge: (X, Y, Z) uint8 of `Knowledge`, of all voxels; the third axis is up.
    :param voxel: [m].
    :param where: (X, Y, Z) bool.
    """
    found: np.ndarray = where & _stand_or_hang(np.ascontiguousarray(knowledge))
    near = int(BESIDE / voxel + 1e-6)
    _reached(knowledge, np.argwhere(where & ~found), near, (BESIDE / voxel + 1e-6) ** 2, found)
    return found


@numba.njit(cache=True, nogil=True)
def _stand_or_hang(knowledge: np.ndarray) -> np.ndarray:
    """Return the unknown voxels in which things could stand or hang, (X, Y, Z) bool."""
    nx, ny, nz = knowledge.shape
    stands = np.zeros((nx, ny, nz), np.bool_)
    hangs = np.zeros((nx, ny, nz), np.bool_)
    for i in range(nx):
        for j in range(ny):
            edge = i == 0 or j == 0 or i == nx - 1 or j == ny - 1
            above = True
            for k in range(nz - 1, -1, -1):
                why = knowledge[i, j, k]
                if why <= _KNOWN:
                    above = False
                    continue
                other = why != _HIDDEN and why != _OLD
                above = above or other
                hangs[i, j, k] = above
                stands[i, j, k] = other or edge or k == 0
    for k in range(1, nz):
        for i in range(1, nx - 1):
            for j in range(1, ny - 1):
                if knowledge[i, j, k] > _KNOWN and not stands[i, j, k]:
                    for a in range(-1, 2):
                        for b in range(-1, 2):
                            if stands[i + a, j + b, k - 1]:
                                stands[i, j, k] = True
    return stands | hangs


@numba.njit(cache=True, nogil=True)
def _reached(knowledge: np.ndarray, places: np.ndarray, near: int, most: float,
             found: np.ndarray) -> None:
    """Mark the places (N, 3) that are near what is unknown for another reason than the robot."""
    nx, ny, nz = knowledge.shape
    for n in range(len(places)):
        x, y, z = places[n]
        for i in range(max(x - near, 0), min(x + near + 1, nx)):
            for j in range(max(y - near, 0), min(y + near + 1, ny)):
                for k in range(max(z - near, 0), min(z + near + 1, nz)):
                    why = knowledge[i, j, k]
                    if why > _KNOWN and why != _HIDDEN and why != _OLD \
                            and (i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2 <= most:
                        found[x, y, z] = True
