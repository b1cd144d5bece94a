# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loaded model: all torch work of one rollout, and where its parts live meanwhile."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Report
from kinema4d_ros.world_model.kinema4d.acceleration import accelerate, Acceleration
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.conditioning import ConditionEncoder, ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance, Sampling
from kinema4d_ros.world_model.kinema4d.estimate import check_memory, estimate_memory, free_memory
from kinema4d_ros.world_model.kinema4d.extra_lora import ExtraLora
from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
from kinema4d_ros.world_model.kinema4d.stack import (memory_guard, pick_device, pick_dtype,
                                                       pick_robot_dtype)
from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec


class Engine:
    """
    A checkpoint on a device, ready to sample.

    With offload 'model' each part is on the device only while it works; with 'group' the
    transformer's blocks come and go one by one, and VAE and CLIP as with 'model'.
    """

    def __init__(self, setting: Mapping[str, Any], checkpoint: Checkpoint):
        """
        Make an engine: the parts of the checkpoint loaded on their devices and accelerated.

        :param setting: the settings of `Kinema4D`.
        """
        self.device = pick_device(setting['device'])
        self.dtype = pick_dtype(setting['dtype'], self.device)
        self.checkpoint, config = checkpoint, checkpoint.config
        self.sampling = sampling_settings(setting, config.sampling)
        wanted = Acceleration(
            setting['attention_backend'], setting['cache'], setting['cache_threshold'],
            config.sampling.mag_ratios, self.sampling.steps, setting['quantization'],
            setting['compile'], setting['offload'], setting['context_parallel'],
            setting['parallel_kind'])
        wanted.check()
        self._offload = wanted.offload
        if setting['check_memory']:
            shapes = {**self.checkpoint.stock.shapes, **self.checkpoint.added.shapes}
            check_memory(
                estimate_memory(config, shapes, 2 * self.checkpoint.vae_files.bytes,
                                self.dtype.itemsize, quantization=wanted.quantization,
                                offload=wanted.offload,
                                on_cpu=torch.device(self.device).type == 'cpu'),
                *free_memory(self.device))
        home = self.device if self._offload == 'none' else 'cpu'
        extra = (ExtraLora(setting['extra_lora'], setting['extra_lora_scale'])
                 if setting['extra_lora'] else None)
        self.transformer = self.checkpoint.load_transformer(home, self.dtype, extra=extra)
        vae_dtype = torch.float32 if self.dtype is torch.float16 else self.dtype
        self.codec = VideoCodec(self.checkpoint.load_vae(home, vae_dtype))
        robot_dtype = pick_robot_dtype(setting['robot_dtype'], self.device)
        self.robot_codec = (self.codec if robot_dtype is vae_dtype
                            else VideoCodec(self.checkpoint.load_vae(home, robot_dtype)))
        self.image_encoder = ImageEncoder(self.checkpoint.load_image_encoder(home),
                                          config.image_processor)
        self._conditions = ConditionEncoder(config, self.codec, self.image_encoder,
                                            self.robot_codec)
        with memory_guard('preparing the transformer'), self._on_device(self.transformer):
            self.active = accelerate(self.transformer, wanted, self.device, self.dtype)
        scheduler = self.checkpoint.make_scheduler(setting['scheduler'], setting['flow_shift'])
        self.pipeline = Pipeline(self.transformer, scheduler, self.device, self.dtype)

    def encode_image(self, image: np.ndarray) -> ImageCondition:
        """Encode a first image, (H, W, 3) uint8 of the model's size."""
        with self._on_device(self.codec.vae), self._on_device(self.image_encoder.model):
            return self._conditions.image(image)

    def encode_robot(self, values: np.ndarray, mask: np.ndarray, image: np.ndarray,
                     soft_share: float, generator: torch.Generator,
                     dilation: int = 0) -> torch.Tensor:
        """Encode the robot of one window; see `ConditionEncoder.robot`."""
        with self._on_device(self.robot_codec.vae):
            return self._conditions.robot(values, mask, image, soft_share=soft_share,
                                          dilation=dilation, generator=generator)

    def sample(self, image: ImageCondition, arm: torch.Tensor,
               generator: torch.Generator | Sequence[torch.Generator],
               report: Report) -> torch.Tensor:
        """Return the latents of the futures; see `Pipeline.sample`."""
        with self._on_device(self.transformer):
            return self.pipeline.sample(image, arm, self.sampling, generator, report)

    def decode(self, latents: torch.Tensor) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """
        Yield (index, picture (H, W, 3) uint8, pointmap values (H, W, 3) float32) in order.

        The right half of the latent is brought back from the pointmap's own statistics first.
        """
        sampling, index = self.checkpoint.config.sampling, 0
        left, right = latents.chunk(2, dim=4)
        joint = torch.cat([left, right * sampling.pointmap_std + sampling.pointmap_mean], dim=4)
        with self._on_device(self.codec.vae):
            for piece in self.codec.decode(joint):
                for frame in piece[0].permute(1, 2, 3, 0).numpy():
                    picture, values = np.split(frame, 2, axis=1)
                    picture = ((picture + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
                    yield index, picture, values
                    index += 1

    @contextlib.contextmanager
    def _on_device(self, module: torch.nn.Module) -> Iterator[None]:
        """Have a part on the device while it works, where parts are offloaded."""
        if self._offload == 'none' or (self._offload == 'group' and module is self.transformer):
            yield
            return
        module.to(self.device)
        try:
            yield
        finally:
            module.to('cpu')
            if torch.device(self.device).type == 'cuda':
                torch.cuda.empty_cache()


def sampling_settings(setting: Mapping[str, Any], default: Sampling) -> SamplingSettings:
    """
    Return how to sample: the settings, and where they leave it open, the checkpoint.

    :param default: what the checkpoint says.
    :raises WorldModelError: for a value out of range.
    """
    steps = setting['steps'] or default.steps
    if not 1 <= steps <= 1000:
        raise WorldModelError(
            f"steps must be 1 to 1000, or 0 for the checkpoint's own, got {steps}")
    name = setting['guidance']
    if name not in ('auto', *Guidance):
        raise WorldModelError(
            f'guidance {name!r} does not exist; choose one of: auto, {", ".join(Guidance)}')
    guidance = default.guidance if name == 'auto' else Guidance(name)
    return SamplingSettings(steps, guidance, setting['guidance_scale'] or default.guidance_scale)
