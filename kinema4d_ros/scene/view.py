# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene as one camera shows it: the robot taken out, memory filled in."""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from kinema4d_ros.camera.points import pointmap_moved
from kinema4d_ros.scene.knowledge import aged, knowledge, places_of
from kinema4d_ros.scene.mask import grow_robot, in_paint
from kinema4d_ros.scene.measured import (farthest_measured, in_range, LookedThrough,
                                         with_small_gaps_filled, without)
from kinema4d_ros.camera.raster import pinhole_of
from kinema4d_ros.scene.near_points import DepthTiles, OtherDepth
from kinema4d_ros.scene.points import ScenePoints
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.types import CameraView

LIVE = 1.0      # [s] a view older than this is memory, and not what is seen now
_IN_FRONT = 0.01      # [m] a box that reaches no nearer to the camera can be projected
_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T


class SceneView:
    """
    What one camera sees of the scene, and remembers where the robot hides it.

    Every part is made when it is first asked for. There are two of the depth, for two uses:

    * `image`, `depth` and `points_base` are a *picture*, for world models and people. It lacks
      a rim around the robot that grows with the picture, so that no edge of the robot stays
      behind, and takes over all that is remembered. Where nothing is known the image is
      in-painted, since a picture must show something; the depth stays unknown (NaN), since a
      made-up surface would be taken for a measured one. Only gaps of a pixel or two within one
      surface are filled.
    * `measured_depth`, `seen_to` and `points` are *measurements*, for tier 1. They lack what the
      calibration leaves uncertain (`mask_growth`), and a remembered value that is no distance.

    The two rims cannot be one: the first follows from the picture's size, the second from the
    cell's calibration, and the wider of both would hide scene from tier 1.
    """

    def __init__(self, seen: CameraView, robot_mask: np.ndarray,
                 settings: SceneSettings = SceneSettings(), in_front: np.ndarray | None = None,
                 late: float = 0.0):
        """
        Make the scene of one camera view; its parts are made when they are first asked for.

        :param robot_mask: (H, W) bool, the robot as rendered for that view.
        :param in_front: (H, W) bool, pixels of the robot or beside it that show something in front
            of it, which is scene; None for none.
        :param late: [s] how long before now the view was taken. Beyond `LIVE` all that it shows is
            remembered, not seen.
        :raises CameraError: the mask does not have the size of the image.
        """
        self.late = late if late > LIVE else 0.0
        self.seen, self.settings, self.rendered = seen, settings, robot_mask
        self.in_front = np.zeros(robot_mask.shape, bool) if in_front is None else in_front
        self.robot_mask = robot_mask & ~self.in_front
        self.growth = settings.mask_growth     # [px] around the robot that it is taken to hide
        self._hidden = grow_robot(robot_mask, seen.camera, self.growth) & ~self.in_front

    # ------------------------------------------------------------------ the picture

    @cached_property
    def _rim(self) -> np.ndarray:
        """Robot and rim in the picture, (H, W) bool."""
        return grow_robot(self.robot_mask, self.seen.camera) & ~self.in_front

    @cached_property
    def _remembered(self) -> np.ndarray:
        """Pixels of the picture that come from memory, (H, W) bool."""
        memory = self.seen.background
        return self._rim & (False if memory is None else memory.known)

    @cached_property
    def image(self) -> np.ndarray:
        """The picture without the robot, (H, W, 3) uint8."""
        image, memory = self.seen.image.copy(), self.seen.background
        if memory is not None:
            np.copyto(image, memory.image, where=self._remembered[..., None])
        return in_paint(image, self._rim & ~self._remembered)

    @cached_property
    def depth(self) -> np.ndarray:
        """The depth of the picture, (H, W) float32 [m], NaN unknown."""
        memory, (measured, looked_through) = self.seen.background, self._live
        depth, _ = without(measured, measured, self._rim)
        if looked_through is not measured:
            depth = with_small_gaps_filled(depth, True)
            depth[self._rim] = np.nan
        if memory is not None:
            np.copyto(depth, memory.depth, where=self._remembered)
        return depth

    @cached_property
    def points_base(self) -> np.ndarray:
        """The point that each pixel of the picture shows, (H, W, 3) float32 [m], NaN unknown."""
        return self._points_of((0, self.depth.shape[0], 0, self.depth.shape[1]))

    def points_around(self, box: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
        """
        Return the part of `points_base` that has all that is in a box, without making the rest.

        :param box: (2, 3) [m] lowest and highest corner, base frame.
        :return: rows and columns that it is of, and (rows, columns, 3) float32 [m], NaN unknown.
        """
        camera, T = self.seen.camera, np.linalg.inv(self.seen.T_base_camera)
        x, y, z = T[:3, :3] @ box[_CORNERS, [0, 1, 2]].T + T[:3, 3:]
        window = (0, camera.height, 0, camera.width)
        if z.min() > _IN_FRONT:
            u, v = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
            window = (max(math.floor(v.min()) - 1, 0), min(math.ceil(v.max()) + 2, camera.height),
                      max(math.floor(u.min()) - 1, 0), min(math.ceil(u.max()) + 2, camera.width))
            if window[0] >= window[1] or window[2] >= window[3]:
                window = (0, 0, 0, 0)
        top, bottom, left, right = window
        return (slice(top, bottom), slice(left, right)), self._points_of(window)

    def _points_of(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Return the points of the picture between rows and columns."""
        points = pointmap_moved(self.depth, *pinhole_of(self.seen.camera), np.ascontiguousarray(
            self.seen.T_base_camera[:3], np.float64), window)
        points.flags.writeable = False
        return points

    @cached_property
    def age(self) -> np.ndarray:
        """How long before the view each pixel of the picture was seen, (H, W) float32 [s], NaN."""
        return self._age(self._rim, self._remembered)

    # ------------------------------------------------------------------ what is measured

    @cached_property
    def _live(self) -> tuple[np.ndarray, np.ndarray]:
        """What the camera measures now, robot and all, and the same with small gaps filled."""
        depth = self.seen.depth
        if depth is None:
            nothing = np.full(self._hidden.shape, np.nan, np.float32)
            return nothing, nothing
        measured, has_holes = self._in_range(depth)
        closed = with_small_gaps_filled(measured, False) if has_holes else measured
        return measured, closed

    @cached_property
    def _looked_through(self) -> LookedThrough:
        """How far the camera looks now, speckles filled too."""
        return LookedThrough(self._live[1], self._live[0], self.seen.camera.fx)

    @cached_property
    def _memory(self) -> tuple[np.ndarray, np.ndarray]:
        """What is remembered behind the robot, and its age [s]; NaN elsewhere and unknown."""
        memory = self.seen.background
        depth = np.full(self._hidden.shape, np.nan, np.float32)
        if memory is None:
            return depth, depth
        remembered, _ = self._in_range(memory.depth)
        np.copyto(depth, remembered, where=self._hidden & memory.known)
        return depth, self._age(np.ones_like(self._hidden), np.isfinite(depth))

    @cached_property
    def _is_fresh(self) -> np.ndarray:
        """
        What is remembered is young enough to go by, (H, W) bool; without an age it is not.

        Nor is what is stamped after the view: a clock has jumped since.
        """
        age = self._memory[1]
        with np.errstate(invalid='ignore'):
            fresh: np.ndarray = (age >= -LIVE) & (age <= self.settings.memory_age)
        return fresh

    @cached_property
    def _young_and_stale(self) -> tuple[np.ndarray, np.ndarray]:
        """What is remembered and young enough to go by, and what is too old; NaN for nothing."""
        depth, nothing = self._memory[0], np.float32(np.nan)
        if self.seen.background is None:
            return depth, depth
        fresh = self._is_fresh
        return np.where(fresh, depth, nothing), np.where(fresh, nothing, depth)

    @cached_property
    def _measured(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The scene's depth, the same with small gaps filled, and the share that has a depth."""
        measured, looked_through = self._live
        depth, share = without(measured, looked_through, self._hidden)
        remembered = self._memory[0]
        np.copyto(depth, remembered, where=np.isfinite(remembered))
        is_dense = looked_through is measured
        return depth, depth if is_dense else with_small_gaps_filled(depth, True), share

    @property
    def measured_depth(self) -> np.ndarray:
        """Measured distances, (H, W) float32 [m], NaN where unknown or hidden by the robot."""
        return self._measured[0]

    @cached_property
    def seen_to(self) -> np.ndarray:
        """
        How far the space is known, (H, W) float32 [m], NaN not at all.

        That is to the surface that the camera sees or, behind the robot, to the one that it saw
        there no longer than `memory_age` ago.
        """
        return np.fmax(self._live[1], np.where(self._is_fresh, self._memory[0],
                                               np.float32(np.nan)))

    @property
    def has_depth(self) -> bool:
        """Whether the camera measures depth; without, it says nothing of where things are."""
        return self.seen.depth is not None

    @property
    def measured_share(self) -> float:
        """0..1 of the pixels beside the robot have a depth, or lie in a gap of a pixel or two."""
        return self._measured[2]

    @cached_property
    def points(self) -> ScenePoints:
        """The measured points, thinned."""
        return self.tiles_besides(()).everywhere()

    def tiles_besides(self, others: Sequence[SceneView]) -> DepthTiles:
        """
        Return what finds measured points, but for those that others measure at the same place.

        :param others: views whose points are taken as well, all of those that this leaves out.
        """
        depth, closed, _ = self._measured
        return DepthTiles(depth, closed, self._point_age, self.seen.camera,
                          self.seen.T_base_camera, self.settings,
                          [self._other_depth(other) for other in others])

    def _other_depth(self, other: SceneView) -> OtherDepth:
        """Return what another view measures, as this camera needs it."""
        T_other_this = np.linalg.inv(other.seen.T_base_camera) @ self.seen.T_base_camera
        return OtherDepth(np.ascontiguousarray(T_other_this[:3]), *other._measured[:2],
                          pinhole_of(other.seen.camera), other.settings.least_neighbours)

    @cached_property
    def _point_age(self) -> np.ndarray:
        """The age of what is measured, (H, W) float32 [s], or (1, 1) where all has one."""
        if self.seen.background is None:
            return np.full((1, 1), self.late, np.float32)
        return self._age(self._hidden, np.isfinite(self._memory[0]))

    def knowledge(self, points_base: np.ndarray,
                  tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what the camera knows of points (N, 3) [m], and how old that is [s].

        :param tolerance: [m] behind a surface that counts as the surface.
        :return: (N,) uint8 of `Knowledge`, and (N,) float32, 0 where it is seen now.
        """
        camera, (young, stale) = self.seen.camera, self._young_and_stale
        places, distance = places_of(
            np.ascontiguousarray(points_base, np.float64), np.linalg.inv(self.seen.T_base_camera),
            pinhole_of(camera), camera.width, camera.height)
        found, old = knowledge(places, distance, self._looked_through.at(places), young, stale,
                               self._hidden, self._memory[1], tolerance)
        if self.late:
            found, old = aged(found, old, self.late, self.settings.memory_age)
        return found, old

    def _in_range(self, depth: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return a depth image with NaN where the camera cannot measure, and if there is any."""
        depth = np.ascontiguousarray(depth, np.float32)
        nearest = self.settings.depth_min
        return in_range(depth, np.float32(nearest), np.float32(farthest_measured(
            depth, nearest, self.settings.depth_max)))

    def _age(self, hidden: np.ndarray, remembered: np.ndarray) -> np.ndarray:
        """Return 0 where the view shows the scene, the age of what is remembered, else NaN."""
        age = np.where(hidden, np.float32(np.nan), np.float32(0.0))
        memory = self.seen.background
        if memory is not None and memory.stamp_ns is not None:
            age[remembered] = (self.seen.stamp_ns - memory.stamp_ns[remembered]) * 1e-9
        if self.late:
            age += np.float32(self.late)
        return age
