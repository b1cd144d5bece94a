# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A GPU's way to render a robot, in software where there is no GPU: MuJoCo's renderer over EGL.

OpenGL draws the links and gives their distances back, which become points here; colours and link
numbers, which would be two more passes, are left out.
"""
from __future__ import annotations

import os

import numpy as np

from kinema4d_ros.types import PinholeCamera

_FARTHEST = 20.0      # [m]


class EglWay:
    """The meshes of links, to be drawn by OpenGL at given poses."""

    def __init__(self, meshes, link_names, camera: PinholeCamera):
        """
        Make a scene of these meshes, and a context to draw it.

        :raises ImportError: MuJoCo is not installed, or there is no EGL.
        """
        os.environ.setdefault('MUJOCO_GL', 'egl')
        import mujoco
        spec = mujoco.MjSpec()
        # In units of the extent.
        spec.visual.map.znear, spec.visual.map.zfar, spec.stat.extent = 0.01, _FARTHEST, 1.0
        spec.visual.quality.offsamples = 0
        self._links = []
        for number, name in enumerate(link_names):
            if name not in meshes or not len(meshes[name].faces):
                continue
            spec.add_mesh(name=name, uservert=meshes[name].vertices.astype(np.float64).ravel(),
                          userface=meshes[name].faces.ravel())
            body = spec.worldbody.add_body(name=name, mocap=True)
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name)
            self._links.append(number)
        fov = float(np.degrees(2 * np.arctan(camera.height / 2 / camera.fy)))
        spec.worldbody.add_camera(name='camera', fovy=fov)
        spec.visual.global_.offwidth, spec.visual.global_.offheight = camera.width, camera.height
        self._mujoco, self._model = mujoco, spec.compile()
        self._data, self._camera = mujoco.MjData(self._model), camera
        self._renderer = mujoco.Renderer(self._model, camera.height, camera.width)
        self._renderer.enable_depth_rendering()

    def render(self, T_base_link: np.ndarray, T_base_camera: np.ndarray) -> np.ndarray:
        """Return the pointmap (T, H, W, 3) float32 [m] camera frame, NaN where no robot."""
        mujoco, model, data = self._mujoco, self._model, self._data
        T_base_gl = T_base_camera @ np.diag([1.0, -1.0, -1.0, 1.0])     # looks along -z
        model.cam_pos[0] = T_base_gl[:3, 3]
        mujoco.mju_mat2Quat(model.cam_quat[0], T_base_gl[:3, :3].ravel())
        rays = self._camera.rays()
        out = np.empty((len(T_base_link), *rays.shape), np.float32)
        for t, poses in enumerate(T_base_link):
            for body, link in enumerate(self._links):
                data.mocap_pos[body] = poses[link, :3, 3]
                mujoco.mju_mat2Quat(data.mocap_quat[body], poses[link, :3, :3].ravel())
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            self._renderer.update_scene(data, 'camera')
            depth = self._renderer.render()
            depth[depth >= 0.9 * _FARTHEST] = np.nan
            np.multiply(rays, depth[..., None], out=out[t])
        return out
