# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is found: link of the robot, parameter, TF; in this order."""
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from graph import CAMERA_FRAME, READY, URDF
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.errors import CameraError
from kinema4d_ros.nodes.camera_pose import CameraFinder, moves
from kinema4d_ros.robot import ForwardKinematics, Robot

ROBOT = Robot.from_urdf(URDF)
HALF_TURN = (0.5, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0)     # about z


def tree(parent, child, x):
    """Return a TF tree of one static transform."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.transform.translation.x = x
    message.transform.rotation.w = 1.0
    out = TransformTree()
    out.update(TFMessage(transforms=[message]), static=True)
    return out


def test_a_link_that_stands_still_wins_over_the_rest():
    finder = CameraFinder(ROBOT, HALF_TURN, tree('base_link', CAMERA_FRAME, 9.0))
    T_base_camera, moving_link = finder.find(CAMERA_FRAME, READY)
    positions = ROBOT.configuration({}, strict=False)
    expected = ForwardKinematics(ROBOT)(positions[None])[0, ROBOT.link_names.index(CAMERA_FRAME)]
    np.testing.assert_allclose(T_base_camera, expected, atol=1e-12)
    assert moving_link == ''


def test_a_link_that_moves_is_told_and_follows_the_joints():
    finder = CameraFinder(ROBOT, (), TransformTree())
    link = ROBOT.joints['wrist_roll_joint'].child
    here, moving_link = finder.find(link, READY)
    there, _ = finder.find(link, {**READY, 'shoulder_pan_joint': np.pi})
    assert moving_link == link
    np.testing.assert_allclose(there[:2, 3], -here[:2, 3], atol=1e-9)
    assert moves(ROBOT, link) and not moves(ROBOT, CAMERA_FRAME)


def test_extrinsics_win_over_tf():
    finder = CameraFinder(ROBOT, HALF_TURN, tree('base_link', 'eye', 9.0))
    T_base_camera, moving_link = finder.find('eye', READY)
    np.testing.assert_allclose(
        T_base_camera, [[-1, 0, 0, 0.5], [0, -1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], atol=1e-12)
    assert moving_link == ''


def test_tf():
    finder = CameraFinder(ROBOT, (), tree('base_link', 'eye', 0.25))
    assert finder.find('eye', READY).T_base_camera[0, 3] == 0.25


def test_nowhere():
    with pytest.raises(CameraError, match='no link of the robot.*extrinsics is not set.*TF says'):
        CameraFinder(ROBOT, (), TransformTree()).find('eye', READY)
    with pytest.raises(CameraError, match='quaternion'):
        CameraFinder(ROBOT, (0.0,) * 7, TransformTree())
