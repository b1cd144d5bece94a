# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What moves in a predicted future, and whether the robot has been there to move it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.precheck.settings import Tier2Settings
from kinema4d_ros.scene.mask import grow
from kinema4d_ros.types import PredictedFrame, RobotRollout

_MARGIN = 3               # [px] around the robot where pixels mix robot and scene
_SURFACE_POINTS = 64      # per link, that stand for it
_VOXEL = 0.015            # [m] at which the places that were touched are kept
_SHRINK = 4               # factor of the small depth images that are kept for comparisons


@dataclass(frozen=True, eq=False)
class Change:
    """A patch of one frame where the scene's surface is not where it was at first."""

    time: float               # [s]
    area: float               # [m^2]
    receded: bool             # the surface is gone from here; else it has come here
    is_touched: bool          # the robot, or what it moved, has been near
    points_base: np.ndarray   # (N, 3) float64 [m], where the surface was, or is


@dataclass(frozen=True, eq=False)
class FutureView:
    """What is kept of a frame to compare whole futures."""

    time: float
    depth: np.ndarray                 # (H / 4, W / 4) float32 [m] without robot, NaN
    moved_area: float                 # [m^2] that has come to where it was not
    carried_point: np.ndarray | None  # (3,) [m] base


class SceneChanges:
    """
    Follows what changes in the scene of a predicted future, frame by frame, for a still camera.

    What the robot hid at first counts as unchanged when it is seen. A change is touched when it is
    near where a link, or something that was touched, has been up to then.
    """

    def __init__(self, robot: RobotRollout, surfaces: Mapping[str, np.ndarray],
                 settings: Tier2Settings):
        """
        Make the follower of one prediction, before its first frame.

        :param surfaces: vertices (V, 3) [m] of each link, link frame.
        """
        self._robot, self._settings = robot, settings
        self._links = [(robot.link_names.index(name), vertices[
            ::max(1, len(vertices) // _SURFACE_POINTS)]) for name, vertices in surfaces.items()
            if len(vertices)]
        self._first: np.ndarray | None = None      # (H, W) depth of the scene, NaN not seen yet
        self._been = np.empty((0, 3))
        self._cells: set[tuple[int, int, int]] = set()

    def add(self, frame: PredictedFrame) -> tuple[list[Change], FutureView]:
        """Return the changes in the next frame."""
        depth = np.where(self.robot_area(frame), np.nan, frame.pointmap[..., 2])
        depth = depth.astype(np.float32)
        if self._first is None:
            self._first = depth.copy()
        first = self._first
        fresh = np.isnan(first)
        first[fresh] = depth[fresh]
        self._visit(self._robot_points(frame.index))
        found = self._find(frame, depth, first)
        area = sum(change.area for change in found if not change.receded)
        return found, FutureView(frame.time, depth[::_SHRINK, ::_SHRINK].copy(), area,
                                 frame.carried_point_base)

    def unplaced_area(self, frame: PredictedFrame) -> float:
        """
        Return the surface of the largest patch that changed to nobody knows what [m^2].

        Of a frame that was added, beside the robot, where the scene has been seen.
        """
        if frame.unplaced is None or self._first is None:
            return 0.0
        mask = frame.unplaced & ~self.robot_area(frame) & np.isfinite(self._first)
        mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, label = cv2.connectedComponents(mask, connectivity=8)
        camera = self._robot.camera
        areas = np.bincount(label.ravel(), np.where(np.isfinite(self._first), self._first, 0.0
                                                    ).ravel().astype(np.float64) ** 2, count)
        return float(areas[1:].max(initial=0.0) / (camera.fx * camera.fy))

    def robot_area(self, frame: PredictedFrame) -> np.ndarray:
        """Return the pixels that show the exact or the predicted robot, or are next to it."""
        mask = frame.robot_mask | (self._robot.seen(frame.index)[1] >= 0)
        return grow(mask, _MARGIN, square=True)

    def _find(self, frame: PredictedFrame, depth: np.ndarray,
              first: np.ndarray) -> list[Change]:
        camera, found, pending = self._robot.camera, [], []
        T_base_camera = self._robot.T_base_camera[frame.index]
        with np.errstate(invalid='ignore'):
            away = depth - first
            masks = ((away > self._settings.moved, True, first),
                     (away < -self._settings.moved, False, depth))
        for mask, receded, surface in masks:
            # Single rows of pixels at the edges of things change with the slightest motion.
            mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN,
                                    np.ones((3, 3), np.uint8))
            count, label = cv2.connectedComponents(mask, connectivity=8)
            if count == 1:
                continue
            points = pointmap_from_depth(surface, camera)
            for number in range(1, count):
                where = label == number
                local = points[where].astype(np.float64)
                area = float((local[:, 2] ** 2).sum() / (camera.fx * camera.fy))
                if area >= self._settings.least_area:
                    base = local @ T_base_camera[:3, :3].T + T_base_camera[:3, 3]
                    pending.append((area, receded, base))
        # What was touched may have touched others in turn.
        grown = True
        while grown:
            grown, tree, left = False, cKDTree(self._been), []
            for area, receded, points in pending:
                near = tree.query(points, distance_upper_bound=self._settings.reach)[0]
                if np.isfinite(near).any():
                    found.append(Change(frame.time, area, receded, True, points))
                    self._visit(points)
                    grown = True
                else:
                    left.append((area, receded, points))
            pending = left
        return found + [Change(frame.time, *rest[:2], False, rest[2]) for rest in pending]

    def _robot_points(self, index: int) -> np.ndarray:
        T = self._robot.T_base_link[index]
        return np.concatenate([vertices @ T[link, :3, :3].T + T[link, :3, 3]
                               for link, vertices in self._links])

    def _visit(self, points: np.ndarray) -> None:
        """Remember places that were touched."""
        cells = np.unique(np.floor(points / _VOXEL).astype(int), axis=0)
        fresh = [tuple(cell) for cell in cells.tolist() if tuple(cell) not in self._cells]
        if fresh:
            self._cells.update(fresh)
            self._been = np.concatenate([self._been, (np.array(fresh) + 0.5) * _VOXEL])


def median_robot_residual(frame: PredictedFrame, robot: RobotRollout, least: int) -> float | None:
    """
    Return how far the predicted robot is from the exact one [m], median over its inner pixels.

    Pixels where something stands before the robot do not count.

    :param least: pixels that it takes; None with fewer.
    """
    exact, link_id, _ = robot.seen(frame.index)
    mask = (link_id >= 0).astype(np.uint8)
    inner = cv2.erode(mask, np.ones((5, 5), np.uint8)).astype(bool)
    predicted = frame.pointmap
    with np.errstate(invalid='ignore'):
        hidden = ~frame.robot_mask & (predicted[..., 2] < exact[..., 2])
    use = inner & ~hidden & np.isfinite(predicted[..., 2]) & np.isfinite(exact[..., 2])
    if use.sum() < least:
        return None
    return float(np.median(np.linalg.norm(predicted[use] - exact[use], axis=-1)))


def spread_of(futures: list[list[FutureView]], moved: float) -> tuple[float, float]:
    """
    Return how much futures of several seeds differ at worst [m], and when [s].

    That is how far apart what is carried is, and the median difference of depth over the pixels
    that change in any of them, whichever is more.
    """
    worst, when = 0.0, 0.0
    for frames in zip(*futures):
        carried = [view.carried_point for view in frames]
        apart = 0.0
        if all(point is not None for point in carried):
            apart = max(float(np.linalg.norm(a - b)) for a in carried for b in carried)
        depths = np.stack([view.depth for view in frames])
        firsts = np.stack([future[0].depth for future in futures])
        with np.errstate(invalid='ignore'):
            changed = (np.abs(depths - firsts) > moved).any(axis=0)
            between = np.ptp(depths, axis=0)[changed]
        between = between[np.isfinite(between)]
        apart = max(apart, float(np.median(between)) if len(between) else 0.0)
        if apart > worst:
            worst, when = apart, frames[0].time
    return worst, when
