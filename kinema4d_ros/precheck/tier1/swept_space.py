# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The space that the robot sweeps, in voxels, and how far each is from space that is known."""
from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from kinema4d_ros.foresight.hull import depth_in
from kinema4d_ros.robot import ball_around, DistanceFields
from kinema4d_ros.scene import Knowledge, Scene
from kinema4d_ros.types import RobotRollout

VOXEL = 0.02           # [m]
_LATTICE = 0.015       # [m] of the points that stand for a link
_TOLERANCE = 0.01      # [m] behind a surface that counts as the surface
_AROUND = 3            # voxels of margin around what is swept
_MOST = 1_500_000      # voxels; a larger space has larger voxels
_AT_ONCE = 16_384      # voxels that are looked up at once: what is made of them stays in the cache
#: why a place is unknown of which those know more that have been there
_TRAIL_TELLS = (Knowledge.OUTSIDE, Knowledge.BEHIND_ROBOT, Knowledge.TOO_OLD)
_START = 128           # the bit of where the robot stands at first
_BITS = np.arange(256)   # what a voxel may be swept by


@dataclass(frozen=True, eq=False)
class Load:
    """A convex body that the robot carries."""

    name: str
    vertices: np.ndarray      # (V, 3) float64 [m]
    planes: np.ndarray        # (F, 4) outward, of its hull, in the frame of the vertices
    T_base_load: np.ndarray   # (T, 4, 4)


