# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The script that compares world models by things that move: by the pool, damaged files and all."""
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from kinema4d_ros.jobs import read_jobs

ROOT = Path(__file__).resolve().parents[2]
EPISODES = ROOT / 'data' / 'episodes'
PUSHED = EPISODES / 'libero_object_5_0_push.mcap'


@pytest.fixture
def script(monkeypatch):
    """Return what runs the script here with some words, and returns its exit status."""
    spec = importlib.util.spec_from_file_location('evaluate_world_models',
                                                  ROOT / 'scripts' / 'evaluate_world_models.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['script', '--models', 'frozen', '--frames', '5',
                                          *map(str, words)])
        return module.main()

    return run


def test_it_goes_on_where_it_was_and_names_what_is_damaged(script, tmp_path, capsys):
    damaged, out = tmp_path / 'damaged.mcap', tmp_path / 'out'
    damaged.write_bytes(b'no recording')
    words = '--episodes', damaged, PUSHED, '--workers', 0, '--out', out
    assert script(*words) == 1
    said = capsys.readouterr().out
    assert 'damaged.mcap: not predicted: ' in said and 'frozen butter_1 push' in said
    found = json.loads((out / 'world_models.json').read_text())
    assert found['episodes'] == 2 and len(found['not_predicted']) == 1
    pushed, = [thing for thing in found['things'] if thing['thing'] == 'butter_1']
    assert pushed['happened'] == 'push' and pushed['final_error'] == pushed['distance'] > 0.01
    first = {Path(record.key).name: record for record in read_jobs(out / 'jobs')}
    assert first['damaged.mcap'].is_quarantined

    damaged.unlink()
    assert script('--episodes', PUSHED, '--workers', 0, '--out', out) == 0
    again = {Path(record.key).name: record for record in read_jobs(out / 'jobs')}
    assert again[PUSHED.name].written == first[PUSHED.name].written      # and not done again
    assert json.loads((out / 'world_models.json').read_text())['things'] == found['things']


def test_no_pool_is_a_sentence(script, tmp_path, capsys):
    assert script('--episodes', PUSHED, '--workers', -1, '--out', tmp_path) == 2
    assert 'workers must be 0 or more' in capsys.readouterr().err
