# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colour and depth of one camera, written into an episode picture by picture."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kinema4d_ros.datasets.source import FrameStream
from kinema4d_ros.datasets.timing import frame_timing
from kinema4d_ros.datasets.views import KnownCamera
from kinema4d_ros.episodes import EpisodeWriter
from kinema4d_ros.episodes.topics import CAMERA
from kinema4d_ros.errors import DatasetError

START_NS = 10**9              # stamp of the first row
_TOGETHER = 0.02              # [s] depth and colour that are so near are of one moment


def stamp(time: float) -> int:
    """Return the stamp [ns] of a time [s] from the first row."""
    return START_NS + round(float(time) * 1e9)


def write_color(writer: EpisodeWriter, pictures: Iterator[np.ndarray], times: np.ndarray,
                camera: KnownCamera, frame: str, name: str = CAMERA) -> int:
    """
    Add the pictures, and return how many there are.

    :param pictures: (H, W, 3) uint8 RGB, of the size of the calibration.
    :param times: (F,) [s] from the first row.
    :param frame: optical frame of the camera; :param name: that its topics begin with.
    :raises DatasetError: one is of another size, or damaged.
    """
    width, height = camera.calibration.width, camera.calibration.height
    count = 0
    for at, image in zip(times, pictures):
        if image.shape[:2] != (height, width):
            raise DatasetError(f'picture {count} has {image.shape[1]} x {image.shape[0]} pixels, '
                               f'the first {width} x {height}')
        writer.add_image(stamp(at), frame, camera.calibration.rectify(image), name=name)
        count += 1
    return count


def write_depth(writer: EpisodeWriter, depth: FrameStream, rows: np.ndarray, times: np.ndarray,
                camera: KnownCamera, frame: str, name: str = CAMERA) -> bool:
    """
    Add depth that was taken with a picture of the colour's; return whether there was some.

    :param rows: (N,) [s] of the rows, which depth without stamps of its own goes with, as colour
        does; :param times: (F,) [s] of the colour's pictures.
    :raises DatasetError: it is not registered to the colour.
    """
    width, height = camera.calibration.width, camera.calibration.height
    own, count = frame_timing(rows, depth).times if depth.times is None else depth.times, 0
    for taken, picture in zip(own, depth):
        if picture.shape != (height, width):
            raise DatasetError(f'depth has {picture.shape[1]} x {picture.shape[0]} pixels, colour '
                               f'{width} x {height}: it is not registered to it')
        at = int(np.abs(times - taken).argmin())
        if abs(times[at] - taken) < _TOGETHER:
            writer.add_depth(stamp(times[at]), frame, camera.calibration.rectify_depth(picture),
                             name=name)
            count += 1
    return count > 0
