# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera pose's score by what differs from a background.

What moves in the image is compared with what would move by the joints, cell by cell of a coarse
grid: the robot's surface is a cloud of points, which a camera pose throws into the cells. A pose's
score is the correlation, over time, of seen and foreseen motion in all cells, so that what moves
besides, or stays, decides nothing.
"""
from __future__ import annotations

import cv2
import numba
import numpy as np

from kinema4d_ros.calibration.flow_grid import projected
from kinema4d_ros.calibration.search import COLUMNS, PoseSearch
from kinema4d_ros.types import PinholeCamera

_FRAMES = 14


class MotionGrid(PoseSearch):
    """What differs from the background, in cells."""

    def __init__(self, moving: np.ndarray, surface: np.ndarray, camera: PinholeCamera):
        """
        Make it.

        :param moving: (N, H, W) bool, foreground; :param surface: (N, P, 3) [m] base frame.
        """
        pick = np.unique(np.linspace(0, len(moving) - 1, _FRAMES).round().astype(int))
        rows = max(4, round(COLUMNS * camera.height / camera.width))
        self.surface = np.ascontiguousarray(surface[pick])
        super().__init__(camera.resized(COLUMNS, rows), self.surface.reshape(-1, 3).mean(axis=0))
        self.seen = np.stack([cv2.resize(mask.astype(np.float32), (COLUMNS, rows),
                                         interpolation=cv2.INTER_AREA) for mask in moving[pick]])
        self.seen -= self.seen.mean(axis=0)
        self.seen /= max(float(np.linalg.norm(self.seen)), 1e-9)

    def scores(self, T_camera_base: np.ndarray, zoom: np.ndarray, thinned: int = 1) -> np.ndarray:
        """Return correlations, -1..1."""
        camera = self.camera
        pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        found: np.ndarray = _scores(np.ascontiguousarray(T_camera_base[:, :3]), zoom, pinhole,
                                    np.ascontiguousarray(self.surface[:, ::thinned]), self.seen)
        return found


@numba.njit(cache=True, nogil=True)
def _scores(T: np.ndarray, zoom: np.ndarray, pinhole: np.ndarray, surface: np.ndarray,
            seen: np.ndarray) -> np.ndarray:
    frames, rows, columns = seen.shape
    out = np.zeros(len(T))
    hit = np.zeros((frames, rows, columns), np.bool_)
    for k in range(len(T)):
        hit[:] = False
        for t in range(frames):
            for n in range(surface.shape[1]):
                across, down, z = projected(T[k], zoom[k], pinhole, surface[t, n])
                u, v = int(np.floor(across + 0.5)), int(np.floor(down + 0.5))
                if z == 0.0:
                    continue
                if 0 <= u < columns and 0 <= v < rows:
                    hit[t, v, u] = True
        together, own = 0.0, 1e-9
        for v in range(rows):
            for u in range(columns):
                often = 0
                for t in range(frames):
                    often += hit[t, v, u]
                if often == 0 or often == frames:
                    continue
                # Where the arm is most of the time, it is the background, and moves when it goes.
                usual = 2 * often > frames
                mean = (frames - often if usual else often) / frames
                for t in range(frames):
                    moves = (1.0 if hit[t, v, u] != usual else 0.0) - mean
                    together += moves * seen[t, v, u]
                    own += moves * moves
        out[k] = together / np.sqrt(own)
    return out
