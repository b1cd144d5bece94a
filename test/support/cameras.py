# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cell that several cameras look at: the gantry in a ray-cast world."""
from __future__ import annotations

import dataclasses

import gantry
import numpy as np
from scenes import CAMERA, hand, STEEL, T_BASE_CAMERA, World

from bench.render import looking_at
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import CameraView, JointTrajectory, Observation

_HEAD, _FINGERS = gantry.URDF.split('<joint name="left_joint"')
#: the gantry with fingers that have ends: the gap goes from 0 to 8 cm
ROBOT = Robot.from_urdf(_HEAD + '<joint name="left_joint"' + _FINGERS.replace(
    'lower="-1" upper="1"', 'lower="0" upper="0.04"'))
FRONT = T_BASE_CAMERA
SIDE = looking_at((0.05, -0.95, 0.7), (0.0, 0.0, 0.08))
BACK = looking_at((-0.85, 0.15, 0.75), (0.0, 0.0, 0.08))
NOW = 50_000_000_000
UP = (0.0, 0.0, 0.25)


def joints(tip, gap=0.08) -> dict[str, float]:
    """Return the joints of the gantry with its finger tips there [m]."""
    return dict(zip(gantry.JOINTS, (*tip, gap / 2, gap / 2)))


def view(world: World, name: str, T_base_camera, tip=UP, gap=0.08, things=(), stamp_ns=NOW,
         **more) -> CameraView:
    """Return what a camera sees of the world and of the hand at a tip; `things` as in World."""
    robot = [] if tip is None else [(STEEL, hand(tip, gap))]
    image, depth, _ = world.render([*robot, *things], T_base_camera=T_base_camera)
    return CameraView(image, depth, CAMERA, T_base_camera, stamp_ns, name, **more)


def observation(*views: CameraView, tip=UP, gap=0.08, **more) -> Observation:
    """Return the observation of some views, with the hand at a tip."""
    return Observation(NOW, views, joints(tip, gap), **more)


def arm(*tips, seconds=4.0) -> JointTrajectory:
    """Return a motion of the arm's joints only, through some places of the finger tips [m]."""
    return JointTrajectory(gantry.JOINTS[:3], np.linspace(0, seconds, len(tips)), np.array(tips))


def whole(*states, seconds=4.0) -> JointTrajectory:
    """Return a motion of all joints through (x, y, z, gap)."""
    states = np.array(states)
    return JointTrajectory(gantry.JOINTS, np.linspace(0, seconds, len(states)), np.column_stack(
        [states[:, :3], states[:, 3] / 2, states[:, 3] / 2]))


def moved(seen: CameraView, shift) -> CameraView:
    """Return the view of a camera that is said to be elsewhere by a shift (3,) [m], base frame."""
    T = seen.T_base_camera.copy()
    T[:3, 3] += shift
    return dataclasses.replace(seen, T_base_camera=T)
