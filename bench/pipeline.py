# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
All but the world model: sample, FK, render, scene, tiers 0 and 1, pack, publish; at most 0.25.

The usual way is made of the parts at hand: a SciPy spline, KDL called for every link, an Open3D
scene of the robot built anew for every frame (for the picture, and again for the distances to
the observed points), and clouds packed by a structured array and assigned as bytes. Tier 0 is
ours on both sides. Both publish to a reader in the same process, with the same settings.
"""
from __future__ import annotations

import dataclasses

import numpy as np
import rclpy
from scipy.interpolate import CubicHermiteSpline
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from bench.fk import by_solver
from bench.precheck import observe, motion, PlainWay
from bench.render import compare as compare_images
from bench.render import PANDA, UsualWay
from bench.timing import interleave, median, row
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.qos import PREDICTION
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import PinholeCamera

GOAL = 0.25
FRAMES = 49
CAMERA = PinholeCamera(360, 240, 289.7, 289.7, 179.5, 119.5)     # as the bundled episodes
SAME_POSE, SAME_POINT, SAME_DISTANCE = 1e-9, 1e-5, 0.003


def measure(repeats: int) -> list[dict]:
    """Return the comparison."""
    return [compare(repeats, FRAMES, CAMERA)]


def compare(repeats: int, frames: int, camera: PinholeCamera,
            settings: PrecheckSettings = PrecheckSettings()) -> dict:
    """Return the row for so many frames of a camera."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    meshes = load_meshes(robot)
    trajectory, observation = motion(robot), observe(robot, meshes, camera)
    with Publishers() as publish:
        ours = Ours(robot, meshes, frames, publish, settings)
        usual = Usual(robot, meshes, frames, publish, ours.simulator.checker())
        seconds = interleave({
            'ours': lambda: ours(dataclasses.replace(observation), trajectory),
            'usual': lambda: usual(dataclasses.replace(observation), trajectory)}, repeats)
        return row(
            f'whole pipeline without a model, {frames} frames of {camera.width}x{camera.height}',
            median(seconds['ours']), median(seconds['usual']), GOAL,
            **equality(ours(observation, trajectory), usual(observation, trajectory)))


class Publishers:
    """Publishers of a cloud and a mask, each with a reader that keeps the last two."""

    def __enter__(self):
        """Make them."""
        self._context = rclpy.Context()
        self._context.init()
        self._node = rclpy.create_node('bench_pipeline', context=self._context)
        self._publishers = {kind: self._node.create_publisher(kind, kind.__name__, PREDICTION)
                            for kind in (PointCloud2, Image)}
        for kind in self._publishers:
            self._node.create_subscription(kind, kind.__name__, lambda _: None, PREDICTION)
        return self

    def __call__(self, message: PointCloud2 | Image) -> None:
        """Publish."""
        self._publishers[type(message)].publish(message)

    def __exit__(self, *_) -> None:
        """End."""
        self._node.destroy_node()
        self._context.try_shutdown()


class Ours:
    """As shadow_sim does it."""

    def __init__(self, robot: Robot, meshes, frames: int, publish: Publishers,
                 settings: PrecheckSettings):
        """Load what a running node has loaded."""
        self.simulator = ShadowSimulator(robot, None, settings=settings, frames=frames,
                                         meshes=meshes)
        self.simulator.checker(settings).warm_up()
        self._publish = publish

    def __call__(self, observation, trajectory) -> dict:
        """Return what is compared."""
        checker = self.simulator.checker()
        checker.tier0(trajectory, observation.joint_positions)
        evidence = checker.tier1(observation, trajectory)
        robot = self.simulator.roll_out(observation, trajectory)
        header, clouds = Header(frame_id='camera'), []
        for points, image, link_id in zip(robot.pointmap, robot.image, robot.link_id):
            clouds.append(cloud_message(points, image, header))
            self._publish(clouds[-1])
            self._publish(array_to_image(link_id >= 0, header, 'mono8'))
        nearest = np.min([track.distance for track in evidence.clearance.tracks], axis=0)
        return {'positions': robot.positions, 'poses': robot.T_base_link, 'images': robot,
                'distance': nearest, 'clouds': clouds}


class Usual:
    """Parts at hand put together."""

    def __init__(self, robot: Robot, meshes, frames: int, publish: Publishers, checker):
        """Load what can be loaded before."""
        self._robot, self._frames, self._publish = robot, frames, publish
        self._checker = checker
        self._by_solver = by_solver(robot)
        self._renderer = UsualWay(meshes, robot.link_names)
        self._distances = PlainWay(robot, meshes, checker)

    def __call__(self, observation, trajectory) -> dict:
        """Return what is compared."""
        self._checker.tier0(trajectory, observation.joint_positions)
        nearest = self._distances(observation, trajectory)
        times = np.linspace(0.0, trajectory.duration, self._frames)
        spline = CubicHermiteSpline(trajectory.times, trajectory.positions, trajectory.velocities)
        positions = spline(times)
        poses = self._by_solver(positions)
        pointmap, link_id = self._renderer.render(poses, observation.view.camera,
                                                  observation.view.T_base_camera)
        header, clouds = Header(frame_id='camera'), []
        for points, links in zip(pointmap, link_id):
            clouds.append(packed(points, observation.view.image, header))
            self._publish(clouds[-1])
            height, width = links.shape
            self._publish(Image(header=header, height=height, width=width, encoding='mono8',
                                step=width, data=((links >= 0) * np.uint8(255)).tobytes()))
        return {'positions': positions, 'poses': poses, 'images': (pointmap, link_id),
                'distance': nearest, 'clouds': clouds}


def packed(points: np.ndarray, colors: np.ndarray, header: Header) -> PointCloud2:
    """Return an organized cloud by way of a structured array."""
    height, width, _ = points.shape
    cells = np.zeros((height, width), [('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('rgb', 'u4')])
    cells['x'], cells['y'], cells['z'] = points[..., 0], points[..., 1], points[..., 2]
    r, g, b = (colors[..., channel].astype(np.uint32) for channel in range(3))
    cells['rgb'] = r << 16 | g << 8 | b
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
              for i, name in enumerate(('x', 'y', 'z', 'rgb'))]
    return PointCloud2(header=header, height=height, width=width, fields=fields, point_step=16,
                       row_step=16 * width, data=cells.tobytes())


def equality(ours: dict, usual: dict) -> dict:
    """Return how equal the results are, and whether that is the same."""
    images = compare_images(ours['images'], usual['images'])
    near = ours['distance'] < 0.05      # both measure it there
    far = np.abs(ours['distance'] - usual['distance'])[near].max(initial=0.0)
    sent = [np.frombuffer(cloud.data, '<f4').reshape(-1, 4)[:, :3]
            for cloud in (ours['clouds'][-1], usual['clouds'][-1])]
    same_cells = np.isfinite(sent[0]).all(1) == np.isfinite(sent[1]).all(1)
    same = (np.abs(ours['positions'] - usual['positions']).max() <= SAME_POSE
            and np.abs(ours['poses'] - usual['poses']).max() <= SAME_POSE
            and images['mask_iou'] >= 0.999 and images['median_dxyz_m'] <= SAME_POINT
            and far <= SAME_DISTANCE and same_cells.mean() >= 0.999)
    return {'same': bool(same), 'mask_iou': images['mask_iou'],
            'median_dxyz_m': images['median_dxyz_m'], 'worst_distance_error_m': float(far)}
