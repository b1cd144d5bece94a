# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real arm before a real camera: the drawn one lies on it better than with what came with it."""
import itertools
import json

import cv2
import numpy as np
import pytest
from shared_data import shared_data

from kinema4d_ros.calibration import ArmFrames, ArmModel, calibrate_by_robot, RobotFitSettings
from kinema4d_ros.calibration import foreground
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

#: corners in the hand of what hides the board that it carries, and its fingers [m]
CARRIED = np.array(list(itertools.product((-0.11, 0.11), (-0.11, 0.11), (0.06, 0.17))))


@pytest.fixture(scope='module')
def real():
    """Return every sixth of the 275 pictures, the robot, and where the camera is said to be."""
    folder = shared_data('panda_dataset_tristinxie')
    info = json.loads((folder / 'info.json').read_text())
    steps = list(info['steps'].values())[::6]
    K = np.array(info['calibration_info']['intrinsic'])
    extrinsic = np.array(info['calibration_info']['extrinsic'][0])
    T_camera_base = np.eye(4)
    T_camera_base[:3, :3], T_camera_base[:3, 3] = cv2.Rodrigues(extrinsic[:3])[0], extrinsic[3:]
    robot = Robot.from_file(share_dir() / 'urdf' / 'panda' / 'panda.urdf')
    positions = np.stack([robot.configuration(
        {f'panda_joint{i + 1}': angle for i, angle in enumerate(step['joint_angles'])})
        for step in steps])
    images = np.stack([cv2.imread(str(folder / step['img_file']))[:, :, ::-1] for step in steps])
    frames = ArmFrames(images, None, positions,
                       PinholeCamera(320, 240, K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    return frames, ArmModel(robot, load_meshes(robot)), np.linalg.inv(T_camera_base)


def overlap(frames, model, camera, T_base_camera):
    """Return intersection over union of the drawn arm and what moves, without what it carries."""
    poses = model.poses(frames.joint_positions)
    drawn = model.render(poses, camera, T_base_camera).link_id >= 0
    hand = model.robot.link_names.index('panda_hand')
    carried = np.zeros(drawn.shape, np.uint8)
    for mask, pose in zip(carried, poses[:, hand]):
        there = (CARRIED @ pose[:3, :3].T + pose[:3, 3] - T_base_camera[:3, 3]) \
            @ T_base_camera[:3, :3]
        pixels = there[:, :2] / there[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
        cv2.fillConvexPoly(mask, cv2.convexHull(pixels.astype(np.float32)).astype(np.int32), 1)
    hidden = np.stack([cv2.dilate((d | (c > 0)).astype(np.uint8), np.ones((7, 7), np.uint8))
                       for d, c in zip(drawn, carried)]) > 0
    values, threshold = foreground.differences(
        frames.images, foreground.background_of(frames.images, hidden))
    cared = np.isfinite(values) & (carried == 0)
    with np.errstate(invalid='ignore'):
        moving = foreground.tidy(values > threshold)
    both = either = 0
    for seen, robot, care in zip(moving, drawn & cared, cared):
        _, parts = cv2.connectedComponents(seen.astype(np.uint8))
        touching = np.unique(parts[robot & seen])
        seen = np.isin(parts, touching[touching > 0]) & care
        both, either = both + (seen & robot).sum(), either + (seen | robot).sum()
    return both / either


def test_the_drawn_arm_lies_on_the_real_one(real):
    frames, model, T_said = real
    fit = calibrate_by_robot(frames, model, T_said,
                             settings=RobotFitSettings(frames=20, focal_sigma=0.06))
    said = overlap(frames, model, frames.camera, T_said)
    found = overlap(frames, model, fit.camera, fit.T_base_camera)
    assert found > max(0.85, said + 0.02), (said, found)
    assert fit.camera.fx == pytest.approx(151.1, rel=0.03) and fit.support > 0.5
