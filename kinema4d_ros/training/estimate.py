# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory, disk and time training will take, from configuration and headers alone."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kinema4d_ros.errors import TrainingError
from kinema4d_ros.training.settings import TrainingSettings
from kinema4d_ros.world_model.kinema4d.config import ModelConfig
from kinema4d_ros.world_model.kinema4d.estimate import forward_flops, GIB, THROUGHPUT

_ADAM = 2                # float32 numbers of state for each that learns
_BLOCK_WIDTHS = 26       # tokens x width, 2 bytes each, that one block keeps for going backward


@dataclass(frozen=True)
class TrainingEstimate:
    """Bytes on each device, operations of an optimiser step, and bytes on disk."""

    frozen: int            # weights that do not learn
    learning: int          # LoRA and added weights in float32, and their gradients
    optimiser: int         # the part of one process
    activations: int
    flops: float           # of one optimiser step, on one process
    checkpoint: int        # bytes on disk of one

    @property
    def device(self) -> int:
        """Bytes of one device."""
        return self.frozen + self.learning + self.optimiser + self.activations

    def lines(self, settings: TrainingSettings) -> list[str]:
        """Return the estimate for people."""
        found = [f'{name:<12}{getattr(self, name) / GIB:9.2f} GiB' for name in (
            'frozen', 'learning', 'optimiser', 'activations', 'device')]
        step = ', '.join(f'{name} {self.flops / rate / 1e12:.3g} s'
                         for name, rate in THROUGHPUT.items() if name in ('H100', 'A100'))
        days = ', '.join(
            f'{name} {settings.steps * self.flops / rate / 1e12 / 3600:.3g} h'
            for name, rate in THROUGHPUT.items() if name in ('H100', 'A100'))
        return [*found, f'one step: {self.flops / 1e15:.3g} PFLOP, with plain diffusers about '
                f'{step}', f'{settings.steps} steps: about {days}, on each of the processes',
                f'disk: {self.checkpoint / GIB:.2f} GiB for each of {settings.keep} checkpoints, '
                'and one more while it is written']


def estimate_training(config: ModelConfig, stock: Mapping[str, tuple[int, ...]],
                      learning: Mapping[str, tuple[int, ...]], settings: TrainingSettings,
                      dtype_bytes: int, *, shards: int = 1) -> TrainingEstimate:
    """
    Estimate one process.

    :param stock: shapes of the weights that do not learn.
    :param learning: shapes of those that do.
    :param dtype_bytes: of the frozen weights.
    :param shards: processes that the optimiser's state is spread over (ZeRO-2, FSDP).
    """
    count = sum(math.prod(shape) for shape in learning.values())
    frozen = dtype_bytes * sum(math.prod(shape) for shape in stock.values())
    width = 2 if settings.mixed_precision == 'bf16' else 4
    tokens, inner = config.video_tokens * settings.batch, config.inner_dim
    layers = config.transformer['num_layers']
    block = width * tokens * (_BLOCK_WIDTHS * inner + 3 * config.transformer['ffn_dim'])
    boundary = width * tokens * inner * layers
    kept = boundary + block if settings.gradient_checkpointing else layers * block
    forward = forward_flops(config) * settings.batch
    attention = 4.0 * config.video_tokens ** 2 * inner * layers * settings.batch
    # Going backward, frozen weights need no gradient of their own; attention computes its twice.
    backward = (forward - attention) + 2.5 * attention
    again = forward if settings.gradient_checkpointing else 0.0
    return TrainingEstimate(
        frozen, 8 * count, 4 * _ADAM * count // shards, kept,
        settings.accumulation * (forward + again + backward), 4 * (1 + _ADAM) * count)


def check_device(need: TrainingEstimate, free: int | None) -> None:
    """
    Refuse to start what cannot fit.

    :param free: bytes of the device; None where unknown.
    :raises TrainingError: naming both figures and what would help.
    """
    if free is not None and need.device > free:
        raise TrainingError(
            f'training is estimated to need {need.device / GIB:.1f} GiB on each device, '
            f'{free / GIB:.1f} GiB are free; {ADVICE} (--no-check-memory tries it anyway)')


ADVICE = ('use batch 1 with more accumulation, keep gradient checkpointing on, share the optimiser '
          'between processes (accelerate launch with ZeRO-2 or FSDP), or take devices with more '
          'memory')
