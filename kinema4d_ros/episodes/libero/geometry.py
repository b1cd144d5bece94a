# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the things of a LIBERO scene are, how they look from above, and what moves of them."""
from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import numpy as np

from kinema4d_ros.episodes.libero.frames import base_aligned, transform
from kinema4d_ros.episodes.libero.meshes import surface_points
from kinema4d_ros.episodes.libero.simulator import mujoco
from kinema4d_ros.errors import EpisodeError


class SceneGeometry:
    """The things of a scene by name. Poses are in the robot's base frame [m]."""

    model: mujoco.MjModel
    data: mujoco.MjData
    objects: tuple[str, ...]
    T_world_base: np.ndarray
    _object_bodies: dict[str, int]
    _surfaces: dict[str, list[tuple[int, np.ndarray]]]

    def refresh(self) -> None:
        """Bring poses and contacts up to the joint state (a step leaves them one step old)."""
        mujoco.mj_forward(self.model, self.data)

    def object_pose(self, name: str) -> np.ndarray:
        """Return T_base_object of a task object, (4, 4) float64."""
        body = self._object_bodies[name]
        world = transform(self.data.xmat[body], self.data.xpos[body])
        return np.linalg.inv(self.T_world_base) @ world

    def object_bodies(self, name: str) -> np.ndarray:
        """Return the ids of all MuJoCo bodies of a task object."""
        root = self.model.body_rootid[self._object_bodies[name]]
        return np.flatnonzero(self.model.body_rootid == root)

    @property
    def movable(self) -> tuple[str, ...]:
        """Names of the task objects that nothing fastens to the world."""
        free = {int(self.model.jnt_bodyid[i]) for i in range(self.model.njnt)
                if self.model.jnt_type[i] == mujoco.mjtJoint.mjJNT_FREE}
        return tuple(name for name in self.objects if free & set(self.object_bodies(name)))

    def object_box(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return lowest and highest corner (3,) [m] of an object's visible parts, its frame."""
        bodies, model, data = set(self.object_bodies(name)), self.model, self.data
        T_object_world = np.linalg.inv(self.T_world_base @ self.object_pose(name))
        corners = []
        for geom in range(model.ngeom):
            if model.geom_bodyid[geom] not in bodies or model.geom_group[geom] == 0:
                continue
            pose = T_object_world @ transform(data.geom_xmat[geom], data.geom_xpos[geom])
            corners.append(self._geom_points(geom) @ pose[:3, :3].T + pose[:3, 3])
        points = np.concatenate(corners)
        return points.min(0), points.max(0)

    def bounds(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return lowest and highest corner (3,) [m] of an object as it lies, base frame."""
        return base_aligned(self.object_pose(name), *self.object_box(name))

    def _geom_points(self, geom: int) -> np.ndarray:
        model, mesh = self.model, self.model.geom_dataid[geom]
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            start = model.mesh_vertadr[mesh]
            return model.mesh_vert[start:start + model.mesh_vertnum[mesh]]
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        return signs * model.geom_size[geom]

    @property
    def fixture_joints(self) -> dict[str, str]:
        """Names of the drawers', doors' and knobs' joints, each with the thing it belongs to."""
        model, found = self.model, {}
        for name in self.objects:
            bodies = set(self.object_bodies(name).tolist())
            found.update({model.joint(i).name: name for i in range(model.njnt)
                          if int(model.jnt_bodyid[i]) in bodies
                          and model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE})
        return found

    def joint_unit(self, joint: str) -> str:
        """Return 'm' of a joint that slides, 'rad' of one that turns."""
        slides = self.model.joint(joint).type[0] == mujoco.mjtJoint.mjJNT_SLIDE
        return 'm' if slides else 'rad'

    def joint_position(self, joint: str) -> float:
        """Return the position of a joint of a fixture [m] or [rad]."""
        return float(self.data.qpos[self.model.joint(joint).qposadr[0]])

    def joint_of(self, name: str) -> str | None:
        """
        Return the joint that moves a region, or the only one of a fixture, None for none.

        :param name: of a region (site) or of a fixture.
        """
        if name in self.objects:
            joints = [joint for joint, owner in self.fixture_joints.items() if owner == name]
            return joints[0] if len(joints) == 1 else None
        index = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, name)
        if index < 0:
            raise EpisodeError(f'the scene has no site {name!r}')
        body = int(self.model.site_bodyid[index])
        joints = [joint for joint in self.fixture_joints
                  if int(self.model.joint(joint).bodyid[0]) == body]
        return joints[0] if joints else None

    def surface(self, name: str, count: int = 4000) -> np.ndarray:
        """Return points all over the visible surface of an object, (N, 3) [m] base frame."""
        if name not in self._surfaces:
            self._surfaces[name] = [(int(body), surface_points(self.model, int(body), count))
                                    for body in self.object_bodies(name)]
        T_base_world = np.linalg.inv(self.T_world_base)
        found = [np.empty((0, 3))]
        for body, points in self._surfaces[name]:
            pose = T_base_world @ transform(self.data.xmat[body], self.data.xpos[body])
            found.append(points @ pose[:3, :3].T + pose[:3, 3])
        return np.concatenate(found)

    def heights(self, places: np.ndarray, without: str = '') -> np.ndarray:
        """
        Return how high that which stands at places (N, 2) [m] reaches, (N,) [m]; base frame.

        :param without: an object that is not looked at; neither is the robot.
        """
        skipped = set(self.object_bodies(without).tolist()) if without else set()
        skipped |= {i for i in range(self.model.nbody)
                    if self.model.body(i).name.startswith(('robot0_', 'gripper0_', 'mount0_'))}
        T, geom = self.T_world_base, np.zeros(1, np.int32)
        down, group = -T[:3, 2], np.array([1, 0, 0, 0, 0, 0], np.uint8)
        found = np.full(len(places), -np.inf)
        for index, (x, y) in enumerate(places):
            height = 1.2
            while True:
                start = T[:3, :3] @ np.array([x, y, height]) + T[:3, 3]
                way = mujoco.mj_ray(self.model, self.data, start, down, group, 1, -1, geom)
                if way < 0:
                    break
                height -= way
                if int(self.model.geom_bodyid[geom[0]]) not in skipped:
                    found[index] = height
                    break
                height -= 1e-4
        return found

    @contextlib.contextmanager
    def imagined(self) -> Iterator[None]:
        """Let things be put elsewhere, to plan what comes next; afterwards all is as before."""
        true, self.data = self.data, copy.copy(self.data)
        try:
            self.refresh()
            yield
        finally:
            self.data = true

    def put(self, name: str, T_base_object: np.ndarray) -> None:
        """Put an object to a pose (4, 4); only where that is `imagined`."""
        body = self._object_bodies[name]
        world = self.T_world_base @ T_base_object
        at = int(self.model.jnt_qposadr[self.model.body_jntadr[body]])
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, world[:3, :3].ravel())
        self.data.qpos[at:at + 7] = np.r_[world[:3, 3], quaternion]
        self.refresh()

    def set_joint(self, joint: str, position: float) -> None:
        """Bring a joint of a fixture to a position; only where that is `imagined`."""
        before = self.joint_position(joint)
        body = int(self.model.joint(joint).bodyid[0])
        inside = [(name, self.object_pose(name)) for name in self.movable
                  if self._is_inside(name, body)]
        pose = self._pose_of(body)
        self.data.qpos[self.model.joint(joint).qposadr[0]] = position
        self.refresh()
        if position != before:
            way = self._pose_of(body) @ np.linalg.inv(pose)
            for name, T_base_object in inside:
                self.put(name, way @ T_base_object)

    def _pose_of(self, body: int) -> np.ndarray:
        """Return T_base_body of a body by its number, (4, 4) float64."""
        world = transform(self.data.xmat[body], self.data.xpos[body])
        return np.linalg.inv(self.T_world_base) @ world

    def _is_inside(self, name: str, body: int) -> bool:
        """Whether the origin of an object is within a region of a body."""
        place = self.object_pose(name)[:3, 3]
        for index in np.flatnonzero(self.model.site_bodyid == body):
            pose, half = self.site(self.model.site(index).name)
            if (np.abs(pose[:3, :3].T @ (place - pose[:3, 3])) < half + 0.01).all():
                return True
        return False

    def joint_frame(self, joint: str) -> tuple[np.ndarray, np.ndarray]:
        """Return anchor (3,) [m] and axis (3,) of a joint of a fixture, base frame."""
        index = self.model.joint(joint).id
        R = self.T_world_base[:3, :3].T
        anchor = R @ (self.data.xanchor[index] - self.T_world_base[:3, 3])
        return anchor, R @ self.data.xaxis[index]

    def moving_part(self, joint: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return lowest and highest corner (3,) [m] of each shape that a joint moves."""
        body = int(self.model.joint(joint).bodyid[0])
        found = []
        for geom in np.flatnonzero(self.model.geom_bodyid == body):
            points = self._geom_points(int(geom))
            pose = np.linalg.inv(self.T_world_base) @ transform(
                self.data.geom_xmat[geom], self.data.geom_xpos[geom])
            points = points @ pose[:3, :3].T + pose[:3, 3]
            found.append((points.min(0), points.max(0)))
        return found

    def joint_range(self, joint: str) -> tuple[float, float]:
        """Return lowest and highest position of a joint of a fixture [m] or [rad]."""
        low, high = self.model.joint(joint).range
        return float(low), float(high)

    def site(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return T_base_site (4, 4) and the half sizes (3,) [m] of a MuJoCo site."""
        index = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, name)
        if index < 0:
            raise EpisodeError(f'the scene has no site {name!r}')
        world = transform(self.data.site_xmat[index], self.data.site_xpos[index])
        return np.linalg.inv(self.T_world_base) @ world, self.model.site_size[index].copy()
