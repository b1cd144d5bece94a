# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling: from noise to the joint latent of the future, step by step."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Report, silent
from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance
from kinema4d_ros.world_model.kinema4d.diffusers_compat import forget_cached_steps

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer


@dataclass(frozen=True)
class SamplingSettings:
    """How one rollout is sampled."""

    steps: int
    guidance: Guidance
    guidance_scale: float


class Pipeline:
    """
    Runs the denoising loop.

    Latents and scheduler are float32, the network works in its own dtype, and so does the
    combination of two passes, as in the released program.
    """

    def __init__(self, transformer: Kinema4DTransformer, scheduler: SchedulerMixin, device: str,
                 dtype: torch.dtype):
        """
        Make the denoising loop of a network and a scheduler.

        :param device: where the transformer computes (its weights may live elsewhere).
        :param dtype: of the network's input.
        """
        self.transformer, self._scheduler = transformer, scheduler
        self._device, self._dtype = device, dtype
        self.forwards = 0   # network evaluations so far, to show what an option saves

    def sample(self, image: ImageCondition, arm: torch.Tensor, settings: SamplingSettings,
               generator: torch.Generator | Sequence[torch.Generator],
               report: Report = silent) -> torch.Tensor:
        """
        Return the latents of one window, (K, 16, F, H, 2 W) float32 on the CPU.

        K candidates go through the network as one batch, each from the noise of its own generator,
        so that each becomes what it would be alone.

        :param image: of one image for all candidates, or a batch of K.
        :param arm: (K, 20, F, H, A).
        :param generator: of the noise, one for each candidate.
        `report('denoise', step, steps)` is called before every network evaluation; what it raises
        ends the sampling there.

        :raises WorldModelError: when the result is not finite.
        """
        scheduler, network = self._scheduler, self.transformer
        with torch.inference_mode():
            condition = image.condition.to(self._device)
            arm = arm.to(self._device, self._dtype)
            embeds = image.image_embeds.to(self._device, self._dtype)
            count, channels = len(arm), network.config.out_channels
            each = [generator] if isinstance(generator, torch.Generator) else list(generator)
            if len(each) != count:
                raise WorldModelError(f'{count} candidates need {count} generators of noise, '
                                      f'got {len(each)}')
            condition = condition.expand(count, -1, -1, -1, -1)
            embeds = embeds.expand(count, -1, -1)
            latents = torch.cat([torch.randn((1, channels, *condition.shape[2:]), generator=one)
                                 for one in each]).to(self._device)
            set_timesteps(scheduler, settings.steps, self._device)
            forget_cached_steps(network)
            for step, timestep in enumerate(scheduler.timesteps):
                joint = torch.cat([latents, condition], dim=1).to(self._dtype)
                inputs = (joint, timestep.expand(count), arm, embeds)
                report('denoise', step, settings.steps)
                velocity = self._evaluate('cond', inputs, 1)
                if settings.guidance is Guidance.REFERENCE:
                    report('denoise', step, settings.steps)
                    other = self._evaluate('uncond', inputs, 2)
                    velocity = other + settings.guidance_scale * (velocity - other)
                latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
            report('denoise', settings.steps, settings.steps)
            latents = latents.float().cpu()
        if not torch.isfinite(latents).all():
            raise WorldModelError(
                'the model produced values that are not finite; use dtype=bfloat16 or float32, and '
                'try without quantization')
        return latents

    def _evaluate(self, name: str, inputs: tuple[torch.Tensor, ...],
                  residual_times: int) -> torch.Tensor:
        """Run the network once; `name` keeps the caches of the two passes apart."""
        self.forwards += 1
        with self.transformer.cache_context(name):
            return self.transformer(*inputs, residual_times=residual_times, return_dict=False)[0]


def set_timesteps(scheduler: SchedulerMixin, steps: int, device: str) -> None:
    """
    Prepare a scheduler for a number of steps.

    For UniPC on flow sigmas the levels are given explicitly: diffusers changed how it spaces
    them after 0.34, and the released program runs with 0.34. (Before the shift they go from
    0.999 to 0.999 / steps, evenly.)
    """
    config = scheduler.config
    if config.get('use_flow_sigmas') and type(scheduler).__name__.startswith('UniPC'):
        last = 1 / config.num_train_timesteps
        levels = (1 - np.linspace(1, last, steps + 1))[:0:-1].copy()
        scheduler.set_timesteps(steps, device=device, sigmas=levels)
    else:
        scheduler.set_timesteps(steps, device=device)
