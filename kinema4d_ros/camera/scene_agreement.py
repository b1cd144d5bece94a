# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether two depth cameras measure the scene, which stands still, at the same place."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera.pose_fit import count_pixels, fit_pose, surface_of_depth
from kinema4d_ros.camera.raster import pinhole_of
from kinema4d_ros.camera.robot_agreement import DepthNoise
from kinema4d_ros.types import CameraView

FEWEST = 200          # points that both cameras measure, for a statement
_SAMPLES = 2000       # points that are looked at, about
_MOST = 1000          # of those that both measure
_WIDEST = 0.08        # [m] a scene that is off by more is not found
_PATCH = 25.0         # neighbouring pixels that err together and count as one observation
_SLACK = 0.02         # [m] beyond noise that still is the same surface
_CLOSE = 0.003        # [m] likewise, where it is asked whether a motion has made it better
_LOOSE = 3.0          # times the calibrations' sigma, so that a larger error is measured too
_MEASURED = 0.005     # [m] a direction in which the shift is known worse is not measured
_GRAZING = 0.25       # cosine of ray and normal; flatter, a depth says little of the surface


@dataclass(frozen=True, eq=False)
class SceneAgreement:
    """
    What one camera measures, laid onto what another measures by a small rigid motion.

    Points that the other camera sees hidden by something nearer say nothing. Along a flat surface
    nothing can be measured: `offset` is the part of an error in the directions that are known, and
    `loosest` says how badly the worst direction is known.
    """

    points: int          # compared: both cameras measure something there
    share: float         # 0..1 of these that agree, after they have been laid over; NaN without
    offset: float        # [m] length of `shift`
    shift: tuple[float, float, float]    # [m] mean way from the one to the other, base frame
    sigma: float         # [m] of the shift along its direction
    loosest: float       # [m] of the shift along its worst direction
    middle_base: np.ndarray              # (3,) [m] of the points that are compared

    def why_not_compared(self) -> str | None:
        """Return why the two say nothing of each other; None where they do."""
        if self.points < FEWEST:
            return (f'{self.points} points of the scene are measured by both, at least {FEWEST} '
                    'are needed')
        return None


def scene_agreement(one: CameraView, depth: np.ndarray, other: CameraView,
                    other_depth: np.ndarray, *, calibration: tuple[float, float],
                    noise: DepthNoise = DepthNoise(), reach: float = 1.5) -> SceneAgreement:
    """
    Compare what two cameras measure of the scene.

    :param depth: (H, W) float32 [m] of the one without robot, NaN unknown, and `other_depth`.
    :param calibration: standard deviation of the place [m] and orientation [rad] of the one
        against the other.
    :param reach: [m] from the base frame's origin; what is farther away does not matter.
    """
    camera, second = one.camera, other.camera
    stride = max(1, int(math.sqrt(np.count_nonzero(np.isfinite(depth)) / _SAMPLES)))
    surface, normals = surface_of_depth(np.ascontiguousarray(depth, np.float32),
                                        pinhole_of(camera), stride)
    T = np.linalg.inv(other.T_base_camera) @ one.T_base_camera
    surface, normals = surface @ T[:3, :3].T + T[:3, 3], normals @ T[:3, :3].T
    pinhole = np.array([second.fx, second.fy, second.cx, second.cy])
    live = np.ascontiguousarray(other_depth, np.float32)
    keep = _shared(surface, normals, live, pinhole, other.T_base_camera, reach)
    step = -(-np.count_nonzero(keep) // _MOST)
    surface, normals = (np.ascontiguousarray(each[keep][::max(step, 1)])
                        for each in (surface, normals))
    if not len(surface):
        return SceneAgreement(0, math.nan, 0.0, (0.0, 0.0, 0.0), math.inf, math.inf, np.zeros(3))
    center, distance = surface.mean(axis=0), float(surface[:, 2].mean())
    place, turn = calibration
    own = noise.depth + noise.depth_square * distance ** 2      # of the one: both are noisy
    sigmas = np.array([max(noise.depth, 1e-4), noise.depth_square, max(own, 1e-4)])
    prior = _LOOSE * np.repeat([max(place, 0.003), max(turn, 0.003)], 3)
    nothing = np.empty((0, 3)), np.empty((0, 2))
    T_seen, covariance, _ = fit_pose(
        live, pinhole, surface, normals, *nothing, np.eye(4)[:3].copy(), center, sigmas, prior,
        _WIDEST, np.array([min(1.0, stride ** 2 / _PATCH), 1.0]))
    here = np.eye(4)[:3].copy()
    if _close(live, pinhole, surface, T_seen, sigmas) < _close(live, pinhole, surface, here,
                                                               sigmas):
        T_seen = here      # it has slid along a surface to where less agrees than before
    agree, _, far, _ = count_pixels(live, pinhole, surface, np.zeros(len(surface), np.int64),
                                    T_seen, sigmas, _SLACK, 1)[0]
    known, compared = covariance[:3, :3], int(agree + far)
    spread, axes = np.linalg.eigh(known)
    axes = axes[:, np.sqrt(spread) <= _MEASURED]       # along the others nothing is measured
    way = (surface @ T_seen[:, :3].T + T_seen[:, 3] - surface).mean(axis=0)
    way = axes @ (axes.T @ way)
    offset = float(np.linalg.norm(way))
    along = way / offset if offset > 0 else axes[:, 0] if axes.size else np.zeros(3)
    if not axes.size:
        compared = 0
    T_base = other.T_base_camera
    x, y, z = map(float, T_base[:3, :3] @ way)
    return SceneAgreement(
        compared, float(agree / compared) if compared else math.nan, offset, (x, y, z),
        math.sqrt(float(along @ known @ along)), math.sqrt(float(spread[-1])),
        T_base[:3, :3] @ center + T_base[:3, 3])


def _close(live: np.ndarray, pinhole: np.ndarray, surface: np.ndarray, T: np.ndarray,
           sigmas: np.ndarray) -> float:
    """Return 0..1 of the points that agree closely when moved by T, of those with a depth."""
    agree, near, far, _ = count_pixels(live, pinhole, surface, np.zeros(len(surface), np.int64),
                                       np.ascontiguousarray(T), sigmas, _CLOSE, 1)[0]
    return float(agree / max(1, agree + near + far))


def _shared(surface: np.ndarray, normals: np.ndarray, live: np.ndarray, pinhole: np.ndarray,
            T_base_camera: np.ndarray, reach: float) -> np.ndarray:
    """Return which points (N, 3) in the other camera's frame it could see too, (N,) bool."""
    z = surface[:, 2]
    far = np.linalg.norm(surface @ T_base_camera[:3, :3].T + T_base_camera[:3, 3], axis=1)
    facing = -(surface * normals).sum(axis=1) > _GRAZING * np.linalg.norm(surface, axis=1)
    keep = (z > 0.05) & (far <= reach) & facing
    pixel = np.full((len(surface), 2), -1.0)
    pixel[keep] = surface[keep, :2] / z[keep, None] * pinhole[:2] + pinhole[2:]
    height, width = live.shape
    u, v = np.floor(pixel.T + 0.5).astype(int)
    keep &= (u >= 0) & (u < width) & (v >= 0) & (v < height)
    measured = np.full(len(surface), np.nan, np.float32)
    measured[keep] = live[v[keep], u[keep]]
    with np.errstate(invalid='ignore'):
        visible: np.ndarray = measured > z - _WIDEST       # else something hides it; NaN too
    return keep & visible
