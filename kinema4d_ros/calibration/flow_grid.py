# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera pose's score by how points move from one image to the next.

The robot's surface is a cloud of points, which a camera pose throws into the cells of a coarse
grid, at one image and at the next; how they move there is compared with how the points that are
followed move. A thing put elsewhere differs from the background from then on, and where the
first links of the arm are all the time no background is seen; this score minds neither.
"""
from __future__ import annotations

import math

import numba
import numpy as np

from kinema4d_ros.calibration.point_tracks import PointTracks
from kinema4d_ros.calibration.search import COLUMNS, PoseSearch
from kinema4d_ros.types import PinholeCamera

_PAIRS = 24            # of images, one in each stretch of time
_STILL = 0.05          # cells; what moves by less counts as it moves, what by more by its root
_MOVES = 1.0           # [px] a point that moves less may as well stand
_FEWEST = 100          # steps of points that move, all together
_BEHIND = 4            # power of the distance by which a nearer surface hides another


class FlowGrid(PoseSearch):
    """How points move, in cells."""

    def __init__(self, tracks: PointTracks, surface: np.ndarray, camera: PinholeCamera):
        """
        Make it.

        :param surface: (N, P, 3) [m] base frame, of all images that the points are followed in.
        """
        rows = max(4, round(COLUMNS * camera.height / camera.width))
        speed = np.linalg.norm(np.diff(surface, axis=0), axis=-1).mean(axis=1)
        pick = np.array([part[speed[part].argmax()] for part in
                         np.array_split(np.arange(len(speed)), min(_PAIRS, len(speed)))])
        self.before = np.ascontiguousarray(surface[pick])
        self.after = np.ascontiguousarray(surface[pick + 1])
        super().__init__(camera.resized(COLUMNS, rows), surface.reshape(-1, 3).mean(axis=0))
        first = tracks.steps()
        move = tracks.pixel[first + 1] - tracks.pixel[first]
        #: how many times a point that is followed moves from one image to the next
        self.moves = int((np.linalg.norm(move, axis=1) > _MOVES).sum())
        scale = COLUMNS / camera.width
        count = np.zeros((len(pick), rows, COLUMNS))
        self.seen = np.zeros((len(pick), rows, COLUMNS, 2))
        for k, t in enumerate(pick):
            of = tracks.frame[first] == t
            cell = np.floor(tracks.pixel[first[of]] * scale).astype(int)
            at = (cell[:, 1].clip(0, rows - 1), cell[:, 0].clip(0, COLUMNS - 1))
            np.add.at(self.seen[k], at, move[of] * scale)
            np.add.at(count[k], at, 1)
        self.seen /= np.maximum(count, 1)[..., None]
        self.seen /= np.sqrt(np.linalg.norm(self.seen, axis=-1, keepdims=True) + _STILL)
        self.seen /= max(float(np.linalg.norm(self.seen)), 1e-9)
        self.known = count > 0

    @property
    def tells(self) -> bool:
        """Whether enough points move for a score to mean something."""
        return self.moves >= _FEWEST

    def scores(self, T_camera_base: np.ndarray, zoom: np.ndarray, thinned: int = 1) -> np.ndarray:
        """Return correlations of seen and foreseen motion, -1..1."""
        camera = self.camera
        pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        found: np.ndarray = _scores(
            np.ascontiguousarray(T_camera_base[:, :3]), zoom, pinhole,
            np.ascontiguousarray(self.before[:, ::thinned]),
            np.ascontiguousarray(self.after[:, ::thinned]), self.seen, self.known)
        return found


@numba.njit(cache=True, nogil=True, inline='always')
def projected(T: np.ndarray, zoom: float, pinhole: np.ndarray, p: np.ndarray
              ) -> tuple[float, float, float]:
    """
    Return the cell that a point is seen in, (column, row), and its distance [m].

    The distance is 0 where the point is too near to be projected, or behind the camera.

    :param T: (3, 4) float64, T_camera_base.
    :param zoom: factor of the focal lengths.
    :param pinhole: (4,) float64, fx, fy, cx, cy [cells].
    :param p: (3,) float64 [m] base frame.
    """
    z = T[2, 0] * p[0] + T[2, 1] * p[1] + T[2, 2] * p[2] + T[2, 3]
    if z < 0.05:
        return 0.0, 0.0, 0.0
    x = T[0, 0] * p[0] + T[0, 1] * p[1] + T[0, 2] * p[2] + T[0, 3]
    y = T[1, 0] * p[0] + T[1, 1] * p[1] + T[1, 2] * p[2] + T[1, 3]
    return zoom * pinhole[0] * x / z + pinhole[2], zoom * pinhole[1] * y / z + pinhole[3], z


@numba.njit(cache=True, nogil=True)
def _scores(T: np.ndarray, zoom: np.ndarray, pinhole: np.ndarray, before: np.ndarray,
            after: np.ndarray, seen: np.ndarray, known: np.ndarray) -> np.ndarray:
    pairs, rows, columns = known.shape
    out = np.zeros(len(T))
    moves, weight = np.zeros((rows, columns, 2)), np.zeros((rows, columns))
    for k in range(len(T)):
        together, own = 0.0, 1e-9
        for t in range(pairs):
            moves[:], weight[:] = 0.0, 0.0
            for n in range(before.shape[1]):
                u, v, z = projected(T[k], zoom[k], pinhole, before[t, n])
                column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
                if z == 0.0 or not (0 <= column < columns and 0 <= row < rows):
                    continue
                u_after, v_after, z_after = projected(T[k], zoom[k], pinhole, after[t, n])
                if z_after == 0.0:
                    continue
                w = 1.0 / z ** _BEHIND
                moves[row, column, 0] += w * (u_after - u)
                moves[row, column, 1] += w * (v_after - v)
                weight[row, column] += w
            for row in range(rows):
                for column in range(columns):
                    if not known[t, row, column] or weight[row, column] == 0.0:
                        continue
                    a = moves[row, column, 0] / weight[row, column]
                    b = moves[row, column, 1] / weight[row, column]
                    size = math.sqrt(a * a + b * b)
                    root = 1.0 / math.sqrt(size + _STILL)
                    together += root * (a * seen[t, row, column, 0] + b * seen[t, row, column, 1])
                    own += root * root * size * size
        out[k] = together / math.sqrt(own)
    return out
