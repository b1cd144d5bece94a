# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Latency of a verdict: tier 0, and tier 1 next to a plain Open3D implementation of its distances.

The plain way makes a point cloud of the depth image without the robot's pixels, thins it, and asks
for every frame a ray casting scene of all moved links how far each point is from it. Ours finds
the distance per link, what the camera has not seen, what is grasped and where it ends as well.
Goals on 2 cores: tier 0 at most 10 ms, tier 1 at most 1 s, medians.
"""
from __future__ import annotations

import dataclasses
import time

import numpy as np
import open3d

from bench.render import looking_at, PANDA
from bench.timing import interleave, median
from kinema4d_ros.precheck import Examiner, PrecheckSettings, Tier1Settings
from kinema4d_ros.robot import find_gripper, ForwardKinematics, load_meshes, Robot
from kinema4d_ros.shadow import with_finger_boxes
from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera

CAMERA = PinholeCamera(720, 480, 579.4, 579.4, 359.5, 239.5)     # 45 degrees high
POINTS, SECONDS = 50, 4.0
START = (0.0, -0.3, 0.0, -2.2, 0.0, 2.0, 0.79, 0.04, 0.04)       # [rad, m]
END = (0.5, 0.2, 0.1, -1.9, 0.1, 2.1, 0.9, 0.0, 0.0)
TIER_0, TIER_1 = 0.010, 1.0                                      # [s] goals
VOXEL = 0.003


def measure(repeats: int) -> list[dict]:
    """Return a row per tier."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    meshes = load_meshes(robot)
    gripper = with_finger_boxes(find_gripper(robot), meshes)
    examiner = Examiner(robot, meshes, gripper,
                        PrecheckSettings(tier1=Tier1Settings(voxel=VOXEL, travel=0.0133)))
    examiner.warm_up()
    trajectory, observation = motion(robot), look(robot, meshes)
    frames = len(examiner.move(observation, trajectory).times)
    plain = PlainWay(robot, meshes, examiner)

    def ours():
        # A new object: nothing of this look at the scene has been computed before.
        return examiner.tier1(dataclasses.replace(observation), trajectory)

    seconds = interleave({
        'tier 0': lambda: examiner.tier0(trajectory, observation.joint_positions),
        'tier 1': ours, 'plain': lambda: plain(observation, trajectory)}, min(repeats, 3))
    cpu = time.process_time()
    nearest = np.min([track.distance for track in ours().clearance.tracks], axis=0)
    cpu = time.process_time() - cpu
    known = nearest < 0.05      # both measure it there
    difference = np.abs(nearest - plain(observation, trajectory))[known]
    one, two, usual = (median(seconds[name]) for name in ('tier 0', 'tier 1', 'plain'))
    return [
        {'case': f'tier 0, {POINTS} points of {len(START)} joints', 'ours_s': one,
         'goal_s': TIER_0, 'plain_s': '', 'ratio': '', 'ours_cpu_s': '', 'frames': '',
         'worst_difference_m': '', 'good': one <= TIER_0},
        {'case': f'tier 1, {CAMERA.width}x{CAMERA.height}', 'ours_s': two, 'goal_s': TIER_1,
         'plain_s': usual, 'ratio': two / usual, 'ours_cpu_s': cpu, 'frames': frames,
         'worst_difference_m': float(difference.max()) if known.any() else float('nan'),
         'good': bool(two <= TIER_1 and known.any() and difference.max() <= 0.003)}]


def motion(robot: Robot) -> JointTrajectory:
    """Return a reach to 2 cm above a block, where the fingers close; rest to rest."""
    share = np.linspace(0.0, 1.0, POINTS)
    smooth = (share ** 2 * (3 - 2 * share))[:, None]
    smooth = np.repeat(smooth, len(START), axis=1)
    smooth[:, 7:] = np.clip((share - 0.88) * 8.4, 0.0, 1.0)[:, None]     # the fingers at last
    positions = np.array(START) + smooth * np.subtract(END, START)
    velocities = np.gradient(positions, SECONDS * share, axis=0)
    velocities[[0, -1]] = 0.0
    return JointTrajectory(robot.joint_names, share * SECONDS, positions, velocities)


