# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d calibrate` on a folder of pictures and on a bundled episode."""
import json

import cv2
import numpy as np
import pytest
from arm_film import CAMERA, moved, step_between, TRUE

from kinema4d_ros.calibration import Extrinsics, read_source
from kinema4d_ros.calibration.sources import joints_between
from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import CalibrationError, EpisodeError
from kinema4d_ros.resources import share_dir


@pytest.fixture(scope='module')
def folder(arm, film, tmp_path_factory):
    """Write the film as a folder with frames.json, its camera said to be elsewhere."""
    folder = tmp_path_factory.mktemp('film')
    rows = []
    for t in range(0, len(film), 2):
        cv2.imwrite(str(folder / f'{t}.png'), film.images[t][:, :, ::-1])
        cv2.imwrite(str(folder / f'{t}_depth.png'),
                    np.round(1000 * film.depths[t]).astype(np.uint16))
        rows.append({'image': f'{t}.png', 'depth': f'{t}_depth.png' if t else '',
                     'joints': film.joint_positions[t].tolist()})
    (folder / 'frames.json').write_text(json.dumps({
        'urdf': str(share_dir() / 'urdf' / 'demo_arm.urdf'),
        'joint_names': list(arm.model.robot.joint_names), 'frame': 'optical',
        'camera': {'fx': CAMERA.fx, 'fy': CAMERA.fy, 'cx': CAMERA.cx, 'cy': CAMERA.cy},
        'T_base_camera': moved(TRUE, 40, 4).tolist(), 'frames': rows}))
    return folder


def test_a_folder_is_calibrated(folder, tmp_path, capsys):
    out, picture = tmp_path / 'camera.yaml', tmp_path / 'camera.png'
    assert main(['calibrate', str(folder), '--frames', '12', '--out', str(out),
                 '--picture', str(picture), '--camera', 'side']) == 0
    assert '    side:\n      extrinsics: [' in out.read_text()
    found = Extrinsics.load(out)
    millimetres, degrees = step_between(TRUE, found.T_parent_camera)
    assert millimetres < 4 and degrees < 0.3
    assert found.parent == 'base_link' and found.method == 'robot and depth'
    said = capsys.readouterr().out
    assert 'sigma of the place' in said and 'from where it was said to be' in said
    image = cv2.imread(str(picture))
    assert image.shape == (600, 1200, 3)      # two rows of three frames, before and after


def test_an_image_without_depth_is_one_of_those_with(folder):
    """A driver drops one now and then."""
    depths = read_source(folder).frames.depths
    assert depths is not None and np.isnan(depths[0]).all() and np.isfinite(depths[1]).all()


def test_the_camera_is_that_of_the_name(folder):
    wrist = read_source('libero_object_6_0_success_wrist', camera='wrist')
    first = read_source('libero_object_6_0_success_wrist')
    assert (wrist.camera_name, first.camera_name) == ('wrist', 'camera')
    assert wrist.frame != first.frame and wrist.mount and not first.mount
    assert read_source('libero_spatial_0_0_into_table').camera_name == ''
    assert read_source(folder, camera='side').camera_name == 'side'
    with pytest.raises(CalibrationError, match="no camera 'side'; it has: camera, wrist"):
        read_source('libero_object_6_0_success_wrist', camera='side')
    with pytest.raises(EpisodeError, match="'a/b' names no camera"):
        read_source(folder, camera='a/b')


def test_a_source_has_to_be_named(capsys):
    assert main(['calibrate']) == 2
    assert 'name a SOURCE, or --live' in capsys.readouterr().err


def test_a_hand_camera_needs_a_board(capsys):
    assert main(['calibrate', 'libero_object_1_0_success_eye_in_hand']) == 2
    said = capsys.readouterr().err
    assert 'which moves' in said and '--board apriltag:ID:SIZE --on panda_link7' in said


def test_a_board_that_nobody_sees(folder, capsys):
    assert main(['calibrate', str(folder), '--board', 'aruco:1:0.05']) == 2
    assert '0 of 15 images show the aruco' in capsys.readouterr().err


def test_an_episode_is_read(arm):
    """The place that its description has, and joints between the joint states."""
    source = read_source('libero_spatial_0_0_into_table')
    assert source.frame == 'agentview_optical_frame' and source.mount == ''
    assert source.frames.depths is not None and source.T_base_camera is not None
    assert np.isfinite(source.frames.joint_positions).all()


def test_images_before_and_after_the_joint_states_are_left_out():
    """Where the robot was then is unknown; the end values would be a guess."""
    times, states = np.array([10, 20, 30]), np.array([[0.0], [1.0], [3.0]])
    joints, known = joints_between(times, states, np.array([5, 10, 25, 30, 31]))
    assert known.tolist() == [1, 2, 3]
    assert joints[known].ravel() == pytest.approx([0.0, 2.0, 3.0])


@pytest.mark.parametrize('picture', [np.full((4, 6), 200, np.uint8),
                                     np.full((4, 6, 3), 900, np.uint16)])
def test_a_picture_that_is_no_depth_is_refused(picture, folder, tmp_path):
    """An 8-bit one, as for people to look at, would be read as millimetres."""
    document = json.loads((folder / 'frames.json').read_text())
    row = document['frames'][1]
    cv2.imwrite(str(tmp_path / 'shown.png'), picture)
    row |= {'image': str(folder / row['image']), 'depth': str(tmp_path / 'shown.png')}
    (tmp_path / 'frames.json').write_text(json.dumps({**document, 'frames': [row]}))
    with pytest.raises(CalibrationError, match='shown.png is no depth image: .*one channel of 16'):
        read_source(tmp_path)


@pytest.mark.parametrize('content', ['{', '{}', '{"frames": []}',
                                     '{"joint_names": [], "frames": []}'])
def test_a_folder_of_another_form(content, tmp_path):
    (tmp_path / 'frames.json').write_text(content)
    with pytest.raises(CalibrationError, match='frames.json cannot be read.*its form is'):
        read_source(tmp_path)
