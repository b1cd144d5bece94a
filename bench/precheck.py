# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Processor time of a verdict: of all tiers without a model, of tier 0, and of tier 1 beside peers.

Ours finds besides the distances which link it is, how deep links are in the scene, what the camera
has not seen, what is grasped, what that would run into, and where it ends. The peers take the
scene's points, and have the distances alone:

* Open3D, plainly: a point cloud of the depth image without the robot's pixels, thinned as ours is;
  of it the nearest point to each of 20 000 points on the moving links, for every look.
* coal, the successor of FCL: the links' meshes against the same points, as an octree (some looks,
  scaled up to all) and as a bounding volume hierarchy, per link and look.

The times are the least of all repeats, of all cores together. Distances agree within 3 mm.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import open3d

from bench.coal_peer import CoalWay
from bench.render import looking_at, PANDA
from bench.timing import interleave, least_of_cores, REPEATS, row
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import Goal, PrecheckSettings, RobotChecker, Tier1Settings
from kinema4d_ros.robot import find_gripper, ForwardKinematics, LinkMeshes, load_meshes, Robot
from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.simulator import ShadowSimulator, with_finger_boxes
from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera

CAMERA = PinholeCamera(720, 480, 579.4, 579.4, 359.5, 239.5)     # 45 degrees high
LARGE = PinholeCamera(1280, 720, 869.1, 869.1, 639.5, 359.5)     # of the same height of view
EPISODE = Path(__file__).parents[1] / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'
POINTS, SECONDS = 50, 4.0
START = (0.0, -0.3, 0.0, -2.2, 0.0, 2.0, 0.79, 0.04, 0.04)       # [rad, m]
END = (0.5, 0.2, 0.1, -1.9, 0.1, 2.1, 0.9, 0.0, 0.0)
WHOLE, TIER_0, TIER_1, TIER_1_LARGE = 0.035, 0.010, 0.015, 0.060   # [s] goals
TOLERANCE = 0.003                                                # [m]
PLACES = {'front': (1.3, 0.5, 0.9), 'side': (0.4, -1.2, 0.8), 'back': (-0.5, 0.9, 1.0)}   # [m]
OCTREE_EVERY = 26       # looks; all would take more than a minute
VOXEL, SAMPLES = 0.003, 20_000                                   # [m], points on the robot


