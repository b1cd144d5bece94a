# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One optimiser step of `kinema4d train` on a device, with random weights: seconds and memory.

As there: a LoRA on the attentions and the added weights learn in float32, the rest is frozen,
blocks are computed again going backward, AdamW. It is written out here because that command needs
more packages than a machine for this measurement has.
"""
from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from kinema4d_ros.world_model.kinema4d.config import ModelConfig
from kinema4d_ros.world_model.kinema4d.estimate import forward_flops

RANK = 64
TRAINING = 'training step'


def measure_step(config: ModelConfig, make_model: Callable[[], Any], device: str, dtype: Any,
                 repeats: int, *, rank: int = RANK) -> dict[str, Any]:
    """
    Build the model, take a step to warm up, and time some.

    :param make_model: gives the transformer with random weights on the device.
    :return: a row: seconds of a step and of one forward pass's worth of work, peak memory, loss.
    """
    import torch
    from peft import LoraConfig

    from kinema4d_ros.world_model.kinema4d.checkpoint import split_added
    cuda = device.startswith('cuda')
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = make_model()
    added = set(split_added(model.state_dict())[0])
    model.add_adapter(LoraConfig(r=rank, lora_alpha=rank // 2,
                                 target_modules=['to_q', 'to_k', 'to_v', 'to_out.0']))
    for name, parameter in model.named_parameters():
        learns = '.lora_' in name or name in added
        parameter.requires_grad_(learns)
        if learns:
            parameter.data = parameter.data.float()
    model.enable_gradient_checkpointing()
    model.train()
    learning = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=2e-5, weight_decay=1e-4)
    size, random = config.geometry, torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Any:
        return torch.randn(shape, generator=random).to(device, dtype)

    inputs = (noise(1, 36, *size.joint_latent), torch.tensor([500.0], device=device),
              noise(1, 20, size.latent_frames, size.latent_height,
                    model.halves * size.latent_width),
              noise(1, config.image_tokens, config.transformer['image_dim']))
    target = noise(1, 16, *size.joint_latent).float()
    seconds, losses = [], []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        with torch.autocast(device.partition(':')[0], torch.bfloat16,
                            enabled=dtype is torch.bfloat16):
            made = model(*inputs, return_dict=False)[0]
            loss = (made.float() - target).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))       # waits for the device
        seconds.append(time.perf_counter() - started)
    return {'case': TRAINING, 'step_s': statistics.median(seconds[1:]),
            'loss_first': losses[0], 'loss_last': losses[-1],
            'learning_parameters': sum(value.numel() for value in learning),
            'forward_pflop': forward_flops(config) / 1e15,
            'peak_gib': torch.cuda.max_memory_allocated() / 2**30 if cuda else None,
            'good': all(value == value for value in losses)}
