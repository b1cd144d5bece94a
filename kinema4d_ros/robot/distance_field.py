# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signed distance from any point to the surface of a link, looked up in a grid."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
from scipy import ndimage

from kinema4d_ros.robot.distances import REACH
from kinema4d_ros.robot.mesh_file import default_cache_dir
from kinema4d_ros.robot.point_cubes import PointCubes
from kinema4d_ros.robot.shapes import LinkMesh

SPACING = 0.005    # [m]
_MOST_CELLS = 2_000_000
_ROUNDING = 1e-5   # [m] that poses in single precision are off by


class DistanceFields:
    """
    Signed distance fields of the links of a robot, and the closest scene point to each link.

    A field is a grid of distances to the link's triangles (negative inside), computed once with
    Open3D and kept on disk, and interpolated linearly: exact along flat faces, and rounded by
    less than half a grid cell at edges. Distances are known up to `reach` from the link.
    """

    def __init__(self, meshes: Mapping[str, LinkMesh], *, spacing: float = SPACING,
                 reach: float = REACH, cache_dir: str | Path | None = None) -> None:
        """
        Make the fields of all meshes: from the cache, or computed and put there.

        :param meshes: in link frames; links without triangles are left out.
        :param spacing: of the grids [m]; made wider for links that would need too many cells.
        """
        folder = default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()
        self.reach = reach
        self.link_names = tuple(name for name, mesh in meshes.items() if len(mesh.faces))
        self._solid: dict[tuple[str, float], np.ndarray] = {}
        self._fields = [_field(meshes[name], spacing, reach, folder) for name in self.link_names]

    def closest(self, points_base: np.ndarray | PointCubes, T_base_link: np.ndarray,
                gone: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the point closest to each link at each time.

        :param points_base: (N, 3) float [m]; given as cubes, they need not be sorted again.
        :param T_base_link: (T, L, 4, 4) float64 of the links in `link_names`, in that order.
        :param gone: (N,) int, time from which on each point is not there any more (0 for never
            there, T for always); None when all stay.
        :return: distances (T, L) float32 [m], negative inside, inf where nothing is within
            reach; index of the closest point (T, L) int32, -1 there.
        """
        steps, links = len(T_base_link), len(self.link_names)
        # By links first, so that what is written for one link lies together.
        distance = np.full((links, steps), np.inf, np.float32)
        index = np.full((links, steps), -1, np.int32)
        cubes = points_base if isinstance(points_base, PointCubes) else PointCubes(points_base)
        if not len(cubes.points) or not links:
            return distance.T, index.T
        gone = np.full(len(cubes.points), steps, np.int32) if gone is None \
            else np.ascontiguousarray(gone, np.int32)[cubes.order]
        T_link_base = np.ascontiguousarray(np.linalg.inv(np.swapaxes(T_base_link, 0, 1)),
                                           np.float32)

        def search(share: int) -> None:
            for link, (field, near) in enumerate(zip(self._fields, found)):
                _closest(cubes.points, gone, near, cubes.starts, cubes.centers, cubes.radii,
                         T_link_base[link], *field, np.float32(self.reach), share, threads,
                         distance[link], index[link])

        found = [cubes.near(*_swept(field, T_base_link[:, link]))
                 for link, field in enumerate(self._fields)]
        threads = min(len(os.sched_getaffinity(0)), steps)
        if threads == 1:
            search(0)
        else:
            with ThreadPoolExecutor(threads - 1) as pool:
                others = [pool.submit(search, share) for share in range(1, threads)]
                search(0)
                for other in others:
                    other.result()
        known = index >= 0
        index[known] = cubes.order[index[known]]
        return distance.T, index.T

    def nearing(self, points_base: np.ndarray, T_base_link: np.ndarray, gone: np.ndarray,
                least: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the closest point to each link at each time, of those it is nearer to than at first.

        :param points_base: (N, 3) float [m].
        :param T_base_link: (T, L, 4, 4) float64 of the links in `link_names`; at first is time 0.
        :param gone: (N,) int, time from which on each point is not there any more.
        :param least: [m] by which it must be nearer.
        :return: as `closest`; nothing is within reach at time 0.
        """
        steps, links = len(T_base_link), len(self.link_names)
        distance = np.full((links, steps), np.inf, np.float32)
        index = np.full((links, steps), -1, np.int32)
        points = np.ascontiguousarray(points_base, np.float32).reshape(-1, 3)
        T_link_base = np.ascontiguousarray(np.linalg.inv(np.swapaxes(T_base_link, 0, 1)),
                                           np.float32)
        for link, field in enumerate(self._fields):
            _nearing(points, np.ascontiguousarray(gone, np.int32), T_link_base[link], *field,
                     np.float32(self.reach), np.float32(least), distance[link], index[link])
        return distance.T, index.T

    def depth_of(self, points_base: np.ndarray | PointCubes, T_base_link: np.ndarray,
                 below: float | None = None) -> np.ndarray:
        """
        Return the distance of each point to the link closest to it.

        :param points_base: (N, 3) float [m].
        :param T_base_link: (L, 4, 4) float64 of the links in `link_names`.
        :param below: [m] only smaller distances are computed; None for all within reach.
        :return: (N,) float32 [m], negative inside, inf for what is not computed.
        """
        below = self.reach if below is None else below
        if isinstance(points_base, PointCubes):
            points, starts, order = points_base.points, points_base.starts, points_base.order
            near = [points_base.near(*_swept(field, T[None], self.reach - below))
                    for field, T in zip(self._fields, T_base_link)]
        else:
            points = np.ascontiguousarray(points_base, np.float32).reshape(-1, 3)
            starts, order = np.array([0, len(points)]), np.arange(len(points))
            near = [np.zeros(1, np.int64)] * len(self._fields)
        found = np.full(len(points), np.inf, np.float32)
        for field, T, cubes in zip(self._fields, np.linalg.inv(T_base_link), near):
            _each(points, cubes, starts, T.astype(np.float32), *field, np.float32(below), found)
        out = np.empty_like(found)
        out[order] = found
        return out

    def solid_points(self, link: str, spacing: float) -> np.ndarray:
        """
        Return points on a lattice that fill a link, however thin it is; kept for the next call.

        :param spacing: [m] of the lattice; points up to half of it outside the surface belong to
            it, so that no sheet falls between two layers.
        :return: (N, 3) float32 [m], link frame.
        """
        key = link, spacing
        if key not in self._solid:
            grid, low, step = self._fields[self.link_names.index(link)]
            axes = [np.arange(0.0, (size - 1) * float(step), spacing) for size in grid.shape]
            lattice = np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3) + low
            lattice = lattice.astype(np.float32)
            distance = np.full(len(lattice), np.inf, np.float32)
            _each(lattice, np.zeros(1, np.int64), np.array([0, len(lattice)]),
                  np.eye(4, dtype=np.float32), grid, low, step, np.float32(np.inf), distance)
            self._solid[key] = lattice[distance <= spacing / 2]
        return self._solid[key]

    def surface_point(self, link: str, point_base: np.ndarray,
                      T_base_link: np.ndarray) -> np.ndarray:
        """
        Return the point of a link's surface that is closest to a point within reach.

        It follows the field's gradient, and is off by less than half a grid cell.

        :param point_base: (3,) [m].
        :param T_base_link: (4, 4) float64.
        :return: (3,) float64 [m] base frame; the point itself where the field has no slope.
        """
        grid, low, step = self._fields[self.link_names.index(link)]
        steps = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * step / 2
        values = np.full(7, np.inf, np.float32)
        local = np.linalg.solve(T_base_link, np.r_[point_base, 1.0])[:3]
        _each((local + steps).astype(np.float32), np.zeros(1, np.int64), np.array([0, 7]),
              np.eye(4, dtype=np.float32), grid, low, step, np.float32(np.inf), values)
        slope = values[1:4].astype(np.float64) - values[4:]
        length = np.linalg.norm(slope)
        if not np.isfinite(length) or length < 1e-9:
            return np.array(point_base, np.float64)
        return T_base_link[:3, :3] @ (local - values[0] * slope / length) + T_base_link[:3, 3]


