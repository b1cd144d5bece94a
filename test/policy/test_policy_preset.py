# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Presets of policies: figures of their clients, robots that they fit, and files that are wrong."""
import numpy as np
import pytest
from robots import ROOT

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy import ActionReader, policy_presets, PolicyPreset, Reference
from kinema4d_ros.robot import Robot

PANDA = Robot.from_file(ROOT / 'urdf' / 'panda' / 'panda.urdf')
READY = dict(zip(PANDA.joint_names, (0.0, -0.6, 0.0, -2.4, 0.0, 1.9, 0.8, 0.04, 0.04)))
SO101 = Robot.from_urdf('<robot name="so101"><link name="l0"/>' + ''.join(
    f'<link name="l{k + 1}"/><joint name="{name}" type="revolute"><parent link="l{k}"/>'
    f'<child link="l{k + 1}"/><axis xyz="0 0 1"/>'
    '<limit lower="-1.0" upper="2.0" velocity="3" effort="1"/></joint>'
    for k, name in enumerate(('shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex',
                              'wrist_roll', 'gripper'))) + '</robot>')


@pytest.mark.parametrize(('name', 'rate', 'executed'), [
    ('droid', 15.0, 8), ('libero', 20.0, 5), ('aloha', 50.0, 25), ('bridge', 5.0, 1),
    ('so101', 30.0, 50)])
def test_figures_of_the_clients(name, rate, executed):
    preset = PolicyPreset.load(name)
    assert (preset.name, preset.rate, preset.executed) == (name, rate, executed)
    assert preset.pictures and preset.state


def test_all_presets_are_listed_above():
    assert set(policy_presets()) == {'droid', 'libero', 'aloha', 'bridge', 'so101'}


def test_droid_clips_velocities_and_closes_above_a_half():
    reader = ActionReader(PANDA, PolicyPreset.load('droid').action_format(PANDA))
    chunk = np.zeros((8, 8))
    chunk[:, 1], chunk[:, 7] = 3.0, 0.6
    got = reader.trajectory(chunk, READY)
    led = got.positions[-1, 1] - READY['panda_joint2']
    assert led == pytest.approx(0.82 * 1.0 * (8 / 15 - 0.1))      # clipped, gain, delay
    assert got.positions[-1, 7:] == pytest.approx([0.0, 0.0])


def test_libero_moves_the_hand_by_twentieths_of_a_metre():
    form = PolicyPreset.load('libero').action_format(PANDA)
    assert form.reference is Reference.PREVIOUS and form.tip_link == 'panda_hand'
    arm, fingers = form.split(np.array([[0.5, 0.0, -2.0, 0.0, 0.0, 0.1, 1.0]]))
    assert arm[0] == pytest.approx([0.025, 0.0, -0.05, 0.0, 0.0, 0.05])
    assert fingers['panda_finger_joint1'] == pytest.approx([0.0])


def test_so101_in_degrees_and_in_parts_of_the_range(tmp_path):
    form = PolicyPreset.load('so101').action_format(SO101)
    arm, fingers = form.split(np.array([[90.0, 0, 0, 0, -45.0, 100.0]]))
    assert arm[0] == pytest.approx([np.pi / 2, 0, 0, 0, -np.pi / 4])
    assert fingers['gripper'] == pytest.approx([1.74])
    path = tmp_path / 'own.yaml'
    path.write_text(policy_presets()['so101'].read_text().replace('unit: deg',
                                                                  'unit: normalized'))
    arm, _ = PolicyPreset.load(path).action_format(SO101).split(
        np.array([[-100.0, 0, 100.0, 0, 0, 0.0]]))
    assert arm[0] == pytest.approx([-1.0, 0.5, 2.0, 0.5, 0.5])


def test_a_robot_with_other_names():
    preset = PolicyPreset.load('droid')
    with pytest.raises(ConfigurationError, match='has none of the joints .* it has shoulder_pan'):
        preset.action_format(SO101)
    with pytest.raises(ConfigurationError, match='has 7 joints, and 5 are named'):
        preset.action_format(SO101, joints=SO101.joint_names[:5])
    with pytest.raises(ConfigurationError, match='name its tip link'):
        PolicyPreset.load('bridge').action_format(PANDA)
    form = PolicyPreset.load('bridge').action_format(PANDA, tip_link='panda_hand')
    assert form.tip_link == 'panda_hand' and form.grippers[0].joints == {}


@pytest.mark.parametrize(('old', 'new', 'words'), [
    ('executed: 8', 'executed: 0', 'executed must be at least 1'),
    ('rate: 15.0', '', 'rate is missing'),
    ('parts: [joints]', 'parts: [nose]', 'unknown parts nose'),
    ('  clip:', '  tip_links: [panda_hand]\n  clip:', 'either joints or tip_links'),
    ('  clip:', '  unit: furlong\n  clip:', "unit is 'furlong'"),
    ('height: 224', 'height: 0', 'is 224 x 0 pixels'),
    ('name: droid', 'name: [', 'cannot be used')])
def test_files_that_are_wrong(tmp_path, old, new, words):
    path = tmp_path / 'own.yaml'
    path.write_text(policy_presets()['droid'].read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=words):
        PolicyPreset.load(path)


def test_a_preset_that_is_not_there():
    with pytest.raises(ConfigurationError, match="no policy preset 'nose'; .* aloha, bridge"):
        PolicyPreset.load('nose')
