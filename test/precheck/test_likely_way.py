# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The likely way is judged beside the commanded one, with what is not known of it."""
import dataclasses

import numpy as np
import pytest
from gantry import GRIPPER, JOINTS, motion, observe, ROBOT
from scenes import box, Path, RED, World

from kinema4d_ros.precheck import PrecheckSettings, RobotChecker, Tier1Settings
from kinema4d_ros.precheck.tracking import likely_motion, link_sigmas, only_new
from kinema4d_ros.robot import ForwardKinematics, load_meshes
from kinema4d_ros.robot.tracking import JointTracking, TrackingModel
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, StartState

#: along x, then along y, around a box inside the corner
CORNER = Path.through((0, 0.0, 0.0, 0.12, 0.08), (1.0, 0.3, 0.0, 0.12, 0.08),
                      (2.2, 0.3, 0.36, 0.12, 0.08), frames=34)
MESHES = load_meshes(ROBOT)
SURFACES = {name: mesh.vertices for name, mesh in MESHES.items()}


def followed(lag=0.0, sigma=0.0, delay=0.0):
    """Return the model in which all joints follow alike."""
    return TrackingModel({name: JointTracking(1.0, delay, lag, sigma) for name in JOINTS})


def checker(model):
    """Return a checker of the gantry; the scene is known exactly, beside the view too."""
    exact = Tier1Settings(calibration_sigma=0.0005, mesh_sigma=0.0, depth_sigma=0.0005,
                          depth_sigma_square=0.0, known_free=((-1.0, -1.0, 0.05, 1.0, 1.0, 1.0),))
    return RobotChecker(ROBOT, MESHES, with_finger_boxes(GRIPPER, MESHES),
                        PrecheckSettings(tier1=exact, tracking=model))


@pytest.fixture(scope='module')
def seen():
    """Return what the camera sees of the box in the corner."""
    return observe(World().add(RED, box((0.1, 0.2, 0.3), (0.18, 0.25, 0.0))), CORNER)


def against(found):
    """Return the findings that forbid a PASS."""
    return [f for f in found if f.severity > Severity.INFO]


@pytest.mark.parametrize('model', [None, followed(), followed(lag=0.1), followed(delay=0.3)])
def test_a_robot_that_keeps_to_its_way_passes(seen, model):
    """Late alone is no danger: it is the same way."""
    assert against(checker(model).tier1(seen, motion(CORNER)).findings) == []


def test_a_robot_that_cuts_the_corner_fails(seen):
    plain, cut = (checker(model).tier1(seen, motion(CORNER)) for model in (
        None, followed(lag=0.8)))
    found = [f for f in against(cut.findings) if f.link == 'palm']
    assert found and found[0].code == FindingCode.CONTACT and found[0].severity == Severity.FAIL
    assert found[0].message.startswith('as the robot is likely to follow it')
    assert cut.clearance.minimum < 0 < plain.clearance.minimum


def test_what_the_model_does_not_explain_widens_the_band(seen):
    """Some cm from the box: with 5 mm of each joint it passes, with 25 mm nobody knows."""
    found = against(checker(followed(sigma=0.025)).tier1(seen, motion(CORNER)).findings)
    assert found and {f.severity for f in found} == {Severity.UNSURE}
    assert against(checker(followed(sigma=0.005)).tier1(seen, motion(CORNER)).findings) == []


def test_a_residual_beyond_what_is_measured_is_never_a_pass(seen):
    away = JointTrajectory(('x',), np.array([1.0]), np.array([[-0.2]]))
    found = against(checker(followed(sigma=0.05)).tier1(seen, away).findings)
    assert FindingCode.TRACKING in [f.code for f in found]


def test_sigma_of_a_link_is_what_its_joints_move_it_by():
    """Three slides are independent: the palm has the root of three squares, the bridge one."""
    start = dict.fromkeys(ROBOT.joint_names, 0.0)
    model = TrackingModel({name: JointTracking(sigma=0.01) for name in 'xyz'})
    moved = likely_motion(motion(CORNER), ROBOT, start, model, 50)
    sigmas = dict(zip(ROBOT.link_names, link_sigmas(moved, ROBOT, model, SURFACES).T))
    np.testing.assert_allclose(sigmas['palm'], 0.01 * np.sqrt(3))
    np.testing.assert_allclose(sigmas['left'], 0.01 * np.sqrt(3))
    np.testing.assert_allclose(sigmas['bridge'], 0.01)
    np.testing.assert_allclose(sigmas['base'], 0.0)


def test_the_likely_motion_lasts_until_the_robot_has_settled():
    model = followed(lag=0.2, delay=0.1)
    start = StartState(dict(zip(JOINTS, motion(CORNER).positions[0])))
    moved = likely_motion(motion(CORNER), ROBOT, start, model, 50)
    assert moved.times[-1] == pytest.approx(2.2 + model.settling_time)
    hand = ForwardKinematics(ROBOT)(moved.positions)[:, ROBOT.link_names.index('palm'), :3, 3]
    assert np.linalg.norm(hand[-1] - hand[-1].round(2)) < 0.01
    one = likely_motion(JointTrajectory(('x',), np.zeros(1), np.zeros((1, 1))), ROBOT, start,
                        model, 1)
    assert np.isfinite(one.positions).all()


def test_an_overshoot_of_a_limit_is_told():
    """A lag that carries on: at 1 m/s towards the end of the axis."""
    start = StartState(dict.fromkeys(JOINTS, 0.0) | {'x': 0.95}, {'x': 1.0})
    hold = JointTrajectory(('x',), np.array([0.5]), np.array([[0.95]]))
    found = checker(followed(delay=0.2)).tier0(hold, start)
    assert [f.severity for f in found if f.code == FindingCode.TRACKING] == [Severity.UNSURE]
    assert not [f for f in checker(None).tier0(hold, start) if f.code == FindingCode.TRACKING]


def test_only_what_the_likely_way_adds_is_told():
    told = Finding(FindingCode.CONTACT, Severity.UNSURE, 'm', link='a', other='scene')
    worse = dataclasses.replace(told, severity=Severity.FAIL)
    other = dataclasses.replace(told, link='b')
    assert [f.link for f in only_new([told, worse, other], [told])] == ['a', 'b']
    assert only_new([told], [worse]) == []


def test_a_model_of_another_robot_says_nothing_of_this_one():
    other = TrackingModel({'ur5_elbow': JointTracking(0.9, 0.1, 0.1, 0.0)}, 'ur5.yaml')
    start = dict.fromkeys(JOINTS, 0.0)
    (found,) = against(checker(other).tier0(motion(CORNER), start))[-1:]
    assert (found.code, found.severity) == (FindingCode.TRACKING, Severity.UNSURE)
    assert 'ur5_elbow' in found.message and 'ur5.yaml' in found.message
    part = TrackingModel({'x': JointTracking(1.0, 0.0, 0.0, 0.0)})
    (told,) = [f for f in checker(part).tier0(motion(CORNER), start)
               if f.code == FindingCode.TRACKING]
    assert told.severity == Severity.INFO and 'lacks y, z' in told.message
