# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The example of a world model in a package of its own, installed with pip and found by name."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / 'examples' / '02_a_world_model_of_your_own'
EPISODE = ROOT / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'
PREDICT = f'''
import kinema4d_ros as k4d
print(k4d.world_model.available()['ghost'])
episode = k4d.Episode.open({str(EPISODE)!r})
with_ghost = k4d.ShadowSimulator(k4d.Robot.from_urdf(episode.robot_description),
                                 k4d.load_world_model('ghost', opacity=0.5), frames=3)
seen = episode.observation()
for frame in with_ghost.predict(seen, episode.trajectory):
    changed = (frame.image != seen.view.image).any(axis=-1)
    assert changed.any() and not (changed & ~frame.robot_mask).any()
    print(frame.index, frame.count)
verdict = with_ghost.precheck(seen, episode.trajectory, tiers=(0, 2))
print(*verdict.tiers_passed, verdict.world_model)
from kinema4d_ros.worker.main import make_model
from kinema4d_ros.worker.protocol import WorkerSettings
print(make_model(WorkerSettings('ghost', {{'opacity': 0.2}})).setting['opacity'])
'''


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Return the environment of a process that finds the example where pip installed it."""
    folder = tmp_path_factory.mktemp('site')
    copy = folder / 'source'                   # pip builds beside the sources
    copy.mkdir()
    for path in EXAMPLE.glob('*.*'):
        (copy / path.name).write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index', '--quiet',
         '--no-build-isolation', '--target', folder / 'packages', copy],
        capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    paths = [str(folder / 'packages'), str(ROOT), os.environ.get('PYTHONPATH', '')]
    return os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))}


def test_it_is_found_by_its_entry_point_and_predicts(installed, tmp_path):
    done = subprocess.run([sys.executable, '-c', PREDICT], env=installed, cwd=tmp_path,
                          capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['from the package ghost-world-model', '0 3', '1 3', '2 3',
                                        '0 2 ghost', '0.2']     # tier 2, and as the worker loads it


def test_it_is_complete_in_less_than_fifty_lines():
    lines = sum(len(path.read_text().splitlines()) for path in EXAMPLE.glob('*.py'))
    assert lines < 50
