# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every example runs as its docstring says."""
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


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    done = run(example, EPISODE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_prediction_tells_what_happens_and_leaves_a_picture(tmp_path):
    done = run(EXAMPLES[0], EPISODE, cwd=tmp_path)
    assert 'fingers close on an object' in done.stdout
    assert 'comes to rest' in done.stdout
    assert (tmp_path / 'prediction.png').stat().st_size > 10_000


def test_a_missing_episode_is_said_in_one_line(tmp_path):
    done = run(EXAMPLES[0], tmp_path / 'none.mcap', cwd=tmp_path)
    assert done.returncode != 0
    assert 'none.mcap cannot be opened' in done.stderr
