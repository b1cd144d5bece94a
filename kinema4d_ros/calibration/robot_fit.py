# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera against the robot, from the robot's own motion; no marker."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.calibration import foreground
from kinema4d_ros.calibration.arm_frames import ArmFrames, ArmModel, spread
from kinema4d_ros.calibration.flow_grid import FlowGrid
from kinema4d_ros.calibration.motion_grid import MotionGrid
from kinema4d_ros.calibration.normal_equations import Balance, FrameEvidence
from kinema4d_ros.calibration.point_tracks import track_points
from kinema4d_ros.calibration.result import CameraFit, why_not_known
from kinema4d_ros.calibration.same_time import motion_agreement, why_not_together
from kinema4d_ros.calibration.search import PoseSearch, RoughPose
from kinema4d_ros.calibration.surface_tracks import on_surface, rows_at
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.types import PinholeCamera

_BACKGROUND_FRAMES = 60
_LEAST_MOTION = 0.002      # of the image
_REACHES = (0.08, 0.06, 0.04, 0.03, 0.02, 0.015, 0.012, 0.012, 0.012, 0.012)   # of the width
_DEPTH_LIMITS = (0.08, 0.06, 0.04, 0.03, 0.02, 0.015, 0.012, 0.012, 0.012, 0.012)   # [m]
_SURELY = 0.5              # of the outline; with less, what another search finds is looked at, too
_INNER = 3                 # steps between two renderings
_WIDER = 0.25              # [px] by which outlines are seen beside the drawn ones, all alike


@dataclass(frozen=True)
class RobotFitSettings:
    """How a camera is found from the motion of the robot."""

    frames: int = 30               # that are compared, those with the arm farthest apart
    shift_sigma: float = 0.05      # [m] of the camera's place as it is said to be
    turn_sigma: float = math.radians(5.0)     # [rad] of its orientation
    focal_sigma: float = 0.0       # of the logarithm of its focal length; 0: known
    use_depth: bool = True
    search: int = 60_000           # poses that are tried where nothing is known of the place


def calibrate_by_robot(frames: ArmFrames, model: ArmModel, T_base_camera: np.ndarray | None, *,
                       settings: RobotFitSettings = RobotFitSettings(), seed: int = 0,
                       report: Callable[[str, int, int], None] = lambda *_: None) -> CameraFit:
    """
    Find where a camera that stays is, and its focal length if that is to be found.

    A coarse search brings the robot to where points that are followed move as its own would, or
    else to where something differs from a background. Then its rendered outline is laid on the
    outline of what differs, its rendered surface on the measured depth where there is depth, and
    the points that are followed on it are laid on themselves, over all frames.

    :param T_base_camera: (4, 4) as it is said to be; None: look for it everywhere.
    :raises CalibrationError: nothing moves, the robot is not found in it, or its motion does not
        tell all of the numbers; the message says what to add.
    """
    fit = _RobotFit(frames, model, settings, report)
    best, why = None, ''
    for grid in fit.grids():
        report('search', 0, 0)
        generator = np.random.default_rng(seed)
        if T_base_camera is None:
            starts = grid.anywhere(settings.focal_sigma, settings.search, generator)
        else:
            start = RoughPose(0.0, np.linalg.inv(T_base_camera), 1.0)
            starts = [grid.near(start, settings.shift_sigma, settings.turn_sigma,
                                settings.focal_sigma, generator)]
        found = []
        for number, candidate in enumerate(starts):
            report('fit', number, len(starts))
            try:
                found.append(fit.refine(candidate))
            except CalibrationError as error:
                why = why or str(error)
        if found:
            most = max(found, key=lambda each: each.support)
            said = why_not_known(most)
            if said is not None:
                why = said
            elif best is None or most.support > best.support:
                best = most
        if best is not None and best.support >= _SURELY:
            break
    if best is not None:
        return best
    apart = fit.why_not_together()
    raise CalibrationError(why if apart is None else f'{why}; {apart}')


