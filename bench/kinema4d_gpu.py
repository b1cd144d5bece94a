# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The full-size transformer with random weights on a GPU: the released way against each option.

    python -m bench.kinema4d_gpu

needs a GPU of 80 GB, a quarter of an hour, and of this project's requirements only numpy, pillow
and those in requirements/model.txt. `--only` measures a part, the reference and the plain single
pass always among it; `--tiny` runs everything on whatever there is, to see that it can run.

One process, one GPU, the same weights and noise for all. Two models do not fit side by side, so
the ways run one after the other, each after a warm-up, and the reference runs again at the end to
show the drift. `rollout_s` scales the measured steps to 50; encoding and decoding (about 6 s) come
on top. The last row is one optimiser step of the training. `difference` is the RMS difference of
the latents to the plain single pass over the same steps, relative to their RMS. With random weights
it says nothing of how good a cache is: that, and how much it skips, needs the released ones.

The file is written after every way, so that a run that is cut off leaves what it measured.
"""
from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.kinema4d_step import measure_step, TRAINING
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import (Geometry, Guidance, ModelConfig, Sampling,
                                                      Variant)
from kinema4d_ros.world_model.kinema4d.estimate import forward_flops
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.kinema4d.tiny import model_config

STEPS, FULL_ROLLOUT = 2, 50
REFERENCE, PLAIN, AGAIN = 'reference (two passes)', 'single pass', 'reference again'
GOALS = {'lossless stack': 2.5, 'quantised stack': 4.0}   # times faster than the reference


def ways() -> dict[str, dict]:
    """Return name -> options of the acceleration, and the guidance where it is not one pass."""
    lossless = {'attention_backend': '_native_cudnn', 'compile': 'inductor'}
    return {
        REFERENCE: {'guidance': Guidance.REFERENCE},
        PLAIN: {},
        'cuDNN attention': {'attention_backend': '_native_cudnn'},
        'FlashAttention 3': {'attention_backend': '_flash_3'},
        'SageAttention': {'attention_backend': 'sage'},
        'compiled blocks': {'compile': 'inductor'},
        'group offload': {'offload': 'group'},
        'int8': {'quantization': 'int8', 'compile': 'inductor'},
        'float8': {'quantization': 'float8', 'compile': 'inductor'},
        'first-block cache 0.1': {'cache': 'first_block', 'cache_threshold': 0.1},
        'lossless stack': lossless,
        'quantised stack': {**lossless, 'quantization': 'float8'},
        AGAIN: {'guidance': Guidance.REFERENCE},
        TRAINING: {},
    }


def full_size(layers: int = 40) -> ModelConfig:
    """Return the configuration of the released pointmap-only model."""
    transformer = {
        'patch_size': (1, 2, 2), 'num_attention_heads': 40, 'attention_head_dim': 128,
        'in_channels': 36, 'out_channels': 16, 'text_dim': 4096, 'freq_dim': 256,
        'ffn_dim': 13824, 'num_layers': layers, 'cross_attn_norm': True,
        'qk_norm': 'rms_norm_across_heads', 'eps': 1e-6, 'image_dim': 1280,
        'added_kv_proj_dim': 5120, 'rope_max_seq_len': 1024, 'pos_embed_seq_len': None}
    encoder = {'image_size': 224, 'patch_size': 14, 'num_hidden_layers': 32, 'hidden_size': 1280,
               'intermediate_size': 5120}
    return ModelConfig(Variant.POINTMAP, Geometry(13, 60, 90, 15), Sampling(), 128, transformer,
                       {'base_dim': 96}, encoder, {}, {})


def measure(repeats: int) -> list[dict]:
    """Return one row per way; one row that says so where there is no GPU."""
    try:
        torch = require_stack()
    except WorldModelError as error:
        return [{'case': f'not measured: {error}', 'good': True}]
    if not torch.cuda.is_available():
        return [{'case': 'not measured: no GPU here', 'good': True}]
    return compare(full_size(), 'cuda', torch.bfloat16, repeats)


def compare(config: ModelConfig, device: str, dtype, repeats: int, *, only: Sequence[str] = (),
            report: Callable[[list[dict]], None] = lambda rows: None) -> list[dict]:
    """
    Measure the ways on a device.

    :param only: names of those wanted; all when empty.
    :param report: called with the rows so far, after each way.
    """
    rows, plain = [], None
    chosen = {name: options for name, options in ways().items()
              if not only or name in (REFERENCE, PLAIN, *only)}
    for name, options in chosen.items():
        report(_even(rows))
        if name == TRAINING:
            rows.append(training_row(config, device, dtype, repeats))
            continue
        try:
            row, latents = measure_way(config, name, options, device, dtype, repeats)
        except WorldModelError as error:
            rows.append({'case': name, 'reason': str(error)[:160], 'good': True})
            continue
        plain = latents if name == PLAIN else plain
        row['difference'] = (None if plain is None else float(
            (latents - plain).square().mean().sqrt() / plain.square().mean().sqrt()))
        row['times_faster'] = rows[0]['rollout_s'] / row['rollout_s'] if rows else 1.0
        row['goal'] = GOALS.get(name)
        row['good'] = row['goal'] is None or row['times_faster'] >= row['goal']
        rows.append(row)
    report(_even(rows))
    return _even(rows)


def training_row(config: ModelConfig, device: str, dtype, repeats: int) -> dict:
    """Return the row of an optimiser step, or one that says why it was not measured."""
    try:
        with memory_guard('training', 'an optimiser step needs about 60 GiB at full size'):
            return measure_step(config, lambda: random_model(config, device, dtype), device, dtype,
                                repeats)
    except WorldModelError as error:
        return {'case': TRAINING, 'reason': str(error)[:160], 'good': True}


def _even(rows: list[dict]) -> list[dict]:
    """Give all rows the same keys."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, '') for key in keys} for row in rows]


