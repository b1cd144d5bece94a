# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small worlds made by ray casting (Open3D), whose true future is known exactly."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import open3d as o3d

from bench.render import looking_at
from kinema4d_ros.types import Gripper, Observation, PinholeCamera, RobotRollout

CAMERA = PinholeCamera(200, 160, 220.0, 220.0, 99.5, 79.5)
TABLE, RED, BLUE, STEEL = (150, 120, 90), (200, 40, 40), (40, 60, 200), (90, 95, 100)
LINKS = ('base', 'palm', 'left', 'right')
T_BASE_CAMERA = looking_at((0.9, 0.1, 0.75), (0.0, 0.0, 0.05))


def box(size, at) -> o3d.geometry.TriangleMesh:
    """Return a box by its size and the middle of its bottom."""
    mesh = o3d.geometry.TriangleMesh.create_box(*size)
    return mesh.translate(np.array(at) - [size[0] / 2, size[1] / 2, 0])


def can(radius, height, at) -> o3d.geometry.TriangleMesh:
    """Return an upright cylinder by the middle of its bottom."""
    mesh = o3d.geometry.TriangleMesh.create_cylinder(radius, height, 40)
    return mesh.translate(np.array(at) + [0, 0, height / 2])


def container(size, wall, at) -> list[o3d.geometry.TriangleMesh]:
    """Return an open box by its outer size and the middle of its bottom."""
    x, y, z = size
    at = np.array(at, float)
    return [box((x, y, wall), at)] + [
        box((wall, y, z), at + [s * (x - wall) / 2, 0, 0]) for s in (-1, 1)] + [
        box((x, wall, z), at + [0, s * (y - wall) / 2, 0]) for s in (-1, 1)]


def cast(meshes, camera=CAMERA, T_base_camera=T_BASE_CAMERA):
    """Return depth (H, W) NaN where nothing is, and which mesh is seen (H, W), -1 nothing."""
    scene = o3d.t.geometry.RaycastingScene()
    for mesh in meshes:
        scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    rays = camera.rays() @ T_base_camera[:3, :3].T
    origin = np.broadcast_to(T_base_camera[:3, 3], rays.shape)
    hit = scene.cast_rays(o3d.core.Tensor(np.concatenate([origin, rays], -1).astype(np.float32)))
    depth = hit['t_hit'].numpy()
    number = hit['geometry_ids'].numpy().astype(np.int64)
    seen = np.isfinite(depth)
    return np.where(seen, depth, np.nan).astype(np.float32), np.where(seen, number, -1)


@dataclass
class World:
    """Coloured meshes on a table in a room; `things` are (color, meshes)."""

    things: list = field(default_factory=lambda: [(TABLE, [
        box((1.2, 1.2, 0.1), (0, 0, -0.1)), box((16.0, 16.0, 0.1), (0, 0, -0.9))])])

    def add(self, color, *meshes):
        """Add a thing and return the world."""
        self.things.append((color, list(meshes)))
        return self

    def render(self, extra=(), T_base_camera=T_BASE_CAMERA):
        """Return image, depth and the number of the thing per pixel (-1 nothing)."""
        things = [*self.things, *extra]
        owner = [number for number, (_, meshes) in enumerate(things) for _ in meshes]
        depth, mesh = cast([m for _, meshes in things for m in meshes],
                           T_base_camera=T_base_camera)
        thing = np.where(mesh >= 0, np.array(owner)[mesh], -1)
        colors = np.array([color for color, _ in things] + [(0, 0, 0)], np.uint8)
        # A grain that is fixed to the pixels keeps the surfaces from being featureless.
        return colors[thing], depth, thing

    def observe(self, path, depth=True):
        """Return the observation with the hand at the start of `path`."""
        image, seen, _ = self.render([(STEEL, hand(path.positions[0], path.gaps[0]))])
        return Observation.from_rgbd(image, seen if depth else None, CAMERA, T_BASE_CAMERA)


def hand(tip, gap) -> list[o3d.geometry.TriangleMesh]:
    """Return palm and two fingers whose tips are at `tip`, `gap` apart along y."""
    x, y, z = tip
    return [box((0.04, 0.16, 0.05), (x, y, z + 0.06)),
            box((0.02, 0.012, 0.06), (x, y + gap / 2 + 0.006, z)),
            box((0.02, 0.012, 0.06), (x, y - gap / 2 - 0.006, z))]


