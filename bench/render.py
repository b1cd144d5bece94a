# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Robot renderer against the usual way: an Open3D ray casting scene, built anew for every frame.

The usual way gives pointmap and link numbers; ours gives the shaded image besides. A second peer
is OpenGL over EGL, where MuJoCo is installed: without a GPU it draws in software too, and gives the
pointmap alone.
Goal: at most 0.15 of its time, with the same masks (IoU >= 0.999) and points (median <= 1e-5 m).
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import open3d
import trimesh

from bench.egl_peer import EglWay
from bench.timing import interleave, least_of_cores, median, row
from kinema4d_ros.camera import RobotImages, RobotRenderer
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

FRAMES = 49
CAMERA = PinholeCamera(720, 480, 579.4, 579.4, 359.5, 239.5)     # 45 degrees high
TRIANGLES = (50_000, 135_000)
GOAL = 0.15
PANDA = Path(__file__).parents[1] / 'urdf' / 'panda' / 'panda.urdf'


def measure(repeats: int) -> list[dict]:
    """Return one row per number of triangles."""
    return [each for triangles in TRIANGLES
            for each in compared(repeats, triangles, FRAMES, CAMERA)]


def compared(repeats: int, triangles: int, frames: int, camera: PinholeCamera) -> list[dict]:
    """Return the rows for so many triangles: against Open3D, and against OpenGL where it is."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    meshes = load_meshes(robot)
    poses = moving(robot, frames)
    T_base_camera = looking_at((1.3, 0.5, 0.9), (0.15, 0.0, 0.35))
    fine = refined(meshes, triangles)
    renderer, usual = RobotRenderer(fine, robot.link_names), UsualWay(fine, robot.link_names)
    appearance = observed(renderer, poses, T_base_camera, camera)
    ways = {
        'ours': lambda: renderer.render(poses, camera, T_base_camera),
        'observed colours': lambda: renderer.render(poses, camera, T_base_camera, appearance),
        'usual': lambda: usual.render(poses, camera, T_base_camera)}
    egl = open_gl(fine, robot.link_names, camera)
    if egl is not None:
        ways['egl'] = lambda: egl.render(poses, T_base_camera)
    seconds = interleave(ways, repeats)
    ours = renderer.render(poses, camera, T_base_camera)
    equal = compare(ours, usual.render(poses, camera, T_base_camera))
    what = (f'render {sum(len(m.faces) for m in fine.values())} triangles, {frames} frames of '
            f'{camera.width}x{camera.height}')
    rows = [row(
        what, median(seconds['ours']), median(seconds['usual']), GOAL, same=_is_same(equal),
        **equal, robot_share=float((ours.link_id >= 0).mean()),
        ratio_of_core_time=least_of_cores(seconds['ours']) / least_of_cores(seconds['usual']),
        cores_s=least_of_cores(seconds['ours']),
        with_observed_colours_s=median(seconds['observed colours']))]
    if egl is not None:
        pointmap = egl.render(poses, T_base_camera)
        link_id = np.where(np.isfinite(pointmap[..., 2]), ours.link_id.clip(0), -1)
        equal = compare(ours, (pointmap, link_id))
        rows.append(row(
            f'{what}, against OpenGL (EGL)', median(seconds['ours']), median(seconds['egl']),
            None, same=_is_same(equal, 0.99), **equal, robot_share='',
            ratio_of_core_time=least_of_cores(seconds['ours']) / least_of_cores(seconds['egl']),
            cores_s=least_of_cores(seconds['ours']), with_observed_colours_s=''))
    return rows


def _is_same(equal: dict, least: float = 0.999) -> bool:
    """Return whether masks, by at least such an IoU, and points are the same."""
    return equal['mask_iou'] >= least and equal['median_dxyz_m'] <= 1e-5


def open_gl(meshes, link_names, camera: PinholeCamera) -> EglWay | None:
    """Return what draws with OpenGL; None where MuJoCo or EGL is not installed, which is said."""
    try:
        return EglWay(meshes, link_names, camera)
    except Exception as error:      # of any driver's own kind
        print(f'not compared with OpenGL over EGL: {error}')
        return None


class UsualWay:
    """A ray casting scene of the moved meshes for every frame, and a ray for every pixel."""

    def __init__(self, meshes, link_names):
        """Make a renderer of these meshes."""
        self._meshes = [(number, meshes[name]) for number, name in enumerate(link_names)
                        if name in meshes]

    def render(self, T_base_link, camera, T_base_camera) -> tuple[np.ndarray, np.ndarray]:
        """Return pointmap (T, H, W, 3) float32 and link number (T, H, W) int16."""
        frames, size = len(T_base_link), (camera.height, camera.width)
        pointmap = np.empty((frames, *size, 3), np.float32)
        link_id = np.empty((frames, *size), np.int16)
        directions = camera.rays()
        rays = open3d.core.Tensor(np.concatenate([np.zeros_like(directions), directions], -1))
        T_camera_link = np.linalg.inv(T_base_camera) @ T_base_link
        owner = np.array([number for number, _ in self._meshes] + [-1], np.int16)
        for t in range(frames):
            scene = open3d.t.geometry.RaycastingScene()
            for number, mesh in self._meshes:
                T = T_camera_link[t, number].astype(np.float32)
                scene.add_triangles(open3d.core.Tensor(mesh.vertices @ T[:3, :3].T + T[:3, 3]),
                                    open3d.core.Tensor(mesh.faces.astype(np.uint32)))
            hit = scene.cast_rays(rays)
            depth = hit['t_hit'].numpy()
            depth[np.isinf(depth)] = np.nan
            np.multiply(directions, depth[..., None], out=pointmap[t])
            geometry = hit['geometry_ids'].numpy()
            geometry[np.isnan(depth)] = len(self._meshes)
            link_id[t] = owner[geometry]
        return pointmap, link_id


def compare(ours: RobotImages, usual: tuple[np.ndarray, np.ndarray]) -> dict:
    """Return how equal the results are."""
    pointmap, link_id = usual
    one, two = ours.link_id >= 0, link_id >= 0
    distance = np.linalg.norm(ours.pointmap[one & two] - pointmap[one & two], axis=-1)
    return {'mask_iou': float((one & two).sum() / (one | two).sum()),
            'same_link': float((ours.link_id == link_id)[one | two].mean()),
            'median_dxyz_m': float(np.median(distance)),
            'p99_dxyz_m': float(np.percentile(distance, 99))}


def moving(robot: Robot, frames: int = FRAMES) -> np.ndarray:
    """Return link poses of a sweep of all joints through half of their range, (T, L, 4, 4)."""
    return ForwardKinematics(robot)(sweep(robot, frames))


def sweep(robot: Robot, frames: int = FRAMES) -> np.ndarray:
    """Return positions of all joints on that sweep, (T, J) [rad or m]."""
    phase = np.linspace(0, 2 * np.pi, frames)[:, None] + np.arange(len(robot.joint_names))
    limits = [robot.limits[name] for name in robot.joint_names]
    middle = np.array([(limit.lower + limit.upper) / 2 for limit in limits])
    half = np.array([(limit.upper - limit.lower) / 2 for limit in limits])
    return middle + 0.5 * half * np.sin(phase)


def refined(meshes, triangles: int):
    """Return the same surfaces, their largest triangles split until there are `triangles`."""
    out = dict(meshes)
    while (missing := triangles - sum(len(m.faces) for m in out.values())) >= 3:
        area = np.concatenate([trimesh.triangles.area(m.vertices[m.faces]) for m in out.values()])
        number = min(missing // 3, len(area))
        chosen = np.zeros(len(area), bool)
        chosen[np.argsort(area)[-number:]] = True
        first = 0
        for name, mesh in out.items():
            index = np.flatnonzero(chosen[first:first + len(mesh.faces)])
            first += len(mesh.faces)
            vertices, faces = trimesh.remesh.subdivide(mesh.vertices, mesh.faces, index)
            out[name] = dataclasses.replace(
                mesh, vertices=vertices.astype(np.float32), faces=faces.astype(np.int32),
                colors=np.full(vertices.shape, 200, np.uint8))
    return out


def observed(renderer: RobotRenderer, poses: np.ndarray, T_base_camera: np.ndarray,
             camera: PinholeCamera):
    """Return an appearance as the first frame shows it."""
    first = renderer.render(poses[:1], camera, T_base_camera)
    return renderer.appearance(first.image[0], first.link_id[0], first.pointmap[0], poses[0],
                               camera, T_base_camera)


def looking_at(eye, target) -> np.ndarray:
    """Return T_base_camera of a camera at `eye` that looks at `target`, z up."""
    z = np.subtract(target, eye)
    z = z / np.linalg.norm(z)
    x = np.cross(z, (0, 0, 1.0))
    x = x / np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    T[:3, 3] = eye
    return T
