# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Motions through an obstacle in the robot's own shadow, and how many of them are PASS.

Where hand, wrist or forearm will be, and the robot now hides the place from the camera, a post is
put that stands on the ground or hangs from above. What the camera sees of it below or above the
shadow it either measures, or it has a hole there. None of these motions may be PASS.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from kinema4d_ros.evaluation.hidden_obstacles import (against, depth_of, distance_to,
                                                      HiddenObstacleRow, LATTICE, roles_of,
                                                      some_of, solid)
from kinema4d_ros.precheck import RobotChecker
from kinema4d_ros.types import CameraView, JointTrajectory, Observation, RobotRollout

SIDES = (0.04, 0.08, 0.12)     # [m] of the post
LENGTH = 0.8                   # [m] of the post; it ends where something is before it
_HIDDEN = 0.6                  # of the post's end must be hidden by the robot
_GAP = 0.01                    # [m] that it keeps from the robot
STANDS, HANGS = 'stands in the shadow', 'hangs in the shadow'


def shadow_rows(name: str, observation: Observation, trajectory: JointTrajectory,
                checker: RobotChecker, *,
                sides: tuple[float, ...] = SIDES) -> Iterator[HiddenObstacleRow]:
    """
    Yield a row for each post that could be put into the robot's shadow.

    :param name: of the episode.
    :param observation: by one camera.
    """
    checker.forget()
    view, motion = observation.view, checker.rollout_of(observation, trajectory)
    robot = checker.scene_of(observation).view.robot_mask
    stands = solid(checker, motion, 0)
    for role, link in roles_of(checker).items():
        for side in sides:
            for frame, center in some_of(list(_places(checker, motion, link, view, robot, side))):
                for kind, low, high in _posts(center, side, stands):
                    distance, _ = distance_to(view, low, high)
                    for how, value in (('', None), (', without depth', 0.0)):
                        checker.forget()
                        changed = _with_post(view, distance, value)
                        why = against(checker, dataclasses.replace(
                            observation, views=(changed,)), trajectory)
                        yield HiddenObstacleRow(
                            name, f'{100 * side:.0f} cm, {kind}{how}', role, link,
                            float(motion.times[frame]), not why, why)


def _places(checker: RobotChecker, motion: RobotRollout, link: str, view: CameraView,
            robot: np.ndarray, side: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames and places of a link's middle that the robot hides as it stands at first."""
    points = checker.fields.solid_points(link, LATTICE)
    T = motion.T_base_link[:, motion.link_names.index(link)]
    centers = T[:, :3, :3] @ ((points.min(0) + points.max(0)) / 2) + T[:, :3, 3]
    for frame in range(1, len(centers), max(1, len(centers) // 24)):
        center = centers[frame]
        distance, _ = distance_to(view, center - side / 2, center + side / 2)
        box = np.isfinite(distance)
        with np.errstate(invalid='ignore'):
            hidden = robot[box] & (depth_of(view)[box] < distance[box])
        if box.any() and hidden.mean() >= _HIDDEN:
            yield frame, center


def _posts(center: np.ndarray, side: float,
           stands: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield how it is held, and the corners of each post that ends there and misses the robot."""
    half = np.full(3, side / 2)
    for kind, sign in ((STANDS, -1.0), (HANGS, 1.0)):
        end = center + [0, 0, sign * LENGTH]
        low, high = np.minimum(center - half, end), np.maximum(center + half, end)
        if not ((stands > low - _GAP) & (stands < high + _GAP)).all(axis=1).any():
            yield kind, low, high


def _with_post(view: CameraView, distance: np.ndarray, value: float | None) -> CameraView:
    """Return what the camera sees, with the post, or with a value where it sees that."""
    depth = depth_of(view)
    seen = distance < np.where(np.isfinite(depth), depth, np.inf)
    image = view.image.copy()
    image[seen] = 128
    return dataclasses.replace(view, image=image, depth=np.where(
        seen, distance if value is None else np.float32(value), depth))
