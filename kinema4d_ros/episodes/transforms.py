# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses in messages and in robot descriptions, as matrices and back."""
from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from kinema4d_ros.errors import CameraError, EpisodeError
from kinema4d_ros.robot.transforms import rpy, transform_from_quaternion


def matrix_from_message(transform: Any) -> np.ndarray:
    """
    Return a geometry_msgs/Transform as (4, 4) float64; the quaternion is normalised.

    :raises EpisodeError: a number is not finite, or the quaternion is zero.
    """
    t, q = transform.translation, transform.rotation
    try:
        return transform_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
    except CameraError as error:
        raise EpisodeError(str(error)) from error


def with_camera(urdf: str, camera_frame: str, parent: str, T_parent_camera: np.ndarray) -> str:
    """Return the URDF with the camera's optical frame as a link on `parent`."""
    numbers = [' '.join(f'{value:.9g}' for value in row) for row in (
        T_parent_camera[:3, 3], rpy(T_parent_camera[:3, :3]))]
    frame, joint = quoteattr(camera_frame), quoteattr(f'{camera_frame}_joint')
    link = (f'  <link name={frame}/>\n'
            f'  <joint name={joint} type="fixed">\n'
            f'    <parent link={quoteattr(parent)}/>\n    <child link={frame}/>\n'
            f'    <origin xyz="{numbers[0]}" rpy="{numbers[1]}"/>\n  </joint>\n')
    head, end, tail = urdf.rpartition('</robot>')
    if not end:
        raise EpisodeError('the robot description has no closing </robot>')
    return head + link + end + tail
