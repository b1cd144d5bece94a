# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loading the released layout: every key accounted for, the LoRA merged once, clear errors."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import Guidance


@pytest.fixture
def copied(checkpoints, tmp_path):
    """Return a copy of the default checkpoint that may be damaged: (base, weights)."""
    base, weights = tmp_path / 'base', tmp_path / 'weights'
    shutil.copytree(checkpoints['default']['base'], base)
    shutil.copytree(checkpoints['default']['weights'], weights)
    return base, weights


def opened(copied, **more):
    """Open a copied checkpoint."""
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    return Checkpoint(*copied, **more)


def edit(path, change):
    """Rewrite a safetensors file after `change(state)`."""
    from safetensors.torch import load_file, save_file
    state = load_file(path)
    change(state)
    save_file(state, path)


def edit_json(path, **values):
    """Change fields of a JSON file, or write it."""
    told = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**told, **values}))


def test_variant_and_sizes_are_read_from_the_keys(parts, variant):
    config = parts[variant].config
    assert config.variant == variant
    size = config.geometry
    assert (size.frames, size.height, size.width) == (9, 32, 48)
    assert config.video_tokens == 3 * 2 * 6
    assert (config.sampling.steps, config.sampling.guidance) == (50, Guidance.SINGLE_PASS)


def test_full_size_lora_is_640_tensors_of_209_million_parameters():
    from kinema4d_ros.world_model.kinema4d.checkpoint import lora_targets
    targets = lora_targets(40)
    assert len(targets) == len(set(targets)) == 320
    assert 2 * len(targets) * 64 * 5120 == 209_715_200


def test_every_lora_tensor_is_consumed_and_merged_at_one_half_exactly_once(checkpoints, parts,
                                                                           variant):
    from safetensors.torch import load_file
    base = load_file(Path(checkpoints[variant]['base'], 'transformer',
                          'diffusion_pytorch_model.safetensors'))
    lora = load_file(Path(checkpoints[variant]['weights'], 'pytorch_lora_weights.safetensors'))
    loaded = parts[variant].transformer.state_dict()
    used = set()
    for key, value in base.items():
        pair = [f'transformer.{key.removesuffix(".weight")}.lora_{side}.weight' for side in 'BA']
        if pair[0] in lora:
            used.update(pair)
            value = value + 0.5 * lora[pair[0]] @ lora[pair[1]]
        assert torch.allclose(loaded[key], value, atol=1e-6), key
    assert used == set(lora) and len(lora) == 2 * 8 * 2


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_merge_equals_peft_loaded_and_fused_by_diffusers(tmp_path, dtype):
    pytest.importorskip('peft', reason='needs peft')
    from diffusers import WanTransformer3DModel
    from safetensors.torch import load_file

    from kinema4d_ros.world_model.kinema4d.tiny import write_tiny_checkpoint
    where, kind = write_tiny_checkpoint(tmp_path, lora_dtype=dtype), getattr(torch, dtype)
    stock = WanTransformer3DModel.from_pretrained(where[0] / 'transformer', torch_dtype=kind,
                                                  local_files_only=True)
    stock.load_lora_adapter(load_file(where[1] / 'pytorch_lora_weights.safetensors'),
                            prefix='transformer')
    stock.fuse_lora(lora_scale=0.5)
    ours = opened(where).load_transformer('cpu', kind).state_dict()
    compared = 0
    for name, module in stock.named_modules():
        if hasattr(module, 'base_layer') and f'{name}.weight' in ours:
            assert torch.allclose(ours[f'{name}.weight'], module.base_layer.weight,
                                  rtol=1e-5, atol=1e-6), name
            compared += 1
    assert compared >= 16


