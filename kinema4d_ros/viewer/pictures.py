# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures: beside one another, and the last ones kept for what they may turn out to be."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from kinema4d_ros.types import Observation

_WIDTH = 480        # [px] of kept pictures at most
_KEPT = 200         # pictures of a moving robot; 20 s at 10 Hz
_BYTES = 24_000_000     # of all that is kept, of all cameras together
_QUALITY = 85       # of kept pictures, as JPEG
_STILL = 1e-4       # [rad or m]


class CameraSnapshot(NamedTuple):
    """A picture and where the robot was."""

    stamp_ns: int
    images: Mapping[str, np.ndarray]       # (H, W, 3) uint8, by the name of the camera
    joint_positions: Mapping[str, float]   # [rad or m]


class _Kept(NamedTuple):
    """A snapshot whose pictures are encoded."""

    stamp_ns: int
    encoded: Mapping[str, bytes]
    joint_positions: Mapping[str, float]

    @property
    def size(self) -> int:
        """Of its pictures [bytes]."""
        return sum(map(len, self.encoded.values()))


class SnapshotBuffer:
    """
    The last pictures of the cameras, as JPEG: at most 200 of each, and 24 MB of all together.

    When a slow world model has finished, its motion may be half executed: what was seen of that
    meanwhile must still be there.
    """

    def __init__(self, most_bytes: int = _BYTES) -> None:
        """
        Make an empty buffer.

        :param most_bytes: of all pictures; the oldest go where there are more, the newest never.
        """
        self._most_bytes = most_bytes
        self._kept: deque[_Kept] = deque()
        self._last: CameraSnapshot | None = None
        self.size = 0         # of all pictures [bytes]

    def add(self, observation: Observation) -> CameraSnapshot:
        """Keep a picture, made small; one of a robot that stands still is enough."""
        if self._last is not None and not _moved(self._last, observation):
            return self._last
        self._last = snapshot = CameraSnapshot(
            observation.stamp_ns, {view.name: small(view.image) for view in observation.views},
            observation.joint_positions)
        kept = _Kept(snapshot.stamp_ns, {
            name: _encoded(image) for name, image in snapshot.images.items()},
            snapshot.joint_positions)
        self._kept.append(kept)
        self.size += kept.size
        while len(self._kept) > _KEPT or self.size > self._most_bytes and len(self._kept) > 1:
            self.size -= self._kept.popleft().size
        return snapshot

    def since(self, stamp_ns: int) -> Iterator[CameraSnapshot]:
        """Yield the pictures from a stamp on, oldest first."""
        return (CameraSnapshot(kept.stamp_ns, {
            name: _decoded(encoded) for name, encoded in kept.encoded.items()},
            kept.joint_positions) for kept in self._kept if kept.stamp_ns >= stamp_ns)


def _encoded(image: np.ndarray) -> bytes:
    import cv2

    done, encoded = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                                 (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    if not done:
        raise ValueError(f'a picture of {image.shape} {image.dtype} cannot be kept as JPEG')
    return encoded.tobytes()


def _decoded(encoded: bytes) -> np.ndarray:
    import cv2

    return cv2.cvtColor(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR),
                        cv2.COLOR_BGR2RGB)


def small(image: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 that is worth to be kept, 480 columns wide at most."""
    if image.shape[1] <= _WIDTH:
        return image
    import cv2
    return cv2.resize(image, (_WIDTH, round(image.shape[0] * _WIDTH / image.shape[1])),
                      interpolation=cv2.INTER_AREA)


def _moved(snapshot: CameraSnapshot, observation: Observation) -> bool:
    return any(abs(position - snapshot.joint_positions.get(name, np.inf)) > _STILL
               for name, position in observation.joint_positions.items())


def _as_high(image: np.ndarray, height: int) -> np.ndarray:
    if image.shape[0] == height:
        return image
    import cv2
    return cv2.resize(image, (round(image.shape[1] * height / image.shape[0]), height))


def join_images(images: list[np.ndarray]) -> np.ndarray:
    """Return pictures (H, W, 3) uint8 beside one another, all as high as the first."""
    height = images[0].shape[0]
    scaled = [_as_high(image, height) for image in images]
    gap = np.full((height, 6, 3), 255, np.uint8)
    return np.concatenate([part for image in scaled for part in (image, gap)][:-1], axis=1)


def stack_images(rows: list[np.ndarray]) -> np.ndarray:
    """Return rows of pictures (H, W, 3) uint8 below one another, narrow ones filled with white."""
    width = max(row.shape[1] for row in rows)
    gap = np.full((6, width, 3), 255, np.uint8)
    filled = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
              for row in rows]
    return np.concatenate([part for row in filled for part in (row, gap)][:-1])
