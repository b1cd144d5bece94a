# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/curate.md lead from a LeRobot set and a URDF to 4D episodes and a report."""
import re
import shlex
import shutil

import numpy as np
import pyarrow as pa
import pytest
from made_sets import PANDA, ROOT
from small_recordings import recording

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets.lerobot_writer import write_lerobot
from kinema4d_ros.episodes import Episode, Topic

assert pa      # as in test_layouts
PAGE = ROOT / 'docs' / 'curate.md'


def test_from_a_lerobot_set_and_a_urdf_to_4d_episodes(tmp_path, monkeypatch, capsys):
    """
    Calibration has tests of its own: its file is written here, of the camera that was.

    The set has depth, of which a network's weights would be wanted else.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(PANDA, tmp_path / 'panda.urdf')
    path = recording(tmp_path / 'a.mcap', camera_known=False, frames=8)
    write_lerobot([path], tmp_path / 'my_set')
    block = re.search(r'^```bash\n(.*?)^```', PAGE.read_text(), re.M | re.S)[1]
    first, calibrate, last = (shlex.split(line)[1:] for line in block.splitlines())
    assert main(first) == Exit.PASS
    said = ' '.join(capsys.readouterr().out.split())
    assert 'no known camera' in said and '.mcap --focal, then' in said      # K is a guess
    truth = Episode.open(recording(tmp_path / 'b.mcap', frames=2)).observation().view
    Extrinsics('panda_link0', truth.T_base_camera, 0.002, 0.001, camera=truth.camera).save(
        tmp_path / calibrate[calibrate.index('--out') + 1])
    assert last[-2] == '--depth-model'
    assert main(last[:-2]) == Exit.PASS
    assert '1 of 1 recordings kept, 1 clips' in ' '.join(capsys.readouterr().out.split())
    clip = Episode.open(tmp_path / '4d' / 'episodes' / 'episode_000000_000.mcap')
    apart = [np.abs(frame.depth - drawn.pointmap[..., 2])[drawn.mask]
             for frame, drawn in zip(clip.frames, clip.rendered)]
    assert np.median(np.concatenate(apart)) < 0.003
    assert 'episode_000000' in (tmp_path / '4d' / 'index.html').read_text()


def test_topics_of_the_page_are_those_of_the_episodes():
    said = set(re.findall(r'`(/rendered/[^`]+)`', PAGE.read_text()))
    assert said == {str(topic) for topic in Topic if topic.startswith('/rendered')}


@pytest.mark.parametrize('option', [
    '--frames', '--stride', '--overlap', '--camera', '--extrinsics', '--depth-backend',
    '--depth-quantity', '--residual', '--relative-residual', '--robot-seen', '--workers', '--ray'])
def test_options_that_the_page_names_are_there(option, capsys):
    with pytest.raises(SystemExit):
        main(['curate', '--help'])
    assert option in capsys.readouterr().out and option in PAGE.read_text()
