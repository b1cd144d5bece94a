# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""RGB, metric depth and segmentation of a LIBERO scene from one camera, in one GL context."""
from __future__ import annotations

import os
from dataclasses import dataclass

import mujoco
import numpy as np

from kinema4d_ros.episodes.libero.frames import transform
from kinema4d_ros.episodes.libero.scene import HAND_BODY, LiberoScene
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import PinholeCamera

OPTICAL = np.diag([1.0, -1.0, -1.0, 1.0])      # MuJoCo looks along -z with y up
#: what a recording calls a camera -> what the simulator does
ALIASES = {'wrist': 'robot0_eye_in_hand', 'side': 'sideview'}
#: LIBERO's own sideview looks past the robot, so it is put here: where it is and what it looks at,
#: [m] in the robot's base frame
_PLACED = {'sideview': ((0.35, -1.25, 0.95), (0.35, 0.0, 0.3))}


@dataclass(frozen=True, eq=False)
class View:
    """What the camera sees at one instant, pixels top-down."""

    image: np.ndarray        # (H, W, 3) uint8 RGB
    depth: np.ndarray        # (H, W) float32 [m] along optical z
    robot_mask: np.ndarray | None   # (H, W) bool, arm, hand, fingers where nothing hides them


class SceneRenderer:
    """Renders one camera of a scene; use it from the thread that made it."""

    def __init__(self, scene: LiberoScene, camera: str, height: int, width: int,
                 fovy: float | None = None):
        """
        Make the GL context.

        :param camera: name in the simulator, or one of `ALIASES`.
        :param fovy: vertical field of view [deg], None for the scene's own.
        :raises EpisodeError: for an unknown camera, or when neither EGL nor OSMesa works.
        """
        model = scene.model
        camera, names = ALIASES.get(camera, camera), [
            model.camera(i).name for i in range(model.ncam)]
        if camera not in names:
            raise EpisodeError(f'the scene has no camera {camera!r}; it has: {", ".join(names)}')
        self._scene, self._id = scene, names.index(camera)
        self._own_fovy = float(model.cam_fovy[self._id])
        self._own_pose = model.cam_pos[self._id].copy(), model.cam_quat[self._id].copy()
        if camera in _PLACED:
            self._place(*map(np.array, _PLACED[camera]))
        model.cam_fovy[self._id] = self._own_fovy if fovy is None else fovy
        self.moves_with_hand = model.cam_bodyid[self._id] == model.body(HAND_BODY).id
        self.height, self.width = height, width
        # One sample per pixel, so that colour and depth come from the same pass.
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        try:
            if os.environ.get('MUJOCO_GL') == 'osmesa':
                from mujoco.osmesa import GLContext
            else:
                from mujoco.egl import GLContext
            self._gl = GLContext(width, height)
            self._gl.make_current()
        except Exception as error:
            raise EpisodeError(
                f'no OpenGL context ({error}); install libegl1 libegl-mesa0 libgl1-mesa-dri, or '
                'libosmesa6 and set MUJOCO_GL=osmesa') from error
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._drawn = mujoco.MjvScene(model, 2000)
        self._view = mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self._id
        self._options = mujoco.MjvOption()
        _bytes(self._options.geomgroup)[0] = 0          # collision geometry
        _bytes(self._options.sitegroup)[:] = 0
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        bodies = [model.body(i).name for i in range(model.nbody)]
        self._robot_geom = np.array(
            [bodies[body].startswith(('robot0_', 'gripper0_')) for body in model.geom_bodyid])

    def _place(self, position: np.ndarray, target: np.ndarray) -> None:
        """Put the camera somewhere, upright, to look at something; (3,) [m] in the base frame."""
        T = self._scene.T_world_base
        z = (position - target) / np.linalg.norm(position - target)
        x = np.cross((0.0, 0.0, 1.0), z)
        x /= np.linalg.norm(x)
        R = T[:3, :3] @ np.stack([x, np.cross(z, x), z], axis=1)
        model, quaternion = self._scene.model, np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, R.ravel())
        model.cam_pos[self._id] = T[:3, :3] @ position + T[:3, 3]
        model.cam_quat[self._id] = quaternion
        self._scene.refresh()

    @property
    def camera(self) -> PinholeCamera:
        """The pinhole camera; pixel (0, 0) is a pixel's centre, so cx = (W - 1) / 2."""
        focal = 0.5 * self.height / np.tan(np.deg2rad(self._scene.model.cam_fovy[self._id]) / 2)
        return PinholeCamera(self.width, self.height, float(focal), float(focal),
                             (self.width - 1) / 2, (self.height - 1) / 2)

    @property
    def T_base_camera(self) -> np.ndarray:
        """Pose of the optical frame now, (4, 4) float64."""
        data = self._scene.data
        world = transform(data.cam_xmat[self._id], data.cam_xpos[self._id]) @ OPTICAL
        return np.linalg.inv(self._scene.T_world_base) @ world

    @property
    def T_hand_camera(self) -> np.ndarray:
        """Pose of the optical frame in the hand's frame now, (4, 4) float64."""
        return np.linalg.inv(self._scene.body_pose(HAND_BODY)) @ self.T_base_camera

    def close(self) -> None:
        """Give the GL context back, and the camera its own field of view and place."""
        model = self._scene.model
        model.cam_fovy[self._id] = self._own_fovy
        model.cam_pos[self._id], model.cam_quat[self._id] = self._own_pose
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def __call__(self, mask: bool = True) -> View:
        """Render the scene as it is now, the robot's mask only where it is asked for."""
        model, flags = self._scene.model, _bytes(self._drawn.flags)
        self._gl.make_current()
        mujoco.mjv_updateScene(model, self._scene.data, self._options, None, self._view,
                               mujoco.mjtCatBit.mjCAT_ALL, self._drawn)
        flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = 0
        image, zbuffer = self._draw(segment=False)
        near, far = (distance * model.stat.extent
                     for distance in (model.vis.map.znear, model.vis.map.zfar))
        depth = near / (1 - zbuffer * (1 - near / far))
        return View(image, depth.astype(np.float32), self._robot_mask() if mask else None)

    def _robot_mask(self) -> np.ndarray:
        ids = self._draw(segment=True)[0].astype(np.int32) @ np.array([1, 256, 65536])
        robot = np.zeros(self._drawn.ngeom + 2, bool)      # 0 is the background
        for geom in self._drawn.geoms[:self._drawn.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                robot[geom.segid + 1] = self._robot_geom[geom.objid]
        return robot[np.where(ids > self._drawn.ngeom, 0, ids)]

    def _draw(self, segment: bool) -> tuple[np.ndarray, np.ndarray]:
        flags = _bytes(self._drawn.flags)
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            flags[int(flag)] = segment
        image = np.empty((self.height, self.width, 3), np.uint8)
        zbuffer = np.empty((self.height, self.width), np.float32)
        mujoco.mjr_render(self._rectangle, self._drawn, self._context)
        mujoco.mjr_readPixels(image, zbuffer, self._rectangle, self._context)
        return image[::-1].copy(), zbuffer[::-1].copy()      # OpenGL's rows go bottom-up


def _bytes(values: np.ndarray) -> np.ndarray:
    """
    Return the (N,) bytes of a structure of MuJoCo, to be read and written.

    MuJoCo 2.3 was built for NumPy 1: with NumPy 2 it says that they lie 0 bytes apart, so that
    whatever is set, the first is.
    """
    return np.lib.stride_tricks.as_strided(values, strides=(1,))
