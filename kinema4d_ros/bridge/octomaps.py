# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
octomap_msgs/Octomap to a grid of voxels; anything with its fields will do.

The stream is that of OctoMap's writeBinaryData and writeData: the nodes depth first, from the root.
In the binary form each inner node is two bytes, two bits for each of its eight children (unknown,
free, occupied, inner node); in the full form each node is its log-odds, a float, and a byte that
says which of its children follow.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.types import VoxelSource

_DEPTH = 16                 # of the tree
_MIDDLE = 1 << (_DEPTH - 1)     # voxels of the tree on either side of its origin, along each axis
_FULL = {'OcTree': 4, 'ColorOcTree': 7}     # bytes of a node in the full form, without its children


def voxels_kept(resolution: float) -> int:
    """Return how many voxels of this size [m] are kept to either side of the robot's root."""
    return min(128, max(1, round(3.0 / resolution)))


def octomap_source(message: Any, name: str, T_base_map: np.ndarray, *, stamp_ns: int | None = None,
                   sigma: float = 0.0,
                   joint_positions: Mapping[str, float] | None = None) -> VoxelSource:
    """
    Return the voxels of an octomap that are within reach of a robot's root.

    :param T_base_map: (4, 4) from the frame of the map.
    :param joint_positions: [rad or m] at the stamp.
    :raises ObservationError: naming what is malformed.
    """
    resolution = float(message.resolution)
    if not (np.isfinite(resolution) and 0 < resolution < 10):
        raise ObservationError(f'the octomap has a resolution of {resolution} m')
    if message.id not in _FULL:
        raise ObservationError(f'the octomap is of type {message.id!r}; known: {", ".join(_FULL)}')
    data = np.frombuffer(bytes(memoryview(message.data).cast('B')) if len(message.data) else b'',
                         np.uint8)
    half = voxels_kept(resolution)
    root = np.linalg.inv(T_base_map)[:3, 3]
    low = np.floor(root / resolution).astype(np.int64) - half
    states = np.zeros((2 * half,) * 3, np.uint8)
    read = _read(data, 0 if message.binary else _FULL[message.id], low + _MIDDLE, states)
    if read != len(data):
        raise ObservationError(
            f'the stream of the octomap ({len(data)} bytes) is damaged at byte {abs(read)}; is it '
            f'the {"binary" if message.binary else "full"} form that it says it is?')
    known = np.argwhere(states)
    if not len(known):
        raise ObservationError(f'the octomap knows nothing within {half * resolution:.1f} m of '
                               "the robot's root")
    first, last = known.min(axis=0), known.max(axis=0) + 1
    T_map_grid = np.eye(4)
    T_map_grid[:3, 3] = (low + first) * resolution
    return VoxelSource(name, states[tuple(map(slice, first, last))], resolution,
                       T_base_map @ T_map_grid, stamp_ns, sigma, joint_positions)


@numba.njit(cache=True, nogil=True)
def _read(data: np.ndarray, node_bytes: int, low: np.ndarray, states: np.ndarray) -> int:
    """
    Write the leaves of a stream into a grid; return how many bytes were read.

    That is negative, or not all, where the stream is damaged.

    :param node_bytes: of a node in the full form; 0 for the binary one.
    :param low: (3,) int64, the key of voxel 0, 0, 0 of the grid.
    :param states: (N, N, N) uint8, written.
    """
    at, count = 0, len(data)
    if count == 0:
        return 0
    stack = np.zeros((8 * 17, 4), np.int64)      # key of the lowest voxel, and depth
    top = 1
    while top > 0:
        top -= 1
        x, y, z, depth = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
        size = 1 << (16 - depth)
        if node_bytes == 0:
            if at + 2 > count or depth >= 16:
                return -at
            bits = data[at] | (np.int64(data[at + 1]) << 8)
            at += 2
            for child in range(7, -1, -1):       # the first one is to be taken next
                kind = (bits >> (2 * child)) & 3
                half = size // 2
                cx = x + half * (child & 1)
                cy = y + half * ((child >> 1) & 1)
                cz = z + half * ((child >> 2) & 1)
                if kind == 3:
                    stack[top, 0], stack[top, 1], stack[top, 2] = cx, cy, cz
                    stack[top, 3] = depth + 1
                    top += 1
                elif kind != 0:
                    _fill(states, cx - low[0], cy - low[1], cz - low[2], half, kind)
            continue
        if at + node_bytes + 1 > count:
            return -at
        odds = data[at:at + 4].copy().view(np.float32)[0]
        children = data[at + node_bytes]
        at += node_bytes + 1
        if odds != odds:
            return -at
        if children == 0:
            _fill(states, x - low[0], y - low[1], z - low[2], size, 2 if odds >= 0 else 1)
            continue
        if depth >= 16:
            return -at
        for child in range(7, -1, -1):
            if (children >> child) & 1:
                half = size // 2
                stack[top, 0] = x + half * (child & 1)
                stack[top, 1] = y + half * ((child >> 1) & 1)
                stack[top, 2] = z + half * ((child >> 2) & 1)
                stack[top, 3] = depth + 1
                top += 1
    return at


@numba.njit(cache=True, nogil=True)
def _fill(states: np.ndarray, x: int, y: int, z: int, size: int, state: int) -> None:
    """Set the cells of a cube, as far as they are in the grid."""
    n = len(states)
    for i in range(max(x, 0), min(x + size, n)):
        for j in range(max(y, 0), min(y + size, n)):
            for k in range(max(z, 0), min(z + size, n)):
                states[i, j, k] = state
