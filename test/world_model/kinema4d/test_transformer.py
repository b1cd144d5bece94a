# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the robot goes into the network, and where it does not."""
from __future__ import annotations

import pytest
import torch


def inputs(part, seed=0):
    """Return random inputs of the right shapes."""
    generator = torch.Generator().manual_seed(seed)
    size = part.config.geometry
    return (torch.randn(1, 36, *size.joint_latent, generator=generator), torch.tensor([300]),
            torch.randn(1, 20, size.latent_frames, size.latent_height,
                        part.transformer.halves * size.latent_width, generator=generator),
            torch.randn(1, part.config.image_tokens, 32, generator=generator))


def test_full_size_model_has_the_published_number_of_parameters():
    from kinema4d_ros.world_model.kinema4d.checkpoint import split_added
    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer
    published = {'default': (16_396_166_352, 1_287_568, 1314, 624),
                 'pmcond': (16_396_166_096, 1_287_312, 1313, 312)}
    for variant, (total, added_total, keys, arm_tokens) in published.items():
        with torch.device('meta'):
            model = Kinema4DTransformer(variant=variant)
        state = model.state_dict()
        added, _ = split_added(state)
        assert sum(value.numel() for value in state.values()) == total
        assert sum(value.numel() for value in added.values()) == added_total
        assert len(state) == keys and model.arm_tokens == arm_tokens
        shapes = {key: tuple(value.shape) for key, value in added.items()}
        expected = {
            'learnable_domain_embeddings': (2, 5120), 'arm_cond_proj.weight': (16, 16),
            'arm_cond_proj.bias': (16,), 'patch_embedding_arm.weight': (128, 20, 1, 15, 15),
            'patch_embedding_arm.bias': (128,), 'arm_ln.weight': (128,), 'arm_ln.bias': (128,),
            'arm_pos_emb': (1, 128, 13, 4, 6), 'arm_domain_emb': (2, 128),
            'arm_patch_proj.weight': (5120, 128), 'arm_patch_proj.bias': (5120,)}
        if variant == 'pmcond':
            del expected['arm_domain_emb']
        assert shapes == expected


def test_positions_of_the_two_halves_are_the_same():
    from kinema4d_ros.world_model.kinema4d.rope import SharedRotaryEmbedding
    rope = SharedRotaryEmbedding(128, (1, 2, 2), 1024)
    assert (rope.t_dim, rope.h_dim, rope.w_dim) == (44, 42, 42)
    for table in rope(torch.empty(1, 36, 13, 60, 180, device='meta')):
        assert table.shape == (1, 35_100, 1, 128) and table.dtype == torch.float32
        grid = table.reshape(13, 30, 90, 128)
        assert torch.equal(grid[:, :, :45], grid[:, :, 45:])
        assert not torch.equal(grid[:, :, 0], grid[:, :, 1])


def test_left_half_has_the_stock_positions():
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    from kinema4d_ros.world_model.kinema4d.rope import SharedRotaryEmbedding
    stock, ours = WanRotaryPosEmbed(24, (1, 2, 2), 64), SharedRotaryEmbedding(24, (1, 2, 2), 64)
    half = stock(torch.empty(1, 1, 3, 8, 12))
    joint = ours(torch.empty(1, 1, 3, 8, 24))
    for a, b in zip(half, joint):
        assert torch.equal(a.reshape(3, 4, 6, 24), b.reshape(3, 4, 12, 24)[:, :, :6])


def test_text_has_no_way_into_the_network(parts, variant):
    part = parts[variant]
    lengths = []
    block = part.transformer.blocks[0]
    hook = block.attn2.register_forward_pre_hook(lambda _, args: lengths.append(args[1].shape[1]))
    text = part.transformer.condition_embedder.text_embedder
    kept = {key: value.clone() for key, value in text.state_dict().items()}
    arguments = inputs(part)
    with torch.inference_mode():
        before = part.transformer(*arguments).sample
        for value in text.parameters():
            value.data.fill_(float('nan'))
        after = part.transformer(*arguments).sample
    hook.remove()
    text.load_state_dict(kept)
    assert torch.equal(before, after)
    config = part.config
    assert lengths == [config.image_tokens + config.arm_tokens] * 2
    assert config.arm_tokens == 3 * 2 * 3 * (2 if variant == 'default' else 1)


