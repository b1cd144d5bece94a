# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The file of a camera's place: what is written is read again, by programs and as parameters."""
import errno
from pathlib import Path

import numpy as np
import pytest
import yaml
from arm_film import CAMERA, TRUE
from scipy.spatial.transform import Rotation

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.errors import CalibrationError, ConfigurationError
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE


def made(**changes):
    return Extrinsics(**{
        'parent': 'base_link', 'T_parent_camera': TRUE, 'calibration_sigma': 0.0004,
        'calibration_turn_sigma': 0.004, 'frame': 'optical', 'camera': CAMERA,
        'covariance': np.diag([1e-8, 2e-8, 3e-8, 1e-6, 1e-6, 1e-6]), 'method': 'robot: "x"',
        'source': 'monday', **changes})


def test_what_is_written_is_read(tmp_path):
    made().save(tmp_path / 'camera.yaml')
    found = Extrinsics.load(tmp_path / 'camera.yaml')
    np.testing.assert_allclose(found.T_parent_camera, TRUE, atol=1e-7)
    np.testing.assert_allclose(found.covariance, made().covariance, atol=1e-12)
    assert found.camera == CAMERA and found.method == 'robot: "x"' and found.stays
    assert found.calibration_sigma == pytest.approx(0.0004)


def test_it_is_a_file_of_parameters(tmp_path):
    """Of names that shadow_sim has; no sigma is smaller than meshes and joints are good."""
    made().save(tmp_path / 'camera.yaml')
    document = yaml.safe_load((tmp_path / 'camera.yaml').read_text())
    values = document['/**']['ros__parameters']
    assert set(values) == {'extrinsics', 'tier1'}
    assert values['extrinsics'][:3] == pytest.approx(TRUE[:3, 3])
    assert values['tier1'] == {'calibration_sigma': 0.001, 'calibration_turn_sigma': 0.004}
    assert all(isinstance(value, float) for value in values['extrinsics'])
    own = document['kinema4d_calibration']['ros__parameters']
    assert all(isinstance(value, float) for value in own['covariance'])


def test_the_right_camera_of_a_pair_is_not_shifted_twice(tmp_path):
    """The node moves from the optical frame to the rectified camera by P; the importer does not."""
    T_optical_camera = np.eye(4)
    T_optical_camera[0, 3] = 0.12
    made(T_optical_camera=T_optical_camera).save(tmp_path / 'camera.yaml')
    values = yaml.safe_load((tmp_path / 'camera.yaml').read_text())['/**']['ros__parameters']
    T_base_optical = np.eye(4)
    T_base_optical[:3, 3] = values['extrinsics'][:3]
    T_base_optical[:3, :3] = Rotation.from_quat(values['extrinsics'][3:]).as_matrix()
    np.testing.assert_allclose(T_base_optical @ T_optical_camera, TRUE, atol=1e-7)
    found = Extrinsics.load(tmp_path / 'camera.yaml')
    np.testing.assert_allclose(found.T_parent_camera, TRUE, atol=1e-7)
    np.testing.assert_allclose(found.T_optical_camera, T_optical_camera)


def test_shadow_sim_accepts_it_for_a_single_camera_and_for_one_of_several(tmp_path):
    made().save(tmp_path / 'camera.yaml')
    values = TABLE.check_yaml((tmp_path / 'camera.yaml').read_text(), 'shadow_sim')
    assert values['extrinsics'] == pytest.approx(made().pose)
    assert values['tier1.calibration_turn_sigma'] == 0.004
    made().save(tmp_path / 'side.yaml', 'side')
    text = (tmp_path / 'side.yaml').read_text()
    with pytest.raises(ConfigurationError, match="of a camera 'side'.*add it to the parameter"):
        TABLE.check_yaml(text, 'shadow_sim')
    beside = text.replace('  ros__parameters:', '  ros__parameters:\n    cameras: [front, side]', 1)
    values = TABLE.check_yaml(beside, 'shadow_sim')
    assert extrinsics_of(values) == {'front': (), 'side': pytest.approx(made().pose)}
    assert (values['side.calibration_sigma'], values['side.calibration_turn_sigma']) \
        == (0.001, 0.004)
    assert values['tier1.calibration_turn_sigma'] != 0.004      # that of the others
    assert Extrinsics.load(tmp_path / 'side.yaml').frame == 'optical'


def test_a_camera_on_the_hand_is_no_parameter(tmp_path):
    """It moves, so it has to be in the URDF or in TF; the file says the command."""
    made(stays=False, parent='panda_hand').save(tmp_path / 'camera.yaml')
    text = (tmp_path / 'camera.yaml').read_text()
    assert 'extrinsics' not in yaml.safe_load(text)['/**']['ros__parameters']
    assert '--frame-id panda_hand --child-frame-id optical' in text
    assert not Extrinsics.load(tmp_path / 'camera.yaml').stays


def test_another_file_is_refused(tmp_path):
    (tmp_path / 'other.yaml').write_text('/**: {ros__parameters: {extrinsics: [0, 0, 0]}}\n')
    for name in ('other.yaml', 'none.yaml'):
        with pytest.raises(CalibrationError, match=f'{name} is no file of `kinema4d calibrate`'):
            Extrinsics.load(tmp_path / name)


def test_a_pose_that_is_none_is_refused():
    with pytest.raises(CalibrationError, match='T_parent_camera must be'):
        made(T_parent_camera=2 * TRUE)


def test_a_disk_that_is_full_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / 'camera.yaml'
    made().save(path)
    whole, write = path.read_text(), Path.write_text

    def half(self, text, **more):
        write(self, text[:len(text) // 2], **more)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', half)
    with pytest.raises(CalibrationError, match='cannot be written: No space left'):
        made(calibration_sigma=0.1).save(path)
    assert path.read_text() == whole and list(tmp_path.iterdir()) == [path]
