# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A robot in the 3D scene: the meshes of its links, moved by poses."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.robot import LinkMesh, LinkMeshes, load_meshes, Robot
from kinema4d_ros.viewer.glb import glb

if TYPE_CHECKING:
    import viser

_MAX_FACES, _TOLERANCE = 6000, 0.004      # triangles, [m]: finer cannot be seen from afar


def meshes_to_show(robot: Robot) -> LinkMeshes:
    """Load what a robot looks like, coarse enough for a browser that has no GPU."""
    return load_meshes(robot, max_faces=_MAX_FACES, tolerance=_TOLERANCE)


class RobotModel:
    """One robot below one scene node."""

    def __init__(self, server: viser.ViserServer, name: str, link_names: tuple[str, ...],
                 meshes: Mapping[str, LinkMesh], *,
                 color: tuple[int, int, int] | None = None, opacity: float = 1.0):
        """
        Make the model of a robot, its meshes sent to the browsers.

        :param name: scene node, such as '/live'.
        :param color: RGB for all links; None for the robot's own colours (always opaque).
        """
        self._server = server
        self._links: list[tuple[int, Any]] = []
        self.root = server.scene.add_frame(name, show_axes=False)
        for index, link in enumerate(link_names):
            if link not in meshes:
                continue
            mesh, node = meshes[link], f'{name}/{index}'
            if color is None:
                handle = server.scene.add_glb(node, glb(mesh))
            else:
                handle = server.scene.add_mesh_simple(
                    node, mesh.vertices, mesh.faces, color=color, opacity=opacity,
                    cast_shadow=False, receive_shadow=False)
            self._links.append((index, handle))
        self._shown: np.ndarray | None = None

    def move(self, T_base_link: np.ndarray) -> None:
        """
        Show the robot at these poses; links that did not move are not sent.

        :param T_base_link: (L, 4, 4) float64.
        """
        from viser.transforms import SO3

        before, self._shown = self._shown, T_base_link.copy()
        with self._server.atomic():
            for index, handle in self._links:
                T = T_base_link[index]
                if before is None or np.abs(T - before[index]).max() > 1e-5:
                    handle.wxyz = SO3.from_matrix(T[:3, :3]).wxyz
                    handle.position = T[:3, 3]

    def remove(self) -> None:
        """Take it out of the scene."""
        self.root.remove()
