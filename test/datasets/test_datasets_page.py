# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/datasets.md lead from a LeRobot set and a URDF to a report."""
import re
import shlex
import shutil

import numpy as np
import pyarrow as pa
import pytest
import yaml
from made_sets import calibration_file, lerobot, PANDA, ROOT

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets import RobotPreset

assert pa      # as in test_layouts
PAGE = ROOT / 'docs' / 'datasets.md'
T_BASE_CAMERA = np.array([[0.0, -0.5, -0.8660254, 1.5], [1.0, 0.0, 0.0, 0.0],
                          [0.0, -0.8660254, 0.5, 0.3], [0.0, 0.0, 0.0, 1.0]])


def commands() -> list[list[str]]:
    """Return the words of the three commands of the page's first block."""
    block = re.search(r'^```bash\n(.*?)^```', PAGE.read_text(), re.M | re.S)[1]
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_from_a_lerobot_set_and_a_urdf_to_a_report(tmp_path, monkeypatch, capsys):
    """Calibration has tests of its own: its file is written here, of the camera that was."""
    monkeypatch.chdir(tmp_path)
    lerobot(tmp_path / 'my_set')
    shutil.copy(PANDA, tmp_path / 'panda.urdf')
    first, calibrate, again = commands()
    assert main(first) == Exit.PASS
    assert 'kinema4d calibrate out/episode_000000.mcap' in capsys.readouterr().out
    assert calibrate[:2] == ['calibrate', 'out/episode_000000.mcap']
    calibration_file(tmp_path / calibrate[calibrate.index('--out') + 1], T_BASE_CAMERA)
    assert main(again) == Exit.PASS
    printed = capsys.readouterr().out
    assert '2 of 2 episodes' in printed and 'UNSURE' in printed
    page = (tmp_path / 'out' / 'report' / 'report.html').read_text()
    assert 'episode_000000' in page and 'data:video/mp4' in page


def test_a_urdf_with_meshes_beside_it(tmp_path, monkeypatch, capsys):
    """What is printed as the next step finds them, and so does the report."""
    monkeypatch.chdir(tmp_path)
    robot = tmp_path / 'robot'
    shutil.copytree(PANDA.parent / 'meshes', robot / 'meshes')
    text = re.sub(r'package://[^"]*/meshes/', 'meshes/', PANDA.read_text())
    assert 'filename="meshes/' in text and 'package://' not in text
    (robot / 'panda.urdf').write_text(text)
    words = ['import', 'my_set', 'out', '--robot', 'panda_hand', '--urdf', 'robot/panda.urdf',
             '--episodes', '0']
    lerobot(tmp_path / 'my_set')
    assert main(words) == Exit.PASS
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'calibrate out/episode_000000.mcap --focal --package-path robot, then' in printed
    calibration_file(tmp_path / 'front.yaml', T_BASE_CAMERA)
    assert main([*words, '--extrinsics', 'front.yaml', '--report']) == Exit.PASS
    assert (tmp_path / 'out' / 'report' / 'report.html').is_file()
    assert main(['precheck', 'out/episode_000000.mcap']) == Exit.USAGE
    assert 'meshes/' in capsys.readouterr().err
    assert main(['precheck', 'out/episode_000000.mcap', '--package-path', 'robot']) != Exit.USAGE


def test_the_preset_of_the_page_can_be_read(tmp_path):
    cameras, text = sorted(re.findall(r'^```text\n(.*?)^```', PAGE.read_text(), re.M | re.S),
                           key=lambda block: block.startswith('name:'))
    (tmp_path / 'my_arm.yaml').write_text(text + cameras)
    preset = RobotPreset.load(tmp_path / 'my_arm.yaml')
    assert preset.cameras['wrist'].parent == 'panda_hand' and preset.cameras['wrist'].exact
    assert preset.name == yaml.safe_load(text)['name'] and preset.gripper.open == 1.0


@pytest.mark.parametrize('option', ['--allow', '--units', '--from-tip', '--flip-gripper',
                                    '--version', '--one-camera'])
def test_options_that_the_page_names_are_there(option, capsys):
    with pytest.raises(SystemExit):
        main(['import', '--help'])
    assert option in capsys.readouterr().out and option in PAGE.read_text()
