# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole chain (URDF, FK, meshes, camera, renderer) against LIBERO's simulated images."""
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

ROOT = Path(__file__).parents[2]
AGENT, WRIST = slice(0, 6), slice(6, 12)


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """Return mask and depth of simulator and renderer, (12, H, W), where nothing hides it."""
    data = np.load(ROOT / 'test/data/libero_oracle.npz')
    path = ROOT / str(data['urdf'])
    robot = Robot.from_urdf(path.read_text(), source_dir=path.parent)
    meshes = load_meshes(robot, cache_dir=tmp_path_factory.mktemp('meshes'))
    names = list(data['joint_names'])
    q = data['joint_positions'][:, [names.index(name) for name in robot.joint_names]]
    T_base_link = ForwardKinematics(robot)(q)
    renderer = RobotRenderer(meshes, robot.link_names)
    sim_depth = data['depth'] * float(data['depth_unit'])
    height, width = sim_depth.shape[1:]
    sim_mask = np.unpackbits(data['robot_mask'], axis=-1, count=width).astype(bool)
    depth = []
    for i, K in enumerate(data['K']):
        camera = PinholeCamera(width, height, K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        images = renderer.render(T_base_link[i:i + 1], camera, data['T_base_camera'][i])
        depth.append(images.pointmap[0, ..., 2])
    depth = np.stack(depth)
    mask = np.isfinite(depth)
    with np.errstate(invalid='ignore'):
        hidden = mask & ~sim_mask & (sim_depth < depth - 0.01)     # by an object
    return sim_mask, sim_depth, mask & ~hidden, depth


@pytest.mark.parametrize('view', [AGENT, WRIST], ids=['agentview', 'wrist'])
def test_masks_agree_with_the_simulator(frames, view):
    sim_mask, _, mask, _ = (array[view] for array in frames)
    both, either = (sim_mask & mask).sum((1, 2)), (sim_mask | mask).sum((1, 2))
    assert (sim_mask.sum((1, 2)) > 1000).all(), 'the robot must be in the picture'
    assert (both / either >= 0.98).all(), both / either


@pytest.mark.parametrize('view', [AGENT, WRIST], ids=['agentview', 'wrist'])
def test_depth_agrees_with_the_simulator(frames, view):
    sim_mask, sim_depth, mask, depth = (array[view] for array in frames)
    for i in range(len(mask)):
        both = sim_mask[i] & mask[i]
        error = np.abs(depth[i] - sim_depth[i])[both]
        assert np.median(error) < 0.001, i
        assert np.percentile(error, 95) < 0.005, i
