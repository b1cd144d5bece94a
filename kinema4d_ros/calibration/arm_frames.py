# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera that stays saw of an arm that moves, and the arm as it can be drawn."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera import RobotImages, RobotRenderer
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.robot import ForwardKinematics, LinkMesh, Robot
from kinema4d_ros.types import PinholeCamera

_POINTS = 900      # of the robot's surface, for the coarse search


@dataclass(frozen=True, eq=False)
class ArmFrames:
    """Images of one camera that stays, and the joints at each of them."""

    images: np.ndarray               # (N, H, W, 3) uint8 RGB, rectified
    depths: np.ndarray | None        # (N, H, W) float32 [m] along optical z, NaN unknown
    joint_positions: np.ndarray      # (N, J) float64 [rad or m], order of robot.joint_names
    camera: PinholeCamera            # as known beforehand

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        count, size = len(self.images), (self.camera.height, self.camera.width)
        if self.images.dtype != np.uint8 or self.images.shape != (count, *size, 3):
            raise CalibrationError(f'images must be uint8 of shape (N, {size[0]}, {size[1]}, 3) as '
                                   f'the camera has it, got {self.images.dtype} of '
                                   f'{self.images.shape}')
        if self.depths is not None and self.depths.shape != (count, *size):
            raise CalibrationError(f'depths must have shape {(count, *size)}, got '
                                   f'{self.depths.shape}')
        if len(self.joint_positions) != count or not np.isfinite(self.joint_positions).all():
            raise CalibrationError(f'{count} images need as many rows of finite joint positions, '
                                   f'got {self.joint_positions.shape}')

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.images)

    def take(self, chosen: np.ndarray) -> ArmFrames:
        """Return some of the frames, by index."""
        return ArmFrames(self.images[chosen], None if self.depths is None else self.depths[chosen],
                         self.joint_positions[chosen], self.camera)


class ArmModel:
    """A robot that can be drawn at any joint positions."""

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh]):
        """
        Make it.

        :raises CalibrationError: no link has a mesh.
        """
        self.robot, self._kinematics = robot, ForwardKinematics(robot)
        if not meshes:
            raise CalibrationError(f'robot {robot.name!r} has no shapes, so nothing of it can be '
                                   'compared with an image')
        self._renderer = RobotRenderer(meshes, robot.link_names)
        self.points, self.point_links = _surface_points(meshes, robot.link_names)

    def poses(self, joint_positions: np.ndarray) -> np.ndarray:
        """Return T_base_link (N, L, 4, 4) at joint positions (N, J)."""
        poses: np.ndarray = self._kinematics(joint_positions)
        return poses

    def render(self, T_base_link: np.ndarray, camera: PinholeCamera,
               T_base_camera: np.ndarray) -> RobotImages:
        """Draw it as `RobotRenderer.render` does."""
        return self._renderer.render(T_base_link, camera, T_base_camera)

    def surface(self, T_base_link: np.ndarray) -> np.ndarray:
        """Return points of the surface in the base, (N, P, 3) float64 [m]."""
        T = T_base_link[:, self.point_links]
        moved: np.ndarray = np.einsum('npij,pj->npi', T[..., :3, :3], self.points) + T[..., :3, 3]
        return moved


def spread(T_base_link: np.ndarray, count: int) -> np.ndarray:
    """
    Return the indices of frames whose links are as far from each other as can be, in time's order.

    :param T_base_link: (N, L, 4, 4).
    """
    where = T_base_link[:, :, :3, 3].reshape(len(T_base_link), -1)
    turned = 0.1 * T_base_link[:, :, :3, :2].reshape(len(T_base_link), -1)
    places = np.hstack([where, turned])
    chosen = [0]
    nearest = np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.unique(chosen)


def _surface_points(meshes: Mapping[str, LinkMesh], link_names: tuple[str, ...]
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return points (P, 3) [m] evenly over the robot's surface, in their links, and the links."""
    generator = np.random.default_rng(0)
    corners, links = [], []
    for name, mesh in meshes.items():
        corners.append(np.asarray(mesh.vertices, np.float64)[mesh.faces])
        links.append(np.full(len(mesh.faces), link_names.index(name)))
    triangles, owner = np.concatenate(corners), np.concatenate(links)
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0],
                                   triangles[:, 2] - triangles[:, 0]), axis=1)
    if not area.sum() > 0:
        raise CalibrationError('the meshes of the robot have no surface')
    picked = generator.choice(len(area), _POINTS, p=area / area.sum())
    a, b = np.sort(generator.random((2, _POINTS)), axis=0)[..., None]
    of = triangles[picked]
    return a * of[:, 0] + (b - a) * of[:, 1] + (1 - b) * of[:, 2], owner[picked]
