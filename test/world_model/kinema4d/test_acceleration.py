# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that are asked for are active everywhere, or an error says that they are not."""
from __future__ import annotations

import sys

import pytest
import torch
from conditions import random_conditions

from kinema4d_ros.errors import WorldModelError


@pytest.fixture
def model(parts, variant):
    """Return a transformer of its own for the test."""
    return parts[variant].checkpoint.load_transformer('cpu', torch.float32)


@pytest.fixture
def sample(parts, variant):
    """Return the function that samples with a transformer: (latents, network evaluations)."""
    from kinema4d_ros.world_model.kinema4d.config import Guidance
    from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
    part = parts[variant]
    image, arm = random_conditions(part)

    def run(transformer, steps=6, guidance=Guidance.SINGLE_PASS, **more):
        pipeline = Pipeline(transformer, part.checkpoint.make_scheduler(), 'cpu', torch.float32)
        return pipeline.sample(image, arm, SamplingSettings(steps, guidance, 5.0),
                               torch.Generator().manual_seed(0), **more)
    return run


def switched(model, **wanted):
    """Switch options on; return what was seen to be active."""
    from kinema4d_ros.world_model.kinema4d.acceleration import accelerate, Acceleration
    return accelerate(model, Acceleration(**wanted), 'cpu', torch.float32)


def attention_calls(model, sample):
    """Count the attention kernels of one sampling step."""
    from kinema4d_ros.world_model.kinema4d.acceleration import count_attention
    with count_attention() as calls:
        sample(model, steps=1)
    return dict(calls)


@pytest.mark.parametrize('backend', ['native', '_native_math'])
def test_an_attention_backend_is_used_by_every_attention(model, sample, backend):
    assert switched(model, attention_backend=backend) == [
        f'attention_backend={backend}: active on 6 of 6 attention calls']
    assert attention_calls(model, sample) == {backend: 6}


def test_another_backend_gives_the_same_result(model, sample):
    before = sample(model)
    switched(model, attention_backend='_native_math')
    assert torch.allclose(sample(model), before, atol=1e-4)


def test_a_backend_that_does_not_reach_the_blocks_is_an_error(model):
    """A processor that calls torch directly is what the released classes have."""
    class Unresponsive:
        def __call__(self, attn, hidden_states, context=None, *_):
            query, key = attn.to_q(hidden_states), attn.to_k(context)
            return torch.nn.functional.scaled_dot_product_attention(
                query, key, attn.to_v(context))

    model.blocks[1].attn2.set_processor(Unresponsive())
    with pytest.raises(WorldModelError, match='attention_backend=_native_math was switched on, but '
                                              'is active on 4 of 6 attention calls'):
        switched(model, attention_backend='_native_math')


def test_a_backend_that_cannot_run_here_is_an_error(model):
    with pytest.raises(WorldModelError, match='attention_backend=flash cannot be used here: .*'):
        switched(model, attention_backend='flash')


def test_first_block_cache_skips_blocks_and_starts_anew_for_each_rollout(model, sample):
    exact = sample(model)
    assert switched(model, cache='first_block', cache_threshold=1e9)[0] == \
        'cache=first_block: active on 2 of 2 blocks'
    computed = []
    model.blocks[1].ffn.register_forward_hook(lambda *_: computed.append(1))
    first, again = sample(model), sample(model)
    assert len(computed) == 2            # of 12: all but the first step of each rollout skipped
    assert torch.equal(first, again) and not torch.equal(first, exact)


def test_a_cache_that_ignores_nothing_changes_nothing(model, sample):
    exact = sample(model)
    switched(model, cache='first_block', cache_threshold=0.0)
    assert torch.equal(sample(model), exact)


def test_the_caches_of_the_two_passes_are_kept_apart(model, sample):
    from kinema4d_ros.world_model.kinema4d.config import Guidance
    exact = sample(model, steps=1, guidance=Guidance.REFERENCE)
    switched(model, cache='first_block', cache_threshold=1e9)
    assert torch.equal(sample(model, steps=1, guidance=Guidance.REFERENCE), exact)


