# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Forward kinematics of all links to arrays, against KDL's solver called per link, and one render.

It must be lost beside the render of the same frames: at most 0.02 of its time. KDL's own solver,
once per configuration and link with every frame copied into an array, gives the same poses.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.render import CAMERA, FRAMES, looking_at, PANDA, sweep
from bench.timing import interleave, median, row
from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.robot.kdl_tree import kdl_tree
from kinema4d_ros.robot.kinematics import solve_chain
from kinema4d_ros.types import PinholeCamera

GOAL = 0.02
SAME = 1e-9     # [m] and of matrix entries


def measure(repeats: int) -> list[dict]:
    """Return the two comparisons."""
    return compare(repeats, FRAMES, CAMERA)


def compare(repeats: int, frames: int, camera: PinholeCamera) -> list[dict]:
    """Return the comparisons for a number of configurations."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    positions = sweep(robot, frames)
    kinematics = ForwardKinematics(robot)
    renderer = RobotRenderer(load_meshes(robot), robot.link_names)
    T_base_link, T_base_camera = kinematics(positions), looking_at((1.3, 0.5, 0.9), (0.1, 0, 0.3))
    solver = by_solver(robot)
    seconds = interleave({
        'ours': lambda: kinematics(positions), 'solver': lambda: solver(positions),
        'render': lambda: renderer.render(T_base_link, camera, T_base_camera)}, repeats)
    same = np.abs(kinematics(positions) - solver(positions)).max() <= SAME
    what = f'FK of {len(robot.link_names)} links, {frames} configurations'
    ours = median(seconds['ours'])
    return [row(f'{what}, against one render of them', ours, median(seconds['render']), GOAL,
                same=same),
            row(f'{what}, against KDL per link', ours, median(seconds['solver']), 1.0, same=same)]


def by_solver(robot: Robot) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives (T, J) positions their link poses (T, L, 4, 4) by KDL, one by one."""
    tree, parents = kdl_tree(robot), {joint.parent for joint in robot.joints.values()}
    tips = [link for link in robot.link_names[1:] if link not in parents]

    def solve(positions: np.ndarray) -> np.ndarray:
        out = np.empty((len(positions), len(robot.link_names), 4, 4))
        out[:, 0] = np.eye(4)
        for frame, angles in enumerate(positions):
            left = set(robot.link_names[1:])
            for tip in tips:
                for name, pose in solve_chain(robot, tree, tip, angles, left).items():
                    left.discard(name)
                    out[frame, robot.link_names.index(name)] = pose
        return out

    return solve