class _RobotFit:
    """The frames of one calibration, and what is made of them."""

    def __init__(self, frames: ArmFrames, model: ArmModel, settings: RobotFitSettings,
                 report: Callable[[str, int, int], None]) -> None:
        if len(frames) < 5:
            raise CalibrationError(f'{len(frames)} images are too few: move the robot for some '
                                   'seconds before the camera')
        report('background', 0, 0)
        self._model, self._settings = model, settings
        some = np.unique(np.linspace(0, len(frames) - 1, _BACKGROUND_FRAMES).round().astype(int))
        self._every_pose = all_poses = model.poses(frames.joint_positions)
        self._every_image = frames.images
        self._tracks = track_points(frames.images)
        chosen = spread(all_poses, settings.frames)
        self._all = frames.take(np.union1d(some, chosen))
        self._all_poses = all_poses[np.union1d(some, chosen)]
        self._chosen = np.searchsorted(np.union1d(some, chosen), chosen)
        self.frames, self.T_base_link = frames.take(chosen), all_poses[chosen]
        self._rows = rows_at(self._tracks, chosen)
        has_depth = settings.use_depth and frames.depths is not None
        self._depths = self.frames.depths if has_depth else None
        values, threshold = foreground.differences(
            self.frames.images, foreground.background_of(self._all.images), shadows=True)
        with np.errstate(invalid='ignore'):
            moving = values > threshold
        if has_depth and self._all.depths is not None and self.frames.depths is not None:
            moving |= foreground.nearer(self.frames.depths,
                                        foreground.background_of(self._all.depths))
        self.moving = foreground.tidy(moving)
        share = float(self.moving.mean())
        if share < _LEAST_MOTION:
            raise CalibrationError(
                f'next to nothing moves in the images ({100 * share:.2f} % of them): move the '
                'robot before the camera, more than one joint, for some seconds')

    def grids(self) -> Iterator[PoseSearch]:
        """Yield what rough poses are looked for with, the surest first."""
        flow = FlowGrid(self._tracks, self._model.surface(self._every_pose), self.frames.camera)
        if flow.tells:
            yield flow
        yield MotionGrid(self.moving, self._model.surface(self.T_base_link), self.frames.camera)

    def why_not_together(self) -> str | None:
        """Return why the images may not be of these joints."""
        said = why_not_together(motion_agreement(self._every_image,
                                                 self._model.surface(self._every_pose)))
        # of a long recording not all images are taken, so its own frames may be others
        return None if said is None else (f'{said} Frames are counted among the '
                                          f'{len(self._every_image)} images that were taken.')

    def refine(self, start: RoughPose) -> CameraFit:
        """Return what becomes of a rough pose."""
        T_camera_base, zoom = start.T_camera_base, start.zoom
        for stage, (reach, limit) in enumerate(zip(_REACHES, _DEPTH_LIMITS)):
            camera = _zoomed(self.frames.camera, zoom)
            if stage % 2 == 0:
                values, threshold = self._differences(camera, T_camera_base, reach)
            evidence = self._evidence(camera, T_camera_base, values, threshold)
            balance = Balance(evidence, camera, self._prior(), reach * camera.width, limit,
                              math.log(zoom))
            for _ in range(_INNER):
                balance.step()
            T_camera_base, zoom = balance.motion @ T_camera_base, zoom * balance.zoom
        camera = _zoomed(self.frames.camera, zoom)
        evidence = self._evidence(camera, T_camera_base, values, threshold)
        balance = Balance(evidence, camera, self._prior(), reach * camera.width, limit,
                              math.log(zoom))
        known = balance.known()
        seen, drawn = self._masks(camera, T_camera_base)
        both = (seen & drawn).sum(axis=(1, 2))
        either = (seen | drawn).sum(axis=(1, 2))
        return CameraFit(
            camera=camera, T_base_camera=np.linalg.inv(T_camera_base),
            center=balance.center, covariance=known.covariance,
            focal_known=self._settings.focal_sigma == 0,
            outline_error=known.outline_error, depth_error=known.depth_error,
            overlap=float(both.sum() / max(either.sum(), 1)),
            overlaps=tuple(float(b / e) if e else math.nan for b, e in zip(both, either)),
            support=known.support, frames=len(self.frames), samples=known.samples,
            tracked=known.tracked, track_error=known.track_error)

    def _prior(self) -> np.ndarray:
        settings = self._settings
        return np.r_[[3 * max(settings.shift_sigma, 0.02)] * 3,
                     [3 * max(settings.turn_sigma, 0.02)] * 3, settings.focal_sigma or 1e-9,
                     _WIDER]

    def _differences(self, camera: PinholeCamera, T_camera_base: np.ndarray, reach: float
                     ) -> tuple[np.ndarray, float]:
        """Return the difference from a background that the arm is not in."""
        hidden = self._drawn(camera, T_camera_base, self._all_poses)
        rim = 2 * max(3, round(reach * camera.width / 2)) + 1
        hidden = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((rim, rim), np.uint8))
                           for mask in hidden]) > 0
        background = foreground.background_of(self._all.images, hidden)
        return foreground.differences(self.frames.images, background)

    def _drawn(self, camera: PinholeCamera, T_camera_base: np.ndarray,
               T_base_link: np.ndarray) -> np.ndarray:
        images = self._model.render(T_base_link, camera, np.linalg.inv(T_camera_base))
        drawn: np.ndarray = images.link_id >= 0
        return drawn

    def _masks(self, camera: PinholeCamera, T_camera_base: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
        """Return what is seen to move and where the robot is drawn, where a background is known."""
        values, threshold = self._differences(camera, T_camera_base, 0.01)
        known = np.isfinite(values)
        with np.errstate(invalid='ignore'):
            seen = foreground.tidy(known & (values > threshold))
        return seen & known, self._drawn(camera, T_camera_base, self.T_base_link) & known

    def _evidence(self, camera: PinholeCamera, T_camera_base: np.ndarray, values: np.ndarray,
                  threshold: float) -> list[FrameEvidence]:
        images = self._model.render(self.T_base_link, camera, np.linalg.inv(T_camera_base))
        T_camera_link = T_camera_base @ self._every_pose
        return [FrameEvidence.of(
            images.pointmap[t], images.link_id[t], values[t], threshold,
            None if self._depths is None else self._depths[t],
            on_surface(self._rows[t], self._tracks, images.pointmap[t], images.link_id[t],
                       T_camera_link)) for t in range(len(values))]


def _zoomed(camera: PinholeCamera, zoom: float) -> PinholeCamera:
    return PinholeCamera(camera.width, camera.height, camera.fx * zoom, camera.fy * zoom,
                         camera.cx, camera.cy)
