# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory and time a checkpoint will need, from its configuration alone."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import Guidance, ModelConfig

_PINNED = {'rope', 'time_embedder', 'scale_shift_table', 'norm1', 'norm2', 'norm3'}
_WEIGHT_BYTES = {'none': None, 'float8': 1, 'int8': 1}
GIB = 1 << 30
# Achieved dense throughput of plain diffusers [TFLOP/s], from published runs of the same base
# model; only for the doctor's guess of the time.
THROUGHPUT = {'H100': 345, 'H200': 350, 'GH200': 340, 'A100': 190, 'A800': 184, 'RTX 4090': 110}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes needed at the same time on the device and in the host."""

    transformer: int
    vae: int
    image_encoder: int
    activations: int      # of the transformer, the larger of the two peaks
    decoding: int         # activations of the VAE
    device: int
    host: int

    def lines(self) -> list[str]:
        """Return the estimate for people."""
        return [f'{name:<14}{getattr(self, name) / GIB:8.2f} GiB' for name in (
            'transformer', 'vae', 'image_encoder', 'activations', 'decoding', 'device', 'host')]


def estimate_memory(config: ModelConfig, shapes: Mapping[str, tuple[int, ...]], vae_bytes: int,
                    dtype_bytes: int, *, quantization: str = 'none', offload: str = 'none',
                    on_cpu: bool = False) -> MemoryEstimate:
    """
    Estimate the memory of one rollout.

    :param shapes: of all of the transformer's weights (the LoRA is merged and takes none).
    :param vae_bytes: size of the VAE's weights in its file.
    :param dtype_bytes: of the transformer's dtype.
    """
    per_block = _WEIGHT_BYTES[quantization] or dtype_bytes
    transformer = block = 0
    for key, shape in shapes.items():
        width = 4 if _PINNED & set(key.split('.')) else (
            per_block if key.startswith('blocks.') and len(shape) == 2 else dtype_bytes)
        transformer += width * math.prod(shape)
        if key.startswith('blocks.0.'):
            block += width * math.prod(shape)
    inner, tokens = config.inner_dim, config.video_tokens
    # Tokens in float32 (4 copies at most), q, k, v and output, and the feed-forward twice.
    activations = tokens * (16 * inner + 5 * dtype_bytes * inner
                            + 2 * dtype_bytes * config.transformer['ffn_dim'])
    size, encoder = config.geometry, config.image_encoder
    pixels = size.height * 2 * size.width
    decoding = 10 * config.vae.get('base_dim', 96) * size.temporal_scale * pixels * dtype_bytes
    clip = 4 * encoder['num_hidden_layers'] * (
        4 * encoder['hidden_size'] ** 2 + 2 * encoder['hidden_size'] * encoder['intermediate_size'])
    parts = transformer + vae_bytes + clip
    if on_cpu or offload == 'none':
        device, host = parts + max(activations, decoding), 0
    elif offload == 'model':
        device, host = max(transformer + activations, vae_bytes + decoding), parts
    else:
        device, host = max(3 * block + activations, vae_bytes + decoding), parts
    return MemoryEstimate(transformer, vae_bytes, clip, activations, decoding, device, host)


def check_memory(need: MemoryEstimate, free_device: int | None, free_host: int | None) -> None:
    """
    Refuse to load what cannot fit.

    :param free_device: bytes; None where unknown.
    :raises WorldModelError: naming both figures and what would help.
    """
    for place, wanted, free in (('device', need.device, free_device),
                                ('host', need.host, free_host)):
        if free is not None and wanted > free:
            raise WorldModelError(
                f'the model needs about {wanted / GIB:.1f} GiB of {place} memory, '
                f'{free / GIB:.1f} GiB are free; use offload=model or group, quantization=int8 or '
                'float8, or another device (check_memory=false skips this check)')


def free_memory(device: str) -> tuple[int | None, int | None]:
    """Return the free bytes (device, host); on the CPU both are the same memory."""
    import torch
    host = None
    try:
        with open('/proc/meminfo') as file:
            host = next(int(line.split()[1]) * 1024 for line in file
                        if line.startswith('MemAvailable'))
    except (OSError, StopIteration):
        pass   # not Linux: the check is skipped
    if torch.device(device).type == 'cuda':
        return torch.cuda.mem_get_info(device)[0], host
    return host, host


def forward_flops(config: ModelConfig) -> float:
    """Return the floating-point operations of one network evaluation (a multiply-add is 2)."""
    inner, tokens = config.inner_dim, config.video_tokens
    layers, ffn = config.transformer['num_layers'], config.transformer['ffn_dim']
    context = config.arm_tokens + config.image_tokens
    linear = 2 * tokens * (6 * inner ** 2 + 2 * inner * ffn)
    attention = 4 * tokens ** 2 * inner
    cross = 4 * tokens * context * inner + 4 * context * inner ** 2
    return float(layers * (linear + attention + cross))


def rollout_flops(config: ModelConfig, steps: int, guidance: Guidance) -> float:
    """Return the operations of the denoising of one window."""
    return forward_flops(config) * steps * (2 if guidance is Guidance.REFERENCE else 1)
