#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Write a bag as a robot's own recorder would, from a URDF alone; needs neither robot nor ROS.

The arm stands on a table, a camera with depth looks at it, and a small motion is planned. Topics
have the names of some cell, not ours, so that what to do with a bag can be tried before there is
one. With --low the motion ends in the table.

    python examples/07_a_bag_of_your_own.py arm.urdf cell
    kinema4d precheck cell --topic image=/cell/image --topic depth=/cell/depth \
        --topic camera_info=/cell/info --topic joint_states=/arm/states --topic trajectory=/arm/plan
"""
import argparse
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

import kinema4d_ros as k4d

CAMERA = k4d.PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
FRAME, TABLE = 'cell_camera_optical_frame', (150, 120, 90)
STORE = get_typestore(Stores.ROS2_JAZZY)
SECOND = 10**9


class Cell:
    """An arm on a table before a camera."""

    def __init__(self, robot: k4d.Robot):
        """Make the cell; the camera sees all of the arm."""
        self.robot, self._kinematics = robot, k4d.robot.ForwardKinematics(robot)
        self._renderer = k4d.camera.RobotRenderer(k4d.robot.load_meshes(robot), robot.link_names)
        self.reach = float(np.linalg.norm(self.tool(self.poses(500)), axis=1).max())
        self.T_base_camera = looking_at(self.reach * np.array((1.3, 1.1, 1.1)),
                                        self.reach * np.array((0.35, 0.0, 0.25)))

    def poses(self, count: int, near: np.ndarray | float = 0.0, by: float = 2.0) -> np.ndarray:
        """Return poses that are near one, within the limits; (count, J), the same ones again."""
        limits = [self.robot.limits[name] for name in self.robot.joint_names]
        shifts = np.random.default_rng(0).uniform(-by, by, (count, len(limits)))
        return np.clip(near + shifts, [-2.0 if one.lower is None else one.lower for one in limits],
                       [2.0 if one.upper is None else one.upper for one in limits])

    def tool(self, poses: np.ndarray) -> np.ndarray:
        """Return where the tool is, (N, 3) [m]."""
        return k4d.robot.tool_path(self.robot, self._kinematics(poses))

    def height(self, poses: np.ndarray) -> np.ndarray:
        """Return how high the lowest of the moved links is, (N,) [m]."""
        return self._kinematics(poses)[:, 3:, 2, 3].min(axis=1)

    def observe(self, pose: np.ndarray) -> k4d.Observation:
        """Return what the camera sees of the arm in a pose, on an empty table."""
        rays = CAMERA.rays() @ self.T_base_camera[:3, :3].T
        depth = (-self.T_base_camera[2, 3] / rays[..., 2]).astype(np.float32)
        seen = self._renderer.render(self._kinematics(pose[None]), CAMERA, self.T_base_camera)
        grain = np.random.default_rng(0).integers(-12, 12, depth.shape + (1,))
        is_robot, arm = seen.link_id[0] >= 0, seen.pointmap[0][..., 2]
        image = np.where(is_robot[..., None], seen.image[0], np.uint8(TABLE + grain))
        return k4d.Observation.from_rgbd(
            image, np.where(is_robot, arm, depth), CAMERA, self.T_base_camera,
            dict(zip(self.robot.joint_names, pose.tolist())))

    def plan(self, low: bool) -> k4d.JointTrajectory:
        """Return a small motion above the table, or one into it: of many, the first that fits."""
        times = np.linspace(0.0, 3.0, 31)
        blend = (1 - np.cos(np.pi * times / times[-1]))[:, None] / 2      # from rest to rest
        starts = self.poses(4000)
        off = np.linalg.norm(self.tool(starts) - self.reach * np.array((0.5, 0.0, 0.4)), axis=1)
        starts = starts[np.argsort(off + 10 * (self.height(starts) < 0.15 * self.reach))][:30]
        with k4d.ShadowSimulator(self.robot, None) as simulator:
            for start in starts:
                ends = self.poses(2000, near=start, by=0.6)
                wanted = (-0.06 if low else 0.15) * self.reach
                end = ends[np.abs(self.height(ends) - wanted).argmin()]
                motion = k4d.JointTrajectory(self.robot.joint_names, times,
                                             start + blend * (end - start))
                verdict = simulator.precheck(self.observe(start), motion)
                codes = {finding.code.name for finding in verdict.findings}
                hits = verdict.status.name == 'FAIL' and 'SELF_COLLISION' not in codes
                if (hits and 'CONTACT' in codes) if low else verdict.passed:
                    return motion
        raise SystemExit(f'no motion was found; the last one: {verdict.summary}')


def looking_at(eye, target) -> np.ndarray:
    """Return where a camera at `eye` is that looks at `target`, (4, 4), z up."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, (0.0, 0.0, 1.0))
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 2], pose[:3, 3] = x / np.linalg.norm(x), z, eye
    pose[:3, 1] = np.cross(z, pose[:3, 0])
    return pose