def test_the_robot_is_written_where_it_belongs_and_never_in_place(parts, variant):
    part = parts[variant]
    joint, _, arm, _ = inputs(part)
    kept = joint.clone()
    half = joint.shape[-1] // 2
    with torch.inference_mode():
        once = part.transformer.with_robot(joint, arm, 1)
        twice = part.transformer.with_robot(joint, arm, 2)
        residual = part.transformer.arm_cond_proj(arm[:, 4:].movedim(1, -1)).movedim(-1, 1)
    assert torch.equal(joint, kept)
    assert torch.equal(once[:, :16], joint[:, :16])
    if variant == 'default':
        assert torch.equal(once[:, :, 0], joint[:, :, 0])          # frame 0 untouched
        where, of_arm = (slice(None), slice(None), slice(1, None)), (..., slice(1, None),
                                                                     slice(None), slice(None))
        assert torch.equal(once[where][:, 16:20], arm[of_arm][:, :4])
        assert torch.allclose(once[where][:, 20:], joint[where][:, 20:] + residual[of_arm])
        assert torch.allclose(twice[where][:, 20:], joint[where][:, 20:] + 2 * residual[of_arm])
    else:
        assert torch.equal(once[..., :half], joint[..., :half])    # left half untouched
        assert torch.equal(once[:, 16:20, ..., half:], arm[:, :4])
        assert torch.allclose(once[:, 20:, ..., half:], joint[:, 20:, ..., half:] + residual)
        assert torch.allclose(twice[:, 20:, ..., half:], joint[:, 20:, ..., half:] + 2 * residual)
    assert torch.equal(once[:, 16:20], twice[:, 16:20])


def test_forward_leaves_its_input_alone_so_that_passes_are_equal(parts, variant):
    part = parts[variant]
    arguments = inputs(part)
    kept = [value.clone() for value in arguments]
    with torch.inference_mode():
        first = part.transformer(*arguments).sample
        second = part.transformer(*arguments, residual_times=1, return_dict=False)[0]
        doubled = part.transformer(*arguments, residual_times=2).sample
    assert all(torch.equal(a, b) for a, b in zip(arguments, kept))
    assert torch.equal(first, second)
    assert not torch.allclose(first, doubled)


@pytest.mark.parametrize('name', [
    'learnable_domain_embeddings', 'arm_cond_proj.weight', 'arm_cond_proj.bias',
    'patch_embedding_arm.weight', 'patch_embedding_arm.bias', 'arm_ln.weight', 'arm_ln.bias',
    'arm_pos_emb', 'arm_domain_emb', 'arm_patch_proj.weight', 'arm_patch_proj.bias'])
def test_every_added_weight_changes_the_output(parts, name):
    part = parts['default']
    weight = dict(part.transformer.named_parameters())[name]
    arguments = inputs(part)
    kept = weight.data.clone()
    with torch.inference_mode():
        before = part.transformer(*arguments).sample
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        after = part.transformer(*arguments).sample
        weight.data.copy_(kept)
    assert not torch.allclose(before, after)


def test_bfloat16_keeps_the_pinned_parts_in_float32(parts):
    model = parts['default'].checkpoint.load_transformer('cpu', torch.bfloat16)
    pinned = {'time_embedder', 'scale_shift_table', 'norm1', 'norm2', 'norm3'}
    for name, parameter in model.named_parameters():
        wanted = torch.float32 if pinned & set(name.split('.')) else torch.bfloat16
        assert parameter.dtype == wanted, name
    arguments = inputs(parts['default'])
    with torch.inference_mode():
        out = model(*(value.bfloat16() if value.is_floating_point() else value
                      for value in arguments)).sample
        exact = parts['default'].transformer(*arguments).sample
    assert out.dtype == torch.bfloat16
    assert (out.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
