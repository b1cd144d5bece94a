# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The 4D control signal: a moving robot as a camera sees it, exact to the pixel."""
from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from kinema4d_ros.camera.appearance import Appearance, observe
from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.camera.image_memory import ImageMemory
from kinema4d_ros.camera.normals import corner_normals
from kinema4d_ros.camera.paint import clear_shape, paint, paint_shape
from kinema4d_ros.camera.raster import check_faces, empty_box, pinhole_of
from kinema4d_ros.camera.zbuffer import draw, move_and_project, NEAR
from kinema4d_ros.errors import CameraError, MeshError
from kinema4d_ros.types import PinholeCamera

_LIGHT = np.array([-0.3, -0.5, -0.8]) / np.linalg.norm([-0.3, -0.5, -0.8])   # in the camera


class Mesh(Protocol):
    """What is drawn of a link; robot.LinkMesh is one."""

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) float32 [m], link frame."""

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) int32."""

    @property
    def colors(self) -> np.ndarray:
        """(V, 3) uint8 RGB."""


@dataclass(frozen=True, eq=False)
class RobotImages:
    """The robot at T frames as a camera sees it."""

    pointmap: np.ndarray    # (T, H, W, 3) float32 [m] camera frame, NaN where no robot
    link_id: np.ndarray     # (T, H, W) int16, index into link_names, -1 where no robot
    image: np.ndarray       # (T, H, W, 3) uint8, shaded, black where no robot


@dataclass(frozen=True, eq=False)
class RobotShape:
    """The robot at one moment as a depth camera sees it."""

    pointmap: np.ndarray    # (H, W, 3) float32 [m] camera frame, NaN where no robot
    link_id: np.ndarray     # (H, W) int16, index into link_names, -1 where no robot
    depth: np.ndarray       # (H, W) float32 [m], NaN where no robot; its own memory


