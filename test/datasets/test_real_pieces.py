# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of public data sets, where they are beside the project: read, checked, imported."""
import numpy as np
import pyarrow as pa
import pytest
from made_sets import PANDA
from shared_data import shared_data

from kinema4d_ros.datasets import (import_set, ImportSettings, open_source, read_motion,
                                   RobotPreset)
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Status

assert pa      # as in test_layouts
DROID_URDF = 'rerun_droid/franka_description/panda.urdf'
WIDOWX_URDF = 'widowx/mani_skill2_real2sim/assets/descriptions/widowx_description/wx250s.urdf'
GOOGLE_URDF = ('googlerobot/mani_skill2_real2sim/assets/descriptions/googlerobot_description/'
               'google_robot_meta_sim_fix_fingertip.urdf')


def named(checks, name):
    return next(check for check in checks if check.name == name)


@pytest.mark.parametrize(('part', 'count'), [('droid_subset', 7), ('droid_new_setup', 6)])
def test_droid_by_ctrl_world(part, count):
    """The tip is panda_link8, the gripper is 0 open, commands lead by 0.27 to 0.33 s."""
    source = open_source(shared_data('ctrl_world_droid') / part)
    robot = Robot.from_file(shared_data('urdfs') / DROID_URDF)
    preset, names = RobotPreset.load('panda_2f85'), source.episode_names()
    assert len(names) == count
    for name in names:
        motion = read_motion(source.read(name), preset, robot)
        assert motion.why_refused() is None
        agrees = named(motion.checks, 'agrees with FK')
        assert agrees.status is Status.PASS and agrees.value < 1e-6
        gripper = named(motion.checks, 'gripper')
        assert gripper.status is Status.PASS or 'does not move' in gripper.message
        if part == 'droid_subset':
            action = named(motion.checks, 'action')
            assert action.status is Status.PASS and 'absolute' in action.message
            assert '0.27 s' in action.message or '0.33 s' in action.message


def test_a_set_with_broken_columns_is_refused():
    source = open_source(shared_data('cosmos_cookbook_action') / 'droid_lerobot_example')
    robot = Robot.from_file(shared_data('urdfs') / DROID_URDF)
    episode = source.read(*source.episode_names())
    assert list(episode.videos) == ['observation.image.exterior_image_2_left']   # two are absent
    why = read_motion(episode, RobotPreset.load('panda_2f85'), robot).why_refused()
    assert 'constant in rows 6 to 721 while observation.state.cartesian_position moves' in why


def test_so101_of_version_3_does_not_move():
    """AV1 is decoded and each episode has its part; the state is one row all over."""
    source = open_source(shared_data('so101_lerobot_v3'))
    assert len(source.episode_names()) == 6
    episode = source.read('episode_000004')
    frames = sum(1 for _ in episode.videos['observation.images.wrist'])
    assert frames == len(episode.times) == 90
    assert np.ptp(episode.columns['observation.state'], axis=0).max() == 0.0


def test_bridge_by_inverse_kinematics(tmp_path):
    source = open_source(shared_data('octo_bridge_rlds'), usual_rate=5.0)
    assert len(source.episode_names()) == 50
    settings = ImportSettings('wx250s', shared_data('urdfs') / WIDOWX_URDF, episodes=(0, 5))
    report = import_set(source, tmp_path, settings)
    assert len(report.imported) == 5
    for episode in report.imported:
        residual = named(episode.checks, 'IK residual')
        assert episode.by_ik and residual.status is Status.PASS and residual.value < 1e-4
    assert len(Episode.open(tmp_path / report.imported[0].file).frames) == 10


def test_real_videos_without_rows_are_refused():
    source = open_source(shared_data('simpler_real'))
    assert list(source.episode_names()) == ['bridge_real_1', 'bridge_real_2']
    with pytest.raises(DatasetError, match='nothing says where the robot was'):
        source.read('bridge_real_1')


def test_the_google_robot_has_the_joints_of_its_preset():
    preset = RobotPreset.load('google_robot')
    robot = Robot.from_file(shared_data('urdfs') / GOOGLE_URDF)
    assert set(preset.joints.names[0]) <= set(robot.joint_names)
    assert preset.tip.link in robot.link_names and preset.base in robot.link_names


def test_a_real_panda_whose_camera_is_known(tmp_path):
    folder = shared_data('panda_dataset_tristinxie')
    report = import_set(open_source(folder), tmp_path, ImportSettings('panda_hand', PANDA))
    episode, = report.imported
    assert episode.camera_known and episode.frames == 275
    view = Episode.open(tmp_path / episode.file).observation().views[0]
    assert view.image.shape == (240, 320, 3)
    assert np.allclose(view.T_base_camera[:3, 3], [0.654, 0.466, 0.628], atol=1e-3)
