# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All frames together: the motion of the camera that they call for, and how well they know it."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.calibration.evidence import add_outline, add_surface, rendered_crossings
from kinema4d_ros.calibration.surface_tracks import add_tracks, SurfaceTracks
from kinema4d_ros.camera.pose_fit import outline_of, surface_of
from kinema4d_ros.camera.robot_agreement import DepthNoise
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.types import PinholeCamera

_LEAST_REACH = 3.5         # [px]
_OUTLINE_SAMPLES = 160     # of a frame
_SURFACE_SAMPLES = 400
_EDGE_SIGMA = 0.7          # [px] of where an outline is found
_EDGE_PATCH = 4.0          # neighbouring samples that err together count as one
_SURFACE_PATCH = 25.0
_AGREES = 1.5             # [px] an outline that is no farther off is where it is drawn
_FADES, _LEAST_LIMIT = 4.0, 1.2     # times the usual error, [px]: beyond it, no say
_TRACK_FADES, _LEAST_TRACK_LIMIT = 3.0, 1.5      # the same of points that are followed
_FEWEST = 60               # samples of all frames together
_GROUPS = 5                # of frames, each left out once
# Meshes, lens and light err alike in all frames, which no frames left out can show. Measured on
# four simulated episodes: with the outline alone the error is twice what the equations say.
_SHARED = 4.0              # times the covariance