class RobotRenderer:
    """
    Draws the meshes of a robot's links at given link poses.

    Frames are drawn side by side by threads. `render` may be called from several threads. The
    memory of the largest result is kept, and used again once nobody holds that result any more.
    """

    def __init__(self, meshes: Mapping[str, Mesh], link_names: tuple[str, ...], *,
                 near: float = NEAR):
        """
        Make a renderer of these meshes, which it copies.

        :param meshes: by link name; links without a mesh are not drawn.
        :param link_names: order of the link poses, and meaning of `link_id`.
        :param near: what is nearer to the camera's centre is not drawn [m]; raise it where a
            wrist camera sits inside of its own housing.
        :raises MeshError: a mesh is not well formed, or of a link that is not named.
        """
        strangers = sorted(set(meshes) - set(link_names))
        if strangers:
            raise MeshError(f'meshes of links that the robot does not have: '
                            f'{", ".join(strangers)}; it has: {", ".join(link_names)}')
        if not near > 0:
            raise CameraError(f'near must be a positive distance [m], got {near}')
        self.link_names, self._near = tuple(link_names), float(near)
        self._memory = ImageMemory()
        self._blank: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None    # of `shape`
        vertices, faces, colors, normals, owner = [], [], [], [], []
        self._parts: list[tuple[int, int, int]] = []     # link, first vertex, last vertex + 1
        count = 0
        for link, name in enumerate(self.link_names):
            mesh = meshes.get(name)
            if mesh is None:
                continue
            mesh_vertices = np.asarray(mesh.vertices, np.float32)
            mesh_faces = np.asarray(mesh.faces, np.int32)
            mesh_colors = np.asarray(mesh.colors, np.uint8)
            check_faces(mesh_vertices, mesh_faces)
            if mesh_colors.shape != mesh_vertices.shape:
                raise MeshError(f'link {name!r}: colors must have shape {mesh_vertices.shape}, '
                                f'got {mesh_colors.shape}')
            self._parts.append((link, count, count + len(mesh_vertices)))
            vertices.append(mesh_vertices)
            faces.append(mesh_faces + np.int32(count))
            colors.append(mesh_colors)
            normals.append(corner_normals(mesh_vertices, mesh_faces))
            owner.append(np.full(len(mesh_faces), link, np.int16))
            count += len(mesh_vertices)
        self._vertices = _stack(vertices, (0, 3), np.float32)
        self._faces = _stack(faces, (0, 3), np.int32)
        self._colors = _stack(colors, (0, 3), np.uint8)
        self._normals = _stack(normals, (0, 3, 3), np.float32)
        self._face_link = _stack(owner, (0,), np.int16)

    def render(self, T_base_link: np.ndarray, camera: PinholeCamera, T_base_camera: np.ndarray,
               appearance: Appearance | None = None,
               check: Callable[[], object] = lambda: None) -> RobotImages:
        """
        Draw the robot at each frame.

        :param T_base_link: (T, L, 4, 4) in order of `link_names`.
        :param T_base_camera: (4, 4), or (T, 4, 4) for a camera that moves.
        :param appearance: colours as observed; None for those of the meshes.
        :param check: called in this thread before each frame that it draws; what it raises ends
            the drawing as soon as the frames that are being drawn are done, and is passed on.
        :raises CameraError: poses have the wrong shape or are not finite.
        """
        drawing, images = self.begin(T_base_link, camera, T_base_camera, appearance, check)
        try:
            drawing.wait()
        finally:
            drawing.stop()
        return images

    def begin(self, T_base_link: np.ndarray, camera: PinholeCamera, T_base_camera: np.ndarray,
              appearance: Appearance | None = None,
              check: Callable[[], object] = lambda: None, sharing: int = 1
              ) -> tuple[Drawing, RobotImages]:
        """
        Begin to draw, as `render` does; a frame of the pictures is there once it is waited for.

        :param check: called by who waits, before each frame that it draws meanwhile.
        :param sharing: how many are drawn at one time, this one too; they share the processors,
            since each thread has a z-buffer of its own.
        """
        T_camera_link = self._in_camera(T_base_link, T_base_camera)
        frames, size = len(T_camera_link), (camera.height, camera.width)
        out = RobotImages(*self._memory.take(frames, size))
        if appearance is not None and len(appearance.T_camera_link) != len(self.link_names):
            raise CameraError(f'the appearance is of a robot with '
                              f'{len(appearance.T_camera_link)} links, this one has '
                              f'{len(self.link_names)}')
        texture = _texture(appearance, len(self.link_names))
        artist = functools.partial(self._artist, T_camera_link, camera, texture, out)
        helpers = math.ceil((len(os.sched_getaffinity(0)) - 1) / sharing)
        return Drawing(frames, artist, helpers, check), out

    @contextlib.contextmanager
    def shape(self, T_base_link: np.ndarray, camera: PinholeCamera,
              T_base_camera: np.ndarray) -> Iterator[RobotShape]:
        """
        Draw the robot without colours, at one moment; its pictures hold within the `with` block.

        Their memory serves again, and is cleared only where something was drawn.

        :param T_base_link: (L, 4, 4) in order of `link_names`.
        :param T_base_camera: (4, 4).
        :raises CameraError: poses have the wrong shape or are not finite.
        """
        T_camera_link = self._in_camera(np.asarray(T_base_link)[None], T_base_camera)[0]
        size, pinhole, box = (camera.height, camera.width), pinhole_of(camera), empty_box(camera)
        kept = self._blank
        if kept is None or kept[0].shape != size:
            kept = (np.zeros(size, np.int64), np.full((*size, 3), np.nan, np.float32),
                    np.full(size, -1, np.int16))
        self._blank = None       # another thread makes its own
        pixels, pointmap, link_id = kept
        points, screen = np.empty_like(self._vertices), np.empty_like(self._vertices)
        for link, first, last in self._parts:
            move_and_project(self._vertices, first, last, T_camera_link[link], pinhole,
                             self._near, points, screen)
        draw(self._faces, points, screen, pinhole, self._near, pixels, box)
        depth = np.full(size, np.nan, np.float32)
        paint_shape(pixels, box, self._face_link, pinhole, pointmap, link_id, depth)
        try:
            yield RobotShape(pointmap, link_id, depth)
        finally:
            clear_shape(box, pointmap, link_id)
            self._blank = kept

    def appearance(self, image: np.ndarray, link_id: np.ndarray, pointmap: np.ndarray,
                   T_base_link: np.ndarray, camera: PinholeCamera, T_base_camera: np.ndarray,
                   depth: np.ndarray | None = None) -> Appearance:
        """
        Remember how the robot looks in an observed image, to be given to `render`.

        :param image: (H, W, 3) uint8, observed.
        :param link_id: (H, W) int16 and `pointmap` (H, W, 3): one frame of `render` at the
            observed joint positions.
        :param T_base_link: (L, 4, 4) at the observation.
        :param depth: (H, W) float32 [m] observed, NaN unknown: keeps what is in front of the
            robot from being painted on it.
        :raises CameraError: sizes or poses do not fit together.
        """
        poses = np.asarray(T_base_link)[None]
        shaded = self.render(poses, camera, T_base_camera).image[0]
        T_camera_link = self._in_camera(poses, T_base_camera)[0]
        return observe(image, link_id, pointmap, shaded, T_camera_link, camera, depth)

    def _artist(self, T_camera_link: np.ndarray, camera: PinholeCamera, texture: tuple[Any, ...],
                out: RobotImages) -> Callable[[int], None]:
        """Return what draws a frame; one z-buffer serves all that it draws."""
        pixels = np.zeros((camera.height, camera.width), np.int64)
        points, screen = np.empty_like(self._vertices), np.empty_like(self._vertices)
        pinhole = pinhole_of(camera)

        def draw_frame(t: int) -> None:
            box = empty_box(camera)
            for link, first, last in self._parts:
                move_and_project(self._vertices, first, last, T_camera_link[t, link], pinhole,
                                 self._near, points, screen)
            draw(self._faces, points, screen, pinhole, self._near, pixels, box)
            light = _LIGHT @ T_camera_link[t, :, :, :3]
            paint(pixels, box, points, self._vertices, self._faces, self._face_link, self._colors,
                  self._normals, np.ascontiguousarray(light), pinhole, *texture, out.pointmap[t],
                  out.link_id[t], out.image[t])

        return draw_frame

    def _in_camera(self, T_base_link: np.ndarray, T_base_camera: np.ndarray) -> np.ndarray:
        """Return T_camera_link, (T, L, 3, 4) float64 C-ordered, after checks."""
        T_base_link = np.asarray(T_base_link, np.float64)
        T_base_camera = np.asarray(T_base_camera, np.float64)
        links = len(self.link_names)
        if T_base_link.ndim != 4 or T_base_link.shape[1:] != (links, 4, 4):
            raise CameraError(f'T_base_link must have shape (T, {links}, 4, 4), '
                              f'got {T_base_link.shape}')
        if T_base_camera.shape not in ((4, 4), (len(T_base_link), 4, 4)):
            raise CameraError(f'T_base_camera must have shape (4, 4) or '
                              f'({len(T_base_link)}, 4, 4), got {T_base_camera.shape}')
        if not (np.isfinite(T_base_link).all() and np.isfinite(T_base_camera).all()):
            raise CameraError('a link pose or the camera pose is not finite')
        T_camera_base = np.linalg.inv(T_base_camera)
        if T_camera_base.ndim == 3:
            T_camera_base = T_camera_base[:, None]
        return np.ascontiguousarray((T_camera_base @ T_base_link)[:, :, :3])


def _texture(appearance: Appearance | None, links: int) -> tuple[Any, ...]:
    """Return the arguments of `paint` that say how the robot was observed."""
    if appearance is None:
        return (False, np.zeros((1, 1, 3), np.uint8), np.full((1, 1), -1, np.int16),
                np.zeros((1, 1), np.float32), np.ones(4), np.zeros((links, 3, 4)),
                np.ones((links, 3), np.float32))
    return (True, appearance.image, appearance.link_id, appearance.inverse_depth,
            appearance.pinhole, appearance.T_camera_link, appearance.tint)


def _stack(parts: list[np.ndarray], empty: tuple[int, ...], dtype: DTypeLike
           ) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate([np.empty(empty, dtype), *parts]))
