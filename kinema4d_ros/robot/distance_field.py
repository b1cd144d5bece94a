# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signed distance from any point to the surface of a link, looked up in a grid."""
from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import ndimage

from kinema4d_ros.robot import field_lookup
from kinema4d_ros.robot.distances import REACH
from kinema4d_ros.robot.mesh_file import default_cache_dir
from kinema4d_ros.robot.point_cubes import PointCubes
from kinema4d_ros.robot.shapes import ball_around, LinkMesh

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
        self._balls: dict[tuple[str, float], tuple[np.ndarray, float]] = {}
        self._fields = [_field(meshes[name], spacing, reach, folder) for name in self.link_names]

    @cached_property
    def _extents(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spacing (L, 1), half the size and middle of the grids (L, 3) [m], link frame."""
        steps = np.array([step for *_, step in self._fields], np.float64)[:, None]
        half = (np.array([grid.shape for grid, *_ in self._fields]).reshape(-1, 3) - 1) * steps / 2
        return steps, half, np.array([low for _, low, _ in self._fields]).reshape(-1, 3) + half

    def closest(self, points_base: np.ndarray | PointCubes, T_base_link: np.ndarray,
                gone: np.ndarray | None = None,
                moving: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """
        Find the point closest to each link at each time.

        :param points_base: (N, 3) float [m]; given as cubes, they need not be sorted again.
        :param T_base_link: (T, L, 4, 4) float64 of the links in `link_names`, in that order.
        :param gone: (N,) int, time from which on each point is not there any more (0 for never
            there, T for always); None when all stay.
        :param moving: (L,) bool, the links to look at; None for all.
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
        T_link_base = _inverses(T_base_link)

        boxes = self.swept(T_base_link)
        for link in range(links) if moving is None else np.flatnonzero(moving):
            field_lookup.closest(
                cubes.points, gone, cubes.near(*boxes[link]), cubes.starts, cubes.centers,
                cubes.radii, T_link_base[link], *self._fields[link], np.float32(self.reach),
                distance[link], index[link])
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
        T_link_base = _inverses(T_base_link)
        for link, field in enumerate(self._fields):
            field_lookup.nearing(points, np.ascontiguousarray(gone, np.int32), T_link_base[link],
                                 *field, np.float32(self.reach), np.float32(least),
                                 distance[link], index[link])
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
            near = [points_base.near(*box)
                    for box in self.swept(T_base_link[None], self.reach - below)]
        else:
            points = np.ascontiguousarray(points_base, np.float32).reshape(-1, 3)
            starts, order = np.array([0, len(points)]), np.arange(len(points))
            near = [np.zeros(1, np.int64)] * len(self._fields)
        found = np.full(len(points), np.inf, np.float32)
        for field, T, cubes in zip(self._fields, _inverses(T_base_link[None])[:, 0], near):
            field_lookup.each(points, cubes, starts, T, *field,
                              np.float32(below), found)
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
            field_lookup.each(
                lattice, np.zeros(1, np.int64), np.array([0, len(lattice)]),
                np.eye(4, dtype=np.float32), grid, low, step, np.float32(np.inf), distance)
            self._solid[key] = lattice[distance <= spacing / 2]
        return self._solid[key]

    def solid_ball(self, link: str, spacing: float) -> tuple[np.ndarray, float]:
        """Return middle (3,) [m] and radius [m] of a ball around those points, link frame."""
        key = link, spacing
        if key not in self._balls:
            self._balls[key] = ball_around(self.solid_points(link, spacing))
        return self._balls[key]

    def surface_points(self, links: Sequence[str], points_base: np.ndarray,
                       T_base_link: np.ndarray) -> np.ndarray:
        """
        Return for each of N points within reach of a link the closest point of its surface.

        It follows the field's gradient, and is off by less than half a grid cell.

        :param links: N names.
        :param points_base: (N, 3) [m].
        :param T_base_link: (N, 4, 4) float64.
        :return: (N, 3) float64 [m] base frame; the point itself where the field has no slope.
        """
        local = np.linalg.solve(T_base_link, np.pad(
            points_base, ((0, 0), (0, 1)), constant_values=1.0)[..., None])[:, :3, 0]
        values = np.full((len(links), 7), np.inf, np.float32)
        sides = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) / 2
        for link in set(links):
            grid, low, step = self._fields[self.link_names.index(link)]
            of = [name == link for name in links]
            around = (local[of, None] + sides * step).astype(np.float32).reshape(-1, 3)
            found = np.full(len(around), np.inf, np.float32)
            field_lookup.each(around, np.zeros(1, np.int64), np.array([0, len(around)]),
                              np.eye(4, dtype=np.float32), grid, low, step, np.float32(np.inf),
                              found)
            values[of] = found.reshape(-1, 7)
        with np.errstate(invalid='ignore'):
            slope = values[:, 1:4].astype(np.float64) - values[:, 4:]
            length = np.linalg.norm(slope, axis=1, keepdims=True)
            away = values[:, :1] * slope / length
        foot = (T_base_link[:, :3, :3] @ (local - away)[..., None])[..., 0] + T_base_link[:, :3, 3]
        return np.where(np.isfinite(length) & (length >= 1e-9), foot, points_base)

    def swept(self, T_base_link: np.ndarray, rim: float = 0.0) -> np.ndarray:
        """
        Return the boxes that the grids stay in at all of their poses: corners (L, 2, 3) [m].

        :param rim: [m] of true distance, at a grid's border, that does not matter.
        """
        steps, half, middle = self._extents
        turns = T_base_link[..., :3, :3]
        # What is looked up differs from the true distance by less than the diagonal of a cell or
        # two.
        reach = half - np.maximum(rim - 3 * steps, 0.0)
        centers, around = T_base_link[..., :3, 3].copy(), np.full(turns.shape[:-1], _ROUNDING)
        for k in range(3):      # not as matrices: there are very many, which are very small
            centers += turns[..., k] * middle[:, k, None]
            around += np.abs(turns[..., k]) * reach[:, k, None]
        return np.stack([(centers - around).min(0), (centers + around).max(0)], axis=1)


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
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
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


def _inverses(T_base_link: np.ndarray) -> np.ndarray:
    """Return T_link_base (L, T, 4, 4) float32 of rigid poses (T, L, 4, 4) float64."""
    turns = T_base_link[..., :3, :3].transpose(1, 0, 3, 2)
    out = np.zeros((T_base_link.shape[1], T_base_link.shape[0], 4, 4), np.float32)
    out[..., :3, :3] = turns
    out[..., :3, 3] = -(turns @ np.swapaxes(T_base_link[..., :3, 3:], 0, 1))[..., 0]
    out[..., 3, 3] = 1.0
    return out
