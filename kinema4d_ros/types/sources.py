# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the scene from elsewhere: points, voxels and solids, beside the cameras."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.types.held import DIMENSIONS
from kinema4d_ros.types.motion import frozen

#: cells of a grid of voxels that are kept at most; one byte each
MOST_CELLS = 1 << 26
_Source = TypeVar('_Source')


def frozen_joints(joints: Mapping[str, float] | None) -> Mapping[str, float] | None:
    """Return joint positions as a read-only mapping of plain numbers, None for None."""
    return None if joints is None else MappingProxyType(
        {str(name): float(value) for name, value in joints.items()})


def rebuilt(source: Any) -> tuple[Any, ...]:
    """Return what `__reduce__` does: a dataclass by its constructor, mappings as plain ones."""
    values = (getattr(source, item.name) for item in dataclasses.fields(source))
    return type(source), tuple(dict(value) if isinstance(value, MappingProxyType) else value
                               for value in values)


def _check(source: PointSource | VoxelSource | SolidSource) -> None:
    if not source.name:
        raise ObservationError('a source of the scene needs a name, for verdicts to name it')
    if not (np.isfinite(source.sigma) and source.sigma >= 0):
        raise ObservationError(f'sigma of the source {source.name!r} is the standard deviation of '
                               f'its place [m], 0 or more, got {source.sigma}')


@dataclass(frozen=True, eq=False)
class PointSource:
    """
    Points that somebody else measured, as sensor_msgs/PointCloud2 has them; they are obstacles.

    Those on the robot itself are left out by whoever uses them.
    """

    name: str
    points: np.ndarray            # (N, 3) float64 [m], base frame; those not finite are left out
    stamp_ns: int | None = None   # when it was measured; None for what does not age
    sigma: float = 0.01           # [m] standard deviation of each point's place, per axis
    spacing: float = 0.01         # [m] between neighbours of one surface
    #: [rad or m] at `stamp_ns`, None for the observation's; where the robot is left out
    joint_positions: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """
        Check the points and freeze.

        :raises ObservationError: the shape is another, or sigma or spacing is no size.
        """
        _check(self)
        points = frozen(self.points, np.float64, (None, 3), 'points', ObservationError)
        if not np.isfinite(points).all():
            points = frozen(points[np.isfinite(points).all(axis=1)], np.float64, (None, 3),
                            'points', ObservationError)
        if not (np.isfinite(self.spacing) and self.spacing > 0):
            raise ObservationError(f'spacing of the points of {self.name!r} must be above 0 [m], '
                                   f'got {self.spacing}')
        object.__setattr__(self, 'points', points)
        object.__setattr__(self, 'joint_positions', frozen_joints(self.joint_positions))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor, which makes arrays and mappings read-only again."""
        return rebuilt(self)


@dataclass(frozen=True, eq=False)
class VoxelSource:
    """A grid of voxels, as octomap and nvblox have it: each is free, occupied or not known."""

    UNKNOWN, FREE, OCCUPIED = 0, 1, 2

    name: str
    states: np.ndarray            # (X, Y, Z) uint8 of the three above
    resolution: float             # [m] edge of a voxel
    T_base_grid: np.ndarray       # (4, 4) float64; the grid's origin is the corner of voxel 0, 0, 0
    stamp_ns: int | None = None   # when it was measured; None for what does not age
    sigma: float = 0.0            # [m] standard deviation of the grid's place, per axis
    #: [rad or m] at `stamp_ns`, None for the observation's; where the robot is left out
    joint_positions: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """
        Check the grid and freeze.

        :raises ObservationError: a shape or a size is another, or the place is not finite.
        """
        _check(self)
        for key, dtype, shape in (('states', np.uint8, (None, None, None)),
                                  ('T_base_grid', np.float64, (4, 4))):
            object.__setattr__(self, key, frozen(getattr(self, key), dtype, shape, key,
                                                 ObservationError))
        if not np.isfinite(self.T_base_grid).all():
            raise ObservationError(f'the pose of the voxels of {self.name!r} is not finite; give '
                                   'the grid a place in the base frame')
        if not (np.isfinite(self.resolution) and self.resolution > 0):
            raise ObservationError(f'resolution of the voxels of {self.name!r} must be above 0 '
                                   f'[m], got {self.resolution}')
        object.__setattr__(self, 'joint_positions', frozen_joints(self.joint_positions))

    @classmethod
    def from_centers(cls, name: str, occupied: np.ndarray, free: np.ndarray, resolution: float,
                     T_base_grid: np.ndarray | None = None, *, stamp_ns: int | None = None,
                     sigma: float = 0.0,
                     joint_positions: Mapping[str, float] | None = None) -> VoxelSource:
        """
        Return the grid of voxels that are named by their centres.

        :param occupied: (N, 3) [m] centres, in the frame of the grid; a voxel named twice is
            occupied.
        :param free: (M, 3) likewise; all others are not known.
        :param T_base_grid: (4, 4) from the frame of the centres; None for the base frame.
        :raises ObservationError: the grid around them would be too large.
        """
        occupied, free = (np.asarray(each, np.float64).reshape(-1, 3) for each in (occupied, free))
        T = np.eye(4) if T_base_grid is None else np.array(T_base_grid, np.float64)
        both = np.concatenate([occupied, free])
        if not len(both) or not np.isfinite(both).all() or not resolution > 0:
            raise ObservationError(f'the voxels of {name!r} need finite centres, one or more, and '
                                   f'a resolution above 0, got {len(both)} and {resolution}')
        origin = both.min(axis=0) - 0.5 * resolution
        shape = np.ceil((both.max(axis=0) - origin) / resolution - 1e-6).astype(np.int64)
        if np.prod(shape.astype(np.float64)) > MOST_CELLS:
            raise ObservationError(
                f'the voxels of {name!r} span {"x".join(map(str, shape))} cells, more than '
                f'{MOST_CELLS}; keep those within reach of the robot only')
        states = np.zeros(shape, np.uint8)
        for centers, state in ((free, cls.FREE), (occupied, cls.OCCUPIED)):
            at = np.floor((centers - origin) / resolution).astype(np.int64)
            states[tuple(np.clip(at, 0, shape - 1).T)] = state
        T[:3, 3] += T[:3, :3] @ origin
        return cls(name, states, resolution, T, stamp_ns, sigma, joint_positions)

    def centers(self, state: int) -> np.ndarray:
        """Return the centres of the voxels of one state, (N, 3) float64 [m] base frame."""
        T = self.T_base_grid
        centers = (np.argwhere(self.states == state) + 0.5) * self.resolution
        moved: np.ndarray = centers @ T[:3, :3].T + T[:3, 3]
        return moved

    def at(self, points_base: np.ndarray) -> np.ndarray:
        """Return the state of the voxel that each point is in, (N,) uint8; UNKNOWN outside."""
        T = np.linalg.inv(self.T_base_grid)
        cell = np.floor((np.asarray(points_base) @ T[:3, :3].T + T[:3, 3]) / self.resolution)
        inside = ((cell >= 0) & (cell < self.states.shape)).all(axis=1)
        found = np.zeros(len(cell), np.uint8)
        found[inside] = self.states[tuple(cell[inside].astype(np.int64).T)]
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor, which makes arrays and mappings read-only again."""
        return rebuilt(self)


