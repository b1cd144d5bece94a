# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against KDL's solver, against Pinocchio, and against hand numbers."""
import dataclasses
import sys

import numpy as np
import pytest
from robots import DEMO_ARM, example_robots, one_joint

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot import ForwardKinematics, kinematics, Robot
from kinema4d_ros.robot.kdl_tree import kdl_chain, kdl_tree


def read(name: str) -> Robot:
    """Load a robot of example-robot-data."""
    return Robot.from_urdf(example_robots()[name].read_text())


def random_positions(robot: Robot, count: int) -> np.ndarray:
    """Return (count, J) positions, beyond a turn for continuous joints."""
    rng = np.random.default_rng(7)
    return rng.uniform(-4.0, 4.0, (count, len(robot.joint_names)))


def test_a_turned_hinge_by_hand():
    """One hinge: 1 m along x, turned by 90 degrees about z with an axis of length 5."""
    robot = Robot.from_urdf(one_joint(
        '<origin xyz="1 0 0" rpy="0 0 1.5707963267948966"/><axis xyz="0 0 5"/>', 'continuous'))
    pose = ForwardKinematics(robot)(np.array([[np.pi / 2]]))[0, 1]
    np.testing.assert_allclose(
        pose, [[-1, 0, 0, 1], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-15)


def test_a_slide_by_hand():
    """A slide moves along its axis in the joint frame, which is turned."""
    robot = Robot.from_urdf(one_joint(
        '<origin xyz="0 0 1" rpy="0 1.5707963267948966 0"/><axis xyz="2 0 0"/>', 'prismatic'))
    pose = ForwardKinematics(robot)(np.array([[0.25]]))[0, 1]
    np.testing.assert_allclose(pose[:3, 3], [0, 0, 0.75], atol=1e-15)


def test_mimic_of_mimic_by_hand():
    """Factors and offsets of a chain of mimic joints combine."""
    robot = Robot.from_urdf(
        '<robot name="r">' + ''.join(f'<link name="{x}"/>' for x in 'abcd')
        + ''.join(f'<joint name="{c}" type="prismatic"><parent link="{p}"/><child link="{c}"/>'
                  f'<axis xyz="1 0 0"/><limit lower="0" upper="1"/>{mimic}</joint>'
                  for p, c, mimic in (
                      ('a', 'b', ''), ('b', 'c', '<mimic joint="b" multiplier="2" offset="1"/>'),
                      ('c', 'd', '<mimic joint="c" multiplier="-3" offset="0.5"/>')))
        + '</robot>')
    x = ForwardKinematics(robot)(np.array([[0.1]]))[0, :, 0, 3]
    c = 2 * 0.1 + 1
    np.testing.assert_allclose(x, [0, 0.1, 0.1 + c, 0.1 + c - 3 * c + 0.5])


@pytest.mark.parametrize('name', [None, 'panda/panda', 'tiago/tiago_dual', 'pr2/pr2'])
def test_batches_agree_with_the_solver_of_kdl(name):
    """Every link of every chain, by JntToCart."""
    robot = read(name) if name else Robot.from_urdf(DEMO_ARM.read_text())
    positions = random_positions(robot, 4)
    poses = ForwardKinematics(robot)(positions)
    assert poses.shape == (4, len(robot.link_names), 4, 4) and poses.dtype == np.float64
    tree = kdl_tree(robot)
    leaves = set(robot.link_names) - {joint.parent for joint in robot.joints.values()}
    for t in range(4):
        for leaf in leaves:
            for link, pose in kinematics.solve_chain(robot, tree, leaf, positions[t]).items():
                np.testing.assert_allclose(poses[t, robot.link_names.index(link)], pose,
                                           atol=1e-12)


# Pinocchio does not take these; test_urdf.py shows that we do, or why not.
NOT_BY_PINOCCHIO = {'alex/alex_psyonic_hands', 'ur/ur3', 'romeo/romeo',
                    'talos_data/talos_full_v2', 'talos_data/talos_full_v2_box'}


@pytest.mark.parametrize('name', sorted(set(example_robots()) - NOT_BY_PINOCCHIO))
def test_poses_agree_with_pinocchio(name):
    """All links of 64 robots: arms, hands, dual arms, mobile manipulators, humanoids, mimic."""
    pin = pytest.importorskip('pinocchio')
    robot = read(name)
    model = pin.buildModelFromXML(example_robots()[name].read_text(), mimic=True)
    data = model.createData()
    positions = random_positions(robot, 3)
    for position, poses in zip(positions, ForwardKinematics(robot)(positions), strict=True):
        q = pin.neutral(model)
        for joint_name, value in zip(robot.joint_names, position, strict=True):
            joint = model.joints[model.getJointId(joint_name)]
            q[joint.idx_q:joint.idx_q + joint.nq] = \
                (np.cos(value), np.sin(value)) if joint.nq == 2 else value
        pin.framesForwardKinematics(model, data, q)
        for link, pose in zip(robot.link_names, poses, strict=True):
            want = data.oMf[model.getFrameId(link, pin.BODY)].homogeneous
            np.testing.assert_allclose(pose, want, rtol=0, atol=1e-9, err_msg=link)


def test_the_oracle_has_robots():
    """The tests above must not pass because there was nothing to test."""
    if not example_robots():
        pytest.skip('example-robot-data is not installed (pip install example-robot-data)')
    assert len(example_robots()) == 69


@pytest.mark.parametrize('positions, message', [
    (np.zeros(7), r'shape \(T, 7\)'), (np.zeros((2, 6)), r'got \(2, 6\)'),
    (np.full((1, 7), np.nan), r'"shoulder_pan_joint" at index 0 is nan')])
def test_unusable_positions(positions, message):
    """Shape and finiteness are checked, with names."""
    fk = ForwardKinematics(Robot.from_urdf(DEMO_ARM.read_text()))
    with pytest.raises(KinematicsError, match=message):
        fk(positions)


def test_no_configurations_and_no_joints():
    """Empty input gives empty output; a robot without joints has a pose too."""
    fk = ForwardKinematics(Robot.from_urdf(DEMO_ARM.read_text()))
    assert fk(np.zeros((0, 7))).shape[0] == 0
    fk = ForwardKinematics(Robot.from_urdf('<robot name="r"><link name="a"/></robot>'))
    np.testing.assert_array_equal(fk(np.zeros((2, 0))), np.tile(np.eye(4), (2, 1, 1, 1)))


def test_a_chain_to_nowhere_is_an_error():
    """KDL returns an empty chain instead of an error."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    with pytest.raises(KinematicsError, match='no chain from link "base_link" to link "nowhere"'):
        kdl_chain(kdl_tree(robot), 'base_link', 'nowhere')


def test_a_tree_out_of_order_is_an_error():
    """KDL answers False where a parent is not there yet."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    shuffled = dataclasses.replace(robot, link_names=robot.link_names[:1]
                                   + robot.link_names[:0:-1])
    with pytest.raises(KinematicsError, match='KDL refused to attach link'):
        kdl_tree(shuffled)


