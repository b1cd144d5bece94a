# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command: predicts an episode without ROS, and checks machine and checkpoint."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lacking import needs

from kinema4d_ros.world_model.kinema4d.model import Kinema4D


pytestmark = needs('torch')
ROOT = Path(__file__).parents[3]
EPISODE = ROOT / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'


@pytest.fixture
def command():
    """Return the command as a function of its arguments; it returns the exit status."""
    from kinema4d_ros.cli.main import main
    return lambda *arguments: main(['engine', *map(str, arguments)])


@pytest.fixture
def directories(checkpoints):
    """Return the options that name the tiny checkpoint."""
    paths = checkpoints['pmcond']
    return '--base', paths['base'], '--weights', paths['weights']


def test_help_names_every_setting():
    done = subprocess.run([sys.executable, ROOT / 'executables' / 'kinema4d', 'engine', '--help'],
                          cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in Kinema4D.settings:
        assert f'--{name.replace("_", "-")}' in done.stdout, name


def test_an_episode_is_predicted_and_calibrated(command, directories, tmp_path, capsys):
    assert command(EPISODE, *directories, '--out', tmp_path, '--frames', 5, '--steps', 3,
                   '--calibrate') == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        'prediction.mp4', 'key_frames.png', 'last_frame.ply', 'summary.json', 'kinema4d.json'}
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['frames'] == 5 and summary['variant'] == 'pmcond' and summary['steps'] == 3
    assert 0 < summary['seconds']['first_frame'] <= summary['seconds']['all_frames']
    assert summary['action_following_worst_m'] >= summary['action_following_median_m'] > 0
    assert len(json.loads((tmp_path / 'kinema4d.json').read_text())['mag_ratios']) == 3
    assert 'denoise 3/3' in capsys.readouterr().out


def test_an_error_is_one_line_and_status_two(command, directories, tmp_path, capsys):
    assert command(EPISODE, *directories, '--cache', 'tea') == 2
    assert "kinema4d engine: cache 'tea' does not exist" in capsys.readouterr().err
    assert command(tmp_path / 'none.mcap', *directories) == 2
    assert 'no such episode' in capsys.readouterr().err


def test_without_an_episode_the_usage_is_reported(command, capsys):
    assert command() == 2
    assert 'name an episode (.mcap file or bundled), or use --doctor' in capsys.readouterr().err


def test_doctor_of_a_good_checkpoint(command, directories, capsys):
    assert command('--doctor', *directories) == 0
    text = capsys.readouterr().out
    assert 'BAD' not in text
    for part in ('packages', 'torch', 'native', 'variant pmcond', '32 LoRA tensors, none missing',
                 '9 frames of 48 x 32', 'transformer', 'PFLOP per window'):
        assert part in text, part


def test_doctor_of_a_damaged_checkpoint(command, directories, tmp_path, capsys):
    assert command('--doctor', *directories[:2], '--weights', tmp_path) == 1
    text = capsys.readouterr().out
    assert 'BAD checkpoint' in text and 'no added_weights.safetensors' in text
    assert 'ok  packages' in text


def test_doctor_tells_missing_packages_devices_and_memory(command, directories, monkeypatch,
                                                          capsys):
    from kinema4d_ros.world_model.kinema4d import estimate
    monkeypatch.setattr(estimate, 'free_memory', lambda device: (1, 1))
    assert command('--doctor', *directories) == 1
    assert 'BAD memory     the model needs about' in capsys.readouterr().out
    assert command('--doctor', *directories, '--device', 'tpu') == 1
    assert "BAD device     device 'tpu' is not known" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, 'transformers', None)
    assert command('--doctor', *directories) == 1
    assert 'BAD packages   the kinema4d engine needs transformers' in capsys.readouterr().out


def test_time_is_guessed_for_a_known_gpu_and_listed_for_another():
    from kinema4d_ros.world_model.kinema4d.machine import guessed_times
    assert guessed_times(1e15, 'NVIDIA H100 80GB HBM3').split()[::2] == ['H100', 's']
    assert {'A100', 'H100'} <= set(guessed_times(1e15, 'CPU').split())
