# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is found: link of the robot, parameter, TF; in this order."""
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from graph import CAMERA_FRAME, READY, URDF
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import CameraError
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder, moves
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
    T_base_camera, mount = finder.find(CAMERA_FRAME, READY)
    positions = ROBOT.configuration({}, strict=False)
    expected = ForwardKinematics(ROBOT)(positions[None])[0, ROBOT.link_names.index(CAMERA_FRAME)]
    np.testing.assert_allclose(T_base_camera, expected, atol=1e-12)
    assert mount is None


def test_a_link_that_moves_is_told_and_follows_the_joints():
    finder = CameraFinder(ROBOT, (), TransformTree())
    link = ROBOT.joints['wrist_roll_joint'].child
    here, mount = finder.find(link, READY)
    there, _ = finder.find(link, {**READY, 'shoulder_pan_joint': np.pi})
    assert mount == LinkPose(link)
    np.testing.assert_allclose(there[:2, 3], -here[:2, 3], atol=1e-9)
    assert moves(ROBOT, link) and not moves(ROBOT, CAMERA_FRAME)


def test_extrinsics_win_over_tf():
    finder = CameraFinder(ROBOT, HALF_TURN, tree('base_link', 'eye', 9.0))
    T_base_camera, mount = finder.find('eye', READY)
    np.testing.assert_allclose(
        T_base_camera, [[-1, 0, 0, 0.5], [0, -1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], atol=1e-12)
    assert mount is None


def test_tf():
    finder = CameraFinder(ROBOT, (), tree('base_link', 'eye', 0.25))
    pose = finder.find('eye', READY)
    assert pose.T_base_camera[0, 3] == 0.25
    assert pose.mount is None


def transform(parent, child, x):
    """Return a translation along x."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.transform.translation.x = x
    message.transform.rotation.w = 1.0
    return message


def test_a_camera_on_the_arm_known_to_tf_alone_moves_with_its_link():
    wrist = ROBOT.joints['wrist_roll_joint'].child
    tf = TransformTree()       # as robot_state_publisher and the camera's driver publish it
    tf.update(TFMessage(transforms=[transform('base_link', wrist, 9.0)]), static=False)
    tf.update(TFMessage(transforms=[transform(wrist, 'bracket', 0.1),
                                    transform('bracket', 'eye', 0.2)]), static=True)
    T_wrist_eye = np.eye(4)
    T_wrist_eye[0, 3] = 0.1 + 0.2
    finder = CameraFinder(ROBOT, (), tf)
    for joints in (READY, {**READY, 'shoulder_pan_joint': 1.0, 'elbow_joint': 0.5}):
        pose = finder.find('eye', joints)
        assert pose.mount == LinkPose(wrist, T_wrist_eye)
        T_base_wrist = finder.find(wrist, joints).T_base_camera
        np.testing.assert_allclose(pose.T_base_camera, T_base_wrist @ T_wrist_eye, atol=1e-12)


def test_a_camera_that_tf_moves_against_the_robot_is_refused():
    wrist = ROBOT.joints['wrist_roll_joint'].child
    for parent in (wrist, 'map'):
        tf = tree('map', 'base_link', 0.0)
        tf.update(TFMessage(transforms=[transform(parent, 'eye', 0.1)]), static=False)
        with pytest.raises(CameraError, match="'eye' moves against link .*add the camera to the"):
            CameraFinder(ROBOT, (), tf).find('eye', READY)


def test_the_pose_of_another_camera_beside_it_moves_with_it():
    beside = np.eye(4)
    beside[0, 3] = 0.07
    link = ROBOT.joints['wrist_roll_joint'].child
    pose = CameraFinder(ROBOT, (), TransformTree()).find(link, READY)
    other = pose.moved(beside)
    np.testing.assert_allclose(other.T_base_camera, pose.T_base_camera @ beside)
    assert other.mount == LinkPose(link, beside) != pose.mount
    still = CameraFinder(ROBOT, HALF_TURN, TransformTree()).find('eye', READY).moved(beside)
    assert still.mount is None
    assert still.T_base_camera[0, 3] == pytest.approx(0.5 - 0.07)


def test_nowhere():
    with pytest.raises(CameraError, match='no link of the robot.*extrinsics is not set.*TF says'):
        CameraFinder(ROBOT, (), TransformTree()).find('eye', READY)
    with pytest.raises(CameraError, match='quaternion'):
        CameraFinder(ROBOT, (0.0,) * 7, TransformTree())
