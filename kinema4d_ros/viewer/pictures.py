# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures: beside one another, and the last ones kept for what they may turn out to be."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from kinema4d_ros.types import Observation

_WIDTH = 480        # [px] of kept pictures at most
_KEPT = 200         # pictures of a moving robot; 20 s at 10 Hz
_STILL = 1e-4       # [rad or m]


class CameraSnapshot(NamedTuple):
    """A picture and where the robot was."""

    stamp_ns: int
    images: Mapping[str, np.ndarray]       # (H, W, 3) uint8, by the name of the camera
    joint_positions: Mapping[str, float]   # [rad or m]


class SnapshotBuffer:
    """
    The last pictures of the cameras.

    When a slow world model has finished, its motion may be half executed: what was seen of that
    meanwhile must still be there.
    """

    def __init__(self) -> None:
        """Make an empty buffer."""
        self._snapshots: deque[CameraSnapshot] = deque(maxlen=_KEPT)

    def add(self, observation: Observation) -> CameraSnapshot:
        """Keep a picture, made small; one of a robot that stands still is enough."""
        if self._snapshots and not _moved(self._snapshots[-1], observation):
            return self._snapshots[-1]
        snapshot = CameraSnapshot(
            observation.stamp_ns, {view.name: small(view.image) for view in observation.views},
            observation.joint_positions)
        self._snapshots.append(snapshot)
        return snapshot

    def since(self, stamp_ns: int) -> Iterator[CameraSnapshot]:
        """Yield the pictures from a stamp on, oldest first."""
        return (kept for kept in self._snapshots if kept.stamp_ns >= stamp_ns)


def small(image: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 that is worth to be kept, 480 columns wide at most."""
    if image.shape[1] <= _WIDTH:
        return image
    return cv2.resize(image, (_WIDTH, round(image.shape[0] * _WIDTH / image.shape[1])),
                      interpolation=cv2.INTER_AREA)


def _moved(snapshot: CameraSnapshot, observation: Observation) -> bool:
    return any(abs(position - snapshot.joint_positions.get(name, np.inf)) > _STILL
               for name, position in observation.joint_positions.items())


def join_images(images: list[np.ndarray]) -> np.ndarray:
    """Return pictures (H, W, 3) uint8 beside one another, all as high as the first."""
    height = images[0].shape[0]
    scaled = [image if image.shape[0] == height else
              cv2.resize(image, (round(image.shape[1] * height / image.shape[0]), height))
              for image in images]
    gap = np.full((height, 6, 3), 255, np.uint8)
    return np.concatenate([part for image in scaled for part in (image, gap)][:-1], axis=1)


def stack_images(rows: list[np.ndarray]) -> np.ndarray:
    """Return rows of pictures (H, W, 3) uint8 below one another, narrow ones filled with white."""
    width = max(row.shape[1] for row in rows)
    gap = np.full((6, width, 3), 255, np.uint8)
    filled = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
              for row in rows]
    return np.concatenate([part for row in filled for part in (row, gap)][:-1])
