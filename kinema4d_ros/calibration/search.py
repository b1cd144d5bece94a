# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where the camera is, roughly: poses are drawn at random and those that explain the motion stay.

What is seen to move is compared with what would move by the joints; how, says each kind of
`PoseSearch`. The poses drawn next are from the neighbourhood of the best ones (cross-entropy
method; Rubinstein 1999).
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.types import PinholeCamera

#: cells across the image
COLUMNS = 40
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


class PoseSearch(ABC):
    """What moves in the image, to which camera poses are fitted."""

    def __init__(self, camera: PinholeCamera, middle: np.ndarray):
        """
        Make it.

        :param camera: of the cells; :param middle: (3,) [m] of the robot, base frame.
        """
        self.camera, self.middle = camera, middle

    @abstractmethod
    def scores(self, T_camera_base: np.ndarray, zoom: np.ndarray, thinned: int = 1) -> np.ndarray:
        """
        Return the score (K,) of each pose (K, 4, 4), with the focal length times zoom (K,).

        :param thinned: of the points of the robot, one of so many is looked at.
        """

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
        scores = self.scores(poses, zooms, _THINNED)
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
