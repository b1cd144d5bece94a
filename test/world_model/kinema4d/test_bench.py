# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The GPU measurement runs, at tiny size on the CPU; its figures mean nothing here."""
from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch


def test_every_way_is_measured_or_says_why_not(monkeypatch):
    from bench import kinema4d_gpu
    from kinema4d_ros.world_model.kinema4d.config import Variant
    from kinema4d_ros.world_model.kinema4d.tiny import model_config
    chosen = (kinema4d_gpu.REFERENCE, 'single pass', 'FlashAttention 3', 'compiled blocks',
              'group offload', 'first-block cache 0.1')
    every = kinema4d_gpu.ways()
    every['compiled blocks'] = {'compile': 'eager'}
    monkeypatch.setattr(kinema4d_gpu, 'ways', lambda: {name: every[name] for name in chosen})
    rows = kinema4d_gpu.compare(model_config(Variant.POINTMAP), 'cpu', torch.float32, 1)
    by_name = {row['case']: row for row in rows}
    assert tuple(by_name) == chosen
    assert by_name['FlashAttention 3']['reason'].startswith('attention_backend=_flash_3 cannot be')
    assert by_name[kinema4d_gpu.REFERENCE]['forwards_per_step'] == 2
    assert by_name['single pass']['forwards_per_step'] == 1
    assert by_name['single pass']['difference'] == 0
    assert by_name['compiled blocks']['difference'] < 1e-4
    assert all(row['rollout_s'] > 0 for row in rows if row['rollout_s'] != '')


def test_a_training_step_is_measured():
    from bench import kinema4d_gpu
    from kinema4d_ros.world_model.kinema4d.config import Variant
    from kinema4d_ros.world_model.kinema4d.tiny import model_config
    config = model_config(Variant.POINTMAP)
    row = kinema4d_gpu.training_row(config, 'cpu', torch.float32, 2)
    assert row['step_s'] > 0 and row['good'] and row['loss_last'] != row['loss_first']
    model = kinema4d_gpu.random_model(config, 'cpu', torch.float32)
    added = sum(value.numel() for name, value in model.named_parameters()
                if name.startswith(('arm_', 'learnable', 'patch_embedding_arm')))
    lora = 64 * 2 * 48 * 2 * 8                  # rank x (in + out) of 16 square linears
    assert row['learning_parameters'] == added + lora
    in_bfloat16 = kinema4d_gpu.training_row(config, 'cpu', torch.bfloat16, 1)
    assert in_bfloat16['good'] and 'reason' not in in_bfloat16


def test_the_command_writes_a_file_and_a_table(tmp_path, capsys):
    from bench import kinema4d_gpu
    path = tmp_path / 'results.json'
    assert kinema4d_gpu.main(['--tiny', '--only', 'group offload', 'first-block cache 0.1',
                              '--repeats', '1', '--out', str(path)]) == 0
    told = json.loads(path.read_text())
    assert told['versions']['torch'] == torch.__version__ and told['layers'] == 2
    assert [row['case'] for row in told['rows']] == [
        kinema4d_gpu.REFERENCE, 'single pass', 'group offload', 'first-block cache 0.1']
    assert told['rows'][2]['difference'] < 1e-5
    table = capsys.readouterr().out
    assert '| Way | s per forward |' in table and '\n| group offload | ' in table


def test_it_needs_nothing_but_the_model_stack():
    done = subprocess.run(
        [sys.executable, '-c', 'import sys; from bench import kinema4d_gpu as b; '
         'print(*({"cv2", "numba", "open3d", "rclpy", "scipy", "trimesh"} & set(sys.modules)))'],
        capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ''


def test_without_a_gpu_it_says_that_nothing_was_measured():
    from bench import kinema4d_gpu
    if torch.cuda.is_available():
        pytest.skip('there is a GPU here')
    assert kinema4d_gpu.measure(3) == [{'case': 'not measured: no GPU here', 'good': True}]
