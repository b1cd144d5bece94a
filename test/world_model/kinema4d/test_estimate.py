# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and time estimates against what is known of the full-size model."""
from __future__ import annotations

import dataclasses

import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import (Geometry, Guidance, ModelConfig, Sampling,
                                                      Variant)
from kinema4d_ros.world_model.kinema4d.estimate import (check_memory, estimate_memory,
                                                        forward_flops, GIB, MemoryEstimate,
                                                        rollout_flops)


def full_size(variant=Variant.DEFAULT):
    """Return the configuration of the released model."""
    return ModelConfig(
        variant, Geometry(13, 60, 90, 15), Sampling(), 128,
        {'patch_size': (1, 2, 2), 'num_attention_heads': 40, 'attention_head_dim': 128,
         'num_layers': 40, 'ffn_dim': 13824, 'in_channels': 36, 'out_channels': 16},
        {'base_dim': 96}, {'image_size': 224, 'patch_size': 14, 'num_hidden_layers': 32,
                           'hidden_size': 1280, 'intermediate_size': 5120}, {}, {})


def test_released_sizes():
    config = full_size()
    size = config.geometry
    assert (size.frames, size.height, size.width) == (49, 480, 720)
    assert config.video_tokens == 35_100 and config.image_tokens == 257
    assert config.arm_tokens == 624 and full_size(Variant.POINTMAP).arm_tokens == 312


def test_operations_are_the_published_ones():
    assert forward_flops(full_size()) == pytest.approx(1877e12, rel=0.005)
    assert forward_flops(full_size(Variant.POINTMAP)) == pytest.approx(1867e12, rel=0.005)
    assert rollout_flops(full_size(), 50, Guidance.REFERENCE) == pytest.approx(188e15, rel=0.01)
    assert rollout_flops(full_size(), 4, Guidance.SINGLE_PASS) == pytest.approx(7.5e15, rel=0.01)


def test_memory_of_the_full_model():
    torch = pytest.importorskip('torch', reason='needs the [model] extra')

    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer
    with torch.device('meta'):
        model = Kinema4DTransformer()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    plain = estimate_memory(full_size(), shapes, int(0.25e9), 2)
    assert plain.transformer == pytest.approx(32.8e9, rel=0.01)
    assert plain.image_encoder == pytest.approx(2.5e9, rel=0.05)
    assert 36 < plain.device / GIB < 60 and plain.host == 0
    small = estimate_memory(full_size(), shapes, int(0.25e9), 2, quantization='int8')
    assert small.transformer < 0.55 * plain.transformer
    by_turns = estimate_memory(full_size(), shapes, int(0.25e9), 2, offload='model')
    groups = estimate_memory(full_size(), shapes, int(0.25e9), 2, offload='group')
    assert groups.device < by_turns.device < plain.device and groups.host > plain.transformer
    assert [line.split()[0] for line in plain.lines()] == [
        field.name for field in dataclasses.fields(MemoryEstimate)]


def test_what_does_not_fit_is_reported_with_both_figures():
    need = MemoryEstimate(0, 0, 0, 0, 0, device=50 * GIB, host=10 * GIB)
    check_memory(need, None, None)
    check_memory(need, 51 * GIB, 11 * GIB)
    with pytest.raises(WorldModelError, match='about 50.0 GiB of device memory, 24.0 GiB are free'):
        check_memory(need, 24 * GIB, 11 * GIB)
    with pytest.raises(WorldModelError, match='about 10.0 GiB of host memory, 8.0 GiB'):
        check_memory(need, 80 * GIB, 8 * GIB)
