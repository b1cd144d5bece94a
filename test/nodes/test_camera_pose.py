# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is found: link of the robot, parameter, TF; and what if they differ."""
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from graph import CAMERA_FRAME, READY, URDF
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge.transforms import transform_message, TransformTree
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import CameraError, ContradictionError
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder, moves
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.robot.transforms import quaternion

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


def pose_of(link):
    """Return where a link of the robot is at its zero configuration."""
    positions = ROBOT.configuration({}, strict=False)
    return ForwardKinematics(ROBOT)(positions[None])[0, ROBOT.link_names.index(link)]


def test_a_link_that_stands_still():
    T_base_camera, mount = CameraFinder(ROBOT, {}, TransformTree()).find(CAMERA_FRAME, READY)
    np.testing.assert_allclose(T_base_camera, pose_of(CAMERA_FRAME), atol=1e-12)
    assert mount is None


def test_a_link_that_moves_is_told_and_follows_the_joints():
    finder = CameraFinder(ROBOT, {}, TransformTree())
    link = ROBOT.joints['wrist_roll_joint'].child
    here, mount = finder.find(link, READY)
    there, _ = finder.find(link, {**READY, 'shoulder_pan_joint': np.pi})
    assert mount == LinkPose(link)
    np.testing.assert_allclose(there[:2, 3], -here[:2, 3], atol=1e-9)
    assert moves(ROBOT, link) and not moves(ROBOT, CAMERA_FRAME)


def test_extrinsics():
    for tf in (TransformTree(), tree('elsewhere', 'eye', 9.0)):
        T_base_camera, mount = CameraFinder(ROBOT, {'camera': HALF_TURN}, tf).find('eye', READY)
        np.testing.assert_allclose(
            T_base_camera, [[-1, 0, 0, 0.5], [0, -1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]],
            atol=1e-12)
        assert mount is None


def test_tf():
    finder = CameraFinder(ROBOT, {}, tree('base_link', 'eye', 0.25))
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
    finder = CameraFinder(ROBOT, {}, tf)
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
            CameraFinder(ROBOT, {}, tf).find('eye', READY)


def test_the_pose_of_another_camera_beside_it_moves_with_it():
    beside = np.eye(4)
    beside[0, 3] = 0.07
    link = ROBOT.joints['wrist_roll_joint'].child
    pose = CameraFinder(ROBOT, {}, TransformTree()).find(link, READY)
    other = pose.moved(beside)
    np.testing.assert_allclose(other.T_base_camera, pose.T_base_camera @ beside)
    assert other.mount == LinkPose(link, beside) != pose.mount
    finder = CameraFinder(ROBOT, {'camera': HALF_TURN}, TransformTree())
    still = finder.find('eye', READY).moved(beside)
    assert still.mount is None
    assert still.T_base_camera[0, 3] == pytest.approx(0.5 - 0.07)


def shifted(T, by):
    """Return a pose that is moved along x."""
    out = np.array(T)
    out[0, 3] += by
    return out


def seven(T):
    """Return a pose as the parameter extrinsics has it."""
    return (*T[:3, 3], *quaternion(T[:3, :3]))


def mounting(child, T, parent='base_link'):
    """Return a TF tree of one static transform."""
    out = TransformTree()
    out.update(TFMessage(transforms=[transform_message(T, Header(frame_id=parent), child)]),
               static=True)
    return out


@pytest.mark.parametrize('frame, extrinsics, tf', [
    (CAMERA_FRAME, seven(shifted(pose_of(CAMERA_FRAME), 0.02)), None),
    (CAMERA_FRAME, (), mounting(CAMERA_FRAME, shifted(pose_of(CAMERA_FRAME), 0.02))),
    (CAMERA_FRAME, (), mounting('camera_link', shifted(pose_of('camera_link'), 0.02))),
    (CAMERA_FRAME, (), mounting('camera_link', pose_of('camera_link'), 'flange_link')),
    ('eye', HALF_TURN, mounting('eye', np.eye(4))),
    ('eye', HALF_TURN, mounting('eye', np.eye(4), 'flange_link')),
    (ROBOT.joints['wrist_roll_joint'].child, HALF_TURN, None)],
    ids=['parameter and link', 'TF and link', 'TF and its mount', 'on another link by TF',
         'parameter and TF', 'parameter and a moving one', 'parameter and a moving link'])
