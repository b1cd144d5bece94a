# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A drawn arm that moves before a drawn background, seen by a camera whose place is known."""
import numpy as np

from kinema4d_ros.calibration import ArmFrames, ArmModel
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(200, 150, 190.0, 190.0, 99.5, 74.5)
BACKGROUND_DEPTH = 2.6      # [m]


def looking(eye, target):
    """Return T_base_camera of a camera at `eye` that looks at `target`, base z up."""
    z = np.subtract(target, eye)
    z = z / np.linalg.norm(z)
    x = np.cross(z, (0, 0, 1))
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([x, np.cross(z, x), z], axis=1), eye
    return T


TRUE = looking((1.15, 0.55, 0.75), (0.15, 0.0, 0.35))


class Arm:
    """The made-up arm, and films of it."""

    def __init__(self):
        robot = Robot.from_file(share_dir() / 'urdf' / 'demo_arm.urdf')
        self.model = ArmModel(robot, load_meshes(robot))
        self.ready = robot.configuration(
            dict(zip(robot.joint_names[:6], (0, 0.35, 1.75, 0, 1.04, 0))))
        generator = np.random.default_rng(5)
        coarse = generator.integers(20, 120, (15, 20, 3)).astype(np.uint8)
        self.background = np.kron(coarse, np.ones((10, 10, 1), np.uint8))

    def motion(self, count, joints=(0, 1, 2, 4)):
        """Return joint positions (count, J) of an ordinary motion of some joints."""
        phase = np.linspace(0, 2 * np.pi, count, endpoint=False)
        out = np.tile(self.ready, (count, 1))
        for k, joint in enumerate(joints):
            out[:, joint] += (0.9, 0.45, 0.4, 0.5)[k] * np.sin((1, 2, 1, 3)[k] * phase + k)
        return out

    def film(self, positions, T_base_camera=TRUE, *, depth=False, noise=2.0, seed=0,
             camera=CAMERA):
        """Return what a camera sees, with its noise."""
        generator = np.random.default_rng(seed)
        drawn = self.model.render(self.model.poses(positions), camera, T_base_camera)
        images = np.where(drawn.link_id[..., None] >= 0, drawn.image, self.background)
        images = np.clip(images + generator.normal(0, noise, images.shape), 0, 255)
        depths = None
        if depth:
            z = drawn.pointmap[..., 2]
            depths = np.where(np.isfinite(z), z, BACKGROUND_DEPTH).astype(np.float32)
            depths += generator.normal(0, 0.002, depths.shape).astype(np.float32)
        return ArmFrames(images.astype(np.uint8), depths, positions, camera)


def step_between(first, second):
    """Return how far two poses are apart [mm], [degrees]."""
    R = first[:3, :3].T @ second[:3, :3]
    return (1000 * np.linalg.norm(first[:3, 3] - second[:3, 3]),
            np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


def moved(T, millimetres, degrees, seed=1):
    """Return a pose with an error of that size."""
    generator = np.random.default_rng(seed)
    shift, axis = generator.normal(size=(2, 3))
    axis *= np.radians(degrees) / np.linalg.norm(axis)
    K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.linalg.norm(axis)
    out = T.copy()
    if angle:
        out[:3, :3] = T[:3, :3] @ (np.eye(3) + np.sin(angle) / angle * K
                                   + (1 - np.cos(angle)) / angle ** 2 * K @ K)
    out[:3, 3] += shift * millimetres / 1000 / np.linalg.norm(shift)
    return out

