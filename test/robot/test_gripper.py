# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Grippers of real robots, of the common makers' structures, and robots that have none."""
import pytest
from robots import DEMO_ARM, example_robots

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot import find_gripper, Robot
from kinema4d_ros.types import Gripper


def build(*joints: str) -> Robot:
    """Return a robot from lines 'name type parent child [leader]'."""
    rows = [line.split() for line in joints]
    links = dict.fromkeys(link for row in rows for link in row[2:4])
    return Robot.from_urdf(
        '<robot name="r">' + ''.join(f'<link name="{link}"/>' for link in links) + ''.join(
            f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
            f'<limit lower="0" upper="1"/>{f"<mimic joint={leader[0]!r}/>" if leader else ""}'
            '</joint>' for name, kind, parent, child, *leader in rows) + '</robot>')


ROBOTIQ = build(
    'arm revolute world wrist_3_link', 'mount fixed wrist_3_link robotiq_base',
    'finger_joint revolute robotiq_base left_outer_knuckle',
    'left_outer_finger_joint fixed left_outer_knuckle left_outer_finger',
    'left_inner_finger_joint revolute left_outer_finger left_inner_finger finger_joint',
    'left_inner_knuckle_joint revolute robotiq_base left_inner_knuckle finger_joint',
    'right_outer_knuckle_joint revolute robotiq_base right_outer_knuckle finger_joint',
    'right_outer_finger_joint fixed right_outer_knuckle right_outer_finger',
    'right_inner_finger_joint revolute right_outer_finger right_inner_finger finger_joint',
    'right_inner_knuckle_joint revolute robotiq_base right_inner_knuckle finger_joint')
XARM = build(
    'joint7 revolute link6 link7', 'gripper_fix fixed link7 xarm_gripper_base_link',
    'drive_joint revolute xarm_gripper_base_link left_outer_knuckle',
    'left_finger_joint revolute left_outer_knuckle left_finger drive_joint',
    'left_inner_knuckle_joint revolute xarm_gripper_base_link left_inner_knuckle drive_joint',
    'right_outer_knuckle_joint revolute xarm_gripper_base_link right_outer_knuckle drive_joint',
    'right_finger_joint revolute right_outer_knuckle right_finger drive_joint',
    'right_inner_knuckle_joint revolute xarm_gripper_base_link right_inner_knuckle drive_joint')


def test_demo_arm():
    """A parallel gripper with a mimic finger: one joint to command."""
    assert find_gripper(Robot.from_urdf(DEMO_ARM.read_text())) == Gripper(
        'gripper_palm', ('left_finger', 'right_finger'), ('finger_joint',))


def test_robotiq_and_xarm():
    """Revolute fingers in several links; one commanded joint drives them all."""
    gripper = find_gripper(ROBOTIQ)
    assert (gripper.palm_link, gripper.finger_joints) == ('robotiq_base', ('finger_joint',))
    assert {'left_inner_finger', 'right_inner_finger'} <= set(gripper.finger_links)
    gripper = find_gripper(XARM)
    assert (gripper.palm_link, gripper.finger_joints) == (
        'xarm_gripper_base_link', ('drive_joint',))
    assert {'left_finger', 'right_finger'} <= set(gripper.finger_links)


@pytest.mark.parametrize('name, palm, links, joints', [
    ('panda/panda', 'panda_hand', 2, ('panda_finger_joint1',)),
    ('pr2/pr2', 'r_gripper_palm_link', 4, ('r_gripper_l_finger_joint',)),
    ('baxter/baxter', 'right_gripper_base_link', 4, ('r_gripper_l_finger_joint',)),
    ('tiago_pro/tiago_pro', 'gripper_left_base_link', 6, ('gripper_left_finger_joint',)),
    ('so_arm/so100', 'gripper', 1, ('gripper',)), ('so_arm/so101', 'gripper_link', 1, ('gripper',)),
    ('z1/z1', 'gripperStator', 1, ('jointGripper',))])