def test_a_sharded_base_loads_the_same(copied, parts):
    from safetensors.torch import load_file, save_file
    folder = copied[0] / 'transformer'
    whole = folder / 'diffusion_pytorch_model.safetensors'
    state = load_file(whole)
    keys, names = sorted(state), [f'diffusion_pytorch_model-0000{i}-of-00002.safetensors'
                                  for i in (1, 2)]
    shards = (keys[:len(keys) // 2], keys[len(keys) // 2:])
    for name, part in zip(names, shards):
        save_file({key: state[key] for key in part}, folder / name)
    index = {key: name for name, part in zip(names, shards) for key in part}
    (folder / 'diffusion_pytorch_model.safetensors.index.json').write_text(
        json.dumps({'weight_map': index}))
    whole.unlink()
    model = opened(copied).load_transformer('cpu', torch.float32)
    expected = parts['default'].transformer.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    (folder / names[1]).unlink()
    with pytest.raises(WorldModelError, match='lacks .*00002-of-00002.*download is incomplete'):
        opened(copied)


def test_torch_files_are_read_without_running_code(copied, parts):
    from safetensors.torch import load_file
    added = copied[1] / 'added_weights.safetensors'
    torch.save(load_file(added), copied[1] / 'added_weights.pt')
    added.unlink()
    model = opened(copied).load_transformer('cpu', torch.float32)
    assert torch.equal(model.arm_pos_emb, parts['default'].transformer.arm_pos_emb)

    class Evil:
        def __reduce__(self):
            return print, ('this must never run',)

    torch.save({'x': Evil()}, copied[1] / 'added_weights.pt')
    with pytest.raises(WorldModelError, match='not a torch file of tensors'):
        opened(copied)


@pytest.mark.parametrize('name', ['added_weights', 'pytorch_lora_weights'])
def test_a_truncated_file_is_reported_with_both_sizes(copied, name):
    path = copied[1] / f'{name}.safetensors'
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(WorldModelError, match=f'truncated or damaged: it has {len(data) - 100} '
                                              f'bytes, its header announces {len(data)}'):
        opened(copied)
    for broken in (b'', b'short', b'\xff' * 64, data[:200]):
        path.write_bytes(broken)
        with pytest.raises(WorldModelError, match='is not a safetensors file, or is truncated'):
            opened(copied)


def test_a_truncated_base_and_vae_are_reported(copied):
    for folder in ('transformer', 'vae'):
        path = copied[0] / folder / 'diffusion_pytorch_model.safetensors'
        data = path.read_bytes()
        path.write_bytes(data[:len(data) // 2])
        with pytest.raises(WorldModelError, match=f'{folder}.*truncated or damaged'):
            opened(copied)
        path.write_bytes(data)


def test_missing_and_left_over_keys_are_listed(copied):
    path = copied[1] / 'added_weights.safetensors'
    edit(path, lambda state: (state.pop('arm_ln.bias'), state.update(arm_extra=torch.zeros(2))))
    with pytest.raises(WorldModelError, match=r'added weights in .* does not match the model: '
                                              r'1 missing: arm_ln.bias; 1 left over: arm_extra'):
        opened(copied)


def test_a_lora_of_other_layers_is_reported(copied):
    path = copied[1] / 'pytorch_lora_weights.safetensors'

    def rename(state):
        for key in [key for key in state if '.blocks.1.' in key]:
            state[key.replace('.blocks.1.', '.blocks.7.')] = state.pop(key)

    edit(path, rename)
    with pytest.raises(WorldModelError, match=r'LoRA in .*16 missing: .*blocks.1.*and 8 more; '
                                              r'16 left over: .*blocks.7'):
        opened(copied)


def test_wrong_shapes_are_reported(copied):
    path = copied[0] / 'transformer' / 'diffusion_pytorch_model.safetensors'
    edit(path, lambda state: state.update({'proj_out.bias': torch.zeros(5)}))
    with pytest.raises(WorldModelError, match=r'of the wrong shape: proj_out.bias is \(5,\), '
                                              r'expected \(64,\)'):
        opened(copied)


def test_the_wrong_variant_is_reported(copied):
    with pytest.raises(WorldModelError, match="variant 'pmcond' was asked for, but .* holds "
                                              "'default'"):
        opened(copied, variant='pmcond')


def test_added_weights_without_sizes_are_reported(copied):
    edit(copied[1] / 'added_weights.safetensors', lambda state: state.pop('arm_pos_emb'))
    with pytest.raises(WorldModelError, match='lack a usable arm_pos_emb'):
        opened(copied)


def test_missing_directories_and_files_are_reported(copied, tmp_path):
    with pytest.raises(WorldModelError, match='setting base of kinema4d: no directory'):
        opened((tmp_path / 'nowhere', copied[1]))
    with pytest.raises(WorldModelError, match='setting weights .* nothing is ever fetched'):
        opened((copied[0], tmp_path / 'nowhere'))
    (copied[1] / 'pytorch_lora_weights.safetensors').unlink()
    with pytest.raises(WorldModelError, match=r'no pytorch_lora_weights.safetensors in .*; found '
                                              r'added_weights.safetensors'):
        opened(copied)


def test_a_missing_or_foreign_config_is_reported(copied):
    path = copied[0] / 'transformer' / 'config.json'
    config = json.loads(path.read_text())
    path.unlink()
    with pytest.raises(WorldModelError, match='config.json is missing; the base directory needs'):
        opened(copied)
    path.write_text('not json')
    with pytest.raises(WorldModelError, match='cannot be read as JSON'):
        opened(copied)
    path.write_text('[]')
    with pytest.raises(WorldModelError, match='holds no JSON object'):
        opened(copied)
    path.write_text(json.dumps({**config, 'image_dim': None}))
    with pytest.raises(WorldModelError, match='lacks image_dim; the base must be an image-to'):
        opened(copied)
    path.write_text(json.dumps({**config, 'an_entry_of_another_version': 1}))
    opened(copied)
    path.write_text(json.dumps({**config, 'num_layers': 'two'}))
    with pytest.raises(WorldModelError, match='does not describe a Wan image-to-video'):
        opened(copied)


def test_vae_and_image_encoder_are_checked_too(copied):
    checkpoint = opened(copied)
    edit(copied[0] / 'vae' / 'diffusion_pytorch_model.safetensors',
         lambda state: state.pop('quant_conv.bias'))
    with pytest.raises(WorldModelError, match='vae does not match .*missing: quant_conv.bias'):
        checkpoint.load_vae('cpu', torch.float32)
    path = copied[0] / 'image_encoder' / 'model.safetensors'
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    with pytest.raises(WorldModelError, match='image_encoder.*truncated or damaged'):
        checkpoint.load_image_encoder('cpu')


@pytest.mark.parametrize('prefix', ['', 'vision_model.'])
def test_an_image_encoder_saved_by_an_older_library_or_with_its_head_loads(copied, parts, prefix):
    path = copied[0] / 'image_encoder' / 'model.safetensors'

    def rewrite(state):
        for key in list(state):
            state[prefix + key] = state.pop(key)
        state['visual_projection.weight'] = torch.zeros(4, 32)
        state[f'{prefix}embeddings.position_ids'] = torch.arange(5)[None]

    edit(path, rewrite)
    edit_json(copied[0] / 'image_encoder' / 'config.json',
              architectures=['CLIPVisionModelWithProjection'])
    loaded = opened(copied).load_image_encoder('cpu').state_dict()
    expected = parts['default'].image_encoder.model.state_dict()
    assert set(loaded) == set(expected)
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def test_the_scheduler_comes_from_the_checkpoint(copied):
    path = copied[0] / 'scheduler' / 'scheduler_config.json'
    assert type(opened(copied).make_scheduler()).__name__ == 'UniPCMultistepScheduler'
    edit_json(path, _class_name='FlowMatchEulerDiscreteScheduler', shift=5.0)
    assert type(opened(copied).make_scheduler()).__name__ == 'FlowMatchEulerDiscreteScheduler'
    edit_json(path, _class_name='UniPCMultistepScheduler', prediction_type='epsilon')
    with pytest.raises(WorldModelError, match="predicts a flow, .* prediction_type 'epsilon'"):
        opened(copied).make_scheduler()
    edit_json(path, _class_name='os')
    with pytest.raises(WorldModelError, match="names the scheduler 'os'"):
        opened(copied).make_scheduler()


def test_a_checkpoint_may_say_how_to_sample_it(copied):
    path = copied[1] / 'kinema4d.json'
    edit_json(path, steps=4, guidance='reference', mag_ratios=[1, 0.9])
    told = opened(copied).config.sampling
    assert (told.steps, told.guidance, told.mag_ratios) == (4, Guidance.REFERENCE, (1.0, 0.9))
    for values, message in (({'stepz': 3}, 'unknown fields stepz; known: guidance'),
                            ({'steps': 0}, 'steps must be 1 to 1000, got 0'),
                            ({'pointmap_std': -1.0}, 'pointmap_std must be positive'),
                            ({'guidance': 'none'}, "'none' is not a valid Guidance")):
        path.write_text(json.dumps(values))
        with pytest.raises(WorldModelError, match=message):
            opened(copied)


def test_a_lora_whose_metadata_asks_for_another_scale_is_refused(copied):
    from safetensors.torch import load_file, save_file
    path = copied[1] / 'pytorch_lora_weights.safetensors'
    state = load_file(path)
    for alpha, fine in ((2, True), (4, True), (8, False)):   # rank 4: 0.5, diffusers' 1.0, 2.0
        save_file(state, path, {'lora_adapter_metadata': json.dumps(
            {'transformer.lora_alpha': alpha})})
        if fine:
            opened(copied)
        else:
            with pytest.raises(WorldModelError, match='says alpha 8 at rank 4, .* scale of 2'):
                opened(copied)


def test_fingerprint_tells_checkpoints_apart(parts):
    prints = {parts[name].checkpoint.fingerprint for name in parts}
    assert len(prints) == 2 and all(len(value) == 16 for value in prints)


@pytest.mark.parametrize('place, file', [
    (1, 'pytorch_lora_weights'), (1, 'added_weights'),
    (0, 'transformer/diffusion_pytorch_model'), (0, 'vae/diffusion_pytorch_model'),
    (0, 'image_encoder/model')])
def test_other_values_are_another_model(copied, place, file):
    """Headers alike: noise in place of what was trained must not inherit a score."""
    before = opened(copied).fingerprint
    assert opened(copied).fingerprint == before
    edit(copied[place] / f'{file}.safetensors', lambda state: state.update(
        {key: torch.randn_like(value) for key, value in state.items()
         if value.is_floating_point()}))
    assert opened(copied).fingerprint != before


def test_sampled_otherwise_is_another_model(copied):
    before = opened(copied).fingerprint
    edit_json(copied[1] / 'kinema4d.json', steps=4)
    fewer = opened(copied).fingerprint
    edit_json(copied[1] / 'kinema4d.json', lora_scale=0.25)
    assert len({before, fewer, opened(copied).fingerprint}) == 3