def _field(mesh: LinkMesh, spacing: float, reach: float,
           folder: Path) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """Return (grid of distances, its lowest corner [m], spacing [m])."""
    key = hashlib.sha256()
    for part in (mesh.vertices, mesh.faces, np.array([spacing, reach])):
        key.update(np.ascontiguousarray(part).data)
    key.update(b'field 2')
    path = folder / f'{key.hexdigest()[:32]}.field.npz'
    try:
        with np.load(path) as kept:
            return kept['grid'], kept['low'], np.float32(kept['spacing'])
    except (OSError, ValueError, KeyError, EOFError):
        pass      # not there yet, or damaged: computed below, which replaces it
    low = mesh.vertices.min(0) - reach
    size = mesh.vertices.max(0) + reach - low
    spacing = max(spacing, float(np.prod(size) / _MOST_CELLS) ** (1 / 3))
    cells = np.ceil(size / spacing).astype(int) + 1
    grid = _distances(mesh, low, spacing, cells)
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f'.{np.random.default_rng().integers(1 << 40):x}.tmp')
    with draft.open('wb') as stream:
        np.savez(stream, grid=grid, low=low.astype(np.float32), spacing=np.float32(spacing))
    draft.replace(path)
    return grid, low.astype(np.float32), np.float32(spacing)


