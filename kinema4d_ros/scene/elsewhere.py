# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the scene from elsewhere than a camera: points, voxels and solids."""
from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_erosion

from kinema4d_ros.scene.knowledge import Knowledge
from kinema4d_ros.scene.points import ScenePoints
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.scene.solids import surface_points
from kinema4d_ros.scene.view import LIVE
from kinema4d_ros.types import PointSource, SceneSource, SolidSource, VoxelSource

_SPACING = 0.01     # [m] of points on declared solids: no link passes between them
_REACH = 3.0        # [m] from the base frame's origin; what is farther no arm reaches


class OtherScene:
    """
    The scene as one other source has it: obstacles, and in voxels also space that is free.

    The same rules hold as for cameras: each point has a standard deviation, and what is free is
    free for `memory_age`. An obstacle stays one, however old it is.
    """

    def __init__(self, source: SceneSource, late: float, settings: SceneSettings):
        """
        Make the scene of a source.

        :param late: [s] how long before now the source was measured.
        """
        self.source, self.late, self.settings = source, late, settings

    @property
    def knows_space(self) -> bool:
        """Whether it says what is free."""
        return isinstance(self.source, VoxelSource)

    @cached_property
    def points(self) -> ScenePoints:
        """Its obstacles as points."""
        source, sigma = self.source, self.source.sigma
        if isinstance(source, PointSource):
            places = source.points
        elif isinstance(source, SolidSource):
            places = np.concatenate([np.empty((0, 3)), *(
                surface_points(solid, _SPACING, _REACH) for solid in source.solids)])
        else:
            places = surface_of(source)
            sigma = math.hypot(sigma, source.resolution / 2)
        places = _thinned(places[np.linalg.norm(places, axis=1) <= _REACH], self.settings.voxel)
        count = len(places)
        return ScenePoints(
            places.astype(np.float32), np.full((count, 2), -1, np.int32),
            np.full(count, math.hypot(sigma, self.settings.mesh_sigma), np.float32),
            np.full(count, self.late, np.float32))

    def knowledge(self, points_base: np.ndarray,
                  tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """Return what is known of points (N, 3) [m] and how old that is [s]; see `Scene`."""
        age = np.zeros(len(points_base), np.float32)
        if not isinstance(self.source, VoxelSource):
            return np.full(len(points_base), Knowledge.OUTSIDE, np.uint8), age
        # Whoever keeps a map stamps it anew each time that it is sent, however long ago a voxel
        # of it was measured: what it has is remembered, never seen now.
        known = self.source.at(points_base) != VoxelSource.UNKNOWN
        is_young = self.late <= max(self.settings.memory_age, LIVE)
        found = np.where(known, np.uint8(Knowledge.REMEMBERED if is_young else Knowledge.TOO_OLD),
                         np.uint8(Knowledge.OUTSIDE))
        return found, np.where(known, np.float32(self.late), age)


def surface_of(source: VoxelSource) -> np.ndarray:
    """Return the centres (N, 3) [m] base of occupied voxels beside one that is not occupied."""
    occupied = source.states == VoxelSource.OCCUPIED
    edge = np.argwhere(occupied & ~binary_erosion(occupied))
    T = source.T_base_grid
    places: np.ndarray = (edge + 0.5) * source.resolution @ T[:3, :3].T + T[:3, 3]
    return places


def _thinned(points: np.ndarray, voxel: float) -> np.ndarray:
    """Return the first of the points (N, 3) in each voxel."""
    if not len(points):
        return points
    cells = np.floor(points / voxel).astype(np.int64)
    cells -= cells.min(axis=0)
    size = cells.max(axis=0) + 1          # of 3 m and 1 mm at most: the product fits
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    thin: np.ndarray = points[np.sort(np.unique(keys, return_index=True)[1])]
    return thin