@dataclass(frozen=True, eq=False)
class FrameEvidence:
    """One frame: the rendered robot in points, and what the camera saw."""

    outline: np.ndarray      # (M, 3) [m] camera frame
    away: np.ndarray         # (M, 2) unit vectors out of it in the image
    expected: np.ndarray     # (M,) [px] where the rendered outline is
    surface: np.ndarray      # (N, 3) [m]
    normals: np.ndarray      # (N, 3)
    values: np.ndarray       # (H, W) float32, difference from the background
    threshold: float
    depth: np.ndarray | None     # (H, W) float32 [m]
    stride: int              # pixels between two samples of the surface
    outline_stride: int
    errors: np.ndarray       # (M,) [px] of the outline, filled by `Balance`
    tracks: SurfaceTracks | None = None      # points that are followed through other frames, too

    @classmethod
    def of(cls, pointmap: np.ndarray, link_id: np.ndarray, values: np.ndarray, threshold: float,
           depth: np.ndarray | None, tracks: SurfaceTracks | None = None) -> FrameEvidence:
        """Sample a rendered frame."""
        rendered = int((link_id >= 0).sum())
        outline_stride = max(1, int(3 * math.sqrt(rendered)) // _OUTLINE_SAMPLES)
        pixels, away = outline_of(link_id, outline_stride, (0, 0, *link_id.shape[::-1]))
        mask = (link_id >= 0).astype(np.float32)
        expected = rendered_crossings(mask, pixels, away)
        outline = pointmap[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        stride = max(1, int(math.sqrt(rendered / _SURFACE_SAMPLES)))
        surface, normals = np.empty((0, 3)), np.empty((0, 3))
        if depth is not None:
            surface, normals, _ = surface_of(pointmap, link_id, stride)
            depth = np.ascontiguousarray(depth, np.float32)
        return cls(outline, away, expected, surface, normals, np.ascontiguousarray(values),
                   threshold, depth, stride, outline_stride, np.full(len(outline), np.nan), tracks)


@dataclass(frozen=True, eq=False)
class Known:
    """How well the seven numbers are known."""

    covariance: np.ndarray   # (7, 7) shift [m], turn [rad], logarithm of the focal length
    outline_error: float     # [px] root mean square of what agrees
    depth_error: float       # [m] the same, NaN without depth
    samples: int
    support: float           # 0..1 of the outline before a known background that is found there
    tracked: int             # points that are followed and agree
    track_error: float       # [px] root mean square of these, NaN where there is none


class Balance:
    """Normal equations of all frames, and the motion so far."""

    def __init__(self, evidence: Sequence[FrameEvidence], camera: PinholeCamera,
                 prior: np.ndarray, reach: float, depth_limit: float, zoomed: float = 0.0):
        """
        Make it, without motion.

        :param prior: (8,) standard deviations; a tiny one holds a number fast.
        :param reach: [px] how far an outline is looked for.
        :param depth_limit: [m] a depth that is off by more has no say.
        :param zoomed: logarithm of the focal length against that known beforehand, so far.
        """
        points = [each.outline for each in evidence if len(each.outline)]
        if not points:
            raise CalibrationError('the robot is not in any of the images where the camera would '
                                   'have to be')
        self.center: np.ndarray = np.concatenate(points).mean(axis=0)
        self._evidence, self._camera, self._prior = evidence, camera, prior
        self._reach, self._depth_limit = max(reach, _LEAST_REACH), depth_limit
        self.motion, self.zoom = np.eye(4), 1.0
        self._total = np.zeros(8)
        self._total[6] = zoomed
        self._outline_limit = self._track_limit = self._reach

    def step(self) -> None:
        """Take one step of Gauss-Newton."""
        H, g = np.diag(1 / self._prior ** 2), -self._total / self._prior ** 2
        parts, outline, _ = self._frames()
        for H_frame, g_frame in parts:
            H, g = H + H_frame, g + g_frame
        self._limit_outline(outline)
        change = np.linalg.solve(H, g)
        most = np.r_[[0.05] * 3, [0.08] * 3, 0.1, 1.0]
        change *= min(1.0, float((most / np.maximum(np.abs(change), 1e-12)).min()))
        middle = self.motion[:3, :3] @ self.center + self.motion[:3, 3]
        turn = np.eye(4)
        turn[:3, :3] = cv2.Rodrigues(change[3:6])[0]
        turn[:3, 3] = middle - turn[:3, :3] @ middle + change[:3]
        self.motion = turn @ self.motion
        self.zoom *= math.exp(change[6])
        self._total += change

    def known(self) -> Known:
        """Return how well all is known, from the equations and from leaving frames out."""
        for _ in range(2):      # the limit depends on the errors
            parts, outline, depth = self._frames()
            self._limit_outline(outline)
        if len(outline) + len(depth) < _FEWEST:
            raise CalibrationError(
                f'the outline of the robot agrees with what moves at {len(outline)} places of all '
                f'images, at least {_FEWEST} are needed: is it this robot, and does it move?')
        free = self._prior > 1e-6
        H = sum(part[0] for part in parts)
        g = sum(part[1] for part in parts)
        loose_prior = np.where(free, 1e-6, 1) / self._prior ** 2
        loose_prior[7] = 1 / self._prior[7] ** 2
        weak = np.diag(loose_prior)
        rms = float(np.sqrt(np.mean(outline ** 2))) if len(outline) else math.nan
        loose = max(1.0, rms / _EDGE_SIGMA) ** 2
        covariance = np.linalg.inv(H + weak) * loose
        shared = 1.0 if len(depth) else _SHARED
        groups = np.array_split(np.arange(len(parts)), _GROUPS)
        left = []
        for group in groups:
            H_less = H - sum(parts[t][0] for t in group) + np.diag(1 / self._prior ** 2)
            left.append(np.linalg.solve(H_less, g - sum(parts[t][1] for t in group)))
        off = np.array(left) - np.mean(left, axis=0)
        tracked = self.track_errors()
        covariance = shared * (covariance + (_GROUPS - 1) / _GROUPS * off.T @ off)
        return Known(covariance[:7, :7], rms, float(np.sqrt(np.mean(depth ** 2))) if len(depth)
                     else math.nan, len(outline) + len(depth), self._support(), len(tracked),
                     float(np.sqrt(np.mean(tracked ** 2))) if len(tracked) else math.nan)

    def _support(self) -> float:
        """Return how much of the outline is where it is drawn, of what could be seen."""
        camera, T = self._camera, self.motion
        agree, could = 0, 0
        for each in self._evidence:
            if not len(each.outline):
                continue
            moved = each.outline @ T[:3, :3].T + T[:3, 3]
            pixels = np.stack([camera.fx * self.zoom * moved[:, 0] / moved[:, 2] + camera.cx,
                               camera.fy * self.zoom * moved[:, 1] / moved[:, 2] + camera.cy], 1)
            beside = [np.round(pixels + by * each.away).astype(int) for by in (3.0, -3.0)]
            inside = np.all([(at >= 0).all(axis=1) & (at[:, 0] < camera.width)
                             & (at[:, 1] < camera.height) for at in beside], axis=0)
            known = np.zeros(len(pixels), bool)
            known[inside] = np.isfinite(each.values[beside[0][inside, 1], beside[0][inside, 0]]) \
                & np.isfinite(each.values[beside[1][inside, 1], beside[1][inside, 0]])
            could += int(known.sum())
            agree += int((known & (np.abs(each.errors) < _AGREES)).sum())
        return agree / could if could else 0.0

    def _limit_outline(self, errors: np.ndarray) -> None:
        if len(errors):
            usual = 1.48 * float(np.median(np.abs(errors)))
            self._outline_limit = min(self._reach, max(_FADES * usual, _LEAST_LIMIT))

    def track_errors(self) -> np.ndarray:
        """Return how far each point that is followed and agrees is off [px]."""
        errors = [each.tracks.errors for each in self._evidence if each.tracks is not None]
        if not errors:
            return np.empty(0)
        every = np.concatenate(errors)
        agree: np.ndarray = every[every < self._track_limit]
        return agree

    def _limit_tracks(self) -> None:
        errors = self.track_errors()
        if len(errors):
            self._track_limit = min(self._reach, max(_TRACK_FADES * float(np.median(errors)),
                                                     _LEAST_TRACK_LIMIT))

    def _frames(self) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
        """Return equations of each frame, and the errors of what agrees [px] and [m]."""
        camera = self._camera
        pinhole = np.array([camera.fx * self.zoom, camera.fy * self.zoom, camera.cx, camera.cy])
        T = np.ascontiguousarray(self.motion[:3])
        middle = T[:, :3] @ self.center + T[:, 3]
        noise = DepthNoise()
        sigmas = np.array([noise.depth, noise.depth_square, noise.mesh])
        limit = self._outline_limit
        parts, outline, depth = [], [], []
        for each in self._evidence:
            H, g = np.zeros((8, 8)), np.zeros(8)
            errors = each.errors
            weight = min(each.outline_stride / _EDGE_PATCH, 1.0) / _EDGE_SIGMA ** 2
            add_outline(H, g, each.values, each.threshold, pinhole, each.outline, each.away,
                        each.expected, T, middle, self._total[7], self._reach, limit, weight,
                        errors)
            outline.append(errors[np.abs(errors) < limit])
            if each.depth is not None:
                errors = np.empty(len(each.surface))
                weight = min(each.stride ** 2 / _SURFACE_PATCH, 1.0)
                add_surface(H, g, each.depth, pinhole, each.surface, each.normals, T, middle,
                            sigmas, self._depth_limit, weight, errors)
                depth.append(errors[np.abs(errors) < self._depth_limit])
            if each.tracks is not None and len(each.tracks):
                of = each.tracks
                add_tracks(H, g, of.point, of.normal, of.start, of.pixel, of.T_camera_link,
                           of.sigma, pinhole, T, middle, self._track_limit, of.errors)
            parts.append((H, g))
        self._limit_tracks()
        return parts, np.concatenate(outline), np.concatenate(depth) if depth else np.empty(0)