@dataclass(frozen=True, eq=False)
class SweptSpace:
    """
    The voxels that links go through in a motion, by the roles of the links.

    Known is what a camera vouches for, what is declared free, and where the robot stands at first.
    """

    low: np.ndarray         # (3,) float64 [m], the corner of the grid in the base frame
    voxel: float            # [m]
    swept: np.ndarray       # (X, Y, Z) uint8, a bit for each role
    knowledge: np.ndarray   # (X, Y, Z) uint8 of `Knowledge`; what nothing sweeps may be left out
    age: np.ndarray         # (X, Y, Z) float32 [s] of what is remembered
    names: tuple[str, ...]              # of the links, and of what they carry
    been: np.ndarray        # (X, Y, Z) bool, known only since links have been there
    _points: Sequence[np.ndarray]       # of each (N, 3) float32 [m], its own frame
    _poses: Sequence[np.ndarray]        # of each (T, 4, 4) float32
    #: of each the voxels (V,) of the flat grid that it enters, and in which frame it first does
    _visits: Sequence[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, scene: Scene, robot: RobotRollout, fields: DistanceFields,
           roles: Mapping[str, int],
           free: Collection[tuple[float, float, float, float, float, float]] = (),
           loads: Collection[Load] = (), *, around: float = 0.0) -> SweptSpace:
        """
        Return the space that links sweep, and what they carry.

        :param roles: the bit (1, 2, 4, ...) of the role of each link and load that sweeps.
        :param free: boxes x0 y0 z0 x1 y1 z1 [m] in the base frame that are known to be free.
        :param around: [m] beside what is swept that belongs to the space too.
        :raises ValueError: the robot is nowhere, by a number that is not finite.
        """
        names = fields.link_names
        index = [robot.link_names.index(name) for name in names]
        poses = list(np.ascontiguousarray(np.swapaxes(robot.T_base_link[:, index], 0, 1),
                                          np.float32))
        points = [fields.solid_points(name, _LATTICE) for name in names]
        balls = [fields.solid_ball(name, _LATTICE) if len(solid) else None
                 for name, solid in zip(names, points)]
        for load in loads:
            points.append(_filled(load))
            balls.append(ball_around(points[-1]) if len(points[-1]) else None)
            poses.append(np.ascontiguousarray(load.T_base_load, np.float32))
        names = (*names, *(load.name for load in loads))
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for name, ball, T in zip(names, balls, poses):
            if ball is not None:
                middle, radius = ball
                place = np.append(middle, middle.dtype.type(1))
                places = (T if name in roles else T[:1])[:, :3] @ place
                low = np.minimum(low, places.min(0) - radius)
                high = np.maximum(high, places.max(0) + radius)
        if not any(map(len, points)):
            low = high = np.zeros(3)
        low, voxel, size = _grid(low - around, high + around)
        swept, last = np.zeros(tuple(size), np.uint8), np.full(np.prod(size), -1, np.int32)
        visits = [_visits(np.ascontiguousarray(solid.T), T if name in roles else T[:1], low, voxel,
                          size, number, last, swept.reshape(-1), roles.get(name, 0))
                  for number, (name, solid, T) in enumerate(zip(names, points, poses))]
        knowledge, age = _known(scene, swept, low, voxel, free)
        return cls(low, voxel, swept, knowledge, age, names, np.zeros(knowledge.shape, bool),
                   points, poses, visits)

    @cached_property
    def distance(self) -> np.ndarray:
        """How far each voxel is from the nearest known one, (X, Y, Z) float32 [m], 0 if known."""
        return chamfer(self.knowledge > Knowledge.REMEMBERED, np.float32(self.voxel))

    @cached_property
    def counts(self) -> np.ndarray:
        """How many voxels are swept by each set of roles and known so, (256, 8) int64."""
        return _counts(self.swept.reshape(-1), self.knowledge.reshape(-1))

    def counts_of(self, roles: int) -> np.ndarray:
        """Return how many voxels that some of these roles sweep are known so, (8,) int64."""
        of: np.ndarray = self.counts[np.flatnonzero(_BITS & roles)].sum(0)
        return of

    def beyond(self, role: int, why: Knowledge, limit: float) -> np.ndarray:
        """
        Return what a role sweeps that is unknown for a reason and too far from what is known.

        :param limit: [m] that is not too far.
        :return: (N,) places in the flat grid, in their order.
        """
        return _beyond(self.swept.reshape(-1), self.knowledge.reshape(-1),
                       self.distance.reshape(-1), role, int(why), np.float32(limit))

    def with_trail(self, T_base_link: np.ndarray, age: np.ndarray) -> SweptSpace:
        """
        Return the space where it is known as well that links have been there.

        That says nothing of places that a camera could see and does not, or that are behind what
        it sees: something may have come there since, and the camera would show just that.

        :param T_base_link: (N, L, 4, 4) of the links of the distance fields, in their order, where
            they have been.
        :param age: (N,) [s] how long ago.
        """
        since: np.ndarray = np.full(self.swept.size, np.inf, np.float32)
        poses = np.ascontiguousarray(np.swapaxes(T_base_link, 0, 1), np.float32)
        ages, size = age.astype(np.float32), np.array(self.swept.shape)
        for points, T in zip(self._points, poses):
            if len(points):
                _came(np.ascontiguousarray(points.T), T, ages, self.low, self.voxel, size, since)
        since = since.reshape(self.swept.shape)
        been = np.isfinite(since) & np.isin(self.knowledge, _TRAIL_TELLS)
        return dataclasses.replace(
            self, knowledge=np.where(been, np.uint8(Knowledge.REMEMBERED), self.knowledge),
            age=np.where(been, since, self.age), been=been)

    def centers(self, voxels: np.ndarray) -> np.ndarray:
        """Return the middles (N, 3) [m] of voxels (N, 3)."""
        middles: np.ndarray = self.low + (voxels + 0.5) * self.voxel
        return middles

    def body(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (N, 3) [m] that stand for a link or load, and its poses (T, 4, 4)."""
        number = self.names.index(name)
        return self._points[number], self._poses[number]

    def entered(self, name: str, where: np.ndarray) -> tuple[int, int]:
        """
        Return how many of some voxels a link enters, and the first frame in which it does; 0, -1.

        :param name: of the link or load.
        :param where: (X, Y, Z) bool.
        """
        voxels, frames = self._visits[self.names.index(name)]
        entered = frames[where.reshape(-1)[voxels]]
        return len(entered), int(entered[0]) if len(entered) else -1


def _filled(load: Load) -> np.ndarray:
    """Return points on a lattice that fill a load, (N, 3) float32 [m]."""
    low, high = load.vertices.min(0), load.vertices.max(0)
    axes = [np.arange(a, b + _LATTICE, _LATTICE) for a, b in zip(low, high)]
    lattice = np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)
    inside = depth_in(lattice, load.planes, np.eye(4)) <= _LATTICE / 2
    return np.ascontiguousarray(lattice[inside], np.float32)


def _grid(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Return corner, voxel and size of a grid around a box (corners (3,) [m])."""
    if not np.isfinite([low, high]).all():
        raise ValueError(f'the robot sweeps a space from {low} to {high}')
    voxel = VOXEL
    while np.prod(np.ceil((high - low) / voxel) + 2 * _AROUND) > _MOST:
        voxel *= 1.25
    return low - _AROUND * voxel, voxel, np.ceil((high - low) / voxel).astype(int) + 2 * _AROUND


def _known(scene: Scene, swept: np.ndarray, low: np.ndarray, voxel: float,
           free: Collection[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of each voxel, and how old that is [s]."""
    found, age = np.empty(swept.shape, np.uint8), np.empty(swept.shape, np.float32)
    nx, ny, nz = swept.shape
    step = max(1, _AT_ONCE // (ny * nz))
    for first in range(0, nx, step):
        count = min(step, nx - first)
        known, old = scene.knowledge(_centers(low, voxel, first, count, ny, nz), _TOLERANCE)
        found[first:first + count] = known.reshape(count, ny, nz)
        age[first:first + count] = old.reshape(count, ny, nz)
    _stand(swept, np.uint8(_START), found)
    for box in free:
        first = np.ceil((np.array(box[:3]) - low) / voxel - 0.5).astype(int).clip(0)
        last = np.floor((np.array(box[3:]) - low) / voxel - 0.5).astype(int)
        cells = tuple(slice(a, b + 1) for a, b in zip(first, last.clip(-1)))
        found[cells] = Knowledge.SEEN
    return found, age


@numba.njit(cache=True, nogil=True)
def _centers(low: np.ndarray, voxel: float, first: int, nx: int, ny: int, nz: int) -> np.ndarray:
    """Return the middle of each voxel from row `first` on, (N, 3) float64 [m]."""
    centers = np.empty((nx * ny * nz, 3))
    n = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                centers[n, 0] = low[0] + (first + i + 0.5) * voxel
                centers[n, 1] = low[1] + (j + 0.5) * voxel
                centers[n, 2] = low[2] + (k + 0.5) * voxel
                n += 1
    return centers


@numba.njit(cache=True, nogil=True)
def _visits(points: np.ndarray, poses: np.ndarray, low: np.ndarray, voxel: float,
            size: np.ndarray, number: int, last: np.ndarray, swept: np.ndarray,
            role: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the voxels (V,) that hold one of the points (3, N) at one of the poses (T, 4, 4).

    They are given as places in the flat grid, in order of the frames (V,) that they are first
    entered in.

    :param last: (X * Y * Z,) the number of the body that was in each voxel last; changed.
    :param swept: (X * Y * Z,) uint8; these voxels get the bit of the role, and of the start.
    """
    nx, ny, nz = size[0], size[1], size[2]
    voxels, frames = np.empty(len(last), np.int32), np.empty(len(last), np.int32)
    place = np.empty(points.shape[1], np.int32)
    count = 0
    for t in range(len(poses)):
        T = poses[t]
        if t and np.array_equal(T, poses[t - 1]):      # it holds still
            continue
        for n in range(len(place)):       # on its own, so that it is computed many at a time
            x, y, z = points[0, n], points[1, n], points[2, n]
            a = (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3] - low[0]) / voxel
            b = (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3] - low[1]) / voxel
            c = (T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3] - low[2]) / voxel
            inside = (a > -1) & (a < nx) & (b > -1) & (b < ny) & (c > -1) & (c < nz)
            at = (np.int32(a) * np.int32(ny) + np.int32(b)) * np.int32(nz) + np.int32(c)
            place[n] = at if inside else -1
        for n in range(len(place)):
            at = place[n]
            if at >= 0 and last[at] != number:
                last[at] = number
                swept[at] |= role if t else role | _START
                voxels[count], frames[count] = at, t
                count += 1
    return voxels[:count].copy(), frames[:count].copy()


