# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics: what it returns is checked by forward kinematics."""
import numpy as np
import pytest
from robots import DEMO_ARM, example_robots

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot import ForwardKinematics, ik, InverseKinematics, Robot

READY = np.array([0, 0.35, 1.75, 0, 1.04, 0, 0.02])


@pytest.fixture(scope='module')
def arm():
    """Return the demo arm with a function to the poses of its tool."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    fk, tip = ForwardKinematics(robot), robot.link_names.index('tool_point')
    return robot, lambda q: fk(np.atleast_2d(q))[:, tip]


def test_a_straight_line_is_followed(arm):
    """20 cm sideways at 1 mm per pose: on the line, within limits, without jumps."""
    robot, tool = arm
    poses = np.repeat(tool(READY), 201, axis=0)
    poses[:, 1, 3] += np.linspace(0, 0.2, 201)
    q = InverseKinematics(robot, 'tool_point').solve(poses, READY)
    reached = tool(q)
    assert np.linalg.norm(reached[:, :3, 3] - poses[:, :3, 3], axis=1).max() < 1.1e-5
    np.testing.assert_allclose(reached[:, :3, :3], poses[:, :3, :3], atol=2e-4)
    assert np.abs(np.diff(q, axis=0)).max() < 0.02
    np.testing.assert_allclose(q[0], READY, atol=1e-3)
    np.testing.assert_array_equal(q[:, 6], 0.02)        # the finger does not move the tool


@pytest.mark.parametrize('name, tip', [
    (None, 'tool_point'), ('panda/panda', 'panda_hand'), ('ur/ur5_robot', 'tool0'),
    ('kinova/kinova', 'j2s6s200_end_effector'), ('xarm/xarm7', 'link_eef')])
def test_any_reachable_pose_is_reached_from_anywhere(name, tip):
    """Poses of random configurations, solved from the middle, within the limits."""
    robot = Robot.from_urdf((example_robots()[name] if name else DEMO_ARM).read_text())
    fk, index = ForwardKinematics(robot), robot.link_names.index(tip)
    low, high = (np.array([np.clip(getattr(limit, side) if getattr(limit, side) is not None
                                   else default, -3, 3) for limit in robot.limits.values()])
                 for side, default in (('lower', -3), ('upper', 3)))
    solver = InverseKinematics(robot, tip)
    rng = np.random.default_rng(3)
    for wanted in fk(rng.uniform(low, high, (20, len(low))))[:, index]:
        q = solver.solve(wanted[None], robot.configuration({}))
        np.testing.assert_allclose(fk(q)[0, index], wanted, atol=2e-4)
        for value, limit in zip(q[0], robot.limits.values(), strict=True):
            assert limit.lower is None or value >= limit.lower
            assert limit.upper is None or value <= limit.upper


def test_a_pose_out_of_reach_is_named_with_its_miss(arm):
    """The second of two poses lies 1 m beyond the arm."""
    robot, tool = arm
    poses = np.repeat(tool(READY), 2, axis=0)
    poses[1, 0, 3] += 1.5
    with pytest.raises(KinematicsError, match=r'"tool_point" cannot reach pose 1 \(at 0\.500 s\) '
                       r'within the joint limits: missed by \d+\.\d\d mm and \d+\.\d\d deg'):
        InverseKinematics(robot, 'tool_point').solve(poses, READY, times=np.array([0.0, 0.5]))


def test_limits_hold(arm):
    """A pose that only an elbow beyond its limit reaches is not reached."""
    _, tool = arm
    text = DEMO_ARM.read_text().replace('lower="-2.6" upper="2.6"', 'lower="-0.1" upper="0.1"')
    with pytest.raises(KinematicsError, match='cannot reach pose 0 within'):
        InverseKinematics(Robot.from_urdf(text), 'tool_point').solve(tool(READY), np.zeros(7))


@pytest.mark.parametrize('link, message', [
    ('nowhere', 'no link "nowhere"; the robot has base_link'),
    ('camera_link', '"camera_link" does not move'),
    ('right_finger', '"right_finger_joint" .* is a mimic joint')])
def test_links_that_cannot_be_steered(arm, link, message):
    """Unknown, fixed, and behind a mimic joint."""
    with pytest.raises(KinematicsError, match=message):
        InverseKinematics(arm[0], link)


def test_unusable_input(arm):
    """Shapes, finiteness and rotations are checked before KDL sees them."""
    robot, tool = arm
    solver, pose = InverseKinematics(robot, 'tool_point'), tool(READY)
    with pytest.raises(KinematicsError, match=r'shape \(N, 4, 4\), got \(4, 4\)'):
        solver.solve(pose[0], READY)
    with pytest.raises(KinematicsError, match='seed must be 7 finite numbers'):
        solver.solve(pose, READY[:3])
    for bad in (pose * np.nan, pose * 2, pose[:, [1, 0, 2, 3]]):
        with pytest.raises(KinematicsError, match='pose 0 is not a rigid transform'):
            solver.solve(bad, READY)


def test_codes_of_kdl_are_checked(arm, monkeypatch):
    """A failing forward solver is an error, with its code."""
    class Failing(ik.PyKDL.ChainFkSolverPos_recursive):
        def JntToCart(self, *args):  # noqa: N802 - the name is KDL's
            return -3

    robot, tool = arm
    solver = InverseKinematics(robot, 'tool_point')
    monkeypatch.setattr(solver, '_fk', Failing(solver._chain))
    with pytest.raises(KinematicsError, match='code -3'):
        solver.solve(tool(READY), READY)