def measure_way(config: ModelConfig, name: str, options: dict, device: str, dtype,
                repeats: int):
    """Build the model, switch one set of options on, and sample a few steps."""
    import torch

    from kinema4d_ros.world_model.kinema4d.acceleration import accelerate, Acceleration
    from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
    from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
    guidance = options.get('guidance', Guidance.SINGLE_PASS)
    wanted = Acceleration(**{key: value for key, value in options.items() if key != 'guidance'})
    cuda = device.startswith('cuda')
    gc.collect()
    model = random_model(config, device, dtype)
    if wanted.offload == 'group':
        model.to('cpu')
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for line in accelerate(model, wanted, device, dtype):
        print(f'{name}: {line}', flush=True)
    from diffusers import UniPCMultistepScheduler
    scheduler = UniPCMultistepScheduler(
        prediction_type='flow_prediction', use_flow_sigmas=True, flow_shift=3.0)
    size, noise = config.geometry, torch.Generator().manual_seed(0)
    image = ImageCondition(
        torch.randn(1, 20, *size.joint_latent, generator=noise),
        torch.randn(1, config.image_tokens, config.transformer['image_dim'], generator=noise))
    arm = torch.randn(1, 20, size.latent_frames, size.latent_height, size.latent_width,
                      generator=noise)
    pipeline = Pipeline(model, scheduler, device, dtype)
    seconds, latents = [], None
    for _ in range(repeats + 1):
        started, before = time.perf_counter(), pipeline.forwards
        latents = pipeline.sample(image, arm, SamplingSettings(STEPS, guidance, 5.0),
                                  torch.Generator().manual_seed(42))
        seconds.append(time.perf_counter() - started)   # the result is on the CPU: all is done
    forwards = pipeline.forwards - before
    sampled = statistics.median(seconds[1:])
    row = {'case': name, 'forwards_per_step': forwards / STEPS,
           'forward_s': sampled / forwards, 'rollout_s': sampled / STEPS * FULL_ROLLOUT,
           'tflop_per_s': forward_flops(config) * forwards / sampled / 1e12,
           'peak_gib': torch.cuda.max_memory_allocated() / 2**30 if cuda else None}
    return row, latents


def random_model(config: ModelConfig, device: str, dtype):
    """Return the transformer with random weights that keep activations finite, from one seed."""
    import torch

    from kinema4d_ros.world_model.kinema4d.rope import SharedRotaryEmbedding
    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer
    with torch.device('meta'):
        model = Kinema4DTransformer.from_model_config(config)
    pinned, state = set(model._keep_in_fp32_modules), {}
    generator = torch.Generator(device).manual_seed(0)
    for name, value in model.state_dict().items():
        kind = torch.float32 if pinned & set(name.split('.')) else dtype
        tensor = torch.empty(value.shape, dtype=kind, device=device)
        if 'norm' in name and name.endswith('weight'):
            tensor.fill_(1.0)
        else:
            tensor.normal_(0.0, 0.02, generator=generator)
        state[name] = tensor
    model.load_state_dict(state, strict=True, assign=True)
    sizes = config.transformer
    model.rope = SharedRotaryEmbedding(sizes['attention_head_dim'], tuple(sizes['patch_size']),
                                       sizes['rope_max_seq_len']).to(device)
    return model.eval().requires_grad_(False)


def main(words: list[str] | None = None) -> int:
    """Measure and write the results with the hardware named; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog='python -m bench.kinema4d_gpu', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=3, help='timed rollouts (%(default)s)')
    parser.add_argument('--only', nargs='+', choices=ways(), default=(), metavar='WAY',
                        help=f'some of: {", ".join(ways())}')
    parser.add_argument('--tiny', action='store_true',
                        help='a model of two small layers, in float32; its figures mean nothing')
    parser.add_argument('--out', type=Path, default=Path('out/bench/kinema4d_gpu.json'))
    arguments = parser.parse_args(words)
    torch = require_stack()
    cuda = torch.cuda.is_available()
    if not cuda and not arguments.tiny:
        parser.error('there is no GPU here that torch can use; --tiny runs without')
    config = model_config(Variant.POINTMAP) if arguments.tiny else full_size()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)

    def report(rows: list[dict]) -> None:
        arguments.out.write_text(json.dumps(
            {'gpu': torch.cuda.get_device_name() if cuda else None,
             'versions': {name: importlib.metadata.version(name)
                          for name in ('torch', 'diffusers')},
             'tokens': config.video_tokens, 'layers': config.transformer['num_layers'],
             'rows': rows}, indent=2) + '\n')

    rows = compare(config, 'cuda' if cuda else 'cpu',
                   torch.float32 if arguments.tiny else torch.bfloat16, arguments.repeats,
                   only=arguments.only, report=report)
    print(as_markdown(rows))
    print(f'written to {arguments.out}')
    return 0 if all(row['good'] for row in rows) or arguments.tiny else 1


def as_markdown(rows: list[dict]) -> str:
    """Return the table for docs/measured.md."""
    columns = {'case': 'Way', 'forward_s': 's per forward', 'rollout_s': 's per rollout',
               'step_s': 's per training step', 'times_faster': 'times faster',
               'tflop_per_s': 'TFLOP/s', 'peak_gib': 'peak GiB',
               'difference': 'difference', 'reason': 'not measured'}
    lines = ['| ' + ' | '.join(columns.values()) + ' |', '|---' * len(columns) + '|']
    for row in rows:
        cells = [row.get(key, '') for key in columns]
        lines.append('| ' + ' | '.join(
            f'{cell:.3g}' if isinstance(cell, float) else str('' if cell is None else cell)
            for cell in cells) + ' |')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
