# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot's outline in pictures without depth: of a real arm where they are, and of episodes."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.camera.image_agreement import image_agreement
from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import RobotChecker
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import FindingCode, JointTrajectory, Observation, PinholeCamera, Severity

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / 'shared' / 'data' / 'panda_dataset_tristinxie'
EPISODES = ROOT / 'data' / 'episodes'
EXPLAINED = 5.0      # [px]


@pytest.fixture(scope='module')
def arm():
    """Return the robot, its poses and what draws it."""
    episode = Episode.open(EPISODES / 'libero_object_0_0_success.mcap')
    robot = Robot.from_urdf(episode.robot_description)
    meshes = load_meshes(robot)
    return robot, meshes, RobotRenderer(meshes, robot.link_names)


def off(shift=(0, 0, 0), degrees=(0, 0, 0)):
    error = np.eye(4)
    error[:3, 3] = shift
    error[:3, :3] = Rotation.from_euler('xyz', degrees, degrees=True).as_matrix()
    return error


def found(arm, observation, error):
    """Return the agreement with a camera that is said to be elsewhere."""
    robot, _, renderer = arm
    view = observation.view
    start = robot.configuration(observation.joint_positions, strict=False)
    drawn = renderer.render(ForwardKinematics(robot)(start[None]), view.camera,
                            view.T_base_camera @ error)
    return image_agreement(view.image, drawn.link_id[0], EXPLAINED)


@pytest.fixture(scope='module')
def real():
    """Return a few looks at a real Panda, whose camera is calibrated; no depth."""
    if not REAL.is_dir():
        pytest.skip('the recordings of a real arm are not here')
    info = json.loads((REAL / 'info.json').read_text())
    turn, place = np.split(np.ravel(info['calibration_info']['extrinsic']), 2)
    K = np.array(info['calibration_info']['intrinsic'])  # noqa: N806 - the field calls it K
    T_camera_base = np.eye(4)  # noqa: N806
    T_camera_base[:3, :3], T_camera_base[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), place
    camera = PinholeCamera(320, 240, K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    return [Observation.from_rgbd(
        cv2.cvtColor(cv2.imread(str(REAL / step['img_file'])), cv2.COLOR_BGR2RGB), None, camera,
        np.linalg.inv(T_camera_base),
        {f'panda_joint{k + 1}': angle for k, angle in enumerate(step['joint_angles'])})
        for step in list(info['steps'].values())[::30]]


def test_a_real_arm_is_where_its_calibration_says(arm, real):
    for look in real:
        agreement = found(arm, look, off())
        assert agreement.is_compared and not agreement.is_elsewhere(EXPLAINED), agreement


@pytest.mark.parametrize('error', [
    off((0.05, 0, 0)), off((-0.05, 0, 0)), off((0, 0.05, 0)), off((0, -0.05, 0)),
    off(degrees=(5, 0, 0)), off(degrees=(-5, 0, 0)), off(degrees=(0, 5, 0)),
    off(degrees=(0, -5, 0))], ids=str)
def test_a_real_camera_that_is_elsewhere_is_noticed(arm, real, error):
    """Not in each look: an arm before a cluttered wall, seen along its own length, is hard."""
    noticed = [found(arm, look, error).is_elsewhere(EXPLAINED) for look in real]
    assert np.mean(noticed) >= 0.6, noticed


@pytest.mark.parametrize('name', ['libero_object_0_0_success', 'libero_spatial_0_0_success'])
def test_episodes(arm, name):
    observation = Episode.open(EPISODES / f'{name}.mcap').observation()
    assert not found(arm, observation, off()).is_elsewhere(EXPLAINED)
    agreement = found(arm, observation, off((0.05, 0, 0)))
    assert agreement.is_elsewhere(EXPLAINED)
    f, z = observation.view.camera.fx, 1.0
    assert agreement.shift[0] == pytest.approx(0.05 * f / z, rel=0.4)


def test_a_verdict_without_depth_says_it(arm):
    robot, meshes, _ = arm
    checker = RobotChecker(robot, meshes, None)
    observation = Episode.open(EPISODES / 'libero_spatial_0_0_success.mcap').observation()
    names = tuple(observation.joint_positions)
    here = [observation.joint_positions[name] for name in names]
    motion = JointTrajectory(names, np.array([0.0, 1.0]), np.array([here, here]))
    for error, severity in ((off(), Severity.INFO), (off((0.1, 0, 0)), Severity.UNSURE)):
        seen = observation.with_view(
            depth=None, T_base_camera=observation.view.T_base_camera @ error)
        codes = {f.code: f for f in checker.tier1(seen, motion).findings}
        assert set(codes) == {FindingCode.NO_DEPTH, FindingCode.CAMERA_POSE}
        assert codes[FindingCode.CAMERA_POSE].severity == severity
        assert 'px' in codes[FindingCode.CAMERA_POSE].message


def test_a_picture_of_nothing_says_nothing(arm):
    plain = np.full((120, 160, 3), 90, np.uint8)
    assert not image_agreement(plain, np.full((120, 160), -1, np.int16), 3.0).is_compared
    robot = np.full((120, 160), -1, np.int16)
    robot[30:90, 50:100] = 0
    agreement = image_agreement(plain, robot, 3.0)
    assert agreement.is_compared and not agreement.is_elsewhere(3.0)