@numba.njit(cache=True, nogil=True)
def _counts(swept: np.ndarray, knowledge: np.ndarray) -> np.ndarray:
    """Return what `SweptSpace.counts` does, of flat grids."""
    counts = np.zeros((256, 8), np.int64)
    for n in range(len(swept)):
        counts[swept[n], knowledge[n]] += 1
    return counts


@numba.njit(cache=True, nogil=True)
def _beyond(swept: np.ndarray, knowledge: np.ndarray, distance: np.ndarray, role: int, why: int,
            limit: float) -> np.ndarray:
    """Return what `SweptSpace.beyond` does, of flat grids; the limit is float32."""
    places, count = np.empty(len(swept), np.int64), 0
    for n in range(len(swept)):
        if swept[n] & role and knowledge[n] == why and distance[n] > limit:
            places[count] = n
            count += 1
    return places[:count].copy()


@numba.njit(cache=True, nogil=True)
def _came(points: np.ndarray, poses: np.ndarray, age: np.ndarray, low: np.ndarray, voxel: float,
          size: np.ndarray, since: np.ndarray) -> None:
    """Lower the age (X * Y * Z,) of voxels to that (T,) of poses at which a point is in them."""
    nx, ny, nz = size[0], size[1], size[2]
    place = np.empty(points.shape[1], np.int32)
    for t in range(len(poses)):
        T = poses[t]
        for n in range(len(place)):       # on its own, so that it is computed many at a time
            x, y, z = points[0, n], points[1, n], points[2, n]
            a = (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3] - low[0]) / voxel
            b = (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3] - low[1]) / voxel
            c = (T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3] - low[2]) / voxel
            inside = (a >= 0) & (a < nx) & (b >= 0) & (b < ny) & (c >= 0) & (c < nz)
            at = (np.int32(a) * np.int32(ny) + np.int32(b)) * np.int32(nz) + np.int32(c)
            place[n] = at if inside else -1
        for n in range(len(place)):
            if place[n] >= 0 and since[place[n]] > age[t]:
                since[place[n]] = age[t]