@dataclass
class Path:
    """Where the finger tips are, and how far apart, at each frame."""

    times: np.ndarray        # (T,)
    positions: np.ndarray    # (T, 3)
    gaps: np.ndarray         # (T,)

    @classmethod
    def through(cls, *stops, frames=33):
        """Make a path through (time, x, y, z, gap)."""
        stops = np.array(stops, float)
        times = np.linspace(0, stops[-1, 0], frames)
        value = np.stack([np.interp(times, stops[:, 0], stops[:, k]) for k in range(1, 5)], -1)
        return cls(times, value[:, :3], value[:, 3])

    def rollout(self, boxes=True, T_base_camera=T_BASE_CAMERA) -> RobotRollout:
        """Return the exact robot over this path, rendered by ray casting."""
        count = len(self.times)
        T = np.repeat(np.eye(4)[None], count * 4, 0).reshape(count, 4, 4, 4)
        T[:, 1, :3, 3] = self.positions + [0, 0, 0.06]
        T[:, 2, :3, 3] = self.positions + np.stack(
            [0 * self.gaps, self.gaps / 2, 0 * self.gaps], -1)
        T[:, 3, :3, 3] = self.positions - np.stack(
            [0 * self.gaps, self.gaps / 2, 0 * self.gaps], -1)
        depth, seen = zip(*(cast(hand(*state), T_base_camera=T_base_camera)
                            for state in zip(self.positions, self.gaps)))
        depth, seen = np.stack(depth), np.stack(seen)
        image = np.where(seen[..., None] >= 0, np.array(STEEL, np.uint8), 0).astype(np.uint8)
        gripper = Gripper('palm', ('left', 'right'), ('left_joint', 'right_joint'), (
            ((-0.01, 0.0, 0.0), (0.01, 0.012, 0.06)),
            ((-0.01, -0.012, 0.0), (0.01, 0.0, 0.06))) if boxes else ())
        return RobotRollout(
            self.times, ('left_joint', 'right_joint'), np.stack([self.gaps / 2] * 2, -1), LINKS,
            T, CAMERA, np.repeat(T_base_camera[None], count, 0),
            CAMERA.rays()[None] * depth[..., None], np.where(seen >= 0, seen + 1, -1).astype(
                np.int16), image, gripper)


def pick_and_place(at, to, grip_height=0.03, release_height=0.05, frames=33) -> Path:
    """Return a path that grasps at `at` (x, y), carries, and opens at `to` (x, y)."""
    up = 0.25
    return Path.through(
        (0.0, 0.0, -0.3, up, 0.08), (1.0, *at, up, 0.08), (2.0, *at, grip_height, 0.08),
        (2.2, *at, grip_height, 0.08), (2.6, *at, grip_height, 0.0),
        (3.0, *at, grip_height, 0.0), (4.0, *at, up, 0.0), (5.0, *to, up, 0.0),
        (6.0, *to, release_height, 0.0), (6.2, *to, release_height, 0.0),
        (6.6, *to, release_height, 0.08), (7.5, *to, up, 0.08), frames=frames)


def bowl(radius, height, at) -> o3d.geometry.TriangleMesh:
    """Return a bowl, narrow at the bottom, by the middle of its bottom."""
    outer = np.array([[0.0, 0.0], [0.5, 0.0], [0.8, 0.4], [1.0, 1.0]])
    inner = np.array([[0.94, 1.0], [0.75, 0.45], [0.45, 0.12], [0.0, 0.12]])
    profile = np.concatenate([outer, inner]) * [radius, height]
    count, steps = len(profile), 48
    angle = np.arange(steps) * 2 * np.pi / steps
    vertices = np.stack([np.outer(np.cos(angle), profile[:, 0]),
                         np.outer(np.sin(angle), profile[:, 0]),
                         np.tile(profile[:, 1], (steps, 1))], -1).reshape(-1, 3)
    k, i = np.meshgrid(np.arange(steps), np.arange(count - 1), indexing='ij')
    a, b = k * count + i, ((k + 1) % steps) * count + i
    faces = np.concatenate([np.stack([a, b, a + 1], -1).reshape(-1, 3),
                            np.stack([b, b + 1, a + 1], -1).reshape(-1, 3)])
    return o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(vertices + np.array(at)),
                                     o3d.utility.Vector3iVector(faces))
