# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The 3D part of the page: two robots, two clouds, the camera, what a verdict rests on."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.robot import LinkMesh, Robot
from kinema4d_ros.types import PinholeCamera
from kinema4d_ros.viewer.chunks import CHUNK_LAYERS, ChunkTrails
from kinema4d_ros.viewer.evidence import EVIDENCE_LAYERS, EvidenceNodes
from kinema4d_ros.viewer.robot_model import RobotModel

if TYPE_CHECKING:
    import viser

_SHADOW = (60, 130, 255)      # of the predicted robot, where no verdict colours it
# A cloud of nothing is two points far below: the browser builds its point shader anew with each
# update of the only cloud that has any.
_NOTHING = np.full((2, 3), -1e4, np.float16), np.zeros((2, 3), np.uint8)
#: what can be switched on and off -> whether it is on at first
LAYERS = {**dict.fromkeys(('robot', 'shadow', 'scene', 'prediction', 'camera'), True),
          **dict.fromkeys((*EVIDENCE_LAYERS, *CHUNK_LAYERS), True)}


class SceneGraph:
    """Scene nodes of one server; what is shown stays until it is replaced."""

    def __init__(self, server: viser.ViserServer, point_size: float) -> None:
        """
        Make the scene: lights, grid, empty clouds and what a verdict rests on.

        :param point_size: of the predicted cloud [m].
        """
        self._server = server
        scene = server.scene
        scene.set_up_direction('+z')
        # viser's own lights, shadows and mirrored sky double the work of a browser without a GPU.
        scene.configure_default_lights(enabled=False)
        scene.configure_environment_map(hdri=None)
        scene.add_light_hemisphere('/sky', ground_color=(150, 150, 150), intensity=1.6)
        scene.add_light_directional('/sun', intensity=2.5, position=(-0.2, -0.3, 1.0))
        scene.add_grid('/grid', width=4.0, height=4.0, cell_size=0.1, section_size=0.5,
                       position=(0.0, 0.0, -0.005))
        self.observed = scene.add_point_cloud(
            '/observed', *_NOTHING, point_size=0.6 * point_size,
            point_shading='flat', precision='float16')
        self.predicted = scene.add_point_cloud(
            '/predicted', *_NOTHING, point_size=point_size,
            point_shading='flat', precision='float16')
        self._live: RobotModel | None = None
        self._shadow: RobotModel | None = None
        self._cameras: dict[int, tuple[Any, PinholeCamera]] = {}
        self.evidence, self.chunks = EvidenceNodes(server), ChunkTrails(server)
        self._visible = dict(LAYERS)

    # ------------------------------------------------------------------ robots

    def set_robot(self, robot: Robot, meshes: Mapping[str, LinkMesh]) -> None:
        """Take a robot in the place of the one before."""
        for model in filter(None, (self._live, self._shadow)):
            model.remove()
        self.chunks.clear()
        self._live = RobotModel(self._server, '/live', robot.link_names, meshes)
        self._shadow = RobotModel(self._server, '/shadow', robot.link_names, meshes,
                                  color=_SHADOW, opacity=0.45)
        self._shadow.root.visible = False
        self._live.root.visible = self._visible['robot']

    def move_live(self, T_base_link: np.ndarray) -> None:
        """Show where the robot is, (L, 4, 4)."""
        if self._live is not None:
            self._live.move(T_base_link)

    def move_shadow(self, T_base_link: np.ndarray | None) -> None:
        """Show where the robot would be, (L, 4, 4), or nothing."""
        if self._shadow is None:
            return
        if T_base_link is not None:
            self._shadow.move(T_base_link)
        self._shadow.root.visible = T_base_link is not None and self._visible['shadow']

    # ------------------------------------------------------------------ clouds

    def show_observed(self, points: np.ndarray, colors: np.ndarray) -> None:
        """Show the scene as it is: (N, 3) [m] in the base frame, (N, 3) uint8."""
        with self._server.atomic():
            self.observed.points, self.observed.colors = points.astype(np.float16), colors

    def show_predicted(self, points: np.ndarray, colors: np.ndarray,
                       T_base_cloud: np.ndarray) -> None:
        """Show the scene as it would be: (N, 3) float16 [m] in the cloud's frame, (N, 3) uint8."""
        with self._server.atomic():
            self.predicted.points, self.predicted.colors = points, colors
            _place(self.predicted, T_base_cloud)

    def clear_predicted(self) -> None:
        """Show no predicted cloud."""
        self.show_predicted(*_NOTHING, np.eye(4))

    # ------------------------------------------------------------------ camera

    def show_camera(self, camera: PinholeCamera, T_base_camera: np.ndarray, image: np.ndarray,
                    number: int = 0, color: tuple[int, int, int] | None = None) -> None:
        """
        Show where a camera is, with a picture in it, (H, W, 3) uint8.

        :param number: of the camera, where there are several.
        :param color: that stands for it; None for grey.
        """
        handle, model = self._cameras.get(number, (None, None))
        if handle is None or camera != model:
            handle = self._server.scene.add_camera_frustum(
                f'/camera{number or ""}', fov=2 * math.atan(camera.height / 2 / camera.fy),
                aspect=camera.width / camera.height, scale=0.1, thickness=0.003,
                color=color or (90, 90, 90), image=image, cast_shadow=False,
                visible=self._visible['camera'])
            handle.position = T_base_camera[:3, 3]
            self._cameras[number] = handle, camera
        handle.image = image
        _place(handle, T_base_camera)

    def keep_cameras(self, count: int) -> None:
        """Remove the cameras beyond the first `count`."""
        for number in [number for number in self._cameras if number >= count]:
            self._cameras.pop(number)[0].remove()

    # ------------------------------------------------------------------ what is visible

    def set_layer(self, layer: str, on: bool) -> None:
        """Switch one of LAYERS; the shadow robot only appears with a future."""
        self._visible[layer] = on
        if layer in EVIDENCE_LAYERS:
            self.evidence.set_visible(layer, on)
            return
        if layer in CHUNK_LAYERS:
            self.chunks.set_visible(layer, on)
            return
        cameras = [handle for handle, _ in self._cameras.values()]
        nodes = {'robot': [self._live and self._live.root], 'scene': [self.observed],
                 'prediction': [self.predicted], 'camera': cameras, 'shadow': []}[layer]
        for node in filter(None, nodes):
            node.visible = on
        if layer == 'shadow' and self._shadow is not None and not on:
            self._shadow.root.visible = False


def _place(handle: Any, T: np.ndarray) -> None:
    from viser.transforms import SO3

    handle.wxyz, handle.position = SO3.from_matrix(T[:3, :3]).wxyz, T[:3, 3]
