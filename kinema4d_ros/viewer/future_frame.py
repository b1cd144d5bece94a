# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One predicted frame as the viewer keeps it: thinned once, shown any number of times."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class OtherPicture:
    """What one of the further cameras would see."""

    image: np.ndarray            # (H, W, 3) uint8
    T_base_camera: np.ndarray    # (4, 4) float64, at this frame


@dataclass(frozen=True, eq=False)
class FutureFrame:
    """One predicted frame, thinned to the point budget."""

    index: int
    count: int
    time: float                  # [s] from the start of the trajectory
    stamp_ns: int                # of the observation that was predicted from
    points: np.ndarray           # (N, 3) float16 [m], all known, in the frame of T_base_cloud
    colors: np.ndarray           # (N, 3) uint8
    is_robot: np.ndarray         # (N,) bool
    image: np.ndarray            # (H, W, 3) uint8
    T_base_cloud: np.ndarray     # (4, 4) float64
    T_base_camera: np.ndarray    # (4, 4) float64, at this frame
    joint_positions: Mapping[str, float]   # [rad or m]
    others: Mapping[str, OtherPicture] = field(default_factory=dict)   # by name of the camera

    @classmethod
    def thinned(cls, budget: int, *, points: np.ndarray, colors: np.ndarray,
                robot_mask: np.ndarray, **others: Any) -> FutureFrame:
        """
        Return a frame with at most `budget` points.

        :param points: (H, W, 3) float32 [m] in the frame of `T_base_cloud`, NaN unknown.
        :param colors: (H, W, 3) uint8.
        :param robot_mask: (H, W) bool.
        :param others: the remaining fields.
        """
        known, colors, is_robot = thin(points, budget, colors, robot_mask)
        return cls(points=known.astype(np.float16), colors=colors, is_robot=is_robot, **others)


def thin(points: np.ndarray, budget: int, *attributes: np.ndarray) -> tuple[np.ndarray, ...]:
    """
    Return at most `budget` known points, evenly taken, and the same rows of `attributes`.

    :param points: (H, W, 3) [m], NaN where unknown.
    :param attributes: (H, W, ...) arrays, one entry for each point.
    :return: (N, 3) and (N, ...).
    """
    flat = points.reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    if len(known) > budget:
        known = known[np.linspace(0, len(known) - 1, budget).astype(np.intp)]
    rows = (array.reshape(flat.shape[0], *array.shape[2:])[known] for array in attributes)
    return flat[known], *rows


def position_colors(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """
    Return x, y, z as red, green, blue: how a pointmap looks as a picture.

    :param points: (N, 3) [m].
    :param low: (3,) [m], black; `high` is white.
    """
    share = (points.astype(np.float32) - low) / np.maximum(high - low, 1e-6)
    colors: np.ndarray = (np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)
    return colors