def _distances(mesh: LinkMesh, low: np.ndarray, spacing: float, cells: np.ndarray) -> np.ndarray:
    """Return signed distances at the corners of a grid, (X, Y, Z) float32 [m]."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.ascontiguousarray(mesh.vertices, np.float32),
                        np.ascontiguousarray(mesh.faces, np.uint32))
    axes = [low[k] + spacing * np.arange(cells[k]) for k in range(3)]
    corners = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).astype(np.float32)
    closest = scene.compute_closest_points(corners)
    away = corners - closest['points'].numpy()
    distance = np.linalg.norm(away, axis=-1)
    # Meshes of robots have holes, inner parts and faces turned over, so that rays and winding
    # numbers mislead. Inside is what cannot be reached from the border of the grid without
    # passing the surface: of two neighbouring corners with the surface between them, one is
    # within half a step of it. Those few get the sign of the closest face's normal.
    shell = distance <= spacing / 2
    parts, _ = ndimage.label(~shell)
    inside = (parts != parts[0, 0, 0]) & ~shell
    behind = (away * closest['primitive_normals'].numpy()).sum(-1) < 0
    return np.where(inside | (shell & behind), -distance, distance)


def _swept(field: tuple[np.ndarray, np.ndarray, np.float32], T_base_link: np.ndarray,
           rim: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the box that a grid stays in at all of its poses (T, 4, 4): two corners (3,) [m].

    :param rim: [m] of true distance, at the grid's border, that does not matter.
    """
    grid, low, step = field
    half = (np.array(grid.shape) - 1) * np.float64(step) / 2
    centers = T_base_link[:, :3, :3] @ (low + half) + T_base_link[:, :3, 3]
    # What is looked up differs from the true distance by less than the diagonal of a cell or two.
    reach = np.abs(T_base_link[:, :3, :3]) @ (half - max(float(rim - 3 * step), 0.0)) + _ROUNDING
    return (centers - reach).min(0), (centers + reach).max(0)


@numba.njit(cache=True, nogil=True)
def _look_up(p: np.ndarray, T: np.ndarray, grid: np.ndarray, low: np.ndarray,
             spacing: float) -> np.float32:
    """Return the distance at one point in the base frame, inf outside the grid."""
    nx, ny, nz = grid.shape
    x = (T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3] - low[0]) / spacing
    if not 0 <= x < nx - 1:
        return np.float32(np.inf)
    y = (T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3] - low[1]) / spacing
    if not 0 <= y < ny - 1:
        return np.float32(np.inf)
    z = (T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3] - low[2]) / spacing
    if not 0 <= z < nz - 1:
        return np.float32(np.inf)
    i, j, k = int(x), int(y), int(z)
    fx, fy, fz = x - i, y - j, z - k
    near = (grid[i, j, k] * (1 - fx) + grid[i + 1, j, k] * fx) * (1 - fy) \
        + (grid[i, j + 1, k] * (1 - fx) + grid[i + 1, j + 1, k] * fx) * fy
    far = (grid[i, j, k + 1] * (1 - fx) + grid[i + 1, j, k + 1] * fx) * (1 - fy) \
        + (grid[i, j + 1, k + 1] * (1 - fx) + grid[i + 1, j + 1, k + 1] * fx) * fy
    return np.float32(near * (1 - fz) + far * fz)


