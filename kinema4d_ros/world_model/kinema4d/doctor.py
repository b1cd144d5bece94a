# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and a checkpoint directory before anything heavy is loaded."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TYPE_CHECKING

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.diffusers_compat import why_kernel_unusable
from kinema4d_ros.world_model.kinema4d.machine import check_estimates, check_machine

if TYPE_CHECKING:
    import torch


def check_engine(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Kinema4D`.
    """
    machine = yield from check_machine(setting, 'kinema4d')
    if machine is None:
        return
    device, dtype = machine
    yield Diagnosis('attention', Level.OK,
                    f'kernels that can be used here: {", ".join(usable_backends())}')
    yield from _check_checkpoint(setting, device, dtype)


def usable_backends() -> list[str]:
    """Return the attention kernels whose packages are installed; nothing is downloaded."""
    from diffusers.models import attention_dispatch
    return [backend.value for backend in attention_dispatch.AttentionBackendName
            if why_kernel_unusable(backend) is None]


def _check_checkpoint(setting: Mapping[str, Any], device: str, dtype: torch.dtype
                      ) -> Iterator[Diagnosis]:
    """Yield what there is to say about the checkpoint, memory and time."""
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    from kinema4d_ros.world_model.kinema4d.engine import sampling_settings
    from kinema4d_ros.world_model.kinema4d.estimate import estimate_memory, rollout_flops
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
    yield from check_estimates(need, rollout_flops(config, sampling.steps, sampling.guidance),
                               f'window of {sampling.steps} steps, {sampling.guidance}', device)