def test_the_number_of_joints_is_checked():
    """A tree of another robot is noticed before KDL computes nonsense."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    other = Robot.from_urdf(DEMO_ARM.read_text().replace(
        'name="elbow_joint" type="revolute"', 'name="elbow_joint" type="fixed"'))
    with pytest.raises(KinematicsError, match='KDL counts 5 joints up to link "tool_point", the '
                                              'description 6'):
        kinematics.solve_chain(robot, kdl_tree(other), 'tool_point', np.zeros(7))


def test_codes_of_kdl_are_checked(monkeypatch):
    """A solver that fails is an error, with its code."""
    class Failing(kinematics.PyKDL.ChainFkSolverPos_recursive):
        def JntToCart(self, *args):  # noqa: N802 - the name is KDL's
            return -4

    robot = Robot.from_urdf(DEMO_ARM.read_text())
    monkeypatch.setattr(kinematics.PyKDL, 'ChainFkSolverPos_recursive', Failing)
    with pytest.raises(KinematicsError, match='code -4'):
        ForwardKinematics(robot)


def test_disagreement_with_kdl_is_an_error(monkeypatch):
    """The comparison at construction can fail."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    original = kinematics._Joints.of
    monkeypatch.setattr(kinematics._Joints, 'of',
                        lambda self, q: original(self, q) + 1e-6)
    with pytest.raises(KinematicsError, match='differs from KDL'):
        ForwardKinematics(robot)


def test_the_work_grows_with_the_number_of_links():
    """Not with its square: four times the links, four times the calls."""
    def calls(links):
        joints = ''.join(
            f'<link name="l{i}"/><joint name="j{i}" type="fixed"><parent link="base"/>'
            f'<child link="l{i}"/></joint>' for i in range(links))
        robot = Robot.from_urdf(f'<robot name="r"><link name="base"/>{joints}</robot>')
        count = 0

        def note(frame, event, argument):
            nonlocal count
            count += event == 'call'

        sys.setprofile(note)
        try:
            ForwardKinematics(robot)
        finally:
            sys.setprofile(None)
        return count

    assert calls(200) < 5 * calls(50)
