# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Predicted pictures without depth: which pixels still show what is known in metres, and which not.

The scene is known from the observation, and the robot exactly. A pixel that looks as the one or
the other does has its point; one that looks like neither shows something that has moved, and
nobody knows to where.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.camera.points import merge, pointmap
from kinema4d_ros.scene import SceneView
from kinema4d_ros.scene.mask import grow, grow_robot
from kinema4d_ros.types import RobotRollout

_BLUR = 1.2              # [px] at 640 px of width: what resizing and coding take of an edge
_RIM = 2                 # [px] beside the robot where pixels mix it with the scene
_TOLERANCE = 0.01        # [m] the robot is drawn over what is at most this far in front of it
_LEAST_PIXELS = 30       # of an outline, to measure how far another one is from it
_MOST = 0.8              # of the robot's outline
_FOUND = 0.05            # [m] an outline that is farther off is not that of the robot


@dataclass(frozen=True, eq=False)
class LiftedPicture:
    """A predicted picture with what is known of its places."""

    points: np.ndarray        # (H, W, 3) float32 [m] camera frame, NaN unknown
    unplaced: np.ndarray      # (H, W) bool, beside the robot, where something has changed
    robot_mask: np.ndarray    # (H, W) bool, where the exact robot is
    following: float | None   # [m] outline of what moved against that of the robot, None unseen


class PictureLift:
    """Lifts the pictures of one rollout; the camera stands still."""

    def __init__(self, scene: SceneView, robot: RobotRollout, threshold: float):
        """
        Make the lift of a rollout.

        :param scene: the observation without the robot.
        :param threshold: levels of 255 by which a colour differs from another one.
        """
        self._robot, self._threshold = robot, threshold
        self._image, self._depth = scene.image, scene.depth
        self._sigma = _BLUR * robot.camera.width / 640
        memory = scene.seen.background
        #: (H, W) bool, where the robot hid the scene at first and nobody remembers it
        self._hidden = grow_robot(robot.link_id[0] >= 0, robot.camera)
        if memory is not None:
            self._hidden &= ~memory.known

    def lift(self, picture: np.ndarray, index: int, shown: Iterable[int]) -> LiftedPicture:
        """
        Return what is known of a picture that shows about frame `index` of the rollout.

        :param picture: (H, W, 3) uint8.
        :param shown: frames of the rollout between which the time of the picture lies; where the
            robot is in one of them, it may have been at the moment of the picture.
        """
        depth, mask, visible = self._expected(index)
        changed = self._differs(picture, self._image, mask)
        points = self._points(depth)
        passed = np.logical_or.reduce([self._robot.link_id[other] >= 0 for other in shown])
        rim = grow(mask | passed, _RIM) & ~mask
        # Where the robot is, something else than the scene is to be seen; unless its colour is
        # that of the scene, so that both look alike.
        lost = np.where(mask, visible & ~changed, changed | rim)
        following = self._following(index, mask & visible, changed)
        if following is None or following > _FOUND:
            lost |= mask            # something is to be seen there, and it is not the robot
        points[lost] = np.nan
        return LiftedPicture(points, changed & ~mask & ~rim & ~self._hidden, mask, following)

    def can_be_followed(self, index: int) -> bool:
        """Return whether the outline of the robot can be told from the scene at a frame."""
        _, mask, visible = self._expected(index)
        return bool(_outline(mask & visible).sum() >= _LEAST_PIXELS)

    def _expected(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return depth, robot, and where that can be told from the scene, each (H, W)."""
        robot, image, depth = self._robot, self._image.copy(), self._depth.copy()
        mask = merge(image, depth, robot.image[index], robot.pointmap[index, :, :, 2], _TOLERANCE)
        return depth, mask, self._differs(image, self._image, mask)

    def _differs(self, picture: np.ndarray, other: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Return where two pictures differ, their overall brightness aside, (H, W) bool."""
        a, b = (cv2.GaussianBlur(image, (0, 0), self._sigma).astype(np.int16)
                for image in (picture, other))
        away = a - b
        if (still := away[~beside]).size:
            away = away - np.median(still, axis=0).astype(np.int16)
        different: np.ndarray = np.abs(away).max(axis=-1) > self._threshold
        return different

    def _points(self, depth: np.ndarray) -> np.ndarray:
        camera = self._robot.camera
        points: np.ndarray = pointmap(np.ascontiguousarray(depth, np.float32), camera.fx,
                                      camera.fy, camera.cx, camera.cy)
        return points

    def _following(self, index: int, robot: np.ndarray, changed: np.ndarray) -> float | None:
        """
        Return how far apart the outlines of the robot and of what has changed are [m].

        At the robot's depth. Whichever is more: how far most of the robot's outline is from the
        other, which a robot that is not there has not; or how far half of that is from the
        robot's, as of noise. Sides that slide along themselves show nothing of a shift.
        """
        exact, seen = _outline(robot), _outline(_without_specks(changed))
        if exact.sum() < _LEAST_PIXELS:
            return None
        camera, z = self._robot.camera, self._robot.pointmap[index, :, :, 2]
        metres = float(np.median(z[robot])) / camera.fx      # of a pixel at the robot
        if seen.sum() < _LEAST_PIXELS:
            return float(np.hypot(*exact.shape)) * metres
        # What comes to light where the robot was looks as the model likes: it tells of no robot.
        told = seen & ~self._hidden
        noise = np.median(_distance(exact)[told]) if told.any() else 0.0
        return metres * float(max(np.quantile(_distance(seen)[exact], _MOST), noise))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Return a mask without what is narrower than 3 pixels."""
    opened: np.ndarray = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN,
                                          np.ones((3, 3), np.uint8)).astype(bool)
    return opened


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask next to others, but for those at the edge of the picture."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool)
    outline: np.ndarray = mask & ~inner
    return outline


def _distance(outline: np.ndarray) -> np.ndarray:
    """Return how far each pixel is from the outline [px], (H, W) float32."""
    distance: np.ndarray = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5)
    return distance
