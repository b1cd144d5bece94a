# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network against CogVideoX and a second computation; its file against the released layout."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from safetensors.torch import load_file, save_file

from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.tesseract.checkpoint import POSITIONS, TesseractCheckpoint
from kinema4d_ros.world_model.tesseract.tiny import TRANSFORMER, write_tiny_tesseract
from kinema4d_ros.world_model.tesseract.transformer import TesseractTransformer

FRAMES, HEIGHT, WIDTH = 2, 6, 8
#: the keys that are added to CogVideoX-5b-I2V, with their shapes for the tiny network
ADDED = {
    'patch_embed.depth_proj.weight': (32, 32, 2, 2),
    'patch_embed.normal_proj.weight': (32, 32, 2, 2),
    'dn_out_proj.model.0.weight': (8, 80, 5, 5, 5), 'dn_out_proj.model.0.bias': (8,),
    'dn_out_proj.model.2.weight': (8, 8, 5, 5, 5), 'dn_out_proj.model.2.bias': (8,),
    'dn_out_proj.model.4.weight': (8, 8, 3, 3, 3), 'dn_out_proj.model.4.bias': (8,),
    'dn_out.model.0.weight': (64, 64), 'dn_out.model.0.bias': (64,),
    'dn_out.model.2.weight': (128, 64), 'dn_out.model.2.bias': (128,)}


@pytest.fixture(scope='module')
def network(folders):
    """Return the loaded network of the tiny model; do not change."""
    return TesseractCheckpoint(**folders).load_transformer('cpu', torch.float32)


@pytest.fixture(scope='module')
def inputs():
    """Return (latents, text, time), the same each time."""
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(1, FRAMES, 96, HEIGHT, WIDTH, generator=generator),
            torch.randn(1, 8, 16, generator=generator), torch.tensor([421]))


def test_without_what_was_added_the_picture_is_that_of_the_base_model(network, inputs):
    """Bit for bit."""
    state = network.state_dict()
    network = TesseractTransformer(TRANSFORMER).eval()     # whose memory is laid out as the base's
    network.load_state_dict(state, strict=True)
    base = CogVideoXTransformer3DModel(**{**TRANSFORMER,
                                          'use_learned_positional_embeddings': False}).eval()
    state = {key: value for key, value in network.state_dict().items() if key not in ADDED}
    base.load_state_dict(state, strict=True)
    for part in (network.patch_embed.depth_proj, network.patch_embed.normal_proj):
        torch.nn.init.zeros_(part.weight)
    latents, text, time = inputs
    with torch.no_grad():
        ours = network(latents, text, time)
        theirs = base(latents[:, :, :32], text, time, return_dict=False)[0]
    assert ours.shape == (1, FRAMES, 48, HEIGHT, WIDTH)
    assert torch.equal(ours[:, :, :16], theirs)


def test_depth_and_normals_by_a_second_computation(network, inputs):
    """The head written out with plain loops over the patches, in float64."""
    latents, text, time = inputs
    kept = []
    hook = network.proj_out.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    with torch.no_grad():
        out = network(latents, text, time)
    hook.remove()
    state = {key: value.double() for key, value in network.state_dict().items()}
    tokens, rgb = kept[0][0].double(), out[0, :, :16].double()
    seen = torch.cat([rgb, latents[0, :, 32:96].double()], dim=1).transpose(0, 1)[None]
    for place, pad in ((0, 2), (2, 2), (4, 1)):
        seen = torch.nn.functional.conv3d(seen, state[f'dn_out_proj.model.{place}.weight'],
                                          state[f'dn_out_proj.model.{place}.bias'], padding=pad)
        seen = seen.relu() if place < 4 else seen
    number = 0
    for frame in range(FRAMES):
        for row in range(0, HEIGHT, 2):
            for column in range(0, WIDTH, 2):
                patch = seen[0, :, frame, row:row + 2, column:column + 2].reshape(-1)
                x = torch.cat([tokens[number], patch])
                x = (state['dn_out.model.0.weight'] @ x + state['dn_out.model.0.bias']).relu()
                x = state['dn_out.model.2.weight'] @ x + state['dn_out.model.2.bias']
                found = out[0, frame, 16:, row:row + 2, column:column + 2].double()
                assert torch.allclose(found, x.reshape(32, 2, 2), atol=1e-4)
                number += 1
    assert number == len(tokens)