@numba.njit(cache=True, nogil=True)
def _least(p: np.ndarray, radius: float, T: np.ndarray, grid: np.ndarray, low: np.ndarray,
           spacing: float) -> float:
    """
    Return what the points of a sphere are at least away, by the distance at its middle.

    It is inf for a sphere outside of the grid, and -inf where its middle is outside.
    """
    nx, ny, nz = grid.shape
    reach = radius / spacing
    x = (T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3] - low[0]) / spacing
    if x < -reach or x > nx - 1 + reach:
        return np.inf
    y = (T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3] - low[1]) / spacing
    if y < -reach or y > ny - 1 + reach:
        return np.inf
    z = (T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3] - low[2]) / spacing
    if z < -reach or z > nz - 1 + reach:
        return np.inf
    i, j, k = int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), int(np.floor(z + 0.5))
    if not (0 <= i < nx and 0 <= j < ny and 0 <= k < nz):
        return -np.inf
    # The corner is up to 0.87 cells from the middle, and what is looked up at a point is a mean of
    # distances at corners that are up to 0.87 cells from it.
    return grid[i, j, k] - radius - 1.75 * spacing


@numba.njit(cache=True, nogil=True)
def _closest(points: np.ndarray, gone: np.ndarray, near: np.ndarray, starts: np.ndarray,
             centers: np.ndarray, radii: np.ndarray, T_link_base: np.ndarray, grid: np.ndarray,
             low: np.ndarray, spacing: float, reach: float, first: int, stride: int,
             distance: np.ndarray, index: np.ndarray) -> None:
    """
    Fill in every `stride`-th time from `first` on; of the cubes, only `near` are looked at.

    A cube is passed over where its middle is so far from the link that none of its points can be
    nearer than the nearest so far. To begin with, that is the nearest of the time before.
    """
    last = -1
    for t in range(first, len(T_link_base), stride):
        best, found = reach, -1
        if last >= 0 and t < gone[last]:
            value = _look_up(points[last], T_link_base[t], grid, low, spacing)
            if value < best:
                best, found = value, last
        for cube in near:
            if _least(centers[cube], radii[cube], T_link_base[t], grid, low, spacing) >= best:
                continue
            for n in range(starts[cube], starts[cube + 1]):
                if t < gone[n]:
                    value = _look_up(points[n], T_link_base[t], grid, low, spacing)
                    if value < best:
                        best, found = value, n
        last = found
        if found >= 0:
            distance[t], index[t] = best, found


@numba.njit(cache=True, nogil=True)
def _nearing(points: np.ndarray, gone: np.ndarray, T_link_base: np.ndarray, grid: np.ndarray,
             low: np.ndarray, spacing: float, reach: float, least: float, distance: np.ndarray,
             index: np.ndarray) -> None:
    """Fill in the closest of the points that are nearer by `least` than at time 0."""
    for n in range(len(points)):
        limit = min(reach, _look_up(points[n], T_link_base[0], grid, low, spacing) - least)
        for t in range(1, min(gone[n], len(T_link_base))):
            value = _look_up(points[n], T_link_base[t], grid, low, spacing)
            if value < limit and value < distance[t]:
                distance[t], index[t] = value, n


@numba.njit(cache=True, nogil=True)
def _each(points: np.ndarray, near: np.ndarray, starts: np.ndarray, T_link_base: np.ndarray,
          grid: np.ndarray, low: np.ndarray, spacing: float, reach: float, out: np.ndarray) -> None:
    for cube in near:
        for n in range(starts[cube], starts[cube + 1]):
            value = _look_up(points[n], T_link_base, grid, low, spacing)
            if value < reach and value < out[n]:
                out[n] = value