def test_two_sources_of_one_pose_that_differ_are_refused(frame, extrinsics, tf):
    finder = CameraFinder(ROBOT, {'camera': extrinsics}, tf or TransformTree())
    with pytest.raises(ContradictionError, match='robot description|TF|/tf_static'):
        finder.find(frame, READY)


@pytest.mark.parametrize('frame, extrinsics, tf', [
    (CAMERA_FRAME, seven(shifted(pose_of(CAMERA_FRAME), 0.001)), None),
    (CAMERA_FRAME, (), mounting(CAMERA_FRAME, shifted(pose_of(CAMERA_FRAME), 0.001))),
    (CAMERA_FRAME, (), mounting('camera_link', pose_of('camera_link'))),
    (CAMERA_FRAME, (), mounting('camera_link', np.eye(4), 'another_room')),
    ('eye', seven(pose_of(CAMERA_FRAME)), mounting('eye', pose_of(CAMERA_FRAME)))])
def test_two_sources_of_one_pose_that_agree(frame, extrinsics, tf):
    pose = CameraFinder(ROBOT, {'camera': extrinsics}, tf or TransformTree()).find(frame, READY)
    np.testing.assert_allclose(pose.T_base_camera, pose_of(CAMERA_FRAME), atol=2e-3)


@pytest.mark.parametrize('prefix', ['left/', '/left/', 'left_'])
def test_tf_with_a_frame_prefix(prefix):
    name = prefix.lstrip('/')
    tf = mounting('eye', np.eye(4), f'{name}flange_link')
    assert CameraFinder(ROBOT, {}, tf, prefix).find('eye', READY).mount.link == 'flange_link'
    tf = mounting('eye', np.eye(4), f'{name}base_link')
    assert CameraFinder(ROBOT, {}, tf, prefix).find('eye', READY).mount is None
    finder = CameraFinder(ROBOT, {}, TransformTree(), prefix)
    for frame in (f'{name}{CAMERA_FRAME}', CAMERA_FRAME):       # stamped by either convention
        np.testing.assert_allclose(finder.find(frame, READY).T_base_camera,
                                   pose_of(CAMERA_FRAME), atol=1e-12)
    tf = mounting('eye', np.eye(4), 'world')
    tf.update(TFMessage(transforms=[transform('world', f'{name}base_link', 1.0)]), static=True)
    assert CameraFinder(ROBOT, {}, tf, prefix).find('eye', READY).T_base_camera[0, 3] == -1.0
    with pytest.raises(CameraError, match=f"set frame_prefix to '{name}'"):
        CameraFinder(ROBOT, {}, tf).find('eye', READY)


def test_the_body_of_a_camera_has_an_optical_frame():
    finder = CameraFinder(ROBOT, {}, TransformTree())
    assert finder.optical_sibling('camera_link') == CAMERA_FRAME
    assert finder.optical_sibling(CAMERA_FRAME) is None
    assert finder.optical_sibling('flange_link') is None
    optical = np.eye(4)
    optical[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    by_tf = CameraFinder(ROBOT, {}, mounting('eye_optical_frame', optical, 'eye_link'))
    assert by_tf.optical_sibling('eye_link') == 'eye_optical_frame'
    straight = CameraFinder(ROBOT, {}, mounting('eye_optical_frame', np.eye(4), 'eye_link'))
    assert straight.optical_sibling('eye_link') is None       # the two are one


def test_a_frame_that_nobody_knows_is_told_with_those_that_the_robot_has():
    """Gazebo and some drivers have a name of their own for it."""
    with pytest.raises(CameraError, match=f"'arm/camera/rgb'.*'{CAMERA_FRAME}'.*set camera_frame"):
        CameraFinder(ROBOT, {}, TransformTree()).find('arm/camera/rgb', READY)


def test_nowhere():
    with pytest.raises(CameraError, match='no link of the robot.*extrinsics is not set.*TF says'):
        CameraFinder(ROBOT, {}, TransformTree()).find('eye', READY)
    with pytest.raises(CameraError, match='quaternion'):
        CameraFinder(ROBOT, {'camera': (0.0,) * 7}, TransformTree())