@pytest.mark.parametrize('part', [1, 2])
def test_depth_and_normals_that_come_in_change_everything(network, inputs, part):
    latents, text, time = inputs
    other = latents.clone()
    other[:, :, 32 * part:32 * (part + 1)] += 1
    with torch.no_grad():
        a, b = (network(given, text, time) for given in (latents, other))
    for place in range(3):
        assert not torch.allclose(a[:, :, 16 * place:16 * place + 16],
                                  b[:, :, 16 * place:16 * place + 16])


# ------------------------------------------------------------------------------- the file

def test_every_key_of_the_released_layout_is_there(folders):
    checkpoint = TesseractCheckpoint(**folders)
    base = CogVideoXTransformer3DModel(**{**TRANSFORMER,
                                          'use_learned_positional_embeddings': False})
    shapes = {key: tuple(value.shape) for key, value in base.state_dict().items()}
    assert checkpoint.files.shapes == shapes | ADDED
    assert (checkpoint.size.frames, checkpoint.size.height, checkpoint.size.width) == (5, 48, 64)


def test_the_added_shapes_at_full_size():
    """Those of the released checkpoint, as its program builds them."""
    with torch.device('meta'):
        model = TesseractTransformer({
            **TRANSFORMER, 'num_attention_heads': 48, 'attention_head_dim': 64, 'num_layers': 1,
            'text_embed_dim': 4096, 'time_embed_dim': 512, 'sample_width': 90,
            'sample_height': 60, 'sample_frames': 49})
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes['patch_embed.depth_proj.weight'] == (3072, 32, 2, 2)
    assert shapes['dn_out_proj.model.0.weight'] == (768, 80, 5, 5, 5)
    assert shapes['dn_out_proj.model.4.weight'] == (768, 768, 3, 3, 3)
    assert shapes['dn_out.model.0.weight'] == (6144, 6144)
    assert shapes['dn_out.model.2.weight'] == (128, 6144)
    assert 'patch_embed.depth_proj.bias' not in shapes and POSITIONS not in shapes


@pytest.fixture
def copied(folders, tmp_path):
    """Return a copy of the tiny model in one file: (settings, path of the weights)."""
    base, weights = write_tiny_tesseract(tmp_path)
    return {'base': base, 'weights': weights}, next(weights.glob('*.safetensors'))


def change(path, **values):
    """Change tensors of a weight file; None takes one out."""
    state = load_file(path)
    state |= {key: value for key, value in values.items() if value is not None}
    save_file({key: value for key, value in state.items()
               if key not in values or values[key] is not None}, path)


def test_learned_positions_may_be_in_the_file_and_are_left_out(copied):
    folders, path = copied
    change(path, **{POSITIONS: torch.zeros(1, 26, 32)})
    model = TesseractCheckpoint(**folders).load_transformer('cpu', torch.float32)
    assert POSITIONS not in model.state_dict()


@pytest.mark.parametrize('key', sorted(ADDED))
def test_no_added_key_may_be_missing(copied, key):
    folders, path = copied
    change(path, **{key: None})
    with pytest.raises(WorldModelError, match=f'does not match the model: 1 missing: {key}$'):
        TesseractCheckpoint(**folders)


def test_left_over_and_wrong_shapes_are_listed(copied):
    folders, path = copied
    change(path, **{'lora.up': torch.zeros(2), 'proj_out.bias': torch.zeros(3)})
    with pytest.raises(WorldModelError, match=r'1 left over: lora\.up; 1 of the wrong shape: '
                                              r'proj_out\.bias is \(3,\), expected \(64,\)'):
        TesseractCheckpoint(**folders)


