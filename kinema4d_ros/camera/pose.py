# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a camera on a link is while the robot moves."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.errors import CameraError


class LinkPose:
    """A camera whose optical frame is a link of the robot (or is fixed to one)."""

    def __init__(self, link: str, T_link_camera: np.ndarray | None = None) -> None:
        """
        Make the pose of a camera that is fixed to a link.

        :param T_link_camera: camera to link, (4, 4); None when the link is the optical frame.
        :raises CameraError: not a rigid transform.
        """
        self.link = link
        self._T = None if T_link_camera is None else rigid(T_link_camera, 'T_link_camera')

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same place on the same link."""
        return isinstance(other, LinkPose) and self.link == other.link \
            and np.array_equal(self.T_link_camera, other.T_link_camera)

    def __hash__(self) -> int:
        """Return the hash of the link's name."""
        return hash(self.link)

    @property
    def T_link_camera(self) -> np.ndarray:  # noqa: N802 - a transform
        """The camera's pose in the link, (4, 4) float64."""
        return np.eye(4) if self._T is None else self._T

    def moved(self, T_camera_other: np.ndarray) -> LinkPose:
        """Return the pose of another camera, fixed to this one."""
        return LinkPose(self.link, self.T_link_camera @ T_camera_other)

    def poses(self, link_names: tuple[str, ...], T_base_link: np.ndarray) -> np.ndarray:
        """
        Return T_base_camera for each frame of T_base_link (T, L, 4, 4), (T, 4, 4) float64.

        :raises CameraError: the robot has no such link; it names the likely ones.
        """
        if self.link not in link_names:
            optical = [name for name in link_names if 'optical' in name]
            raise CameraError(
                f'the robot has no link {self.link!r} for the camera; it has '
                + (f'the optical frames {", ".join(optical)}' if optical
                   else f'no optical frame; its links are {", ".join(link_names)}')
                + '; name one of them, or give the camera pose as a parameter')
        T_base_this = np.asarray(T_base_link, np.float64)[:, link_names.index(self.link)]
        return T_base_this.copy() if self._T is None else T_base_this @ self._T


def rigid(T: np.ndarray, name: str) -> np.ndarray:
    """
    Return the transform as (4, 4) float64.

    :raises CameraError: it is not a rotation and a translation.
    """
    T = np.array(T, np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all() \
            or not np.allclose(T[3], (0, 0, 0, 1), atol=1e-9) \
            or not np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-4) \
            or np.linalg.det(T[:3, :3]) < 0:
        raise CameraError(f'{name} must be a (4, 4) rotation and translation, got {T.tolist()}')
    return T
