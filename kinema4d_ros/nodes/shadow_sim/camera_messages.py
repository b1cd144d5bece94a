# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the camera that belong to one image: what they hold, or why they do not fit it."""
from __future__ import annotations

from collections import deque

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from kinema4d_ros.bridge import images
from kinema4d_ros.bridge.cameras import calibration_from_message
from kinema4d_ros.bridge.sources import Source
from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.errors import ContradictionError, ObservationError

_ENOUGH = 4        # images of one publisher while the other sent, before they are compared
_COMMON = 0.25     # share of the stamps that a republisher has in common with the driver, at least


def calibration_of(message: CameraInfo, image_frame: str, camera: str) -> CameraCalibration:
    """
    Return the calibration; it must be that of the camera which made the image.

    Some drivers leave its frame empty, which names no other camera.
    """
    frame = message.header.frame_id
    if frame and frame.lstrip('/') != image_frame.lstrip('/'):
        raise ContradictionError(
            f'the calibration is of frame {frame!r}, the image of {image_frame!r}; remap '
            f'{camera}/camera_info to the topic beside that of the image')
    return calibration_from_message(message)


def registered_depth(message: Image | CompressedImage, image_frame: str,
                     shape: tuple[int, int]) -> np.ndarray:
    """
    Return the depth image in the numbers that were sent; its pixels must be those of the image.

    :return: (H, W) uint16 [mm] or float32 [m], as `images.depth_as_sent`.
    """
    cure = 'use the depth that the driver registers to the image (aligned_depth_to_color, ' \
           'depth_registered, depth_to_rgb or the like), or depth_image_proc/register'
    frame = message.header.frame_id
    if frame.lstrip('/') != image_frame.lstrip('/'):
        raise ObservationError(f'the depth image is of frame {frame!r}, the image of '
                               f'{image_frame!r}, so their pixels do not match; {cure}')
    depth = images.depth_as_sent(message)
    if depth.shape != shape:
        raise ObservationError(
            f'the depth image has {depth.shape[1]} x {depth.shape[0]} pixels, the image '
            f'{shape[1]} x {shape[0]}; {cure}')
    return depth


class Stamps(deque[int]):
    """The last stamps that one publisher gave [ns]: of more than `RECENT`, at any usual rate."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__(maxlen=600)


def differ(one: Source[Stamps], other: Source[Stamps]) -> bool:
    """
    Return whether two publishers send different images.

    What a republisher of image_transport sends beside the driver has the driver's frame and
    stamps, as far as both have sent; a busy machine loses some of either.
    """
    if one.key != other.key:
        return True
    first, second = set(one.held), set(other.held)
    begin, end = max(min(first), min(second)), min(max(first), max(second))
    if begin > end:
        return True
    first, second = ({stamp for stamp in stamps if begin <= stamp <= end}
                     for stamps in (first, second))
    least = min(len(first), len(second))
    return least >= _ENOUGH and len(first & second) < _COMMON * least
