# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where the camera is, roughly: poses are drawn at random and those that explain the motion stay.

What moves in the image is compared with what would move by the joints, cell by cell of a coarse
grid: the robot's surface is a cloud of points, which a camera pose throws into the cells. A pose's
score is the correlation, over time, of seen and foreseen motion in all cells, so that what moves
besides, or stays, decides nothing. The poses drawn next are from the neighbourhood of the best ones
(cross-entropy method; Rubinstein 1999).
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

from kinema4d_ros.types import PinholeCamera

_COLUMNS = 40          # cells across the image
_FRAMES = 14
_DRAWN, _ROUNDS = 300, 12          # poses in each round, rounds
_BEST = 0.08           # of the poses drawn, from whose neighbourhood the next ones are
_THINNED = 4           # of the points that it looks at, one
_STARTS = 1500         # poses of a search that knows nothing, for each that is followed shortly
_FOLLOWED = 10         # of these, for each that is followed to the end; 4 at most
_SHORT_DRAWN, _SHORT_ROUNDS = 100, 6
_APART = 0.12          # [m] between the places of two cameras that are followed


@dataclass(frozen=True, eq=False)
class RoughPose:
    """A camera that may be the one."""

    score: float                 # -1..1 correlation of what moves
    T_camera_base: np.ndarray    # (4, 4)
    zoom: float                  # focal length, times that known beforehand