@dataclass(frozen=True, eq=False)
class Solid:
    """One shape, as shape_msgs/SolidPrimitive and Mesh have it, at its place in the base frame."""

    kind: str                                # a key of `DIMENSIONS`
    dimensions: tuple[float, ...] = ()       # [m], as `DIMENSIONS` names them
    T_base_solid: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(4))
    vertices: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 3)))  # of a mesh
    #: (F, 3) int32 triangles of a mesh; none for the convex hull of its vertices
    faces: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 3), np.int32))
    name: str = ''

    def __post_init__(self) -> None:
        """
        Refuse what is no shape.

        :raises ObservationError: naming the value and what is valid.
        """
        if self.kind not in DIMENSIONS:
            raise ObservationError(f'a solid is one of {", ".join(DIMENSIONS)}, got {self.kind!r}')
        wanted, sizes = DIMENSIONS[self.kind], np.asarray(self.dimensions, np.float64)
        if sizes.shape != (len(wanted),) or not np.isfinite(sizes).all() or (sizes <= 0).any():
            raise ObservationError(f'the dimensions of a {self.kind} are '
                                   f'{", ".join(wanted) or "none"} [m], above 0, got '
                                   f'{self.dimensions}')
        object.__setattr__(self, 'dimensions', tuple(sizes.tolist()))
        for key, dtype, shape in (('T_base_solid', np.float64, (4, 4)),
                                  ('vertices', np.float64, (None, 3)),
                                  ('faces', np.int32, (None, 3))):
            object.__setattr__(self, key, frozen(getattr(self, key), dtype, shape, key,
                                                 ObservationError))
        count = len(self.vertices)
        if self.kind == 'mesh' and (count < 4 or not np.isfinite(self.vertices).all()):
            raise ObservationError(f'a solid mesh needs four finite vertices or more, got {count}')
        if self.faces.size and not 0 <= self.faces.min() <= self.faces.max() < count:
            raise ObservationError(f'faces of a solid name vertices 0..{count - 1}, got '
                                   f'{self.faces.min()}..{self.faces.max()}')
        if not np.isfinite(self.T_base_solid).all():
            raise ObservationError(f'the pose of a {self.kind} is not finite')

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor, which makes arrays read-only again."""
        return rebuilt(self)


@dataclass(frozen=True, eq=False)
class SolidSource:
    """Solids that somebody declares, as moveit_msgs/CollisionObject has them; obstacles all."""

    name: str
    solids: tuple[Solid, ...]
    stamp_ns: int | None = None   # when it was so; None for what holds until it is changed
    sigma: float = 0.0            # [m] standard deviation of the place, per axis

    def __post_init__(self) -> None:
        """Keep a tuple; refuse one without a name."""
        _check(self)
        object.__setattr__(self, 'solids', tuple(self.solids))


SceneSource = PointSource | VoxelSource | SolidSource