@numba.njit(cache=True, nogil=True)
def _stand(swept: np.ndarray, bit: int, found: np.ndarray) -> None:
    """Make the voxels with the bit known, and those beside them but across a corner."""
    nx, ny, nz = swept.shape
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                if not swept[i, j, k] & bit:
                    continue
                for a in range(-1, 2):
                    for b in range(-1, 2):
                        for c in range(-1, 2):
                            if abs(a) + abs(b) + abs(c) < 3:
                                found[i + a, j + b, k + c] = 0


@numba.njit(cache=True, nogil=True)
def chamfer(unknown: np.ndarray, voxel: float) -> np.ndarray:
    """
    Return the distance of each voxel to the nearest that is not unknown, (X, Y, Z) float32 [m].

    By two passes over the grid with steps to the 26 neighbours (a chamfer distance): at most 11 %
    too long, never too short. What is known beyond the border is not known here.
    """
    nx, ny, nz = unknown.shape
    # With a border of voxels that are far from anything there is no end of the grid to look for.
    far = np.full((nx + 2, ny + 2, nz + 2), np.float32(2e3))
    far[1:-1, 1:-1, 1:-1] = np.where(unknown, np.float32(1e3), np.float32(0.0))
    edge = voxel * np.float32(1.0)
    face, corner = voxel * np.float32(np.sqrt(2.0)), voxel * np.float32(np.sqrt(3.0))
    for way in (1, -1):       # from the first voxel to the last, and back
        for a in range(1, nx + 1):
            i = a if way > 0 else nx + 1 - a
            for b in range(1, ny + 1):
                j = b if way > 0 else ny + 1 - b
                row = far[i, j]
                for di, dj in ((1, 1), (1, 0), (1, -1), (0, 1)):
                    beside = far[i - way * di, j - way * dj]
                    straight, aslant = (face, corner) if di and dj else (edge, face)
                    for k in range(1, nz + 1):       # on its own: many at a time
                        row[k] = min(row[k], beside[k] + straight,
                                     min(beside[k - 1], beside[k + 1]) + aslant)
                shorter = 0
                for k in range(1, nz + 1):
                    shorter += row[k - way] + edge < row[k]
                if not shorter:      # along the row, which is one after the other
                    continue
                for c in range(1, nz + 1):
                    k = c if way > 0 else nz + 1 - c
                    row[k] = min(row[k], row[k - way] + edge)
    return far[1:-1, 1:-1, 1:-1].copy()