def test_mag_cache_is_calibrated_once_and_then_skips(model, sample, parts, variant):
    exact = sample(model, steps=10)
    seen = switched(model, cache='mag_calibrate', steps=10)
    assert seen[0] == 'cache=mag_calibrate: active on 2 of 2 blocks'
    assert torch.equal(sample(model, steps=10), exact)
    from kinema4d_ros.world_model.kinema4d.acceleration import measured_ratios
    ratios = measured_ratios(model)
    assert len(ratios) == 10 and ratios[0] == 1.0 and all(ratio > 0 for ratio in ratios)
    fresh = parts[variant].checkpoint.load_transformer('cpu', torch.float32)
    switched(fresh, cache='mag', mag_ratios=tuple(ratios), cache_threshold=1e9, steps=10)
    computed = []
    fresh.blocks[1].ffn.register_forward_hook(lambda *_: computed.append(1))
    sample(fresh, steps=10)
    assert len(computed) < 10


def test_mag_cache_without_ratios_says_how_to_get_them(model):
    with pytest.raises(WorldModelError, match='--calibrate'):
        switched(model, cache='mag')


def test_compiled_blocks_give_the_same_result(model, sample):
    exact = sample(model, steps=2)
    assert switched(model, compile='eager')[-1] == 'compile=eager: active on 2 of 2 blocks'
    assert torch.allclose(sample(model, steps=2), exact, atol=1e-5)


def test_a_compiler_that_does_not_exist_is_an_error(model):
    with pytest.raises(WorldModelError, match='compile=nonsense cannot be used here'):
        switched(model, compile='nonsense')


def test_group_offload_is_on_every_block_and_gives_the_same_result(model, sample):
    exact = sample(model, steps=2)
    seen = switched(model, offload='group')
    assert seen[0] == 'offload=group: active on 2 of 2 blocks'
    assert torch.equal(sample(model, steps=2), exact)


def test_cache_and_offload_together(model, sample):
    seen = switched(model, cache='first_block', cache_threshold=1e9, offload='group')
    assert len(seen) == 3
    assert torch.isfinite(sample(model)).all()


def test_quantization_reaches_every_linear_layer_of_the_blocks(model, sample):
    pytest.importorskip('torchao', reason='needs torchao')
    exact = sample(model, steps=1)
    assert switched(model, quantization='int8')[0] == \
        'quantization=int8: active on 24 of 24 linear layers'
    close = sample(model, steps=1)
    assert not torch.equal(close, exact)
    assert (close - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_quantization_without_its_package_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchao.quantization', None)
    with pytest.raises(WorldModelError, match='quantization=int8 needs torchao .*pip install'):
        switched(model, quantization='int8')


def test_context_parallelism_needs_its_processes(model):
    with pytest.raises(WorldModelError, match='context_parallel=2 needs 2 processes .*torchrun'):
        switched(model, context_parallel=2)


def test_a_number_of_devices_that_does_not_divide_is_an_error(model, monkeypatch):
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda: 3)
    with pytest.raises(WorldModelError, match='context_parallel=3 does not divide the 2 attention'):
        switched(model, context_parallel=3)


@pytest.mark.parametrize('name, value', [
    ('cache', 'tea'), ('parallel_kind', 'star'), ('quantization', 'int3'), ('offload', 'disk'),
    ('attention_backend', 'magic')])
def test_unknown_values_list_the_known_ones(model, name, value):
    with pytest.raises(WorldModelError, match=f"{name} '{value}' does not exist; choose one of: "):
        switched(model, **{name: value})


def test_an_option_that_is_active_only_in_part_is_an_error(model, monkeypatch):
    from diffusers.hooks import HookRegistry
    original = type(model).enable_cache

    def partly(self, config):
        original(self, config)
        registry = HookRegistry.check_if_exists_or_initialize(self.blocks[1])
        registry.remove_hook('fbc_block_hook')

    monkeypatch.setattr(type(model), 'enable_cache', partly)
    with pytest.raises(WorldModelError, match='cache=first_block was switched on, but is active on '
                                              '1 of 2 blocks'):
        switched(model, cache='first_block')
