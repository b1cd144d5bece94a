# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is minimised: the flow from data to noise, by its mean squared error.

As the official training: x_s = (1 - s) x0 + s noise, target noise - x0, no weights, both halves
alike; s is uniform over 1000 levels. All chance follows from a seed and the sample's number.
"""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kinema4d_ros.training.samples import first_frame_mask, Sample
from kinema4d_ros.training.settings import LEVELS, TrainingSettings
from kinema4d_ros.world_model.kinema4d.conditioning import MASK, soften
from kinema4d_ros.world_model.kinema4d.config import ModelConfig, Variant


@dataclass(frozen=True, eq=False)
class NetworkInputs:
    """One batch of the network, and what it is to predict; float32."""

    hidden_states: torch.Tensor    # (B, 36, F, H, 2 W)
    timestep: torch.Tensor         # (B,) float32, 1 to 1000
    arm: torch.Tensor              # (B, 20, F, H, A)
    image_embeds: torch.Tensor     # (B, tokens, dim)
    target: torch.Tensor           # (B, 16, F, H, 2 W), the velocity

    def to(self, device: torch.device | str) -> NetworkInputs:
        """Return it on a device."""
        return NetworkInputs(self.hidden_states.to(device), self.timestep.to(device),
                      self.arm.to(device), self.image_embeds.to(device), self.target.to(device))


def draw(samples: Sequence[Sample], numbers: Sequence[int], config: ModelConfig,
         settings: TrainingSettings) -> NetworkInputs:
    """
    Draw noise, its level, the sample of the first frame and the soft cells of the mask.

    :param numbers: of the samples, counted through all epochs: each draws from its own seed, so
        neither the batch nor the number of processes changes what it draws.
    """
    made = []
    for sample, number in zip(samples, numbers):
        generator = torch.Generator().manual_seed(seed_of(settings.seed, number))
        level = int(torch.randint(LEVELS, (), generator=generator))
        made.append(build(sample, shifted(1 - level / LEVELS, settings.timestep_shift), config,
                          generator, soft_share=settings.soft_share,
                          sample_condition=settings.sample_condition))
    return batched(made)


def build(sample: Sample, s: float, config: ModelConfig, generator: torch.Generator, *,
          soft_share: float = 0.0, sample_condition: bool = False,
          robot: Sample | None = None) -> NetworkInputs:
    """
    Return the input of one clip at noise level s, from 0 (data) to 1.

    :param robot: another clip whose robot is shown in place of the clip's own.
    """
    noise = torch.randn(sample.latent.shape, generator=generator)
    condition = sample.condition_mean
    if sample_condition:
        condition = condition + sample.condition_std * torch.randn(condition.shape,
                                                                   generator=generator)
    arm = arm_input(sample if robot is None else robot, config, soft_share, generator)
    noisy = (1 - s) * sample.latent + s * noise
    hidden = torch.cat([noisy, first_frame_mask(config), condition])
    return NetworkInputs(hidden[None], torch.tensor([s * LEVELS]), arm[None],
                         sample.image_tokens[None], (noise - sample.latent)[None])


def arm_input(sample: Sample, config: ModelConfig, soft_share: float = 0.0,
              generator: torch.Generator | None = None) -> torch.Tensor:
    """Return the robot's condition, (20, F, H, A): mask 4, robot latent 16."""
    mask = soften(sample.robot_mask, soft_share, generator).expand(MASK, -1, -1, -1)
    if config.variant is Variant.DEFAULT:
        mask = torch.cat([mask, mask], dim=3)
    return torch.cat([mask, sample.robot_latent])


def batched(inputs: Sequence[NetworkInputs]) -> NetworkInputs:
    """Return several inputs as one batch."""
    return NetworkInputs(*(torch.cat([getattr(one, name) for one in inputs]) for name in (
        'hidden_states', 'timestep', 'arm', 'image_embeds', 'target')))


def loss_of(model: torch.nn.Module, inputs: NetworkInputs, dtype: torch.dtype) -> torch.Tensor:
    """
    Return the mean squared error of each clip, (B,) float32.

    :param dtype: of the network's input.
    """
    velocity = model(inputs.hidden_states.to(dtype), inputs.timestep, inputs.arm.to(dtype),
                     inputs.image_embeds.to(dtype), return_dict=False)[0]
    return (velocity.float() - inputs.target).square().flatten(1).mean(dim=1)


def shifted(s: float, shift: float) -> float:
    """Return a noise level moved towards noise (shift > 1), as the samplers do."""
    return shift * s / (1 + (shift - 1) * s)


def seed_of(seed: int, number: int) -> int:
    """Return the seed of a sample; neighbours have nothing in common."""
    digest = hashlib.blake2b(f'{seed}:{number}'.encode(), digest_size=7).digest()
    return int.from_bytes(digest, 'big')
