# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real DROID episode from the set to the report: verdict, prediction, and what happened."""
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pyarrow as pa
from made_sets import PANDA
from shared_data import shared_data

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.episodes import Episode
from kinema4d_ros.types import PinholeCamera

assert pa      # as in test_layouts
GRIPPER = 'robotiq_arg85_description/robots/robotiq_arg85_description.urdf'
#: of its first camera, as `kinema4d calibrate --anywhere --focal` finds it from this episode: the
#: outline of the drawn arm is off by 1.0 px rms
T_BASE_CAMERA = np.array([[0.6546, -0.3986, 0.6423, 0.1657], [-0.7560, -0.3464, 0.5555, -0.3834],
                          [0.0011, -0.8492, -0.5281, 0.5165], [0.0, 0.0, 0.0, 1.0]])
CAMERA = PinholeCamera(320, 192, 131.15, 139.8, 159.5, 91.7)


def droid_robot(path: Path, folder: Path) -> Path:
    """Write a Panda with the Robotiq 2F-85 on its flange, which no set has in one piece."""
    robot = ET.parse(PANDA).getroot()
    for element in list(robot):
        child = element.find('child')
        name = element.get('name', '') + ('' if child is None else child.get('link'))
        if 'hand' in name or 'finger' in name:
            robot.remove(element)
    robot.extend(ET.parse(folder / GRIPPER).getroot())
    mount = ET.SubElement(robot, 'joint', name='mount', type='fixed')
    ET.SubElement(mount, 'parent', link='panda_link8')
    ET.SubElement(mount, 'child', link='robotiq_85_base_link')
    ET.SubElement(mount, 'origin', xyz='0 0 0', rpy=f'0 0 {-math.pi / 4:.6f}')
    path.write_text(ET.tostring(robot, encoding='unicode').replace(
        '../meshes/', 'package://robotiq_arg85_description/meshes/'))
    return path


def turned(T: np.ndarray) -> np.ndarray:
    """Return a pose with the rotation nearest to one that was rounded."""
    u, _, v = np.linalg.svd(T[:3, :3])
    found = T.copy()
    found[:3, :3] = u @ v
    return found


def test_a_real_episode_is_judged_and_predicted_beside_what_happened(tmp_path, capsys):
    """Depth was not recorded, so no PASS; two cameras whose place is not known are kept."""
    source = shared_data('ctrl_world_droid') / 'droid_subset'
    urdfs = shared_data('urdfs') / 'rerun_droid'
    urdf = droid_robot(tmp_path / 'panda_2f85.urdf', urdfs)
    Extrinsics('panda_link0', turned(T_BASE_CAMERA), 0.004, 0.005, camera=CAMERA).save(
        tmp_path / 'front.yaml')
    assert main(['import', str(source), str(tmp_path / 'out'), '--robot', 'panda_2f85', '--urdf',
                 str(urdf), '--package-path', str(urdfs), '--episodes', '3', '--extrinsics',
                 str(tmp_path / 'front.yaml'), '--report', '1']) == Exit.PASS
    printed = capsys.readouterr().out
    assert '1 of 1 episodes of Ctrl-World' in printed and 'UNSURE' in printed
    episode = Episode.open(tmp_path / 'out' / 'train_3.mcap')
    assert [view.name for view in episode.observation().views] == ['camera']
    assert sorted(episode.unplaced) == ['exterior_2_left', 'wrist_left']
    pictures = [episode.frames[0].image.astype(int),
                *(camera.frames[0].image for camera in episode.unplaced.values())]
    assert {image.shape for image in pictures} == {(192, 320, 3)}
    assert all(np.abs(pictures[0] - other).mean() > 10 for other in pictures[1:])
    assert episode.metadata.success is True and episode.metadata.licence == 'CC-BY-4.0'
    page = (tmp_path / 'out' / 'report' / 'report.html').read_text()
    assert 'train_3' in page and 'data:video/mp4' in page      # predicted above, recorded below
    assert 'The task was solved' in page
    assert "'finger_joint' would reach" not in printed      # of a gripper at its end
    still = float(re.search(r'PSNR, still</th>\s*<td class="number">([\d.]+) dB', page)[1])
    assert still > 20      # where nothing changed, the prediction shows what was there
