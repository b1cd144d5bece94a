# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A directory of Cosmos 3 that is wrong, cut short or of another model is told before loading."""
from __future__ import annotations

import json
import os
import shutil
import struct

import pytest
from lacking import needs

from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.cosmos import find_domain
from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.cosmos.tiny import write_tiny_cosmos

pytestmark = needs('torch')
DROID = find_domain('droid')
WEIGHTS = 'diffusion_pytorch_model.safetensors'


@pytest.fixture
def damaged(directory, tmp_path):
    """Return a copy of the tiny model, which may be changed."""
    return shutil.copytree(directory, tmp_path / 'model')


def edit(path, **values):
    """Change entries of a JSON file; None takes one out."""
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in config.items()
                                if value is not None}))


def rename(path, old, new):
    """Rename a tensor in the header of a weight file; both names are of one length."""
    data = path.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    header = data[8:8 + length].replace(f'"{old}"'.encode(), f'"{new}"'.encode())
    assert len(header) == length
    path.write_bytes(data[:8] + header + data[8 + length:])


def test_a_good_one_is_accounted_for(directory):
    checkpoint = CosmosCheckpoint(directory, DROID)
    assert checkpoint.spatial_scale == 8 and checkpoint.temporal_scale == 4
    assert any(key.startswith('action_proj_in') for key in checkpoint.weights.shapes)
    assert checkpoint.fingerprint == CosmosCheckpoint(directory, find_domain('bridge')).fingerprint


@pytest.mark.parametrize('name', ['model_index.json', 'transformer/config.json', 'vae/config.json',
                                  'scheduler/scheduler_config.json'])
def test_a_missing_config_is_named(damaged, name):
    (damaged / name).unlink()
    with pytest.raises(WorldModelError, match=f'{name} is missing; the directory of a Cosmos 3'):
        CosmosCheckpoint(damaged, DROID)


@pytest.mark.parametrize('part', ['transformer', 'vae'])
def test_weights_that_are_cut_short_or_absent(damaged, part):
    path = damaged / part / WEIGHTS
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(WorldModelError, match='is truncated or damaged: .*download it again'):
        CosmosCheckpoint(damaged, DROID)
    path.unlink()
    with pytest.raises(WorldModelError, match=f'no {WEIGHTS} in .*{part}; found config.json'):
        CosmosCheckpoint(damaged, DROID)


def test_keys_that_do_not_match_are_listed(damaged):
    rename(damaged / 'transformer' / WEIGHTS, 'proj_in.bias', 'proj_xx.bias')
    with pytest.raises(WorldModelError, match='cosmos transformer in .* does not match the model: '
                                              '1 missing: proj_in.bias; 1 left over: proj_xx.bias'):
        CosmosCheckpoint(damaged, DROID)


@pytest.mark.parametrize('name, values, words', [
    ('model_index.json', {'_class_name': 'WanPipeline'}, 'is of a WanPipeline, this world model '
                                                         'needs a Cosmos3OmniPipeline'),
    ('transformer/config.json', {'action_gen': False}, 'was not trained with actions'),
    ('transformer/config.json', {'action_dim': 7}, 'actions of 7 numbers, the domain .* has 10'),
    ('transformer/config.json', {'num_embodiment_domains': 8}, 'has 8 domains, droid_lerobot is '
                                                               'number 8'),
    ('transformer/config.json', {'quantization_config': {'quant_method': 'modelopt'}},
     'quantised weights, which are not supported here; take the bfloat16'),
    ('transformer/config.json', {'latent_channel': 48}, 'works on 48 latent channels, the vae has '
                                                        '16; they are not of one model'),
    ('transformer/config.json', {'hidden_size': 64}, 'of the wrong shape'),
    ('transformer/config.json', {'hidden_act': 'none'}, 'does not describe a Cosmos3Omni'),
    ('scheduler/scheduler_config.json', {'_class_name': 'DDIMScheduler'}, "names 'DDIMScheduler'")])
def test_a_model_of_another_kind_is_told(damaged, name, values, words):
    edit(damaged / name, **values)
    with pytest.raises(WorldModelError, match=words):
        CosmosCheckpoint(damaged, DROID)


def test_a_model_without_actions_or_tokenizer(tmp_path, damaged):
    without = write_tiny_cosmos(tmp_path / 'other', with_actions=False)
    with pytest.raises(WorldModelError, match='take a model with actions, as Cosmos3-Nano'):
        CosmosCheckpoint(without, DROID)
    (damaged / 'text_tokenizer' / 'tokenizer.json').unlink()
    with pytest.raises(WorldModelError, match=r'no tokenizer\.json in'):
        CosmosCheckpoint(damaged, DROID)


def test_a_tokenizer_that_cannot_be_read(damaged):
    import torch
    (damaged / 'text_tokenizer' / 'tokenizer.json').write_text('{}')
    with pytest.raises(WorldModelError, match='cannot be loaded'):
        CosmosCheckpoint(damaged, DROID).load_pipeline('cpu', torch.float32, flow_shift=10.0,
                                                       offload='none')


# ------------------------------------------------------------------------------- the doctor

def test_the_doctor_of_a_good_directory(directory, capsys):
    assert main(['engine', '--doctor', '--world-model', 'cosmos', '--set', f'directory={directory}',
                 '--set', 'domain=droid', '--set', 'device=cpu']) == 0
    text = capsys.readouterr().out
    assert 'BAD' not in text
    for part in ('droid_lerobot, 15 Hz', 'poses of panda_link8', 'three cameras in one picture',
                 'none missing, none left over', 'transformer', 'PFLOP per window of 1.1 s'):
        assert part in text, part


@pytest.mark.parametrize('settings, words', [
    (['directory=/nowhere', 'domain=droid'], 'BAD checkpoint setting directory of cosmos'),
    (['domain=libero'], 'BAD checkpoint domain \'libero\' of cosmos cannot be used'),
    (['device=tpu'], "BAD device     device 'tpu' is not known")])
def test_the_doctor_tells_what_is_wrong(settings, words, capsys):
    flags = [word for setting in settings for word in ('--set', setting)]
    assert main(['engine', '--doctor', '--world-model', 'cosmos', *flags]) == 1
    assert words in capsys.readouterr().out


def test_the_estimate_of_the_published_size():
    """36 layers of 4096 with 17 frames at 480: the weights are the 8B that are published."""
    from types import SimpleNamespace

    from kinema4d_ros.world_model.cosmos.estimate import estimate_cosmos, window_flops
    import torch
    from diffusers import Cosmos3OmniTransformer
    with torch.device('meta'):
        model = Cosmos3OmniTransformer(action_gen=True, action_dim=64)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    full = SimpleNamespace(
        transformer={}, vae={'base_dim': 160, 'patch_size': 2}, spatial_scale=16,
        temporal_scale=4, weights=SimpleNamespace(shapes=shapes),
        vae_weights=SimpleNamespace(shapes={'a': (7, 10**8)}))
    need = estimate_cosmos(full, 480, 16, 2)
    assert 25 < need.device / 2**30 < 45 and need.host == 0       # NVIDIA says 32 GB
    less = estimate_cosmos(full, 480, 16, 2, offload='model')
    assert less.device < need.device and less.host > 0
    one = window_flops(full, 480, 16, 30, 1.0)
    assert window_flops(full, 480, 16, 30, 6.0) == 2 * one
    assert 1e14 < one < 1e17