def look(robot: Robot, meshes, camera: PinholeCamera = CAMERA) -> Observation:
    """Return what a camera sees of the robot over a table with blocks."""
    T_base_camera = looking_at((1.3, 0.5, 0.9), (0.35, 0.0, 0.2))
    scene = open3d.t.geometry.RaycastingScene()
    x, y, z = finger_tips(robot, END)
    blocks = [((2.0, 2.0, 0.1), (0.3, 0.0, -0.15)), ((0.08, 0.08, z + 0.08), (x, y, -0.1)),
              ((0.06, 0.06, 0.15), (0.45, -0.25, -0.1)), ((0.2, 0.2, 0.1), (0.3, 0.45, -0.1))]
    for size, at in blocks:
        block = open3d.geometry.TriangleMesh.create_box(*size).translate(
            np.array(at) - [size[0] / 2, size[1] / 2, 0])
        scene.add_triangles(open3d.t.geometry.TriangleMesh.from_legacy(block))
    start = dict(zip(robot.joint_names, START))
    T_base_link = ForwardKinematics(robot)(robot.configuration(start)[None])[0]
    _add(scene, robot, meshes, T_base_link)
    rays = camera.rays() @ T_base_camera[:3, :3].T
    origin = np.broadcast_to(T_base_camera[:3, 3], rays.shape)
    depth = scene.cast_rays(open3d.core.Tensor(
        np.concatenate([origin, rays], -1).astype(np.float32)))['t_hit'].numpy()
    depth[np.isinf(depth)] = np.nan
    image = np.full((camera.height, camera.width, 3), 128, np.uint8)
    return Observation(0, image, depth, camera, T_base_camera, start)


def finger_tips(robot: Robot, positions) -> np.ndarray:
    """Return the point between the finger tips, (3,) [m] base."""
    joints = robot.configuration(dict(zip(robot.joint_names, positions)))
    T_base_link = ForwardKinematics(robot)(joints[None])[0]
    return (T_base_link[robot.link_names.index('panda_hand')] @ [0, 0, 0.11, 1])[:3]


class PlainWay:
    """Distances of a thinned point cloud to a ray casting scene built anew for every frame."""

    def __init__(self, robot: Robot, meshes, examiner: Examiner):
        """Take the robot."""
        self._robot, self._meshes, self._examiner = robot, meshes, examiner

    def __call__(self, observation: Observation, trajectory: JointTrajectory) -> np.ndarray:
        """Return the distance of scene and moving links in each frame, (T,) [m]."""
        motion = self._examiner.move(observation, trajectory)
        mask = self._examiner.look(observation)[1].robot_mask
        points = observation.camera.rays() * observation.depth[..., None]
        points = points[np.isfinite(observation.depth) & ~mask]
        T = observation.T_base_camera
        cloud = open3d.geometry.PointCloud(
            open3d.utility.Vector3dVector(points @ T[:3, :3].T + T[:3, 3]))
        points = np.asarray(cloud.voxel_down_sample(VOXEL).points).astype(np.float32)
        distances = []
        for T_base_link in motion.T_base_link:
            scene = open3d.t.geometry.RaycastingScene()
            _add(scene, self._robot, self._meshes, T_base_link, but=('panda_link0',))
            distances.append(scene.compute_distance(points).numpy().min())
        return np.array(distances)


def _add(scene, robot: Robot, meshes, T_base_link: np.ndarray, but=()) -> None:
    """Put the moved links into a ray casting scene."""
    for name, mesh in meshes.items():
        if name not in but:
            T = T_base_link[robot.link_names.index(name)].astype(np.float32)
            scene.add_triangles(open3d.core.Tensor(mesh.vertices @ T[:3, :3].T + T[:3, 3]),
                                open3d.core.Tensor(mesh.faces.astype(np.uint32)))
