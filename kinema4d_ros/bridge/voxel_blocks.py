# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nvblox_msgs/VoxelBlockLayer to occupied voxels; anything with its fields will do."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from kinema4d_ros.errors import ObservationError

_MOST = 2_000_000      # voxels of all blocks


class Layer(NamedTuple):
    """The blocks of a layer at one moment; it is never changed, so any thread may read it."""

    blocks: Mapping[tuple[int, int, int], np.ndarray] = MappingProxyType({})
    resolution: float = 0.0      # [m]
    is_whole: bool = False       # all there is has come, and not only what has changed

    @property
    def centers(self) -> np.ndarray:
        """The centres of the occupied voxels, (N, 3) float64 [m], in the frame of the layer."""
        return np.concatenate([np.empty((0, 3)), *self.blocks.values()])


class VoxelBlocks:
    """Keeps the blocks of a layer, of which messages bring those that changed; `now` is them."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()     # held by whoever makes the next `now`
        self.now = Layer()

    def take(self, message: Any) -> None:
        """
        Take in one message; a block without voxels is gone.

        :raises ObservationError: naming what is malformed; nothing of it is taken then, and the
            layer is not known until it has been sent whole again.
        """
        with self._lock:
            try:
                self.now = _after(self.now, message)
            except Exception:
                self.now = Layer(self.now.blocks, self.now.resolution)
                raise

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self.now = Layer()


def _after(before: Layer, message: Any) -> Layer:
    """Return the layer after a message."""
    resolution = float(message.voxel_size_m)
    if not (np.isfinite(resolution) and resolution > 0):
        raise ObservationError(f'the voxels are {resolution} m large')
    if len(message.block_indices) != len(message.blocks):
        raise ObservationError(f'it has {len(message.blocks)} blocks and '
                               f'{len(message.block_indices)} indices of blocks')
    blocks = {} if message.clear else dict(before.blocks)
    for index, block in zip(message.block_indices, message.blocks):
        centers = np.array([(p.x, p.y, p.z) for p in block.centers], np.float64).reshape(-1, 3)
        key = int(index.x), int(index.y), int(index.z)
        if not np.isfinite(centers).all():
            raise ObservationError(f'a voxel of block {key} is not finite')
        blocks[key] = centers
        if not len(centers):
            del blocks[key]
    if sum(map(len, blocks.values())) > _MOST:
        raise ObservationError(f'more than {_MOST} voxels; have it send those near the robot')
    return Layer(blocks, resolution, before.is_whole or bool(message.clear))