def message(kind: str, **fields):
    """Return a message by its type and fields."""
    return STORE.types[kind](**fields)


def header(stamp: int, frame: str = ''):
    """Return a header; `stamp` in ns."""
    return message('std_msgs/msg/Header', frame_id=frame, stamp=message(
        'builtin_interfaces/msg/Time', sec=stamp // SECOND, nanosec=stamp % SECOND))


def image(stamp: int, encoding: str, pixels: np.ndarray):
    """Return an image of the camera, (H, W, ...)."""
    return message('sensor_msgs/msg/Image', header=header(stamp, FRAME), height=CAMERA.height,
                   width=CAMERA.width, encoding=encoding, is_bigendian=0,
                   step=pixels.nbytes // CAMERA.height,
                   data=np.frombuffer(pixels.tobytes(), np.uint8))


def camera_info(stamp: int):
    """Return the calibration of the camera, which has no distortion."""
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    return message('sensor_msgs/msg/CameraInfo', header=header(stamp, FRAME), height=CAMERA.height,
                   width=CAMERA.width, distortion_model='plumb_bob', d=np.zeros(5),
                   k=matrix.reshape(9), r=np.eye(3).reshape(9),
                   p=np.c_[matrix, np.zeros(3)].reshape(12), binning_x=0, binning_y=0,
                   roi=message('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                               width=0, do_rectify=False))


def mounting(stamp: int, root: str, pose: np.ndarray):
    """Return what /tf_static says of where the camera is."""
    x, y, z, w = k4d.robot.transforms.quaternion(pose[:3, :3])
    place = message(
        'geometry_msgs/msg/Transform',
        translation=message('geometry_msgs/msg/Vector3', **dict(zip('xyz', pose[:3, 3].tolist()))),
        rotation=message('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w))
    return message('tf2_msgs/msg/TFMessage', transforms=[
        message('geometry_msgs/msg/TransformStamped', header=header(stamp, root),
                child_frame_id=FRAME, transform=place)])


def plan_message(stamp: int, motion: k4d.JointTrajectory):
    """Return a motion as controllers take it."""
    return message('trajectory_msgs/msg/JointTrajectory', header=header(stamp),
                   joint_names=list(motion.joint_names), points=[message(
                       'trajectory_msgs/msg/JointTrajectoryPoint', positions=row,
                       velocities=np.zeros(0), accelerations=np.zeros(0), effort=np.zeros(0),
                       time_from_start=message('builtin_interfaces/msg/Duration', sec=int(time),
                                               nanosec=round(time % 1 * SECOND)))
                       for time, row in zip(motion.times.tolist(), motion.positions)])


def main() -> None:
    """Write the bag."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('urdf', type=Path, help='of the arm, xacro already expanded')
    parser.add_argument('bag', type=Path, help='new folder')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are; may be repeated')
    parser.add_argument('--low', action='store_true', help='the motion ends in the table')
    options = parser.parse_args()
    if options.bag.exists():
        parser.error(f'{options.bag} is there already; name a new folder')
    cell = Cell(k4d.Robot.from_file(options.urdf, package_paths=options.package_path))
    motion = cell.plan(options.low)
    seen = cell.observe(motion.positions[0])
    begin = 1_000 * SECOND
    said = [(begin, '/robot_description', message(
                'std_msgs/msg/String', data=options.urdf.read_text())),
            (begin, '/tf_static', mounting(begin, cell.robot.root_link, cell.T_base_camera)),
            (begin + SECOND, '/arm/plan', plan_message(begin + SECOND, motion))]
    for stamp in range(begin, begin + SECOND + 1, SECOND // 50):
        said.append((stamp, '/arm/states', message(
            'sensor_msgs/msg/JointState', header=header(stamp), name=list(motion.joint_names),
            position=motion.positions[0], velocity=np.zeros(len(motion.joint_names)),
            effort=np.zeros(0))))
    for stamp in range(begin, begin + SECOND, SECOND // 10):
        said += [(stamp, '/cell/info', camera_info(stamp)),
                 (stamp, '/cell/image', image(stamp, 'rgb8', seen.view.image)),
                 (stamp, '/cell/depth', image(stamp, '32FC1', seen.view.depth))]
    with Writer(options.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {}
        for stamp, topic, what in sorted(said, key=lambda one: one[0]):
            kind = what.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(topics[topic], stamp, STORE.serialize_cdr(what, kind))
    print(f'written: {options.bag}, a motion of {motion.duration:.0f} s of {cell.robot.name}, '
          + ('which ends in the table' if options.low else 'above the table'))


if __name__ == '__main__':
    main()
