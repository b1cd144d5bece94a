# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera as a link of the robot description."""
from __future__ import annotations

from xml.sax.saxutils import quoteattr

import numpy as np

from kinema4d_ros.episodes.rotation import rpy_from_matrix
from kinema4d_ros.errors import EpisodeError


def with_camera(urdf: str, camera_frame: str, parent: str, T_parent_camera: np.ndarray) -> str:
    """Return the URDF with the camera's optical frame as a link on `parent`."""
    numbers = [' '.join(f'{value:.9g}' for value in row) for row in (
        T_parent_camera[:3, 3], rpy_from_matrix(T_parent_camera[:3, :3]))]
    frame, joint = quoteattr(camera_frame), quoteattr(f'{camera_frame}_joint')
    link = (f'  <link name={frame}/>\n'
            f'  <joint name={joint} type="fixed">\n'
            f'    <parent link={quoteattr(parent)}/>\n    <child link={frame}/>\n'
            f'    <origin xyz="{numbers[0]}" rpy="{numbers[1]}"/>\n  </joint>\n')
    head, end, tail = urdf.rpartition('</robot>')
    if not end:
        raise EpisodeError('the robot description has no closing </robot>')
    return head + link + end + tail