def panda_checker() -> tuple[Robot, LinkMeshes, RobotChecker]:
    """Return the robot of these rows, its meshes, and what checks its motions, compiled."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    meshes = load_meshes(robot)
    gripper = with_finger_boxes(find_gripper(robot), meshes)
    checker = RobotChecker(robot, meshes, gripper,
                           PrecheckSettings(tier1=Tier1Settings(voxel=VOXEL, travel=0.0122)))
    checker.warm_up()
    return robot, meshes, checker


def measure(repeats: int) -> list[dict]:
    """Return a row for each tier and peer."""
    robot, meshes, checker = panda_checker()
    trajectory, observation = motion(robot), observe(robot, meshes)
    large = several(robot, meshes, LARGE)
    frames = len(checker.rollout_of(observation, trajectory).times)
    plain, whole = PlainWay(robot, meshes, checker), whole_precheck()

    def ours(seen: Observation = observation):
        # A new object: nothing of this scene has been computed before.
        return checker.tier1(dataclasses.replace(seen), trajectory)

    seconds = interleave({
        'whole': whole, 'tier 0': lambda: checker.tier0(trajectory, observation.joint_positions),
        'tier 1': ours, 'large': lambda: ours(large),
        'plain': lambda: plain(observation, trajectory)}, max(repeats, REPEATS))
    cores = {name: least_of_cores(seconds[name]) for name in seconds}
    tracks = ours().clearance
    nearest = np.min([track.distance for track in tracks.tracks], axis=0)
    looks = f'tier 1, {CAMERA.width}x{CAMERA.height}, {frames} looks, against '
    rows = [
        row('tiers 0 and 1 and the outcome, a bundled success', cores['whole'], None, None,
            same=whole() == 'PASS', limit_s=WHOLE),
        row(f'tier 0, {POINTS} points of {len(START)} joints', cores['tier 0'], None, None,
            same=True, limit_s=TIER_0),
        row(f'{looks}Open3D plainly', cores['tier 1'], cores['plain'], None,
            limit_s=TIER_1, **_agreement(nearest, plain(observation, trajectory))),
        row(f'tier 1, {len(PLACES)} cameras of {LARGE.width}x{LARGE.height}', cores['large'], None,
            None, same=len(checker.look(large).scene.views) == len(PLACES), limit_s=TIER_1_LARGE)]
    points = checker.scene_of(observation).points.points_base
    poses = checker.rollout_of(observation, trajectory).T_base_link
    points = points[checker.fields.depth_of(points, poses[0, [
        robot.link_names.index(name) for name in checker.fields.link_names]]) > VOXEL]
    poses = poses[:, [robot.link_names.index(name) for name in tracks.link_names]]
    peer = CoalWay(meshes, tracks.link_names)
    distances, built, looked = peer.hierarchy(points, poses)
    rows.append(row(f'{looks}coal, points as a hierarchy', cores['tier 1'], built + looked, None,
                    limit_s=TIER_1, built_s=built, **_agreement(nearest, distances.min(axis=1))))
    some = np.arange(frames - 1, -1, -OCTREE_EVERY)[::-1]
    distances, built, looked = peer.octree(points, poses[some], VOXEL)
    rows.append(row(f'{looks}coal, points as an octree', cores['tier 1'],
                    built + looked * frames / len(some), None, limit_s=TIER_1, built_s=built,
                    **_agreement(nearest[some], distances.min(axis=1))))
    return [{**dict.fromkeys(('limit_s', 'compared', 'worst_difference_m', 'built_s'), ''), **one,
             'good': one['good'] and one['ours_s'] <= one['limit_s']} for one in rows]


def _agreement(ours: np.ndarray, other: np.ndarray) -> dict:
    """Return whether two agree on distances (T,) [m] of less than 5 cm, and how well."""
    known = (ours > 0) & (ours < 0.05)      # both measure it there
    worst = float(np.abs(ours[known] - other[known]).max(initial=0.0)) if known.any() else np.inf
    return {'same': worst <= TOLERANCE, 'compared': int(known.sum()), 'worst_difference_m': worst}


def whole_precheck():
    """Return what judges a bundled success anew, and says the status of the verdict."""
    episode = Episode.open(EPISODE)
    goal = Goal.of(episode.metadata.goal, str(EPISODE))
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description), None,
                                camera_poses=LinkPose(episode.camera_frame).poses)
    observation = episode.observation()
    return lambda: simulator.precheck(dataclasses.replace(observation), episode.trajectory,
                                      goal=goal).status.name


def several(robot: Robot, meshes, camera: PinholeCamera = CAMERA) -> Observation:
    """Return what three cameras see together."""
    each = {name: observe(robot, meshes, camera, place) for name, place in PLACES.items()}
    first = each['front']
    return dataclasses.replace(first, views=tuple(
        dataclasses.replace(one.view, name=name) for name, one in each.items()))


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


def observe(robot: Robot, meshes, camera: PinholeCamera = CAMERA,
            from_where=(1.3, 0.5, 0.9)) -> Observation:
    """Return what a camera sees of the robot over a table with blocks."""
    T_base_camera = looking_at(from_where, (0.35, 0.0, 0.2))
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
    return Observation.from_rgbd(image, depth, camera, T_base_camera, start)


def finger_tips(robot: Robot, positions) -> np.ndarray:
    """Return the point between the finger tips, (3,) [m] base."""
    joints = robot.configuration(dict(zip(robot.joint_names, positions)))
    T_base_link = ForwardKinematics(robot)(joints[None])[0]
    return (T_base_link[robot.link_names.index('panda_hand')] @ [0, 0, 0.11, 1])[:3]


class PlainWay:
    """The nearest points of a thinned point cloud to points sampled on the links."""

    def __init__(self, robot: Robot, meshes, checker: RobotChecker):
        """Sample the links that move."""
        self._checker = checker
        moving = {name: _open3d_mesh(mesh) for name, mesh in meshes.items()
                  if name != 'panda_link0'}
        area = sum(mesh.get_surface_area() for mesh in moving.values())
        open3d.utility.random.seed(0)
        self._links = [
            (robot.link_names.index(name), np.asarray(mesh.sample_points_uniformly(
                max(1, round(SAMPLES * mesh.get_surface_area() / area))).points))
            for name, mesh in moving.items()]

    def __call__(self, observation: Observation, trajectory: JointTrajectory) -> np.ndarray:
        """Return the distance of scene and moving links in each frame, (T,) [m]."""
        motion = self._checker.rollout_of(observation, trajectory)
        scene = self._checker.scene_of(observation)
        mask = grow_robot(scene.view.robot_mask, observation.view.camera)
        points = observation.view.camera.rays() * observation.view.depth[..., None]
        points = points[np.isfinite(observation.view.depth) & ~mask]
        T = observation.view.T_base_camera
        cloud = open3d.geometry.PointCloud(
            open3d.utility.Vector3dVector(points @ T[:3, :3].T + T[:3, 3]))
        search = open3d.core.nns.NearestNeighborSearch(open3d.core.Tensor(
            np.asarray(cloud.voxel_down_sample(VOXEL).points).astype(np.float32)))
        search.knn_index()
        distances = []
        for T_base_link in motion.T_base_link:
            on_robot = np.concatenate([
                samples @ T_base_link[index, :3, :3].T + T_base_link[index, :3, 3]
                for index, samples in self._links]).astype(np.float32)
            squared = search.knn_search(open3d.core.Tensor(on_robot), 1)[1]
            distances.append(float(np.sqrt(squared.numpy().min())))
        return np.array(distances)


def _open3d_mesh(mesh) -> open3d.geometry.TriangleMesh:
    return open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices.astype(np.float64)),
        open3d.utility.Vector3iVector(mesh.faces.astype(np.int32)))


def _add(scene, robot: Robot, meshes, T_base_link: np.ndarray) -> None:
    """Put the moved links into a ray casting scene."""
    for name, mesh in meshes.items():
        T = T_base_link[robot.link_names.index(name)].astype(np.float32)
        scene.add_triangles(open3d.core.Tensor(mesh.vertices @ T[:3, :3].T + T[:3, 3]),
                            open3d.core.Tensor(mesh.faces.astype(np.uint32)))
