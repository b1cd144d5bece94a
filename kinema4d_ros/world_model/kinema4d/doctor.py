# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and a checkpoint directory before anything heavy is loaded."""
from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any, TYPE_CHECKING

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import ModelConfig
from kinema4d_ros.world_model.kinema4d.diffusers_compat import why_kernel_unusable
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype, require_stack

if TYPE_CHECKING:
    import torch

    from kinema4d_ros.world_model.kinema4d.pipeline import SamplingSettings


def check_engine(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Kinema4D`.
    """
    try:
        torch = require_stack()
    except WorldModelError as error:
        yield Diagnosis('packages', Level.ERROR, str(error))
        return
    yield Diagnosis('packages', Level.OK, ', '.join(
        f'{name} {importlib.metadata.version(name)}'
        for name in ('torch', 'diffusers', 'transformers', 'accelerate', 'safetensors')))
    try:
        device = pick_device(setting['device'])
        dtype = pick_dtype(setting['dtype'], device)
    except WorldModelError as error:
        yield Diagnosis('device', Level.ERROR, str(error))
        return
    name = torch.cuda.get_device_name(device) if device.startswith('cuda') else 'CPU'
    yield Diagnosis('device', Level.OK,
                    f'{device} ({name}), transformer in {str(dtype).removeprefix("torch.")}')
    yield Diagnosis('attention', Level.OK,
                    f'kernels that can be used here: {", ".join(usable_backends())}')
    yield from _check_checkpoint(setting, device, name, dtype)


def usable_backends() -> list[str]:
    """Return the attention kernels whose packages are installed; nothing is downloaded."""
    from diffusers.models import attention_dispatch
    return [backend.value for backend in attention_dispatch.AttentionBackendName
            if why_kernel_unusable(backend) is None]


def _check_checkpoint(setting: Mapping[str, Any], device: str, name: str,
                        dtype: torch.dtype) -> Iterator[Diagnosis]:
    """Yield what there is to say about the checkpoint, memory and time."""
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    from kinema4d_ros.world_model.kinema4d.engine import sampling_settings
    from kinema4d_ros.world_model.kinema4d.estimate import (check_memory, estimate_memory,
                                                            free_memory)
    from kinema4d_ros.world_model.kinema4d.weights import WeightFiles
    try:
        checkpoint = Checkpoint(setting['base'], setting['weights'], setting['variant'])
        WeightFiles.find(checkpoint.base / 'image_encoder', 'model')
        checkpoint.make_scheduler()
        sampling = sampling_settings(setting, checkpoint.config.sampling)
    except WorldModelError as error:
        yield Diagnosis('checkpoint', Level.ERROR, str(error))
        return
    config = checkpoint.config
    size = config.geometry
    yield Diagnosis(
        'checkpoint', Level.OK, f'variant {config.variant}, fingerprint {checkpoint.fingerprint}: '
        f'{len(checkpoint.stock.shapes)} base, {len(checkpoint.added.shapes)} added and '
        f'{len(checkpoint.lora.shapes)} LoRA tensors, none missing, none left over')
    yield Diagnosis(
        'size', Level.OK, f'{size.frames} frames of {size.width} x {size.height}, '
        f'{config.video_tokens} tokens, context of {config.image_tokens} image and '
        f'{config.arm_tokens} arm tokens')
    need = estimate_memory(
        config, {**checkpoint.stock.shapes, **checkpoint.added.shapes},
        2 * checkpoint.vae_files.bytes, dtype.itemsize, quantization=setting['quantization'],
        offload=setting['offload'], on_cpu=device == 'cpu')
    for line in need.lines():
        yield Diagnosis('memory', Level.OK, line)
    try:
        check_memory(need, *free_memory(device))
    except WorldModelError as error:
        yield Diagnosis('memory', Level.ERROR, str(error))
    yield Diagnosis('time', Level.OK, _time(config, sampling, name))


def _time(config: ModelConfig, sampling: SamplingSettings, name: str) -> str:
    """Guess the time of one window from published throughputs of plain diffusers."""
    from kinema4d_ros.world_model.kinema4d.estimate import rollout_flops, THROUGHPUT
    flops = rollout_flops(config, sampling.steps, sampling.guidance)
    work = (f'{sampling.steps} steps, {sampling.guidance}: {flops / 1e15:.3g} PFLOP per window')
    known = [(key, rate) for key, rate in THROUGHPUT.items() if key in name]
    if not known:
        table = ', '.join(f'{key} {flops / rate / 1e12:.0f} s' for key, rate in THROUGHPUT.items())
        return f'{work}; with plain diffusers about: {table}'
    return f'{work}; about {flops / known[0][1] / 1e12:.0f} s here with plain diffusers'
