# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The hand of the ray-cast worlds (scenes.py) as a robot: a gantry with two fingers."""
from __future__ import annotations

import dataclasses

import numpy as np
from scenes import Path

from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Gripper, JointTrajectory, Observation
from kinema4d_ros.world_model import WorldModel

JOINTS = ('x', 'y', 'z', 'left_joint', 'right_joint')


def _slide(name: str, parent: str, child: str, axis: str, xyz: str = '0 0 0') -> str:
    return (f'<joint name="{name}" type="prismatic"><parent link="{parent}"/>'
            f'<child link="{child}"/><origin xyz="{xyz}"/><axis xyz="{axis}"/>'
            '<limit lower="-1" upper="1" velocity="1.0" effort="1"/></joint>')


def _box(name: str, size: str, xyz: str) -> str:
    return (f'<link name="{name}"><visual><origin xyz="{xyz}"/><geometry><box size="{size}"/>'
            '</geometry></visual></link>')


URDF = ('<robot name="gantry"><link name="base"/><link name="bridge"/><link name="beam"/>'
        + _box('palm', '0.04 0.16 0.05', '0 0 0.025') + _box('left', '0.02 0.012 0.06',
                                                             '0 0.006 0.03')
        + _box('right', '0.02 0.012 0.06', '0 -0.006 0.03')
        + _slide('x', 'base', 'bridge', '1 0 0') + _slide('y', 'bridge', 'beam', '0 1 0')
        + _slide('z', 'beam', 'palm', '0 0 1', '0 0 0.06')
        + _slide('left_joint', 'palm', 'left', '0 1 0', '0 0 -0.06')
        + _slide('right_joint', 'palm', 'right', '0 -1 0', '0 0 -0.06') + '</robot>')
ROBOT = Robot.from_urdf(URDF)
GRIPPER = Gripper('palm', ('left', 'right'), ('left_joint', 'right_joint'))


def motion(path: Path) -> JointTrajectory:
    """Return the path of the finger tips as a joint trajectory."""
    positions = np.column_stack([path.positions, path.gaps / 2, path.gaps / 2])
    return JointTrajectory(JOINTS, path.times, positions)


def observe(world, path: Path, depth: bool = True) -> Observation:
    """Return what the camera sees of the world, with the joints at the start of the path."""
    seen = world.observe(path, depth)
    start = dict(zip(JOINTS, motion(path).positions[0]))
    return dataclasses.replace(seen, joint_positions=start)


def simulator(model: WorldModel, frames: int = 17) -> ShadowSimulator:
    """Return the shadow simulator of the gantry."""
    return ShadowSimulator(ROBOT, model, frames=frames, gripper=GRIPPER)
