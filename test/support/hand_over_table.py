# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A hand of 10 cm on a gantry over a table, seen from above; nothing of it is in the pictures."""
from itertools import pairwise

import numpy as np

from kinema4d_ros.precheck import Tier1Settings
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.types import Gripper, Observation, PinholeCamera, RobotRollout

BOX = '<visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual>'
URDF = f'''<robot name="gantry"><link name="base"/>
<link name="bridge"/><link name="beam"/><link name="arm">{BOX}
</link><link name="hand">{BOX}</link>
<link name="finger"><visual><geometry><box size="0.02 0.02 0.06"/></geometry></visual></link>
<joint name="x" type="prismatic"><parent link="base"/><child link="bridge"/><axis xyz="1 0 0"/>
<limit lower="-2" upper="2" velocity="9" effort="1"/></joint>
<joint name="y" type="prismatic"><parent link="bridge"/><child link="beam"/><axis xyz="0 1 0"/>
<limit lower="-2" upper="2" velocity="9" effort="1"/></joint>
<joint name="z" type="prismatic"><parent link="beam"/><child link="arm"/><axis xyz="0 0 1"/>
<limit lower="-2" upper="2" velocity="9" effort="1"/></joint>
<joint name="wrist" type="prismatic"><parent link="arm"/><child link="hand"/>
<origin xyz="0 0 -0.15"/><axis xyz="0 0 1"/>
<limit lower="-1" upper="1" velocity="9" effort="1"/></joint>
<joint name="grip" type="prismatic"><parent link="hand"/><child link="finger"/>
<origin xyz="0 0 -0.06"/><axis xyz="0 1 0"/>
<limit lower="-1" upper="1" velocity="9" effort="1"/></joint></robot>'''
ROBOT = Robot.from_urdf(URDF)
GRIPPER = Gripper('hand', ('finger',), ('grip',))
CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
TOP = np.array([[1, 0, 0, 0.0], [0, -1, 0, 0.0], [0, 0, -1, 1.5], [0, 0, 0, 1]], float)
SETTINGS = Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0, calibration_sigma=0.001,
                         mesh_sigma=0.0, mask_growth=0)
NOW = 1_000_000_000_000


def way(*stops, frames=40) -> RobotRollout:
    """Return the motion of the middle of the hand through some places (x, y, z) [m]."""
    places = np.concatenate([np.linspace(a, b, frames) for a, b in pairwise(stops)])
    positions = np.column_stack([places + [0, 0, 0.15], np.zeros((len(places), 2))])
    steps = len(places)
    return RobotRollout(
        np.linspace(0, 10, steps), ROBOT.joint_names, positions, ROBOT.link_names,
        ForwardKinematics(ROBOT)(positions), CAMERA, np.repeat(TOP[None], steps, 0),
        np.full((steps, 1, 1, 3), np.nan, np.float32), np.full((steps, 1, 1), -1, np.int16),
        np.zeros((steps, 1, 1, 3), np.uint8), GRIPPER)


ALONG = (-0.3, 0.0, 0.4), (0.3, 0.0, 0.4)      # over the table, in the middle of the view


def table(depth=None, **view) -> Observation:
    """Return what the camera sees of a table at z = 0."""
    depth = np.full((120, 160), 1.5, np.float32) if depth is None else depth
    return Observation.from_rgbd(np.zeros((*depth.shape, 3), np.uint8), depth, CAMERA, TOP,
                                 stamp_ns=NOW).with_view(**view)


def pixels(low, high, z):
    """Return which pixels see the box low..high (x, y) [m] at height z, (H, W) bool."""
    x = (np.arange(160) - CAMERA.cx) / CAMERA.fx * (1.5 - z)
    y = -(np.arange(120) - CAMERA.cy) / CAMERA.fy * (1.5 - z)
    return (((y > low[1]) & (y < high[1]))[:, None] & ((x > low[0]) & (x < high[0]))[None])


def over_table(kind) -> Observation:
    """Return a table, with a box on it, or with a hole in the depth, as `kind` says."""
    depth = table().view.depth.copy()
    if kind == 'box':
        depth[pixels((0.05, -0.1), (0.2, 0.1), 0.25)] = 1.25
    if kind == 'hole':
        depth[pixels((0.05, -0.06), (0.17, 0.06), 0.3)] = 0.0
    return table(depth)