def test_the_config_may_count_the_channels_of_all_parts(copied):
    folders, _ = copied
    path = folders['weights'] / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'in_channels': 96}))
    assert TesseractCheckpoint(**folders).config['in_channels'] == 32


def test_files_that_are_cut_short_absent_or_of_something_else(copied):
    folders, path = copied
    base, weights = folders['base'], folders['weights']
    for name in (base / 'vae' / 'config.json', base / 'scheduler' / 'scheduler_config.json',
                 weights / 'config.json'):
        text = name.read_text()
        name.unlink()
        with pytest.raises(WorldModelError, match='is missing; base needs vae/, text_encoder/'):
            TesseractCheckpoint(**folders)
        name.write_text(text)
    config = weights / 'config.json'
    text = config.read_text()
    config.write_text(json.dumps(json.loads(text) | {'ofs_embed_dim': 512}))
    with pytest.raises(WorldModelError, match=r'is of CogVideoX 1\.5'):
        TesseractCheckpoint(**folders)
    config.write_text(text)
    (weights / 'diffusion_pytorch_model.safetensors.index.json').write_text(
        json.dumps({'weight_map': {'a': 'other.safetensors'}}))
    with pytest.raises(WorldModelError, match=r'lacks other\.safetensors, .*incomplete'):
        TesseractCheckpoint(**folders)
    (weights / 'diffusion_pytorch_model.safetensors.index.json').unlink()
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(WorldModelError, match='is truncated or damaged: .*download it again'):
        TesseractCheckpoint(**folders)
    save_file({'a': torch.zeros(1)}, path)
    with pytest.raises(WorldModelError, match='they are not those of TesserAct'):
        TesseractCheckpoint(**folders)
    path.unlink()
    with pytest.raises(WorldModelError, match=r'no \*\.safetensors in .*found config\.json'):
        TesseractCheckpoint(**folders)


def test_the_scheduler_and_the_text_parts_are_checked(copied):
    folders, _ = copied
    path = folders['base'] / 'scheduler' / 'scheduler_config.json'
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {'prediction_type': 'epsilon'}))
    with pytest.raises(WorldModelError, match="predicts velocities, .*'epsilon'; take the sched"):
        TesseractCheckpoint(**folders).make_scheduler()
    shutil.rmtree(folders['base'] / 'tokenizer')
    with pytest.raises(WorldModelError, match='tokenizer cannot be loaded'):
        TesseractCheckpoint(**folders).encode_texts(['a'], 'cpu', torch.float32)
    shutil.rmtree(folders['base'] / 'text_encoder')
    with pytest.raises(WorldModelError, match=r'no model\.safetensors in .*text_encoder'):
        TesseractCheckpoint(**folders)


def test_the_doctor(folders, tmp_path, capsys):
    flags = [word for name in ('base', 'weights') for word in ('--set', f'{name}={folders[name]}')]
    doctor = ['engine', '--doctor', '--world-model', 'tesseract', '--set', 'prompt=pick', *flags]
    assert main([*doctor, '--set', 'device=cpu']) == 0
    text = capsys.readouterr().out
    assert 'BAD' not in text
    for part in ('none missing, none left over', '5 frames of 64 x 48', 'does not follow a traj',
                 'text_encoder', 'PFLOP per clip'):
        assert part in text, part
    (tmp_path / 'tokenizer').mkdir()
    for name in ('vae', 'scheduler', 'text_encoder'):
        (tmp_path / name).symlink_to(Path(folders['base']) / name)
    assert main([*doctor, '--set', f'base={tmp_path}']) == 1
    assert 'tokenizer cannot be loaded' in capsys.readouterr().out
    assert main([*doctor[:5], 'prompt=pick']) == 1
    assert 'BAD checkpoint setting base of tesseract' in capsys.readouterr().out
    assert main([*doctor, '--set', 'colour=red']) == 2
    assert 'tesseract has no setting colour; it has: base' in capsys.readouterr().err
