# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory and time TesserAct will need, from its configuration alone."""
from __future__ import annotations

import math
from collections.abc import Mapping

from kinema4d_ros.world_model.kinema4d.estimate import MemoryEstimate
from kinema4d_ros.world_model.tesseract.checkpoint import TesseractCheckpoint


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the number of parameters of weight files."""
    return sum(math.prod(shape) for shape in shapes.values())


def _tokens(checkpoint: TesseractCheckpoint) -> int:
    """Return the tokens of a clip and its text."""
    frames, height, width = checkpoint.size.latent
    patch = checkpoint.config['patch_size']
    return int(frames * height * width // patch ** 2
               + checkpoint.config.get('max_text_seq_length', 226))


def _inner(checkpoint: TesseractCheckpoint) -> int:
    config = checkpoint.config
    return int(config.get('num_attention_heads', 30) * config.get('attention_head_dim', 64))


def estimate_tesseract(checkpoint: TesseractCheckpoint, dtype_bytes: int) -> MemoryEstimate:
    """
    Estimate the memory of a clip; the text encoder is there while nothing else is.

    :param dtype_bytes: of all parts.
    """
    weights = dtype_bytes * _count(checkpoint.files.shapes)
    vae = dtype_bytes * _count(checkpoint.vae_files.shapes)
    text = dtype_bytes * _count(checkpoint.text_files.shapes)
    inner, size = _inner(checkpoint), checkpoint.size
    frames, height, width = size.latent
    # Hidden state and residual, q, k, v and output, the feed-forward; three maps of the head.
    activations = dtype_bytes * (_tokens(checkpoint) * 14 * inner
                                 + 3 * frames * height * width * inner // 4)
    channels = checkpoint.vae.get('block_out_channels', (128, 256, 256, 512))[0]
    decoding = 3 * dtype_bytes * channels * 8 * size.height * size.width
    device = max(text, weights + vae + max(activations, decoding))
    return MemoryEstimate(weights, vae, text, activations, decoding, device, 0)


def clip_flops(checkpoint: TesseractCheckpoint, steps: int, passes: int) -> float:
    """Return the floating-point operations of the denoising of a clip (a multiply-add is 2)."""
    inner, tokens = _inner(checkpoint), _tokens(checkpoint)
    layers = checkpoint.config.get('num_layers', 30)
    frames, height, width = checkpoint.size.latent
    block = 2 * tokens * 12 * inner ** 2 + 4 * tokens ** 2 * inner
    hidden = inner // 4
    head = 2 * frames * height * width * hidden * (80 * 125 + hidden * 125 + hidden * 27)
    return float((layers * block + head) * steps * passes)