def test_robots_of_the_field(name, palm, links, joints):
    """Two fingers, and a jaw against a fixed one; the first of two arms."""
    gripper = find_gripper(Robot.from_urdf(example_robots()[name].read_text()))
    assert (gripper.palm_link, len(gripper.finger_links), gripper.finger_joints) == (
        palm, links, joints)


@pytest.mark.parametrize('name', [
    'ur/ur5_robot', 'xarm/xarm7', 'a1/a1', 'alex/alex_nub_hands', 'allegro_hand/allegro_left_hand',
    'solo/solo12', 'simple_humanoid/simple_humanoid'])
def test_robots_without_a_gripper(name):
    """Bare arms, legs, and hands of many joints."""
    assert find_gripper(Robot.from_urdf(example_robots()[name].read_text())) is None


@pytest.mark.parametrize('joints', [
    ('joint7 prismatic link6 link7', 'joint8 prismatic link6 link8'),                   # Piper
    ('base_to_mors_1 prismatic link6 mors_1', 'base_to_mors_2 prismatic link6 mors_2')])    # Niryo
def test_two_sliding_links_at_the_end_of_an_arm_are_fingers(joints):
    robot = build('joint6 revolute link5 link6', *joints)
    assert find_gripper(robot) == Gripper('link6', tuple(j.split()[3] for j in joints),
                                          tuple(j.split()[0] for j in joints))
    for none in (('a prismatic base x', 'b prismatic base y'),        # on the root: two axes
                 ('a prismatic link6 x', 'b prismatic link6 y', 'c revolute link6 z'),
                 ('a prismatic link6 x', 'b prismatic link6 y', 'c revolute y z')):
        assert find_gripper(build('joint6 revolute base link6', *none)) is None


def test_a_propeller_of_the_motor_is_no_gripper_where_there_are_fingers():
    """As Interbotix has it: the motor turns a link named gripper, the fingers slide further out."""
    robot = build('waist revolute base ee_arm_link', 'gripper continuous ee_arm_link gripper_prop',
                  'ee_bar fixed ee_arm_link fingers_link',
                  'left_finger prismatic fingers_link left_finger_link',
                  'right_finger prismatic fingers_link right_finger_link left_finger')
    assert find_gripper(robot) == Gripper(
        'fingers_link', ('left_finger_link', 'right_finger_link'), ('left_finger',))


def test_fingers_by_name_of_the_user():
    """Where the URDF's names say nothing."""
    robot = build('arm revolute base hand', 'l revolute hand pinch_l', 'r revolute hand pinch_r')
    assert find_gripper(robot) is None
    assert find_gripper(robot, finger_links=['pinch_l', 'pinch_r']) == Gripper(
        'hand', ('pinch_l', 'pinch_r'), ('l', 'r'))
    assert find_gripper(robot, finger_links=['pinch_r']) == Gripper('hand', ('pinch_r',), ('r',))
    gripper = find_gripper(XARM, finger_links=['left_finger', 'right_finger'])
    assert gripper == Gripper('xarm_gripper_base_link', ('left_finger', 'right_finger'),
                              ('drive_joint',))
    chain = find_gripper(XARM, finger_links=['left_outer_knuckle', 'left_finger'])
    assert chain.palm_link == 'xarm_gripper_base_link' and chain.finger_joints == ('drive_joint',)


@pytest.mark.parametrize('links, message', [
    (['thumb'], 'finger links thumb are not links of the robot; choose from base_link'),
    ([], 'choose from'), (['camera_link'], '"camera_link" does not move')])
def test_fingers_that_cannot_be(links, message):
    """Unknown, none, and fixed."""
    with pytest.raises(RobotDescriptionError, match=message):
        find_gripper(Robot.from_urdf(DEMO_ARM.read_text()), finger_links=links)
