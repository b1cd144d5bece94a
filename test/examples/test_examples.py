# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every example runs as its docstring says."""
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / 'examples').glob('[0-9]*.py'))
EPISODE = ROOT / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'


def run(example: Path, *arguments, cwd: Path) -> subprocess.CompletedProcess:
    """Run an example as a user does."""
    environment = os.environ | {'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    return subprocess.run([sys.executable, example, *arguments], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=240)


SAID = {
    '01': ('49 frames predicted', 'fingers close on an object', 'comes to rest'),
    '03': ('PASS: nothing wrong found by tier 0, 1', 'reaches its goal with probability 0.9',
           'what really happened: success'),
    '04': ('the client of the good trajectory is told: executed',
           'the client of the bad trajectory is told: FAIL',
           '1 trajectory arrived at the controller, and it is the good one, unchanged'),
    '05': ('0.00 s: PASS', '0.50 s: PASS', '1.00 s: FAIL'),
    '06': ('1. as planned: PASS', 'four times as fast: FAIL'),
    '08': ('s  PASS  nothing wrong', 'the gate says: executed', 's  FAIL ',
           'past the proxy, the gate says: FAIL',
           'trajectories arrived at the controller, all of them checked')}


BY_DOCS = {'07'}      # makes the bags of docs/first_hour.md, which test_docs.py judges


def test_every_example_is_run():
    assert {path.stem[:2] for path in EXAMPLES} == set(SAID) | BY_DOCS


@pytest.mark.timeout(240)
@pytest.mark.parametrize('example', [path for path in EXAMPLES if path.stem[:2] in SAID],
                         ids=lambda path: path.stem)
def test_example_runs(example, tmp_path, ros_domain):
    episode = EPISODE.with_name('libero_spatial_0_0_into_table.mcap') \
        if example.stem[:2] in ('05', '08') else EPISODE
    done = run(example, episode, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in SAID[example.stem[:2]]:
        assert words in done.stdout, done.stdout + done.stderr
    for picture in tmp_path.iterdir():
        assert picture.stat().st_size > 10_000


@pytest.mark.parametrize('example', sorted((ROOT / 'examples').rglob('*.py')),
                         ids=lambda path: path.stem)
def test_an_example_has_one_import_of_ours(example):
    """Those on a ROS graph have messages and the bridge besides."""
    ours = [line for node in ast.walk(ast.parse(example.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            and (line := ast.unparse(node)).split()[1].startswith('kinema4d_ros')]
    assert ours.count('import kinema4d_ros as k4d') == 1
    ours.remove('import kinema4d_ros as k4d')
    assert all(line.startswith(('from kinema4d_ros.bridge', 'from kinema4d_ros.action',
                                'from kinema4d_ros.msg')) for line in ours), ours
    assert not ours or example.stem in ('mock_robot', '04_a_gate_before_the_controller',
                                        '08_a_policy_server')


def test_a_missing_episode_is_said_in_one_line(tmp_path):
    done = run(EXAMPLES[0], tmp_path / 'none.mcap', cwd=tmp_path)
    assert done.returncode != 0
    assert 'no such episode' in done.stderr and 'none.mcap' in done.stderr
