# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera size <-> model size: what goes into the model, and the frames that come out of it."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera import ImageFit
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Observation, PredictedFrame, RobotRollout
from kinema4d_ros.world_model.kinema4d.config import Geometry
from kinema4d_ros.world_model.kinema4d.pointmap_codec import (following_error, Normalisation,
                                                              RobotFit)

FITS = ('crop', 'pad', 'stretch')
PADDINGS = ('hold', 'reverse')


@dataclass(frozen=True, eq=False)
class RobotFrames:
    """The robot of one window, in the size of the model."""

    pointmap: np.ndarray   # (T, H, W, 3) float32 [m], NaN elsewhere
    mask: np.ndarray       # (T, H, W) bool
    image: np.ndarray      # (T, H, W, 3) uint8, black elsewhere


class ModelView:
    """One observation and one rollout, seen through a window of the model's size."""

    def __init__(self, observation: Observation, robot: RobotRollout, size: Geometry, fit: str):
        """
        Make the view of an observation and a rollout in the model's size.

        :param fit: 'crop', 'pad' or 'stretch'; images of the model's size pass as they are.
        """
        if fit not in FITS:
            raise WorldModelError(
                f'image_fit {fit!r} does not exist; choose one of: {", ".join(FITS)}')
        camera = observation.view.camera
        self.observation, self.robot = observation, robot
        same = (camera.width, camera.height) == (size.width, size.height)
        self._fit = None if same else ImageFit(camera, size.width, size.height, fit)
        self.image = self._in(observation.view.image)

    def robot_frames(self, indices: np.ndarray) -> RobotFrames:
        """Return the robot at frames of the rollout (repeats allowed) in the model's size."""
        unique, back = np.unique(indices, return_inverse=True)
        robot = self.robot
        pointmap = np.stack([self._in(robot.pointmap[i], nearest=True) for i in unique])
        image = np.stack([self._in(robot.image[i]) for i in unique])
        mask = ~np.isnan(pointmap[..., 2])
        image = np.where(mask[..., None], image, np.uint8(0))    # blending leaks over its edge
        return RobotFrames(pointmap[back], mask[back], image[back])

    def exact(self, index: int) -> np.ndarray:
        """Return the exact robot pointmap of one frame in the model's size, (H, W, 3) [m]."""
        return self._in(self.robot.pointmap[index], nearest=True)

    def scene_points(self) -> np.ndarray:
        """Return the observed points that are not the robot, (N, 3) float64 [m] camera frame."""
        depth = self.observation.view.depth
        if depth is None:
            return np.zeros((0, 3))
        seen = np.isfinite(depth) & (self.robot.link_id[0] < 0)
        points = self.observation.view.camera.rays()[seen] * depth[seen][:, None]
        return points[::max(1, len(points) // 50_000)].astype(np.float64)

    def image_out(self, image: np.ndarray) -> np.ndarray:
        """Bring a predicted image to the camera's size; what the model cannot see stays."""
        if self._fit is None:
            return image
        everywhere = np.ones(image.shape[:2], np.uint8)
        seen = self._fit.undo(everywhere, nearest=True).astype(bool)
        return np.where(seen[..., None], self._fit.undo(image), self.observation.view.image)

    def values_out(self, values: np.ndarray) -> np.ndarray:
        """Bring float32 values to the camera's size, NaN where the model cannot see."""
        return (values if self._fit is None
                else self._fit.undo(values, nearest=True, fill=np.nan))

    def _in(self, image: np.ndarray, nearest: bool = False) -> np.ndarray:
        """Bring an image to the model's size; of values (`nearest`), padding is unknown."""
        return (image if self._fit is None
                else self._fit.apply(image, nearest, fill=np.nan if nearest else 0))


class FrameMaker:
    """Makes predicted frames, in metres and in the camera's size, from decoded pictures."""

    def __init__(self, view: ModelView, normalisation: Normalisation):
        """Start the fit of the generated robot to the exact one."""
        self._view, self._normalisation = view, normalisation
        self._fit = RobotFit()

    def make(self, index: int, picture: np.ndarray, values: np.ndarray) -> PredictedFrame:
        """
        Return frame `index` of the rollout; call in order.

        :param picture: (H, W, 3) uint8.
        :param values: (H, W, 3) float32 in the model's range.
        """
        view, robot = self._view, self._view.robot
        metres = self._normalisation.decode(values[None], slice(index, index + 1))[0]
        exact = view.exact(index)
        self._fit.update(metres, exact)
        points = self._fit.apply(metres)
        sigma = self._fit.uncertainty(points, self._normalisation)
        return PredictedFrame(
            index, len(robot.times), float(robot.times[index]), view.image_out(picture),
            view.values_out(points), robot.link_id[index] >= 0,
            pointmap_sigma=view.values_out(sigma),
            action_following=following_error(points, exact))


@dataclass(frozen=True, eq=False)
class Window:
    """
    One run of the model.

    Its frame 0 is the observation, or the last frame of the window before, which is not given
    out again.
    """

    indices: np.ndarray   # (frames of the model,) int, frame of the rollout at each model frame
    emit: range           # model frames that are given out


def padded(count: int, frames: int, padding: str) -> np.ndarray:
    """
    Return which of `count` frames each of `frames` shows, (frames,) int.

    :param padding: what follows where there are too few: 'hold' repeats the last frame, so that
        the robot stands still; 'reverse' runs back from it, and forth again, as the clips that
        the released weights were trained on.
    :raises WorldModelError: for another padding.
    """
    if padding not in PADDINGS:
        raise WorldModelError(
            f'padding {padding!r} does not exist; choose one of: {", ".join(PADDINGS)}')
    index = np.arange(frames)
    if padding == 'hold':
        return np.minimum(index, count - 1)
    around = index % (2 * count)          # the last frame twice, and the first
    return np.where(around < count, around, 2 * count - 1 - around)


def plan_windows(count: int, frames: int, padding: str = 'hold') -> list[Window]:
    """
    Cover `count` frames with windows of `frames`, neighbours sharing one frame.

    :param padding: of a window that is not full, as `padded` takes it.
    """
    windows = []
    start = 0
    while True:
        stop = min(start + frames, count)
        indices = start + padded(stop - start, frames, padding)
        windows.append(Window(indices, range(1 if start else 0, stop - start)))
        if stop == count:
            return windows
        start = stop - 1
