# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory and time a Cosmos 3 checkpoint will need, from its configuration alone."""
from __future__ import annotations

import math

from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.kinema4d.diffusers_compat import action_canvas
from kinema4d_ros.world_model.kinema4d.estimate import MemoryEstimate

TEXT_TOKENS = 200     # of the caption with its picture size and times, about


def video_tokens(checkpoint: CosmosCheckpoint, tier: int, chunk: int) -> int:
    """Return the tokens of one window at the canvas of a tier, for a 4:3 picture, with actions."""
    width, height = action_canvas(tier, 640, 480)
    cell = checkpoint.spatial_scale * checkpoint.transformer.get('latent_patch_size', 2)
    frames = chunk // checkpoint.temporal_scale + 1
    return frames * math.ceil(width / cell) * math.ceil(height / cell) + chunk + TEXT_TOKENS


def estimate_cosmos(checkpoint: CosmosCheckpoint, tier: int, chunk: int, dtype_bytes: int, *,
                    offload: str = 'none', on_cpu: bool = False) -> MemoryEstimate:
    """
    Estimate the memory of one window.

    :param tier: the setting `resolution`.
    :param chunk: actions in a window.
    :param dtype_bytes: of the transformer's dtype.
    """
    config = checkpoint.transformer
    weights = dtype_bytes * sum(math.prod(shape) for shape in checkpoint.weights.shapes.values())
    vae = dtype_bytes * sum(math.prod(shape) for shape in checkpoint.vae_weights.shapes.values())
    hidden = config.get('hidden_size', 4096)
    # Hidden state and residual, q, k, v and output, and the feed-forward twice.
    activations = video_tokens(checkpoint, tier, chunk) * dtype_bytes * (
        8 * hidden + 3 * config.get('intermediate_size', 12288))
    width, height = action_canvas(tier, 640, 480)
    base = checkpoint.vae.get('decoder_base_dim') or checkpoint.vae.get('base_dim', 96)
    decoding = 10 * base * checkpoint.temporal_scale * width * height * dtype_bytes // (
        checkpoint.vae.get('patch_size') or 1) ** 2
    parts = weights + vae
    if on_cpu or offload == 'none':
        device, host = parts + max(activations, decoding), 0
    else:
        device, host = max(weights + activations, vae + decoding), parts
    return MemoryEstimate(weights, vae, 0, activations, decoding, device, host)


def window_flops(checkpoint: CosmosCheckpoint, tier: int, chunk: int, steps: int,
                 guidance_scale: float) -> float:
    """Return the floating-point operations of the denoising of one window (a multiply-add is 2)."""
    config, tokens = checkpoint.transformer, video_tokens(checkpoint, tier, chunk)
    hidden, inner = config.get('hidden_size', 4096), config.get('intermediate_size', 12288)
    heads, width = config.get('num_attention_heads', 32), config.get('head_dim', 128)
    shared = config.get('num_key_value_heads', 8)
    linear = 2 * tokens * hidden * (2 * heads * width + 2 * shared * width + 3 * inner)
    attention = 4 * tokens ** 2 * heads * width
    passes = 1 if guidance_scale == 1.0 else 2
    return float(config.get('num_hidden_layers', 36) * (linear + attention) * steps * passes)
