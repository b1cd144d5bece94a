# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes written as a LeRobot set of version 3.0 are read back as what they were."""
import json

import numpy as np
import pyarrow as pa
import pytest
from made_sets import lerobot, PANDA

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets import open_source
from kinema4d_ros.datasets.lerobot_writer import write_lerobot
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import DatasetError

assert pa      # as in test_layouts


def test_an_episode_with_depth_comes_back(tmp_path):
    path = find_episode('libero_object_0_0_success')
    want = Episode.open(path)
    write_lerobot([path], tmp_path / 'set')
    assert {item.name for item in tmp_path.iterdir()} == {'set'}
    source = open_source(tmp_path / 'set')
    assert source.form == 'LeRobot v3.0'
    got = source.read('episode_000000')
    times, names, positions = want.joint_states
    assert got.names['observation.state'] == names and got.text == want.metadata.task_text
    assert got.success is True and len(got.times) == len(want.frames)
    state = got.columns['observation.state']
    at = [np.abs(times - time).argmin() for time in want.frames.times]
    assert np.abs(state - positions[at]).max() < 0.02
    assert np.array_equal(got.columns['action'][:-1], state[1:])
    color, depth = sorted(got.videos, key=len)
    image, seen = next(iter(got.videos[color])), next(iter(got.videos[depth]))
    assert np.abs(image.astype(int) - want.frames[0].image).mean() < 3
    known = np.isfinite(want.frames[0].depth) & np.isfinite(seen)
    assert known.mean() > 0.5 and np.abs(seen - want.frames[0].depth)[known].max() < 0.003
    view = want.observation(-want.start_index).views[0]
    assert np.allclose(got.cameras[color].T_base_camera, view.T_base_camera, atol=1e-6)
    assert got.cameras[color].K[0, 0] == pytest.approx(view.camera.fx, rel=1e-6)
    stats = json.loads((tmp_path / 'set' / 'meta' / 'stats.json').read_text())
    assert np.allclose(stats['observation.state']['mean'], state.mean(axis=0), atol=1e-5)
    assert np.shape(stats[color]['std']) == (3, 1, 1)


def test_what_does_not_belong_together_is_no_set(tmp_path):
    lerobot(tmp_path / 'in')
    words = ['import', str(tmp_path / 'in'), str(tmp_path / 'out'), '--robot', 'panda_hand',
             '--urdf', str(PANDA), '--to', 'lerobot']
    assert main(words) == Exit.PASS
    written = open_source(tmp_path / 'out' / 'lerobot')
    assert list(written.episode_names()) == ['episode_000000', 'episode_000001']
    assert np.allclose(written.read('episode_000001').columns['observation.state'][:, :7],
                       open_source(tmp_path / 'in').read('episode_000001').columns[
                           'observation.state'], atol=1e-5)
    with pytest.raises(DatasetError, match='do not belong into one set'):
        write_lerobot([tmp_path / 'out' / 'episode_000000.mcap',
                       find_episode('libero_object_0_0_success')], tmp_path / 'two')
    with pytest.raises(DatasetError, match='no episode'):
        write_lerobot([], tmp_path / 'none')
    assert not [item for item in tmp_path.iterdir() if item.name.startswith('.')]
