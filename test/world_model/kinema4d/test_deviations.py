# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the engine may work as the released program was trained, and where it need not."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from conditions import random_conditions

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.frames import padded, plan_windows


def test_robots_are_encoded_as_exactly_as_the_released_data(parts):
    """The error of float16 against float32 is far below that of bfloat16."""
    from kinema4d_ros.world_model.kinema4d.stack import pick_robot_dtype
    from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec
    checkpoint = parts['pmcond'].checkpoint
    video = torch.randn(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    exact = parts['pmcond'].codec.encode(video)
    error = {}
    for dtype in (torch.float16, torch.bfloat16):
        latent = VideoCodec(checkpoint.load_vae('cpu', dtype)).encode(video)
        error[dtype] = float((latent - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    assert 0 < error[torch.float16] < error[torch.bfloat16] / 4
    assert pick_robot_dtype('auto', 'cpu') is torch.float32
    assert pick_robot_dtype('auto', 'cuda') is torch.float16
    with pytest.raises(WorldModelError, match="dtype 'int8' is not usable"):
        pick_robot_dtype('int8', 'cpu')


def test_the_engine_has_a_codec_of_the_robots_dtype(checkpoints):
    from kinema4d_ros.world_model import load_world_model
    model = load_world_model('kinema4d', robot_dtype='float16', steps=1, **checkpoints['pmcond'])
    assert model.engine.robot_codec.vae.dtype is torch.float16
    assert model.engine.codec.vae.dtype is torch.float32
    model.close()


def test_a_sampled_latent_scatters_around_the_mean_and_repeats(parts):
    codec = parts['pmcond'].codec
    video = torch.zeros(1, 3, 9, 32, 48)
    mean = codec.encode(video)
    drawn = [codec.encode(video, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], mean)
    assert (drawn[0] - mean).square().mean() > 0 and torch.isfinite(drawn[0]).all()


def test_a_dilated_mask_reaches_further_on_all_sides():
    from kinema4d_ros.world_model.kinema4d.conditioning import dilate
    mask = np.zeros((2, 20, 20), bool)
    mask[0, 10, 10] = True
    wide = dilate(mask, 3)
    assert wide[0, 7, 10] and wide[0, 10, 13] and not wide[0, 6, 10] and not wide[0, 7, 7]
    assert not wide[1].any() and dilate(mask, 0) is mask


def test_soft_cells_are_a_fixed_share_of_the_ones():
    from kinema4d_ros.world_model.kinema4d.conditioning import soften
    packed = (torch.arange(300) % 3 > 0).float().view(1, 1, 3, 10, 10)
    soft = soften(packed, 0.1, torch.Generator().manual_seed(0))
    assert int((soft == 0.5).sum()) == 20 and torch.equal(soft > 0, packed > 0)
    assert torch.equal(soften(packed, 0.0), packed)
    again = soften(packed, 0.1, torch.Generator().manual_seed(1))
    assert not torch.equal(again, soft) and int((again == 0.5).sum()) == 20


@pytest.mark.parametrize('padding, expected', [
    ('hold', [0, 1, 2, 2, 2, 2, 2, 2, 2]), ('reverse', [0, 1, 2, 2, 1, 0, 0, 1, 2])])
def test_short_clips_hold_or_run_back(padding, expected):
    assert padded(3, 9, padding).tolist() == expected
    assert plan_windows(3, 9, padding)[0].indices.tolist() == expected
    assert padded(9, 9, padding).tolist() == list(range(9))
    (_, second) = plan_windows(11, 9, padding)
    assert second.indices.tolist() == [8 + i for i in expected] and second.emit == range(1, 3)


def test_unknown_paddings_list_the_known_ones(checkpoints):
    from kinema4d_ros.world_model import load_world_model
    with pytest.raises(WorldModelError, match="padding 'loop' does not exist; choose one of: hold"):
        load_world_model('kinema4d', padding='loop', **checkpoints['pmcond'])
    with pytest.raises(WorldModelError, match='mask_dilation must be 0 to 64 px, got -1'):
        load_world_model('kinema4d', mask_dilation=-1, **checkpoints['pmcond'])


def gradients(model, inputs):
    """Return (bytes of saved activations outside parameters, forwards of a block, gradients)."""
    sizes, forwards = [], []
    known = {value.data_ptr() for value in model.parameters()}
    hook = model.blocks[1].ffn.register_forward_pre_hook(lambda *_: forwards.append(1))

    def pack(value):
        if value.data_ptr() not in known:
            sizes.append(value.nbytes)
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        model(*inputs, return_dict=False)[0].square().mean().backward()
    hook.remove()
    found = {name: value.grad.clone() for name, value in model.named_parameters()
             if value.grad is not None}
    model.zero_grad()
    return sum(sizes), len(forwards), found


def test_gradient_checkpointing_recomputes_the_blocks_and_changes_no_gradient(parts, variant):
    part = parts[variant]
    model = part.checkpoint.load_transformer('cpu', torch.float32)
    model.requires_grad_(True)
    image, arm = random_conditions(part)
    noise = torch.randn(1, 16, *part.config.geometry.joint_latent,
                        generator=torch.Generator().manual_seed(1))
    inputs = (torch.cat([noise, image.condition], dim=1), torch.tensor([500]), arm,
              image.image_embeds)
    plain = gradients(model, inputs)
    model.enable_gradient_checkpointing()
    saving = gradients(model, inputs)
    assert (plain[1], saving[1]) == (1, 2)              # each block runs again, going backward
    assert saving[0] < 0.3 * plain[0]
    assert len(plain[2]) > 50 and plain[2].keys() == saving[2].keys()
    for name, value in plain[2].items():
        assert torch.allclose(value, saving[2][name], rtol=1e-5, atol=1e-8), name
