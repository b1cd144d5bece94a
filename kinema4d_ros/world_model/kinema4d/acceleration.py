# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Switch on what makes the transformer faster or smaller, and prove that it is on.

Several of these switches return without an error and without an effect when a model's classes
are not what they expect. So after switching, the places that must have changed are counted, and
one forward pass counts the attention kernels that really run; what was asked for and is not
active is an error. That pass also warms up the kernels, and meets a lack of memory before the
first request does.
"""
from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

import torch
from diffusers.models import attention_dispatch

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.diffusers_compat import (attention_kernels, cached_states,
                                                                forget_cached_steps, hook_of,
                                                                is_compiled, is_parallel)
from kinema4d_ros.world_model.kinema4d.stack import memory_guard

if TYPE_CHECKING:
    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer

CACHES = ('none', 'first_block', 'mag', 'mag_calibrate')
QUANTIZATIONS = ('none', 'float8', 'int8')
OFFLOADS = ('none', 'model', 'group')
PARALLEL_KINDS = ('ulysses', 'ring')
_PER_BLOCK = 3   # attention calls: self, arm tokens, image tokens
_HOOKS = {'first_block': ('fbc_leader_block_hook', 'fbc_block_hook'),
          'mag': ('mag_cache_leader_block_hook', 'mag_cache_block_hook')}


@dataclass(frozen=True)
class Acceleration:
    """What is to be switched on; the defaults switch on nothing."""

    attention_backend: str = 'native'
    cache: str = 'none'
    cache_threshold: float = 0.05
    mag_ratios: tuple[float, ...] = ()
    steps: int = 50
    quantization: str = 'none'
    compile: str = 'none'              # torch.compile backend
    offload: str = 'none'
    context_parallel: int = 1          # devices that share one sequence
    parallel_kind: str = 'ulysses'     # how they share it

    def check(self) -> None:
        """Raise WorldModelError for a value that does not exist, naming those that do."""
        for name, choices in (('cache', CACHES), ('quantization', QUANTIZATIONS),
                              ('offload', OFFLOADS), ('attention_backend', backends()),
                              ('parallel_kind', PARALLEL_KINDS)):
            if getattr(self, name) not in choices:
                raise WorldModelError(f'{name} {getattr(self, name)!r} does not exist; choose '
                                      f'one of: {", ".join(choices)}')
        if self.cache == 'mag' and not self.mag_ratios:
            raise WorldModelError(
                'cache=mag needs the magnitude ratios of this checkpoint: run the command with '
                '--calibrate once, and put its "mag_ratios" into kinema4d.json')


def accelerate(transformer: Kinema4DTransformer, wanted: Acceleration, device: str,
               dtype: torch.dtype) -> list[str]:
    """
    Switch on what is wanted, in the order in which the parts build on each other.

    :param device: where the transformer computes.
    :return: one line for each option, saying what was seen to be active.
    :raises WorldModelError: for an option that cannot be switched on, or is not active after it.
    """
    wanted.check()
    seen = []
    with memory_guard('preparing the transformer'):
        if wanted.quantization != 'none':
            seen.append(quantize(transformer, wanted.quantization))
        _switch(transformer.set_attention_backend, wanted.attention_backend,
                what=f'attention_backend={wanted.attention_backend}')
        if wanted.context_parallel > 1:
            seen.append(parallelize(transformer, wanted.context_parallel, wanted.parallel_kind))
        if wanted.cache != 'none':
            seen.append(enable_cache(transformer, wanted))
        if wanted.offload == 'group':
            seen.append(offload_groups(transformer, device))
        seen.append(prove_attention(transformer, wanted, device, dtype))
        if wanted.compile != 'none':   # last: counting calls would be compiled in
            seen.append(compile_blocks(transformer, wanted))
    return seen


def backends() -> tuple[str, ...]:
    """Return the names of the attention backends that this diffusers knows."""
    return tuple(member.value for member in attention_dispatch.AttentionBackendName)


def quantize(transformer: Kinema4DTransformer, kind: str) -> str:
    """Quantise the weights (and, when computing, the inputs) of all linears of the blocks."""
    try:
        from torchao.quantization import (Float8DynamicActivationFloat8WeightConfig,
                                          Int8DynamicActivationInt8WeightConfig, quantize_)
    except ImportError as error:
        raise WorldModelError(
            f'quantization={kind} needs torchao ({error}); pip install torchao') from error
    config = (Float8DynamicActivationFloat8WeightConfig() if kind == 'float8'
              else Int8DynamicActivationInt8WeightConfig())
    _switch(quantize_, transformer.blocks, config, what=f'quantization={kind}')
    linears = [module for module in transformer.blocks.modules()
               if isinstance(module, torch.nn.Linear)]
    done = sum(type(module.weight.data) is not torch.Tensor for module in linears)
    return _prove(f'quantization={kind}', done, len(linears), 'linear layers')


def parallelize(transformer: Kinema4DTransformer, degree: int, kind: str = 'ulysses') -> str:
    """
    Split the sequence over `degree` devices; the program runs once on each.

    :param kind: 'ulysses' exchanges heads, which needs fast links; 'ring' passes keys and values
        round, and needs an attention kernel that gives the log-sum-exp (flash, cuDNN).
    """
    from diffusers import ContextParallelConfig
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()
            and torch.distributed.get_world_size() == degree):
        raise WorldModelError(
            f'context_parallel={degree} needs {degree} processes that know each other: start with '
            f'torchrun --nproc-per-node={degree}')
    config = transformer.config
    tokens = config.latent_frames * (config.latent_height // 2) * config.latent_width
    for count, what in ((config.num_attention_heads, 'attention heads'), (tokens, 'tokens')):
        if count % degree and (kind == 'ulysses' or what == 'tokens'):
            raise WorldModelError(
                f'context_parallel={degree} does not divide the {count} {what}')
    _switch(transformer.enable_parallelism, what=f'context_parallel={degree}',
            config=ContextParallelConfig(**{f'{kind}_degree': degree}))
    selfs = [block.attn1.processor for block in transformer.blocks]
    done = sum(is_parallel(processor) for processor in selfs)
    return _prove(f'context_parallel={degree}', done, len(selfs), 'self-attentions')


def enable_cache(transformer: Kinema4DTransformer, wanted: Acceleration) -> str:
    """Skip blocks whose result hardly changes between steps."""
    from diffusers import FirstBlockCacheConfig, MagCacheConfig
    if wanted.cache == 'first_block':
        config = FirstBlockCacheConfig(threshold=wanted.cache_threshold)
    elif wanted.cache == 'mag':
        config = MagCacheConfig(threshold=wanted.cache_threshold, num_inference_steps=wanted.steps,
                                mag_ratios=list(wanted.mag_ratios))
    else:
        # One step more than are run: diffusers throws the measured ratios away after the last.
        config = MagCacheConfig(num_inference_steps=wanted.steps + 1, calibrate=True)
    _switch(transformer.enable_cache, config, what=f'cache={wanted.cache}')
    names = _HOOKS['mag' if wanted.cache.startswith('mag') else wanted.cache]
    done = sum(any(hook_of(block, name) is not None for name in names)
               for block in transformer.blocks)
    return _prove(f'cache={wanted.cache}', done, len(transformer.blocks), 'blocks')


def measured_ratios(transformer: Kinema4DTransformer) -> list[float]:
    """Return the magnitude ratios, one per step, of the last rollout with cache=mag_calibrate."""
    hook = hook_of(transformer.blocks[0], _HOOKS['mag'][0])
    if hook is None or not hook.config.calibrate:
        raise WorldModelError('the ratios are measured with cache=mag_calibrate only')
    states = cached_states(hook)
    if 'cond' not in states:
        raise WorldModelError('no rollout was sampled yet, so no ratios were measured')
    return list(states['cond'].calibration_ratios)


def compile_blocks(transformer: Kinema4DTransformer, wanted: Acceleration) -> str:
    """Compile one block and use it for all; a cache decides at run time, so it breaks the graph."""
    _switch(transformer.compile_repeated_blocks, what=f'compile={wanted.compile}',
            backend=wanted.compile, fullgraph=wanted.cache == 'none')
    done = sum(is_compiled(block) for block in transformer.blocks)
    return _prove(f'compile={wanted.compile}', done, len(transformer.blocks), 'blocks')


def offload_groups(transformer: Kinema4DTransformer, device: str) -> str:
    """Keep the weights in host memory and bring them to the device block by block."""
    cuda = torch.device(device).type == 'cuda'
    _switch(transformer.enable_group_offload, what='offload=group',
            onload_device=torch.device(device), offload_device=torch.device('cpu'),
            offload_type='block_level', num_blocks_per_group=1, use_stream=cuda,
            non_blocking=cuda)
    done = sum(hook_of(block, 'group_offloading') is not None for block in transformer.blocks)
    return _prove('offload=group', done, len(transformer.blocks), 'blocks')


def prove_attention(transformer: Kinema4DTransformer, wanted: Acceleration, device: str,
                    dtype: torch.dtype) -> str:
    """Run one forward pass; count which attention kernels it used, and the tokens per device."""
    lengths = []
    hook = transformer.blocks[0].ffn.register_forward_pre_hook(
        lambda _, inputs: lengths.append(inputs[0].shape[1]))
    with count_attention() as calls:
        _switch(probe, transformer, device, dtype,
                what=f'attention_backend={wanted.attention_backend} (with the other options)')
    hook.remove()
    forget_cached_steps(transformer)
    config = transformer.config
    tokens = config.latent_frames * (config.latent_height // 2) * config.latent_width
    if lengths != [tokens // wanted.context_parallel]:
        raise WorldModelError(
            f'context_parallel={wanted.context_parallel} was switched on, but a device computes '
            f'{lengths} of {tokens} tokens')
    return _prove(f'attention_backend={wanted.attention_backend}', calls[wanted.attention_backend],
                  _PER_BLOCK * len(transformer.blocks), 'attention calls')


def probe(transformer: Kinema4DTransformer, device: str, dtype: torch.dtype) -> torch.Tensor:
    """Run the transformer once on random input."""
    config, generator = transformer.config, torch.Generator().manual_seed(0)
    size = (config.latent_frames, config.latent_height, config.latent_width)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    joint = noise(1, config.in_channels, *size[:2], 2 * size[2])
    arm = noise(1, 4 + config.out_channels, *size[:2], transformer.halves * size[2])
    tokens = noise(1, 2, config.image_dim)
    timestep = torch.tensor([500], device=device)
    with torch.inference_mode(), transformer.cache_context('probe'):
        return transformer(joint, timestep, arm, tokens, return_dict=False)[0]


@contextlib.contextmanager
def count_attention() -> Iterator[Counter[str]]:
    """Count the calls of each attention kernel, by backend name, while the context is open."""
    table = attention_kernels()
    original, calls = dict(table), Counter[str]()

    def counting(name: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(**kwargs: Any) -> Any:
            calls[name.value] += 1
            return function(**kwargs)
        return call

    table.update({name: counting(name, function) for name, function in original.items()})
    try:
        yield calls
    finally:
        table.update(original)


def _switch(function: Callable[..., object], *args: Any, what: str, **kwargs: Any) -> None:
    """Call a switch; turn what it raises into an error that names the option."""
    try:
        function(*args, **kwargs)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, ImportError, NotImplementedError, AssertionError,
            TypeError, AttributeError, KeyError) as error:
        raise WorldModelError(f'{what} cannot be used here: {error}') from error


def _prove(what: str, active: int, expected: int, of: str) -> str:
    """Return the line that says that an option is active on all of its places, or raise."""
    if active != expected:
        raise WorldModelError(
            f'{what} was switched on, but is active on {active} of {expected} {of}; '
            'leave it out, or use a version of diffusers that supports it')
    return f'{what}: active on {active} of {expected} {of}'
