# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The script that compares with another implementation's dumps; the dumps here are made of ours."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from conditions import random_conditions
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def script():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location('compare_kinema4d',
                                                  ROOT / 'scripts' / 'compare_kinema4d.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules['compare_kinema4d'] = module      # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def dumps(script, checkpoints, parts, tmp_path_factory):
    """Return a folder of dumps of all parts, as another implementation would write them."""
    folder, part = tmp_path_factory.mktemp('dumps'), parts['pmcond']
    ours = script.Ours(**checkpoints['pmcond'])
    image, arm = random_conditions(part)
    random = torch.Generator().manual_seed(2)
    noise = torch.randn(1, 16, *part.config.geometry.joint_latent, generator=random)
    inputs = {'hidden_states': torch.cat([noise, image.condition], dim=1), 'arm': arm,
              'timestep': torch.tensor([500]), 'image_embeds': image.image_embeds}
    target = {'target': torch.randn(noise.shape, generator=random)}
    pixels = {'image': torch.randint(0, 255, (32, 48, 3), generator=random, dtype=torch.uint8),
              'robot_pointmap': torch.rand(9, 32, 48, 3, generator=random) * 2 - 1,
              'robot_mask': torch.randint(0, 2, (9, 32, 48), generator=random, dtype=torch.uint8),
              'robot_image': torch.randint(0, 255, (9, 32, 48, 3), generator=random,
                                           dtype=torch.uint8)}
    loop = {'condition': image.condition, 'image_embeds': image.image_embeds, 'arm': arm,
            'seed': torch.tensor(42), 'steps': torch.tensor(2),
            'guidance_scale': torch.tensor(5.0)}
    wanted = {'output': torch.zeros(()), 'output_double': torch.zeros(())}
    state = part.transformer.state_dict()
    for name, given in (('forward', inputs | wanted), ('conditions', pixels), ('sampling', loop),
                        ('decoder', {'latents': noise}), ('loss', inputs | target),
                        ('gradients', inputs | target)):
        found = {key: value.detach().clone().contiguous()
                 for key, value in getattr(ours, name)(given)}
        save_file({**given, **found}, folder / f'{name}.safetensors')
    save_file({f'blocks.1.attn2.{key}.weight': state[f'blocks.1.attn2.{key}.weight']
               for key in ('to_q', 'to_out.0')}, folder / 'lora.safetensors')
    return folder


@pytest.fixture
def compare(script, checkpoints):
    """Return the script's main, for a folder."""
    paths = checkpoints['pmcond']
    return lambda folder, *more: script.main(
        [str(folder), '--base', paths['base'], '--weights', paths['weights'], *more])


def test_dumps_of_the_same_formulas_agree(compare, dumps, capsys):
    assert compare(dumps, '--most', '3') == 0
    told = capsys.readouterr().out
    for part in ('forward', 'conditions', 'lora', 'sampling', 'decoder', 'loss', 'gradients'):
        assert f'\n{part}' in told
    assert 'output_double' in told and 'and 39 closer ones' in told
    assert 'largest relative difference' in told


def test_a_difference_is_shown_with_its_size(compare, dumps, tmp_path, capsys):
    dump = load_file(dumps / 'forward.safetensors')
    dump['output'] = dump['output'] * 1.01
    save_file(dump, tmp_path / 'forward.safetensors')
    assert compare(tmp_path) == 1
    rows = {line.split()[-1]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert float(rows['output'][3]) == pytest.approx(0.01 / 1.01, rel=0.01)
    assert float(rows['output_double'][3]) < 1e-6
    assert compare(tmp_path, '--limit', '0.1') == 0


def test_shapes_that_differ_and_inputs_that_lack_are_told(compare, dumps, tmp_path, capsys):
    dump = load_file(dumps / 'loss.safetensors')
    save_file({**dump, 'loss': torch.zeros(2)}, tmp_path / 'loss.safetensors')
    assert compare(tmp_path) == 1
    assert 'loss: () against (2,)' in capsys.readouterr().out
    del dump['target']
    save_file(dump, tmp_path / 'loss.safetensors')
    assert compare(tmp_path) == 2
    assert "lacks 'target'" in capsys.readouterr().err
    (tmp_path / 'loss.safetensors').unlink()
    assert compare(tmp_path) == 1
    assert 'nothing to compare' in capsys.readouterr().err