class MotionGrid:
    """What moves in the image, in cells."""

    def __init__(self, moving: np.ndarray, surface: np.ndarray, camera: PinholeCamera):
        """
        Make it.

        :param moving: (N, H, W) bool, foreground; :param surface: (N, P, 3) [m] base frame.
        """
        pick = np.unique(np.linspace(0, len(moving) - 1, _FRAMES).round().astype(int))
        rows = max(4, round(_COLUMNS * camera.height / camera.width))
        self.camera = camera.resized(_COLUMNS, rows)
        self.seen = np.stack([cv2.resize(mask.astype(np.float32), (_COLUMNS, rows),
                                         interpolation=cv2.INTER_AREA) for mask in moving[pick]])
        self.seen -= self.seen.mean(axis=0)
        self.seen /= max(float(np.linalg.norm(self.seen)), 1e-9)
        self.surface = np.ascontiguousarray(surface[pick])
        self.middle = self.surface.reshape(-1, 3).mean(axis=0)

    def scores(self, T_camera_base: np.ndarray, zoom: np.ndarray) -> np.ndarray:
        """Return the score of each pose (K, 4, 4), with the focal length times zoom (K,)."""
        return self._of(self.surface, T_camera_base, zoom)

    def near(self, start: RoughPose, shift: float, turn: float, zoom: float,
             generator: np.random.Generator, rounds: int = _ROUNDS, each: int = _DRAWN
             ) -> RoughPose:
        """
        Return the best pose in the neighbourhood.

        :param shift: standard deviation of the camera's place [m]; :param turn: of its
            orientation [rad]; :param zoom: of the logarithm of its focal length, 0 known.
        """
        middle = start.T_camera_base[:3, :3] @ self.middle + start.T_camera_base[:3, 3]
        distance = max(float(np.linalg.norm(middle)), 0.1)
        mean = np.zeros(7)
        # Turning the camera moves the robot in the image: one about the robot's middle does not.
        wide = np.r_[[np.hypot(shift, turn * distance)] * 3, [turn] * 3, zoom]
        spread = np.diag(wide ** 2 + 1e-12)
        best = start
        for _ in range(rounds):
            drawn = generator.multivariate_normal(mean, spread, each, method='cholesky')
            drawn[0] = mean
            poses = np.stack([_moved(start.T_camera_base, middle, row) for row in drawn])
            zooms = start.zoom * np.exp(drawn[:, 6])
            scores = self.scores(poses, zooms)
            order = np.argsort(-scores)
            if scores[order[0]] > best.score:
                best = RoughPose(float(scores[order[0]]), poses[order[0]], float(zooms[order[0]]))
            elite = drawn[order[:max(12, round(_BEST * each))]]
            mean = elite.mean(axis=0)
            spread = np.cov(elite.T) + np.diag((0.02 * wide) ** 2 + 1e-12)
        return best

    def anywhere(self, zoom: float, count: int, generator: np.random.Generator
                 ) -> list[RoughPose]:
        """Return poses around the robot, of `count` tried, that explain the motion best."""
        starts = max(5, count // _STARTS)
        azimuth, height = generator.uniform(-np.pi, np.pi, count), generator.uniform(-0.3, 1, count)
        away = generator.uniform(0.35, 2.2, count)
        target = self.middle + generator.normal(0, 0.25, (count, 3))
        eye = target + away[:, None] * np.stack([
            np.cos(azimuth) * np.sqrt(1 - height ** 2), np.sin(azimuth) * np.sqrt(1 - height ** 2),
            height], axis=1)
        poses = _looking(eye, target, generator.normal(0, 0.12, count))
        zooms = np.exp(generator.normal(0, zoom, count)) if zoom else np.ones(count)
        scores = self._of(self.surface[:, ::_THINNED], poses, zooms)
        found: list[RoughPose] = []
        for k in np.argsort(-scores):
            if all(np.linalg.norm(_eye(other.T_camera_base) - eye[k]) > _APART for other in found):
                found.append(RoughPose(float(scores[k]), poses[k], float(zooms[k])))
            if len(found) == starts:
                break
        found = [self.near(RoughPose(0.0, start.T_camera_base, start.zoom), 0.1, 0.15, zoom,
                           generator, _SHORT_ROUNDS, _SHORT_DRAWN) for start in found]
        kept: list[RoughPose] = []
        for start in sorted(found, key=lambda start: -start.score):
            if all(np.linalg.norm(_eye(other.T_camera_base) - _eye(start.T_camera_base)) > _APART
                   for other in kept):
                kept.append(start)
        kept = kept[:min(4, 1 + starts // _FOLLOWED)]
        followed = [self.near(start, 0.05, 0.08, zoom / 2, generator) for start in kept]
        return sorted(followed, key=lambda start: -start.score)

    def _of(self, surface: np.ndarray, T_camera_base: np.ndarray, zoom: np.ndarray) -> np.ndarray:
        camera = self.camera
        pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        return _scores(np.ascontiguousarray(T_camera_base[:, :3]), zoom, pinhole,
                       np.ascontiguousarray(surface), self.seen)


def _eye(T_camera_base: np.ndarray) -> np.ndarray:
    eye: np.ndarray = -T_camera_base[:3, :3].T @ T_camera_base[:3, 3]
    return eye


def _moved(T_camera_base: np.ndarray, middle: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the pose with the robot shifted by row[:3] and turned by row[3:6] about `middle`."""
    R = cv2.Rodrigues(row[3:6])[0]
    T = np.eye(4)
    T[:3, :3] = R @ T_camera_base[:3, :3]
    T[:3, 3] = R @ (T_camera_base[:3, 3] - middle) + middle + row[:3]
    return T


def _looking(eye: np.ndarray, target: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return T_camera_base (K, 4, 4) of cameras at `eye` that look at `target`, base z up."""
    z = target - eye
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, np.array([0.0, 0.0, 1.0]))
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    y = np.cross(z, x)
    cosine, sine = np.cos(roll)[:, None], np.sin(roll)[:, None]
    R = np.stack([cosine * x + sine * y, cosine * y - sine * x, z], axis=1)
    T = np.tile(np.eye(4), (len(eye), 1, 1))
    T[:, :3, :3] = R
    T[:, :3, 3] = -np.einsum('kij,kj->ki', R, eye)
    return T


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
                p = surface[t, n]
                z = T[k, 2, 0] * p[0] + T[k, 2, 1] * p[1] + T[k, 2, 2] * p[2] + T[k, 2, 3]
                if z < 0.05:
                    continue
                x = T[k, 0, 0] * p[0] + T[k, 0, 1] * p[1] + T[k, 0, 2] * p[2] + T[k, 0, 3]
                y = T[k, 1, 0] * p[0] + T[k, 1, 1] * p[1] + T[k, 1, 2] * p[2] + T[k, 1, 3]
                u = int(np.floor(zoom[k] * pinhole[0] * x / z + pinhole[2] + 0.5))
                v = int(np.floor(zoom[k] * pinhole[1] * y / z + pinhole[3] + 0.5))
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
